//! Text to tokens.

use core::fmt;

use super::{Position, SyntaxError};

/// The smallest piece that means something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Token<'a> {
    /// A name or keyword.
    Word(&'a str),
    /// A decimal number, as it is written and what it is.
    Number(&'a str, i64),
    /// A string, without its quotes and escapes.
    Text(String),
    /// `$name` or `$name(argument)`, without the dollar.
    Variable(&'a str),
    /// An operator or a bracket.
    Mark(&'static str),
    /// Nothing follows.
    End,
}

impl fmt::Display for Token<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Word(text) | Self::Number(text, _) => write!(f, "`{text}`"),
            Self::Text(text) => write!(f, "{text:?}"),
            Self::Variable(name) => write!(f, "`${name}`"),
            Self::Mark(mark) => write!(f, "`{mark}`"),
            Self::End => f.write_str("the end"),
        }
    }
}

/// A token, and where it starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Spanned<'a> {
    pub(crate) token: Token<'a>,
    pub(crate) at: Position,
}

/// The longer of two that begin alike come first.
const MARKS: &[&str] = &["==", "!=", "&&", "||", "=", "!", "(", ")", "{", "}", "[", "]", ",", ";"];

/// Reads tokens off a text, and looks one ahead.
#[derive(Debug)]
pub(crate) struct Lexer<'a> {
    rest: &'a str,
    at: Position,
    /// Nothing but white space stands before `rest` in its line.
    line_is_blank: bool,
    ahead: Option<Spanned<'a>>,
}

impl<'a> Lexer<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self {
            rest: text.strip_prefix('\u{feff}').unwrap_or(text),
            at: Position { line: 1, column: 1 },
            line_is_blank: true,
            ahead: None,
        }
    }

    pub(crate) fn next(&mut self) -> Result<Spanned<'a>, SyntaxError> {
        match self.ahead.take() {
            Some(token) => Ok(token),
            None => self.read(),
        }
    }

    pub(crate) fn peek(&mut self) -> Result<&Spanned<'a>, SyntaxError> {
        let token = self.next()?;
        Ok(self.ahead.insert(token))
    }

    /// Takes the mark if it is next.
    pub(crate) fn take(&mut self, mark: &str) -> Result<bool, SyntaxError> {
        let found = matches!(self.peek()?.token, Token::Mark(next) if next == mark);
        if found {
            self.ahead = None;
        }
        Ok(found)
    }

    pub(crate) fn expect(&mut self, mark: &str) -> Result<Position, SyntaxError> {
        let next = self.next()?;
        match next.token {
            Token::Mark(found) if found == mark => Ok(next.at),
            _ => Err(SyntaxError::expected(&format!("`{mark}`"), &next)),
        }
    }

    /// Reads a string in quotes.
    pub(crate) fn expect_text(&mut self, what: &str) -> Result<(String, Position), SyntaxError> {
        let next = self.next()?;
        match next.token {
            Token::Text(text) => Ok((text, next.at)),
            _ => Err(SyntaxError::expected(&format!("{what} in quotes"), &next)),
        }
    }

    /// Reads what stands bare after `=`, up to white space or a comment, or a string in quotes.
    pub(crate) fn value(&mut self, what: &str) -> Result<(String, Position), SyntaxError> {
        debug_assert!(self.ahead.is_none(), "what was looked at was already read as a token");
        let blank = self.rest.len() - self.rest.trim_start_matches([' ', '\t']).len();
        self.advance(blank);
        if self.rest.starts_with(['"', '\'']) {
            return self.expect_text(what);
        }
        let len = self.rest.find(|c: char| c.is_whitespace() || c == '#').unwrap_or(self.rest.len());
        let at = self.at;
        if len == 0 {
            return Err(SyntaxError::new(at, format!("expected {what} after `=`")));
        }
        Ok((self.advance(len).to_owned(), at))
    }

    fn read(&mut self) -> Result<Spanned<'a>, SyntaxError> {
        self.skip_blank()?;
        let at = self.at;
        self.line_is_blank = false;
        let token = match self.rest.chars().next() {
            None => Token::End,
            Some(c) if c.is_ascii_alphabetic() || c == '_' => Token::Word(self.advance(word_len(self.rest))),
            Some(c) if c.is_ascii_digit() || (c == '-' && starts_with_digit(&self.rest[1..])) => {
                let digits = 1 + word_len(&self.rest[1..]);
                let text = self.advance(digits);
                let value = text.parse().map_err(|_| {
                    SyntaxError::new(at, format!("expected a decimal number, found `{text}`"))
                })?;
                Token::Number(text, value)
            }
            Some(quote @ ('"' | '\'')) => Token::Text(self.text(quote)?),
            Some('$') => {
                self.advance(1);
                let name = word_len(self.rest);
                let argument = self.rest[name..].strip_prefix('(').and_then(|rest| {
                    let len = word_len(rest);
                    rest[len..].starts_with(')').then_some(len + 2)
                });
                Token::Variable(self.advance(name + argument.unwrap_or(0)))
            }
            Some(c) => {
                let mark = MARKS.iter().find(|mark| self.rest.starts_with(**mark));
                let mark = mark.ok_or_else(|| {
                    SyntaxError::new(
                        at,
                        format!("expected a statement or a value, found `{}`", c.escape_debug()),
                    )
                })?;
                self.advance(mark.len());
                Token::Mark(mark)
            }
        };
        Ok(Spanned { token, at })
    }

    /// Reads a string that starts here.
    fn text(&mut self, quote: char) -> Result<String, SyntaxError> {
        let start = self.at;
        self.advance(1);
        let mut text = String::new();
        loop {
            let at = self.at;
            let Some(c) = self.rest.chars().next().filter(|&c| c != '\n' && c != '\r') else {
                let error = format!("expected a closing {quote} in the line of the opening one");
                return Err(SyntaxError::new(start, error));
            };
            self.advance(c.len_utf8());
            match c {
                '\\' => {
                    let escaped = self.rest.chars().next().filter(|c| !matches!(c, '\n' | '\r'));
                    self.advance(escaped.map_or(0, char::len_utf8));
                    text.push(match escaped {
                        Some('n') => '\n',
                        Some('r') => '\r',
                        Some('t') => '\t',
                        Some(c @ ('\\' | '"' | '\'')) => c,
                        _ => {
                            let message = r#"expected n, r, t, \, " or ' after a backslash"#;
                            return Err(SyntaxError::new(at, message));
                        }
                    });
                }
                c if c == quote => return Ok(text),
                c => text.push(c),
            }
        }
    }

    /// Passes white space, comments and lines of nothing but `...`, which stand for what an example leaves out.
    fn skip_blank(&mut self) -> Result<(), SyntaxError> {
        loop {
            let blank = self.rest.len() - self.rest.trim_start().len();
            self.advance(blank);
            if self.rest.starts_with('#') || (self.line_is_blank && self.is_ellipsis()) {
                self.advance(self.line().len());
            } else if self.rest.starts_with("/*") {
                let at = self.at;
                let end = self.rest[2..].find("*/");
                let end =
                    end.ok_or_else(|| SyntaxError::new(at, "expected `*/`, which ends this comment"))?;
                self.advance(end + 4);
            } else {
                return Ok(());
            }
        }
    }

    /// Returns what is left of the line.
    fn line(&self) -> &'a str {
        self.rest.split(['\n', '\r']).next().unwrap_or_default()
    }

    fn is_ellipsis(&self) -> bool {
        self.rest.starts_with("...") && self.line().trim_end() == "..."
    }

    fn advance(&mut self, len: usize) -> &'a str {
        let (passed, rest) = self.rest.split_at(len);
        for c in passed.chars() {
            if c == '\n' {
                self.at = Position { line: self.at.line + 1, column: 1 };
                self.line_is_blank = true;
            } else {
                self.at.column += 1;
                self.line_is_blank &= c.is_whitespace();
            }
        }
        self.rest = rest;
        passed
    }
}

