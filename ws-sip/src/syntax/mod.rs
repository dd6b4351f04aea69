//! Positions and errors of what people write: the configuration file and the trace filter.

mod lex;

use core::fmt::{self, Write as _};
use std::borrow::Cow;

pub(crate) use lex::{Lexer, Spanned, Token};

/// A place in a text, both numbers from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The line.
    pub line: u32,
    /// The character in the line.
    pub column: u32,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// What is wrong with a text, and where. It is written as `LINE:COLUMN: what`, so that it can follow a file's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyntaxError {
    /// Where it is wrong.
    pub at: Position,
    /// What was expected there, or what cannot be.
    pub message: Cow<'static, str>,
}

impl SyntaxError {
    pub(crate) fn new(at: Position, message: impl Into<Cow<'static, str>>) -> Self {
        let message = message.into();
        let is_plain = !message.contains(char::is_control);
        Self { at, message: if is_plain { message } else { OneLine(&message).to_string().into() } }
    }

    /// Something else stands where `expected` must be.
    pub(crate) fn expected(expected: &str, found: &Spanned<'_>) -> Self {
        Self::new(found.at, format!("expected {expected}, found {}", found.token))
    }
}

/// Shows somebody's words without what would start a line or command a terminal.
pub(crate) struct OneLine<'a>(pub(crate) &'a str);

impl fmt::Display for OneLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .chars()
            .try_for_each(|c| if c.is_control() { c.escape_debug().fmt(f) } else { f.write_char(c) })
    }
}

impl fmt::Display for SyntaxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.at, self.message)
    }
}

impl core::error::Error for SyntaxError {}
