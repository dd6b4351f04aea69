//! Tokens to a route.

use core::net::IpAddr;

use super::{Address, Block, Condition, Number, Route, Statement, Verdict};
use crate::syntax::{Lexer, Position, Spanned, SyntaxError, Token};

/// Blocks, `if`s, parentheses and `!` that may lie in one another.
const MAX_NESTING: u32 = 64;

/// Reads `[name] { ... }`, which follows the word `route`.
pub(crate) fn route(lexer: &mut Lexer<'_>) -> Result<(String, Position, Route), SyntaxError> {
    lexer.expect("[")?;
    let name = lexer.next()?;
    let (text, at) = match name.token {
        Token::Word(text) | Token::Number(text, _) => (text.to_owned(), name.at),
        Token::Text(text) if !text.is_empty() => (text, name.at),
        _ => return Err(SyntaxError::expected("the route's name", &name)),
    };
    lexer.expect("]")?;
    lexer.expect("{")?;
    let mut body = Block::new();
    until_brace(lexer, &mut body, 0)?;
    Ok((text, at, Route(body)))
}

/// Reads statements up to the end of the text.
pub(super) fn statements(lexer: &mut Lexer<'_>) -> Result<Route, SyntaxError> {
    let mut body = Block::new();
    while lexer.peek()?.token != Token::End {
        statement(lexer, &mut body, 0)?;
    }
    Ok(Route(body))
}

/// Reads statements up to `}`.
fn until_brace(lexer: &mut Lexer<'_>, block: &mut Block, depth: u32) -> Result<(), SyntaxError> {
    while !lexer.take("}")? {
        statement(lexer, block, depth)?;
    }
    Ok(())
}

/// Reads a statement onto the end of `block`.
fn statement(lexer: &mut Lexer<'_>, block: &mut Block, depth: u32) -> Result<(), SyntaxError> {
    let next = lexer.next()?;
    let depth = deeper(depth, next.at)?;
    match next.token {
        Token::Mark(";") => {}
        Token::Mark("{") => until_brace(lexer, block, depth)?,
        Token::Word("if") => block.push(if_statement(lexer, depth)?),
        Token::Word(word @ ("exit" | "return" | "drop")) => {
            block.push(Statement::Leave(if word == "drop" { Verdict::Drop } else { Verdict::Trace }));
            if lexer.take("(")? {
                if word == "return" && matches!(lexer.peek()?.token, Token::Number(..)) {
                    lexer.next()?;
                }
                lexer.expect(")")?;
            }
            lexer.expect(";")?;
        }
        _ => {
            let expected = "`if`, `exit`, `drop`, `return`, `{` or `}`";
            return Err(SyntaxError::expected(expected, &next));
        }
    }
    Ok(())
}

/// Reads what follows `if`.
fn if_statement(lexer: &mut Lexer<'_>, depth: u32) -> Result<Statement, SyntaxError> {
    let mut arms = Vec::new();
    let mut otherwise = Block::new();
    loop {
        lexer.expect("(")?;
        let condition = any(lexer, depth)?;
        lexer.expect(")")?;
        let mut block = Block::new();
        statement(lexer, &mut block, depth)?;
        arms.push((condition, block));
        if lexer.peek()?.token != Token::Word("else") {
            break;
        }
        lexer.next()?;
        // A chain of `else if` is no nesting: it may be of any length.
        if lexer.peek()?.token != Token::Word("if") {
            statement(lexer, &mut otherwise, depth)?;
            break;
        }
        lexer.next()?;
    }
    Ok(Statement::If { arms, otherwise })
}

fn any(lexer: &mut Lexer<'_>, depth: u32) -> Result<Condition, SyntaxError> {
    let mut conditions = vec![all(lexer, depth)?];
    while lexer.take("||")? {
        conditions.push(all(lexer, depth)?);
    }
    Ok(if conditions.len() == 1 { conditions.remove(0) } else { Condition::Any(conditions) })
}

