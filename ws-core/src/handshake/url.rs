use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::net::Ipv6Addr;

use memchr::{memchr, memchr2};

use super::fields::{HeaderError, Headers};
use super::origin::{default_port, parse_port};
use super::tokens::{is_token, is_visible};
use super::{KEY_LEN, encode};

/// What a client asks for in its opening handshake: a URL and further fields. All of it is checked here, so
/// that nothing in it can end a line of the request or start another field.
///
/// One value serves any number of connections: each handshake has a key of its own.
///
/// ```
/// # fn main() -> Result<(), ws_core::ClientRequestError> {
/// let request = ws_core::ClientRequest::new("ws://sip.example.com:8080/ws?token=1")?
///     .subprotocol("sip")?
///     .origin("https://example.com")?
///     .header("Authorization", "Bearer abc")?;
/// assert_eq!((request.host(), request.port()), ("sip.example.com", 8080));
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ClientRequest {
    secure: bool,
    port: u16,
    /// The value of `Host`, the port left out where it is the default; then the request target.
    ///
    /// In front there is the host as in the URL, an IPv6 literal in its brackets.
    location: String,
    host_len: usize,
    authority_len: usize,
    /// The value of `Sec-WebSocket-Protocol`; empty for none.
    subprotocols: String,
    require_subprotocol: bool,
    /// The value of `Origin`; empty for none.
    origin: String,
    headers: Headers,
}

impl ClientRequest {
    /// Parses `ws://host[:port][/path][?query]` or the same with `wss` (RFC 6455, section 3). The host is a
    /// name, an IPv4 address, or an IPv6 address in brackets; the port is 80 by default, 443 for `wss`.
    ///
    /// # Errors
    /// Another scheme, user information, a fragment, a malformed host or port, and whatever is not visible
    /// ASCII. Names beyond ASCII must come in their ASCII form, paths percent-encoded.
    pub fn new(url: &str) -> Result<Self, ClientRequestError> {
        if !is_visible(url.as_bytes()) {
            return Err(ClientRequestError::Character);
        }
        let scheme_len = memchr(b':', url.as_bytes()).ok_or(ClientRequestError::Scheme)?;
        let (scheme, rest) = url.split_at(scheme_len);
        let secure = scheme.eq_ignore_ascii_case("wss");
        if !secure && !scheme.eq_ignore_ascii_case("ws") {
            return Err(ClientRequestError::Scheme);
        }
        let rest = rest.strip_prefix("://").ok_or(ClientRequestError::Scheme)?;
        if memchr(b'#', rest.as_bytes()).is_some() {
            return Err(ClientRequestError::Fragment);
        }
        let (authority, resource) = rest.split_at(memchr2(b'/', b'?', rest.as_bytes()).unwrap_or(rest.len()));
        if memchr(b'@', authority.as_bytes()).is_some() {
            return Err(ClientRequestError::UserInfo);
        }
        let (host, digits) = split_port(authority).ok_or(ClientRequestError::Host)?;
        check_host(host)?;
        let default = default_port(scheme.as_bytes()).unwrap_or(80);
        let port = match digits {
            None | Some("") => default,
            Some(digits) => {
                parse_port(digits.as_bytes()).filter(|&port| port != 0).ok_or(ClientRequestError::Port)?
            }
        };
        let mut location = String::with_capacity(authority.len() + resource.len() + 1);
        match digits {
            _ if port == default => location.push_str(host),
            // Formatting would cost as much as all the rest.
            Some(digits) if !digits.starts_with('0') => location.push_str(authority),
            _ => location = alloc::format!("{host}:{port}"),
        }
        let authority_len = location.len();
        if !resource.starts_with('/') {
            location.push('/');
        }
        location.push_str(resource);
        Ok(Self {
            secure,
            port,
            location,
            host_len: host.len(),
            authority_len,
            subprotocols: String::new(),
            require_subprotocol: false,
            origin: String::new(),
            headers: Headers::new(),
        })
    }

    /// Offers a subprotocol, after those offered already.
    ///
    /// # Errors
    /// A name that is not a token, or that is offered already (section 4.1).
    pub fn subprotocol(mut self, name: &str) -> Result<Self, ClientRequestError> {
        if !is_token(name.as_bytes()) || self.subprotocols().any(|offered| offered == name) {
            return Err(ClientRequestError::Subprotocol);
        }
        if !self.subprotocols.is_empty() {
            self.subprotocols.push_str(", ");
        }
        self.subprotocols.push_str(name);
        Ok(self)
    }

    /// Refuses a response that agrees to none of the subprotocols offered, as browsers do. RFC 6455 lets a server
    /// do so, and without this the application finds out by the subprotocol that was agreed.
    #[must_use]
    pub const fn require_subprotocol(mut self) -> Self {
        self.require_subprotocol = true;
        self
    }

    /// Sets the `Origin` header, which browsers send and others may (section 10.2).
    ///
    /// # Errors
    /// An empty text, or one that is not all visible ASCII.
    pub fn origin(mut self, origin: &str) -> Result<Self, ClientRequestError> {
        if origin.is_empty() || !is_visible(origin.as_bytes()) {
            return Err(ClientRequestError::Origin);
        }
        self.origin.clear();
        self.origin.push_str(origin);
        Ok(self)
    }

