use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::net::IpAddr;

use memchr::memchr;

use super::head::{HeadError, HeadReader};
use super::line::{Kind, StartLine};
use super::origin::parse_port;
use super::socks5::Socks5;
use super::tokens::is_visible;
use super::url::{check_host, split_port};
use crate::Config;

/// A proxy through which a client reaches a server: `http://[user:password@]host[:port]` for HTTP CONNECT (RFC 9110, section
/// 9.3.6), or `socks5://[user:password@]host[:port]` (RFC 1928), which looks the server's name up itself.
///
/// ```
/// let proxy: ws_core::Proxy = "socks5://alice:secret@192.0.2.1:1080".parse()?;
/// assert_eq!((proxy.host(), proxy.port()), ("192.0.2.1", 1080));
/// # Ok::<(), ws_core::ProxyError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Proxy {
    is_socks: bool,
    /// Without brackets.
    host: String,
    port: u16,
    credentials: Option<Credentials>,
}

#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Credentials {
    pub(super) user: Vec<u8>,
    pub(super) password: Vec<u8>,
}

impl Proxy {
    /// Returns the host to connect to: a name to resolve, or an address without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Returns the port to connect to: 8080 for HTTP and 1080 for SOCKS unless one was given.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }
}

impl core::str::FromStr for Proxy {
    type Err = ProxyError;

    fn from_str(url: &str) -> Result<Self, ProxyError> {
        if !is_visible(url.as_bytes()) {
            return Err(ProxyError::Url);
        }
        let (scheme, rest) = url.split_once("://").ok_or(ProxyError::Url)?;
        let is_socks = match scheme {
            _ if scheme.eq_ignore_ascii_case("http") => false,
            // With an h the proxy looks names up, which this one does always.
            _ if scheme.eq_ignore_ascii_case("socks5") || scheme.eq_ignore_ascii_case("socks5h") => true,
            _ => return Err(ProxyError::Url),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (credentials, authority) = match rest.rsplit_once('@') {
            Some((info, authority)) => {
                let (user, password) = info.split_once(':').unwrap_or((info, ""));
                let (user, password) = (decoded(user)?, decoded(password)?);
                // RFC 7617, section 2: the user ends at the first colon. RFC 1929: lengths are bytes.
                let fits = if is_socks {
                    (1..=255).contains(&user.len()) && password.len() <= 255
                } else {
                    memchr(b':', &user).is_none()
                };
                if !fits {
                    return Err(ProxyError::Url);
                }
                (Some(Credentials { user, password }), authority)
            }
            None => (None, rest),
        };
        let (host, digits) = split_port(authority).ok_or(ProxyError::Url)?;
        check_host(host).map_err(|_| ProxyError::Url)?;
        let port = match digits {
            None => {
                if is_socks {
                    1080
                } else {
                    8080
                }
            }
            Some(digits) => parse_port(digits.as_bytes()).filter(|&port| port != 0).ok_or(ProxyError::Url)?,
        };
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        Ok(Self { is_socks, host: host.into(), port, credentials })
    }
}

impl fmt::Debug for Proxy {
    /// Without the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_socks { "socks5" } else { "http" };
        let user = if self.credentials.is_some() { "***@" } else { "" };
        write!(f, "Proxy({scheme}://{user}{}:{})", self.host, self.port)
    }
}

/// Undoes percent-encoding.
fn decoded(text: &str) -> Result<Vec<u8>, ProxyError> {
    let mut bytes = text.bytes();
    let mut out = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'%' => {
                let digit = |byte: Option<u8>| byte.and_then(|byte| char::from(byte).to_digit(16));
                let (Some(high), Some(low)) = (digit(bytes.next()), digit(bytes.next())) else {
                    return Err(ProxyError::Url);
                };
                u8::try_from(high * 16 + low).unwrap_or_default()
            }
            byte => byte,
        });
    }
    Ok(out)
}

/// What a client says to a proxy before anything else, as a state machine: bytes in, bytes out. When it
/// [is done](Self::is_done), the connection leads to the server: TLS or the opening handshake begins.
///
/// Write what [`pending`](Self::pending) lends and tell how much with [`handle_written`](Self::handle_written); hand what is read
/// to [`handle_read`](Self::handle_read). How long it may take is for the caller to say.
#[derive(Debug)]
pub struct ProxyHandshake {
    state: State,
    out: Vec<u8>,
}

#[derive(Debug)]
enum State {
    Connect(HeadReader),
    Socks(Socks5),
    Done,
}

