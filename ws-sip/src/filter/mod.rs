//! The trace filter: decides for each connection whether it is traced.
//!
//! In the configuration file it is a route of a small language, which knows `if` and `else`, blocks, `exit`, `drop`
//! and `return`, comparisons with `==` and `!=`, joined by `&&`, `||`, `!` and parentheses. `drop` leaves the
//! connection out; however else the route ends, the connection is traced. These can be compared:
//!
//! | written | what it is |
//! | --- | --- |
//! | `$si`, `$sp` | the peer's address and port, whoever opened the connection |
//! | `$socket_in(ip)`, `$socket_in(port)` | our address and port of the connection |
//! | `"192.0.2.1"`, `8080` | an address, a number |
//!
//! ```
//! use ws_sip::filter::Route;
//! use ws_sip::transport::Ends;
//!
//! let route: Route = r#"if ($si == "192.0.2.1" && $socket_in(port) != 8080) exit; else drop;"#.parse()?;
//! let (peer, local) = ("192.0.2.1:5060".parse()?, "192.0.2.9:80".parse()?);
//! assert!(route.traces(&Ends { peer, local, is_incoming: true, is_secure: false }));
//! # Ok::<(), Box<dyn core::error::Error>>(())
//! ```
//!
//! From Rust a filter is a closure: see [`TraceFilter`].

mod parse;

use core::fmt;
use core::net::IpAddr;
use core::str::FromStr;
use std::sync::Arc;

pub(crate) use parse::route;

use crate::syntax::{Lexer, SyntaxError};
use crate::transport::Ends;

/// Which connections are traced.
#[derive(Clone)]
pub enum TraceFilter {
    /// Those that a route of the configuration file does not drop.
    Route(Arc<Route>),
    /// Those for which this returns `true`. It is called in the transport's thread, once a connection.
    Closure(Arc<dyn Fn(&Ends) -> bool + Send + Sync>),
}

impl TraceFilter {
    /// Returns a filter of a closure, which says whether a connection is traced.
    ///
    /// ```
    /// let filter = ws_sip::TraceFilter::new(|ends| ends.peer.ip().is_loopback());
    /// ```
    pub fn new(filter: impl Fn(&Ends) -> bool + Send + Sync + 'static) -> Self {
        Self::Closure(Arc::new(filter))
    }

    /// Returns whether the connection between these ends is traced.
    #[must_use]
    pub fn traces(&self, ends: &Ends) -> bool {
        match self {
            Self::Route(route) => route.traces(ends),
            Self::Closure(filter) => filter(ends),
        }
    }
}

impl From<Route> for TraceFilter {
    fn from(route: Route) -> Self {
        Self::Route(Arc::new(route))
    }
}

impl fmt::Debug for TraceFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Route(route) => f.debug_tuple("Route").field(route).finish(),
            Self::Closure(_) => f.write_str("Closure"),
        }
    }
}

/// A route of the filter language, ready to run. See the [module](self).
///
/// To run it takes at most one step for each word it is written in, and no memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route(Block);

type Block = Vec<Statement>;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Statement {
    /// The first block whose condition holds, or else the last.
    If { arms: Vec<(Condition, Block)>, otherwise: Block },
    /// Ends the route.
    Leave(Verdict),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Trace,
    Drop,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Condition {
    All(Vec<Self>),
    Any(Vec<Self>),
    Not(Box<Self>),
    Addresses(Address, Address),
    Numbers(Number, Number),
    /// Two literals, compared when the route was read.
    Known(bool),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Address {
    Peer,
    Local,
    Literal(IpAddr),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Number {
    PeerPort,
    LocalPort,
    Literal(i64),
}

impl Route {
    /// Returns whether the connection between these ends is traced.
    #[must_use]
    pub fn traces(&self, ends: &Ends) -> bool {
        run(&self.0, ends) != Some(Verdict::Drop)
    }
}

impl FromStr for Route {
    type Err = SyntaxError;

    /// Reads the statements of a route, without `route[name] {` and `}`.
    fn from_str(text: &str) -> Result<Self, SyntaxError> {
        parse::statements(&mut Lexer::new(text))
    }
}

/// Returns how the block ends the route, if it does.
///
/// It goes as deep as the block is nested, which the parser bounds.
fn run(block: &Block, ends: &Ends) -> Option<Verdict> {
    block.iter().find_map(|statement| match statement {
        Statement::Leave(verdict) => Some(*verdict),
        Statement::If { arms, otherwise } => {
            let arm = arms.iter().find(|(condition, _)| condition.holds(ends));
            run(arm.map_or(otherwise, |(_, block)| block), ends)
        }
    })
}

impl Condition {
    fn holds(&self, ends: &Ends) -> bool {
        match self {
            Self::All(all) => all.iter().all(|condition| condition.holds(ends)),
            Self::Any(any) => any.iter().any(|condition| condition.holds(ends)),
            Self::Not(condition) => !condition.holds(ends),
            Self::Addresses(left, right) => left.value(ends) == right.value(ends),
            Self::Numbers(left, right) => left.value(ends) == right.value(ends),
            Self::Known(holds) => *holds,
        }
    }
}

impl Address {
    /// An IPv4 address is the same when a listener for both families writes it as IPv6.
    const fn value(self, ends: &Ends) -> IpAddr {
        match self {
            Self::Peer => ends.peer.ip(),
            Self::Local => ends.local.ip(),
            Self::Literal(address) => address,
        }
        .to_canonical()
    }
}

impl Number {
    fn value(self, ends: &Ends) -> i64 {
        match self {
            Self::PeerPort => ends.peer.port().into(),
            Self::LocalPort => ends.local.port().into(),
            Self::Literal(number) => number,
        }
    }
}

#[cfg(test)]
mod tests;
