//! The log: one line an event, `key=value`, on standard error. A thread writes it: see [`Lines`].

use core::any::Any;
use core::fmt;
use core::panic::Location;
use core::str::FromStr;
use core::sync::atomic::{AtomicU8, Ordering};
use core::time::Duration;
use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::Write as _;
use std::sync::{Arc, LazyLock};
use std::time::SystemTime;
use std::{panic, thread};

use super::lines::{Batch, Lines};

/// Bytes of lines that wait for standard error to take them: 1 MiB.
const MAX_WAITING: usize = 1 << 20;
/// Between attempts to write to a standard error that would block.
const PAUSE: Duration = Duration::from_millis(5);
/// How long the end of the program waits for standard error.
const FLUSH: Duration = Duration::from_millis(500);

/// The thread that writes it.
const THREAD: &str = "ws-sip-log";

/// What waits for standard error; `None` if there is no thread that writes it.
static LINES: LazyLock<Option<Arc<Lines>>> = LazyLock::new(|| {
    let lines = Arc::new(Lines::new(MAX_WAITING));
    let taken = Arc::clone(&lines);
    let run = move || {
        let mut batch = Batch::default();
        let tell = |dropped| line(Level::Info, "dropped", &[("lines", &dropped)]);
        loop {
            taken.write_to(&mut std::io::stderr(), &mut batch, || thread::sleep(PAUSE), tell);
        }
    };
    thread::Builder::new().name(THREAD.into()).spawn(run).ok().map(|_| lines)
});

/// How much is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Level {
    Error,
    Warn,
    Info,
    Debug,
}

impl Level {
    const fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
        }
    }

    /// The level that OpenSIPS has a number for.
    pub(crate) const fn from_number(number: i8) -> Self {
        match number {
            i8::MIN..=0 => Self::Error,
            1 => Self::Warn,
            2 | 3 => Self::Info,
            4..=i8::MAX => Self::Debug,
        }
    }
}

impl FromStr for Level {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        [Self::Error, Self::Warn, Self::Info, Self::Debug]
            .into_iter()
            .find(|level| level.name() == text)
            .ok_or(())
    }
}

/// Writes what is at least as grave as its level, which all copies share. There is one in a program.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Log(&'static AtomicU8);

impl Log {
    pub(crate) fn new(level: Level) -> Self {
        Self(Box::leak(Box::new(AtomicU8::new(level as u8))))
    }

    pub(crate) fn set_level(self, level: Level) {
        self.0.store(level as u8, Ordering::Relaxed);
    }

    fn writes(self, level: Level) -> bool {
        level as u8 <= self.0.load(Ordering::Relaxed)
    }

    /// Writes a line: the event's name and its fields.
    pub(crate) fn write(self, level: Level, event: &str, fields: &[(&str, &dyn fmt::Display)]) {
        if !self.writes(level) {
            return;
        }
        put(&line(level, event, fields));
    }
}

/// Writes a line that is no event: what a program says that ends here.
pub(crate) fn last_words(words: &str) {
    put(&format!("{words}\n"));
}

/// Has panics told as one line of the log each, among the others.
pub(crate) fn tell_panics() {
    panic::set_hook(Box::new(|panic| {
        let told = panic_line(panic.location(), panic.payload(), &Backtrace::capture());
        if thread::current().name() == Some(THREAD) {
            // Nobody is left to write it.
            drop(std::io::stderr().write_all(told.as_bytes()));
        } else {
            put(&told);
        }
    }));
}

fn panic_line(place: Option<&Location<'_>>, payload: &dyn Any, backtrace: &Backtrace) -> String {
    let place: &dyn fmt::Display = match &place {
        Some(place) => place,
        None => &"unknown",
    };
    let message = payload.downcast_ref::<&str>().copied();
    let message =
        message.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or_default();
    let fields: [(&str, &dyn fmt::Display); 3] =
        [("at", place), ("message", &message), ("backtrace", backtrace)];
    // There is a backtrace only where `RUST_BACKTRACE` asks for it.
    let count = if backtrace.status() == BacktraceStatus::Captured { 3 } else { 2 };
    line(Level::Error, "panic", &fields[..count])
}

/// Waits until standard error took what was written, if it takes it soon.
pub(crate) fn flush() {
    if let Some(lines) = &*LINES {
        lines.flush(FLUSH);
    }
}

/// Gives a line to the thread.
fn put(line: &str) {
    match &*LINES {
        Some(lines) => lines.push(line),
        // Where standard error is gone there is nobody to tell.
        None => drop(std::io::stderr().write_all(line.as_bytes())),
    }
}

fn line(level: Level, event: &str, fields: &[(&str, &dyn fmt::Display)]) -> String {
    let time = humantime::format_rfc3339_millis(SystemTime::now());
    let mut line = format!("{time} {} {event}", level.name());
    for (name, value) in fields {
        line.push(' ');
        line.push_str(name);
        line.push('=');
        push_value(&mut line, &value.to_string());
    }
    line.push('\n');
    line
}

/// Appends a value, in quotes if it would not be one word.
fn push_value(line: &mut String, value: &str) {
    let plain = |c: char| c.is_ascii_graphic() && !matches!(c, '"' | '=' | '\\');
    if !value.is_empty() && value.chars().all(plain) {
        line.push_str(value);
    } else {
        // The peer's words must not make lines or terminal commands of their own.
        line.push('"');
        line.extend(value.chars().flat_map(char::escape_debug));
        line.push('"');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_stays_on_its_line() {
        let quote = |value: &str| {
            let mut line = String::new();
            push_value(&mut line, value);
            line
        };
        assert_eq!(quote("127.0.0.1:80"), "127.0.0.1:80");
        assert_eq!(quote(""), "\"\"");
        assert_eq!(quote("two words"), "\"two words\"");
        assert_eq!(quote("a\r\nb\x1b[0m\""), r#""a\r\nb\u{1b}[0m\"""#);
    }

    #[test]
    fn levels_by_name() {
        assert_eq!("warn".parse(), Ok(Level::Warn));
        assert_eq!("loud".parse::<Level>(), Err(()));
        let numbers = [-3, -1, 1, 2, 3, 4].map(Level::from_number);
        assert_eq!(
            numbers,
            [Level::Error, Level::Error, Level::Warn, Level::Info, Level::Info, Level::Debug]
        );
        let log = Log::new(Level::Info);
        assert_eq!(
            [Level::Error, Level::Info, Level::Debug].map(|level| log.writes(level)),
            [true, true, false]
        );
        let copy = log;
        log.set_level(Level::Error);
        assert!(copy.writes(Level::Error) && !copy.writes(Level::Warn));
    }

    #[test]
    fn a_panic_is_one_line() {
        let told = |payload: &dyn Any| panic_line(None, payload, &Backtrace::disabled());
        let said = told(&"two\nlines");
        assert!(said.ends_with(" error panic at=unknown message=\"two\\nlines\"\n"), "{said:?}");
        assert!(told(&String::from("one")).ends_with(" message=one\n"));
        assert!(told(&7).ends_with(" message=\"\"\n"), "it may be anything");
        let here = panic_line(Some(Location::caller()), &"", &Backtrace::disabled());
        assert!(here.contains(concat!(" at=", file!(), ":")), "{here:?}");
    }
}