fn word_len(text: &str) -> usize {
    text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len())
}

fn starts_with_digit(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(text: &str) -> Result<Vec<String>, SyntaxError> {
        let mut lexer = Lexer::new(text);
        let mut tokens = Vec::new();
        loop {
            let next = lexer.next()?;
            if next.token == Token::End {
                return Ok(tokens);
            }
            tokens.push(format!("{} {}", next.at, next.token));
        }
    }

    #[test]
    fn tokens_know_where_they_are() {
        assert_eq!(
            tokens("a=1 # b\n /* c\n*/ $si != \"x\\\"\u{e4}\" /**/ -20;\r\n$socket_in(port)").unwrap(),
            [
                "1:1 `a`",
                "1:2 `=`",
                "1:3 `1`",
                "3:4 `$si`",
                "3:8 `!=`",
                "3:11 \"x\\\"ä\"",
                "3:23 `-20`",
                "3:26 `;`",
                "4:1 `$socket_in(port)`"
            ]
        );
    }

    #[test]
    fn only_a_line_of_its_own_is_an_ellipsis() {
        assert_eq!(tokens("...\n \t... \r\na\n   ...").unwrap(), ["3:1 `a`"]);
        assert_eq!(tokens("a ...").unwrap_err().at, Position { line: 1, column: 3 });
        assert_eq!(tokens("\n ....").unwrap_err().at, Position { line: 2, column: 2 });
    }

    #[test]
    fn what_is_no_token_is_told_where_it_is() {
        for (text, error) in [
            ("a\n  \"b", "2:3: expected a closing \" in the line of the opening one"),
            ("'a\nb'", "1:1: expected a closing ' in the line of the opening one"),
            ("\"a\\q\"", "1:3: expected n, r, t, \\, \" or ' after a backslash"),
            ("\"\\", "1:2: expected n, r, t, \\, \" or ' after a backslash"),
            (" /* a\n b", "1:2: expected `*/`, which ends this comment"),
            ("12ab", "1:1: expected a decimal number, found `12ab`"),
            ("99999999999999999999", "1:1: expected a decimal number, found `99999999999999999999`"),
            ("\u{e4}", "1:1: expected a statement or a value, found `ä`"),
            ("\u{0}", "1:1: expected a statement or a value, found `\\0`"),
        ] {
            assert_eq!(tokens(text).unwrap_err().to_string(), error, "{text:?}");
        }
    }

    #[test]
    fn a_bare_value_ends_at_white_space_or_a_comment() {
        let value = |text| Lexer::new(text).value("a path").map(|(value, at)| format!("{at} {value}"));
        assert_eq!(value("  ws:[::1]:5060\t# here").unwrap(), "1:3 ws:[::1]:5060");
        assert_eq!(value("/a/b.so#c").unwrap(), "1:1 /a/b.so");
        assert_eq!(value(" \"with space\" ").unwrap(), "1:2 with space");
        assert_eq!(value(" \nx").unwrap_err().to_string(), "1:2: expected a path after `=`");
    }
}
