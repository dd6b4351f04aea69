use core::fmt;
use core::net::SocketAddr;
use core::str::FromStr;
use std::path::PathBuf;

/// Where management datagrams are received: `udp:IP:PORT`, `IP:PORT`, or the path of a Unix socket, which has a slash.
///
/// ```
/// use ws_sip::mi::DatagramAddress;
/// assert_eq!("127.0.0.1:8080".parse::<DatagramAddress>()?.to_string(), "udp:127.0.0.1:8080");
/// assert_eq!("/run/mi.sock".parse::<DatagramAddress>()?.to_string(), "/run/mi.sock");
/// # Ok::<(), ws_sip::mi::DatagramAddressError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum DatagramAddress {
    /// UDP.
    Udp(SocketAddr),
    /// A Unix socket.
    Unix(PathBuf),
}

impl FromStr for DatagramAddress {
    type Err = DatagramAddressError;

    fn from_str(text: &str) -> Result<Self, DatagramAddressError> {
        if let Ok(address) = text.strip_prefix("udp:").unwrap_or(text).parse() {
            return Ok(Self::Udp(address));
        }
        match text.strip_prefix("unix:").unwrap_or(text) {
            path if path.contains('/') && !text.starts_with("udp:") => Ok(Self::Unix(path.into())),
            _ => Err(DatagramAddressError),
        }
    }
}

impl fmt::Display for DatagramAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Udp(address) => write!(f, "udp:{address}"),
            Self::Unix(path) => write!(f, "{}", path.display()),
        }
    }
}

/// A text is no [`DatagramAddress`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DatagramAddressError;

impl fmt::Display for DatagramAddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("expected `udp:IP:PORT` or a path with a slash")
    }
}

impl core::error::Error for DatagramAddressError {}