impl ProxyHandshake {
    /// Starts to ask `proxy` for a connection to a host, as [`ClientRequest::host`](crate::ClientRequest::host) names it, and a
    /// port.
    ///
    /// # Errors
    /// [`ProxyError::Host`] if the name is too long for the proxy's protocol.
    pub fn new(proxy: &Proxy, host: &str, port: u16) -> Result<Self, ProxyError> {
        if proxy.is_socks {
            let (socks, out) = Socks5::new(proxy.credentials.clone(), host, port)?;
            return Ok(Self { state: State::Socks(socks), out });
        }
        let authority = match host.parse() {
            Ok(IpAddr::V6(_)) => alloc::format!("[{host}]:{port}"),
            _ => alloc::format!("{host}:{port}"),
        };
        let mut out = alloc::format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n").into_bytes();
        if let Some(Credentials { user, password }) = &proxy.credentials {
            let pair = [user, &b":"[..], password].concat();
            out.extend_from_slice(b"Proxy-Authorization: Basic ");
            out.extend_from_slice(super::encoded(&pair).as_bytes());
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(b"\r\n");
        Ok(Self { state: State::Connect(HeadReader::new(Kind::Response, &Config::default())), out })
    }

    /// Returns what is to be written next; empty if nothing is.
    #[must_use]
    pub fn pending(&self) -> &[u8] {
        &self.out
    }

    /// Takes in that so many bytes of [`pending`](Self::pending) were written.
    ///
    /// # Panics
    /// If `n` exceeds what was pending.
    pub fn handle_written(&mut self, n: usize) {
        self.out.drain(..n);
    }

    /// Takes in what was read. Nothing may follow the proxy's answer: the server has nothing to say before it is asked.
    ///
    /// # Errors
    /// [`ProxyError`]: there will be no connection.
    pub fn handle_read(&mut self, mut bytes: &[u8]) -> Result<(), ProxyError> {
        while !bytes.is_empty() {
            match &mut self.state {
                State::Connect(reader) => {
                    let (used, complete) = reader.read(bytes).map_err(ProxyError::Head)?;
                    bytes = &bytes[used..];
                    if !complete {
                        return Ok(());
                    }
                    match reader.head().start() {
                        StartLine::Response { status: 200..=299, .. } => self.state = State::Done,
                        // RFC 9110, section 15.2.
                        StartLine::Response { status: 100..=199, .. } => reader.restart(),
                        StartLine::Response { status, .. } => return Err(ProxyError::Status(status)),
                        _ => return Err(ProxyError::Head(HeadError::StartLine)),
                    }
                }
                State::Socks(socks) => {
                    let used = socks.handle_read(bytes, &mut self.out)?;
                    bytes = &bytes[used..];
                    if socks.is_done() {
                        self.state = State::Done;
                    }
                }
                State::Done => return Err(ProxyError::Unexpected),
            }
        }
        Ok(())
    }

    /// Returns whether the connection leads to the server now.
    #[must_use]
    pub fn is_done(&self) -> bool {
        matches!(self.state, State::Done) && self.out.is_empty()
    }
}

/// Why there is no connection through a proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ProxyError {
    /// The URL is none of a proxy: `http://` or `socks5://`, a host, and no more behind it than a port.
    Url,
    /// The server's name is longer than the proxy's protocol can say.
    Host,
    /// An HTTP proxy refused, with this status: 407 asks for a user and a password.
    Status(u16),
    /// An HTTP proxy answered with a malformed head, or one beyond the usual limits.
    Head(HeadError),
    /// What came is not SOCKS 5.
    NotSocks,
    /// A SOCKS proxy takes none of the ways to log in that we know: none, or user and password.
    NoMethod,
    /// A SOCKS proxy did not take user and password.
    Unauthorized,
    /// A SOCKS proxy refused, with this reply code (RFC 1928, section 6): 2 not allowed, 3 and 4 unreachable, 5 connection refused.
    Reply(u8),
    /// Something follows the proxy's answer.
    Unexpected,
    /// The connection ended before the proxy's answer.
    Ended,
}

impl fmt::Display for ProxyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url => f.write_str("not a URL of a proxy"),
            Self::Host => f.write_str("the host's name is too long for the proxy"),
            Self::Status(status) => write!(f, "the proxy answered {status}"),
            Self::Head(error) => write!(f, "malformed answer of the proxy: {error}"),
            Self::NotSocks => f.write_str("the proxy does not speak SOCKS 5"),
            Self::NoMethod => f.write_str("the proxy takes no way to log in that is known here"),
            Self::Unauthorized => f.write_str("the proxy did not take user and password"),
            Self::Reply(code) => write!(f, "the proxy refused with code {code}"),
            Self::Unexpected => f.write_str("something follows the proxy's answer"),
            Self::Ended => f.write_str("the proxy ended the connection"),
        }
    }
}

impl core::error::Error for ProxyError {}
