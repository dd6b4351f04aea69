//! What the programs share: their options, those that select a part of the suite among them, the spread of what they
//! measure, how they end, and how to count under valgrind.

use std::io;
use std::process::ExitCode;

use lexopt::Arg;

use crate::suite::Case;

/// The value of `GLIBC_TUNABLES` for callgrind: it counts each byte that `rep movsb` moves as an instruction, so
/// memcpy and memset are to use vectors, as they do for short data anyway.
pub const WITHOUT_REP: &str =
    "glibc.cpu.x86_rep_movsb_threshold=1000000000:glibc.cpu.x86_rep_stosb_threshold=1000000000";

/// The value of an option.
pub struct Value {
    /// As it was given.
    pub text: String,
}

impl Value {
    /// Reads it as a number.
    ///
    /// # Errors
    /// If it is none.
    pub fn number(&self) -> Result<usize, lexopt::Error> {
        self.text.parse().map_err(|_| format!("{} is not a number", self.text).into())
    }
}

/// Hands each option of the command line to `take`, which tells whether it knows it: all have two dashes and a value.
///
/// # Errors
/// If one has not, is not known, or has a value that `take` refuses.
pub fn each_option(
    mut take: impl FnMut(&str, Value) -> Result<bool, lexopt::Error>,
) -> Result<(), lexopt::Error> {
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        let Arg::Long(name) = argument else { return Err(argument.unexpected()) };
        let name = name.to_owned();
        let text = parser.value()?.into_string()?;
        match take(&name, Value { text }) {
            Ok(true) => {}
            Ok(false) => return Err(format!("--{name}: no such option").into()),
            Err(error) => return Err(format!("--{name}: {error}").into()),
        }
    }
    Ok(())
}

/// Whether `name` is selected by `texts`, of which it has to contain one: all are if there is none.
pub fn takes_name(texts: &[String], name: &str) -> bool {
    texts.is_empty() || texts.iter().any(|text| name.contains(&text[..]))
}

/// Returns median, least and greatest of some values.
///
/// # Panics
/// If there is no value.
pub fn spread(values: impl IntoIterator<Item = f64>) -> (f64, f64, f64) {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    (values[values.len() / 2], values[0], values[values.len() - 1])
}

/// What a program ends with; tells what went wrong.
pub fn exit(done: io::Result<()>) -> ExitCode {
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// What was asked for; everything if nothing was.
#[derive(Default)]
pub struct Selection {
    groups: Vec<String>,
    cases: Vec<String>,
    contestants: Vec<String>,
}

impl Selection {
    /// Reads `--group`, `--case` and `--contestant`, each any number of times; other options go to
    /// `other` with their value, which tells whether it knows them. Ends the program on a fault.
    pub fn from_arguments(mut other: impl FnMut(&str, &str) -> bool) -> Self {
        Self::parse(&mut other).unwrap_or_else(|error| {
            eprintln!("{error}");
            std::process::exit(2);
        })
    }

    fn parse(other: &mut dyn FnMut(&str, &str) -> bool) -> Result<Self, lexopt::Error> {
        let mut selection = Self::default();
        each_option(|name, value| {
            match name {
                "group" => selection.groups.push(value.text),
                "case" => selection.cases.push(value.text),
                "contestant" => selection.contestants.push(value.text),
                _ if other(name, &value.text) => {}
                _ => return Err(format!("{} is not understood", value.text).into()),
            }
            Ok(true)
        })?;
        Ok(selection)
    }

    /// Whether the case takes part.
    pub fn takes(&self, case: &Case) -> bool {
        (self.groups.is_empty() || self.groups.iter().any(|group| group == case.group))
            && (self.cases.is_empty() || self.cases.iter().any(|text| case.name.contains(&text[..])))
    }

    /// Whether the contestant takes part.
    pub fn takes_contestant(&self, name: &str) -> bool {
        takes_name(&self.contestants, name)
    }
}
