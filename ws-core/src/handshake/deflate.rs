//! permessage-deflate (RFC 7692) in the opening handshake.

use alloc::vec::Vec;

use super::extensions;
use super::head::Head;
use super::request::Request;
use crate::{DeflateConfig, DeflateParams};

const FIELD: &str = "Sec-WebSocket-Extensions";

/// As a server: what is agreed on, and the line for the response.
pub(super) fn accept(config: &DeflateConfig, request: &Request) -> (Option<DeflateParams>, Vec<u8>) {
    match DeflateParams::accept(config, &request.extensions()) {
        Some((params, element)) => (Some(params), line(&element)),
        None => (None, Vec::new()),
    }
}

/// As a client: the line for the request.
pub(super) fn offer(config: &DeflateConfig) -> Vec<u8> {
    line(&DeflateParams::offer(config))
}

/// As a client that made this offer: what is agreed on. `None`: the response names something else.
pub(super) fn agree(config: &DeflateConfig, head: &Head) -> Option<Option<DeflateParams>> {
    let mut found = Vec::new();
    for value in head.values(FIELD.as_bytes()) {
        if !extensions::parse(value, &mut found) {
            return None;
        }
    }
    match &found[..] {
        [] => Some(None),
        [extension] => DeflateParams::agree(config, extension).map(Some),
        _ => None,
    }
}

fn line(element: &str) -> Vec<u8> {
    [FIELD, ": ", element, "\r\n"].concat().into_bytes()
}