fn all(lexer: &mut Lexer<'_>, depth: u32) -> Result<Condition, SyntaxError> {
    let mut conditions = vec![single(lexer, depth)?];
    while lexer.take("&&")? {
        conditions.push(single(lexer, depth)?);
    }
    Ok(if conditions.len() == 1 { conditions.remove(0) } else { Condition::All(conditions) })
}

fn single(lexer: &mut Lexer<'_>, depth: u32) -> Result<Condition, SyntaxError> {
    let next = lexer.next()?;
    match next.token {
        Token::Mark("!") => {
            let depth = deeper(depth, next.at)?;
            Ok(Condition::Not(Box::new(single(lexer, depth)?)))
        }
        Token::Mark("(") => {
            let depth = deeper(depth, next.at)?;
            let condition = any(lexer, depth)?;
            lexer.expect(")")?;
            Ok(condition)
        }
        _ => comparison(lexer, &next),
    }
}

/// Reads a comparison whose left side is `first`.
fn comparison(lexer: &mut Lexer<'_>, first: &Spanned<'_>) -> Result<Condition, SyntaxError> {
    let left = Operand::read(first)?;
    let operator = lexer.next()?;
    let equal = match operator.token {
        Token::Mark("==") => true,
        Token::Mark("!=") => false,
        _ => return Err(SyntaxError::expected("`==` or `!=`", &operator)),
    };
    let second = lexer.next()?;
    let condition = match (left, Operand::read(&second)?) {
        (Operand::Address(left), Operand::Address(right)) => Condition::Addresses(left, right),
        (Operand::Address(left), Operand::Text(text)) => Condition::Addresses(left, literal(&text, &second)?),
        (Operand::Text(text), Operand::Address(right)) => Condition::Addresses(literal(&text, first)?, right),
        (Operand::Number(Number::Literal(left)), Operand::Number(Number::Literal(right))) => {
            Condition::Known(left == right)
        }
        (Operand::Number(left), Operand::Number(right)) => Condition::Numbers(left, right),
        (Operand::Text(left), Operand::Text(right)) => Condition::Known(left == right),
        (Operand::Number(_), _) => return Err(SyntaxError::expected("a number", &second)),
        (_, Operand::Number(_)) => return Err(SyntaxError::expected("an address in quotes", &second)),
    };
    Ok(if equal { condition } else { Condition::Not(Box::new(condition)) })
}

enum Operand {
    Address(Address),
    Number(Number),
    Text(String),
}

impl Operand {
    fn read(token: &Spanned<'_>) -> Result<Self, SyntaxError> {
        Ok(match &token.token {
            Token::Variable("si") => Self::Address(Address::Peer),
            Token::Variable("sp") => Self::Number(Number::PeerPort),
            Token::Variable("socket_in(ip)") => Self::Address(Address::Local),
            Token::Variable("socket_in(port)") => Self::Number(Number::LocalPort),
            Token::Number(_, value) => Self::Number(Number::Literal(*value)),
            Token::Text(text) => Self::Text(text.clone()),
            _ => {
                let expected =
                    "`$si`, `$sp`, `$socket_in(ip)`, `$socket_in(port)`, a string, a number, `!` or `(`";
                return Err(SyntaxError::expected(expected, token));
            }
        })
    }
}

/// Reads an address, IPv6 with or without brackets. What is none would never be equal, which nobody means.
fn literal(text: &str, token: &Spanned<'_>) -> Result<Address, SyntaxError> {
    let bare =
        text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).filter(|text| text.contains(':'));
    match bare.unwrap_or(text).parse::<IpAddr>() {
        Ok(address) => Ok(Address::Literal(address)),
        Err(_) => Err(SyntaxError::expected("an IP address", token)),
    }
}

fn deeper(depth: u32, at: Position) -> Result<u32, SyntaxError> {
    if depth == MAX_NESTING {
        return Err(SyntaxError::new(at, format!("expected at most {MAX_NESTING} levels of nesting")));
    }
    Ok(depth + 1)
}
