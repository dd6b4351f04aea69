use alloc::string::String;
use core::fmt::Write as _;

use super::DeflateConfig;
use crate::Extension;

const NAME: &str = "permessage-deflate";
const SERVER_NO_CONTEXT_TAKEOVER: &str = "server_no_context_takeover";
const CLIENT_NO_CONTEXT_TAKEOVER: &str = "client_no_context_takeover";
const SERVER_MAX_WINDOW_BITS: &str = "server_max_window_bits";
const CLIENT_MAX_WINDOW_BITS: &str = "client_max_window_bits";

const LARGEST: u8 = 15;

/// The parameters of permessage-deflate that two endpoints agreed on (RFC 7692, section 7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct DeflateParams {
    /// The server compresses each message for itself.
    pub server_no_context_takeover: bool,
    /// The client compresses each message for itself.
    pub client_no_context_takeover: bool,
    /// The base-2 logarithm of the server's window, 8 to 15.
    pub server_max_window_bits: u8,
    /// The base-2 logarithm of the client's window, 8 to 15.
    pub client_max_window_bits: u8,
}

impl Default for DeflateParams {
    /// What `permessage-deflate` alone means: context takeover and 32 KiB in both directions.
    fn default() -> Self {
        Self {
            server_no_context_takeover: false,
            client_no_context_takeover: false,
            server_max_window_bits: LARGEST,
            client_max_window_bits: LARGEST,
        }
    }
}

/// What one element of `Sec-WebSocket-Extensions` says.
#[derive(Debug, Default)]
struct Named {
    server_no_context_takeover: bool,
    client_no_context_takeover: bool,
    server_max_window_bits: Option<u8>,
    /// `Some(None)`: named without a value.
    client_max_window_bits: Option<Option<u8>>,
}

impl Named {
    /// `None`: another extension, or a parameter that is unknown, repeated or out of range.
    fn read(extension: &Extension) -> Option<Self> {
        if extension.name != NAME {
            return None;
        }
        let mut named = Self::default();
        for (name, value) in &extension.params {
            let value = value.as_deref();
            let new = match &**name {
                SERVER_NO_CONTEXT_TAKEOVER => set(&mut named.server_no_context_takeover, value),
                CLIENT_NO_CONTEXT_TAKEOVER => set(&mut named.client_no_context_takeover, value),
                SERVER_MAX_WINDOW_BITS => {
                    named.server_max_window_bits.replace(window_bits(value?)?).is_none()
                }
                CLIENT_MAX_WINDOW_BITS => {
                    let bits = match value {
                        Some(value) => Some(window_bits(value)?),
                        None => None,
                    };
                    named.client_max_window_bits.replace(bits).is_none()
                }
                _ => false,
            };
            if !new {
                return None;
            }
        }
        Some(named)
    }
}

/// Sets a flag; returns whether that was due.
fn set(flag: &mut bool, value: Option<&str>) -> bool {
    value.is_none() && !core::mem::replace(flag, true)
}

/// Sections 7.1.2.1 and 7.1.2.2: a decimal number from 8 to 15 without leading zeros.
fn window_bits(value: &str) -> Option<u8> {
    match *value.as_bytes() {
        [digit @ b'8'..=b'9'] => Some(digit - b'0'),
        [b'1', digit @ b'0'..=b'5'] => Some(10 + digit - b'0'),
        _ => None,
    }
}

impl DeflateParams {
    /// As a server, accepts the first of the client's `offers` that can be met; returns what is agreed on and the element
    /// for the response's `Sec-WebSocket-Extensions`. `None`: no offer is acceptable, and there is no such element.
    #[must_use]
    pub fn accept(config: &DeflateConfig, offers: &[Extension]) -> Option<(Self, String)> {
        let config = config.clamped();
        let offer = offers.iter().find_map(Named::read)?;
        let server_bits = offer.server_max_window_bits.unwrap_or(LARGEST).min(config.server_max_window_bits);
        let client_bits = offer.client_max_window_bits.map(|hint| hint.unwrap_or(LARGEST));
        let params = Self {
            server_no_context_takeover: offer.server_no_context_takeover || config.server_no_context_takeover,
            client_no_context_takeover: offer.client_no_context_takeover || config.client_no_context_takeover,
            server_max_window_bits: server_bits,
            client_max_window_bits: client_bits
                .map_or(LARGEST, |hint| hint.min(config.client_max_window_bits)),
        };
        // 7.1.2.1: accepted by being repeated.
        let server_bits =
            (offer.server_max_window_bits.is_some() || server_bits < LARGEST).then_some(server_bits);
        let client_bits =
            (params.client_max_window_bits < LARGEST).then_some(Some(params.client_max_window_bits));
        Some((
            params,
            element(
                params.server_no_context_takeover,
                params.client_no_context_takeover,
                server_bits,
                client_bits,
            ),
        ))
    }

    /// As a client, returns the element for the request's `Sec-WebSocket-Extensions`.
    #[must_use]
    pub fn offer(config: &DeflateConfig) -> String {
        let config = config.clamped();
        let server_bits = (config.server_max_window_bits < LARGEST).then_some(config.server_max_window_bits);
        let client_bits = (config.client_max_window_bits < LARGEST).then_some(config.client_max_window_bits);
        element(
            config.server_no_context_takeover,
            config.client_no_context_takeover,
            server_bits,
            Some(client_bits),
        )
    }

    /// As a client that made the [`offer`](Self::offer) of `config`, reads the server's answer. `None`: it is not an
    /// answer to that, and the connection must not be used (section 7.1.3 and RFC 6455, section 4.1).
    #[must_use]
    pub fn agree(config: &DeflateConfig, response: &Extension) -> Option<Self> {
        let config = config.clamped();
        let answer = Named::read(response)?;
        let client_bits = match answer.client_max_window_bits {
            // 7.1.2.2: in a response it has a value.
            Some(bits) => bits?,
            None => LARGEST,
        };
        let params = Self {
            server_no_context_takeover: answer.server_no_context_takeover,
            client_no_context_takeover: answer.client_no_context_takeover
                || config.client_no_context_takeover,
            server_max_window_bits: answer.server_max_window_bits.unwrap_or(LARGEST),
            client_max_window_bits: client_bits.min(config.client_max_window_bits),
        };
        // 7.1.1.1 and 7.1.2.1: what the offer asks of the server is not to be passed over.
        let kept = (params.server_no_context_takeover || !config.server_no_context_takeover)
            && params.server_max_window_bits <= config.server_max_window_bits;
        kept.then_some(params)
    }
}

fn element(
    server_no_context_takeover: bool,
    client_no_context_takeover: bool,
    server_bits: Option<u8>,
    client_bits: Option<Option<u8>>,
) -> String {
    let mut element = String::from(NAME);
    let mut add = |name: &str, value: Option<u8>| {
        element.push_str("; ");
        element.push_str(name);
        if let Some(value) = value {
            // A string takes all that is written to it.
            let _ = write!(element, "={value}");
        }
    };
    if server_no_context_takeover {
        add(SERVER_NO_CONTEXT_TAKEOVER, None);
    }
    if client_no_context_takeover {
        add(CLIENT_NO_CONTEXT_TAKEOVER, None);
    }
    if let Some(bits) = server_bits {
        add(SERVER_MAX_WINDOW_BITS, Some(bits));
    }
    if let Some(bits) = client_bits {
        add(CLIENT_MAX_WINDOW_BITS, bits);
    }
    element
}