    /// Adds a header field.
    ///
    /// # Errors
    /// As [`Headers::push`]; `Origin` has a method of its own.
    pub fn header(mut self, name: &str, value: &str) -> Result<Self, ClientRequestError> {
        if name.eq_ignore_ascii_case("Origin") {
            return Err(ClientRequestError::Header(HeaderError::Reserved));
        }
        self.headers.push(name, value).map_err(ClientRequestError::Header)?;
        Ok(self)
    }

    /// Returns the host to connect to: a name to resolve, or an address without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        let host = &self.location[..self.host_len];
        host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
    }

    /// Returns the port to connect to.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Returns whether the URL is `wss`: the handshake must go through TLS, and not at all without it.
    #[must_use]
    pub const fn is_secure(&self) -> bool {
        self.secure
    }

    /// Returns the request target: path and query.
    #[must_use]
    pub fn target(&self) -> &str {
        &self.location[self.authority_len..]
    }

    /// Returns the value of the `Host` header.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.location[..self.authority_len]
    }

    /// Returns the subprotocols offered, in order of preference.
    pub fn subprotocols(&self) -> impl Iterator<Item = &str> {
        // Tokens hold neither a comma nor a space.
        self.subprotocols.split(',').map(|name| name.trim_ascii_start()).filter(|name| !name.is_empty())
    }

    /// Returns whether a subprotocol must be agreed.
    #[must_use]
    pub const fn is_subprotocol_required(&self) -> bool {
        self.require_subprotocol
    }

    /// The value of `Sec-WebSocket-Protocol`.
    pub(super) fn subprotocol_list(&self) -> &str {
        &self.subprotocols
    }

    /// Writes the request (section 4.1), with `extensions` as a whole line, and returns it with its key.
    pub(super) fn write(&self, nonce: [u8; 16], extensions: &[u8]) -> (Vec<u8>, [u8; KEY_LEN]) {
        let mut key = [0; KEY_LEN];
        encode(&nonce, &mut key);
        let fields = self.headers.as_bytes();
        let own = self.location.len() + self.subprotocols.len() + self.origin.len();
        let mut out = Vec::with_capacity(own + fields.len() + extensions.len() + 200);
        let mut put = |parts: &[&[u8]]| parts.iter().for_each(|part| out.extend_from_slice(part));
        put(&[
            b"GET ",
            self.target().as_bytes(),
            b" HTTP/1.1\r\nHost: ",
            self.authority().as_bytes(),
            b"\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: ",
            &key,
            b"\r\nSec-WebSocket-Version: 13\r\n",
        ]);
        if !self.subprotocols.is_empty() {
            put(&[b"Sec-WebSocket-Protocol: ", self.subprotocols.as_bytes(), b"\r\n"]);
        }
        if !self.origin.is_empty() {
            put(&[b"Origin: ", self.origin.as_bytes(), b"\r\n"]);
        }
        put(&[extensions, fields, b"\r\n"]);
        (out, key)
    }
}

/// Splits `host[:port]`; a colon inside of brackets belongs to the host.
pub(super) fn split_port(authority: &str) -> Option<(&str, Option<&str>)> {
    let host_len = match authority.starts_with('[') {
        true => memchr(b']', authority.as_bytes())? + 1,
        false => memchr(b':', authority.as_bytes()).unwrap_or(authority.len()),
    };
    let (host, rest) = authority.split_at(host_len);
    match rest.strip_prefix(':') {
        Some(port) => Some((host, Some(port))),
        None if rest.is_empty() => Some((host, None)),
        None => None,
    }
}

pub(super) fn check_host(host: &str) -> Result<(), ClientRequestError> {
    let literal = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let good = match literal {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        None => {
            !host.is_empty()
                && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte))
        }
    };
    if good { Ok(()) } else { Err(ClientRequestError::Host) }
}

/// What is wrong with what a client was to ask for. Nothing was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ClientRequestError {
    /// The URL holds something else than visible ASCII.
    Character,
    /// The URL does not start with `ws://` or `wss://`.
    Scheme,
    /// The URL holds user information, which has no place in a WebSocket URL.
    UserInfo,
    /// The URL has a fragment (RFC 6455, section 3).
    Fragment,
    /// The host is empty or malformed.
    Host,
    /// The port is not one of 1 to 65535.
    Port,
    /// The subprotocol is not a token, or offered twice.
    Subprotocol,
    /// The origin is empty, or holds something else than visible ASCII.
    Origin,
    /// A header field cannot be sent.
    Header(HeaderError),
}

impl fmt::Display for ClientRequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Character => "URL holds something else than visible ASCII",
            Self::Scheme => "URL is neither ws:// nor wss://",
            Self::UserInfo => "URL holds user information",
            Self::Fragment => "URL has a fragment",
            Self::Host => "URL has no valid host",
            Self::Port => "URL has no valid port",
            Self::Subprotocol => "subprotocol is not a token, or offered twice",
            Self::Origin => "origin is empty or holds something else than visible ASCII",
            Self::Header(error) => return error.fmt(f),
        })
    }
}

impl core::error::Error for ClientRequestError {}
