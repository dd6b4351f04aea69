//! Statements to a [`ConfigFile`].

use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use core::ops::RangeInclusive;

use super::modules::{self, Target};
use super::{Assignment, ConfigFile, NamedRoute};
use crate::filter;
use crate::settings::{Kind, Settings};
use crate::syntax::{Lexer, Position, Spanned, SyntaxError, Token};

/// Where HTTP management listens if only half of it is said.
const HTTP_IP: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const HTTP_PORT: u16 = 8888;

/// From alerts alone to debugging.
const LOG_LEVELS: RangeInclusive<i8> = -3..=4;

#[derive(Default)]
struct Reader {
    file: ConfigFile,
    /// What the statements make so far, so that each value is checked where it stands.
    settings: Settings,
    http_ip: Option<IpAddr>,
    http_port: Option<u16>,
}

pub(super) fn file(text: &str) -> Result<ConfigFile, SyntaxError> {
    let mut lexer = Lexer::new(text);
    let mut reader = Reader::default();
    loop {
        let next = lexer.next()?;
        match next.token {
            Token::End => return Ok(reader.file),
            Token::Word("socket") => reader.socket(&mut lexer)?,
            Token::Word("log_level") => {
                lexer.expect("=")?;
                let next = lexer.next()?;
                let level = match next.token {
                    Token::Number(_, level) => {
                        i8::try_from(level).ok().filter(|level| LOG_LEVELS.contains(level))
                    }
                    _ => None,
                };
                let expected = "a level from -3 to 4, such as 1 for warnings, 3 for information or 4 for all";
                reader.file.log_level = Some(level.ok_or_else(|| SyntaxError::expected(expected, &next))?);
            }
            Token::Word("mpath") => {
                lexer.expect("=")?;
                lexer.value("a directory")?;
            }
            Token::Word("loadmodule") => {
                lexer.expect_text("a module's name")?;
            }
            Token::Word("modparam") => reader.modparam(&mut lexer)?,
            Token::Word("route") => {
                let (name, at, route) = filter::route(&mut lexer)?;
                if reader.file.routes.iter().any(|known| known.name == name) {
                    return Err(SyntaxError::new(at, format!("there is a route named `{name}` already")));
                }
                reader.file.routes.push(NamedRoute { name, route });
            }
            _ => {
                let expected = "`socket`, `log_level`, `mpath`, `loadmodule`, `modparam` or `route`";
                return Err(SyntaxError::expected(expected, &next));
            }
        }
    }
}

impl Reader {
    fn socket(&mut self, lexer: &mut Lexer<'_>) -> Result<(), SyntaxError> {
        lexer.expect("=")?;
        let (value, at) = lexer.value("`ws:IP` or `ws:IP:PORT`")?;
        if ["hep_udp:", "hep_tcp:", "hep_tls:"].iter().any(|prefix| value.starts_with(prefix)) {
            let notice = format!("`{value}` is not needed: records are sent from a socket of their own");
            self.file.notices.push(SyntaxError::new(at, notice));
            return Ok(());
        }
        let address =
            value.parse().map_err(|error| SyntaxError::new(at, format!("{error}, found `{value}`")))?;
        self.file.sockets.push(address);
        Ok(())
    }

    fn modparam(&mut self, lexer: &mut Lexer<'_>) -> Result<(), SyntaxError> {
        lexer.expect("(")?;
        let (module, at) = lexer.expect_text("a module's name")?;
        // The name of the module's file names the module too.
        let known = modules::parameters(module.strip_suffix(".so").unwrap_or(&module));
        let parameters = known.ok_or_else(|| {
            let expected = list(modules::names());
            SyntaxError::new(
                at,
                format!("expected a module with parameters ({expected}), found \"{module}\""),
            )
        })?;
        lexer.expect(",")?;
        let (name, at) = lexer.expect_text("a parameter's name")?;
        let target = parameters.iter().find(|(known, _)| *known == name).map(|(_, target)| *target);
        let target = target.ok_or_else(|| {
            let expected = list(parameters.iter().map(|(name, _)| *name));
            SyntaxError::new(at, format!("expected a parameter of {module} ({expected}), found \"{name}\""))
        })?;
        lexer.expect(",")?;
        let value = lexer.next()?;
        self.set(target, &name, &value)?;
        lexer.expect(")")?;
        Ok(())
    }

    fn set(&mut self, target: Target, name: &str, token: &Spanned<'_>) -> Result<(), SyntaxError> {
        let value = value(target.kind(), token)?;
        match target {
            Target::Setting(parameter) => self.assign(parameter.name, name, value, token.at),
            Target::HttpIp => {
                let ip = value.parse().map_err(|_| SyntaxError::expected("an IP address", token))?;
                self.http_ip = Some(ip);
                self.assign_http(token.at)
            }
            Target::HttpPort => {
                let port =
                    value.parse().map_err(|_| SyntaxError::expected("a port from 0 to 65535", token))?;
                self.http_port = Some(port);
                self.assign_http(token.at)
            }
        }
    }

    fn assign_http(&mut self, at: Position) -> Result<(), SyntaxError> {
        let address = SocketAddr::new(self.http_ip.unwrap_or(HTTP_IP), self.http_port.unwrap_or(HTTP_PORT));
        self.assign("mi_http", "mi_http", address.to_string(), at)
    }

    fn assign(
        &mut self,
        parameter: &'static str,
        name: &str,
        value: String,
        at: Position,
    ) -> Result<(), SyntaxError> {
        self.settings.set(parameter, &value).map_err(|error| {
            let text = error.to_string().replace(&format!("`{parameter}`"), &format!("`{name}`"));
            SyntaxError::new(at, text)
        })?;
        self.file.assignments.push(Assignment { parameter, value, at });
        Ok(())
    }
}

/// Returns the text of a value, if it is written as its kind is.
fn value(kind: Kind, token: &Spanned<'_>) -> Result<String, SyntaxError> {
    match (kind, &token.token) {
        (Kind::Integer | Kind::Flag, Token::Number(text, _)) | (Kind::Flag, Token::Word(text)) => {
            Ok((*text).to_owned())
        }
        (Kind::Text, Token::Text(text)) => Ok(text.clone()),
        (Kind::Integer, _) => Err(SyntaxError::expected("a number", token)),
        (Kind::Flag, _) => Err(SyntaxError::expected("`yes`, `no`, 1 or 0", token)),
        (Kind::Text, _) => Err(SyntaxError::expected("a string in quotes", token)),
    }
}

fn list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.collect::<Vec<_>>().join(", ")
}
