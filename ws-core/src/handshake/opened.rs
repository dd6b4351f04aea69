use alloc::vec::Vec;
use core::ops::Range;

use super::request::{Request, text};
use super::response::ResponseHead;

/// What an opening handshake ended in: both heads, and the subprotocol that they agree on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    heads: Heads,
    #[cfg(feature = "deflate")]
    deflate: Option<crate::DeflateParams>,
}

/// The peer's head parsed, ours as it went out.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Heads {
    /// The range is where the subprotocol stands in the response.
    Server(Request, Vec<u8>, Option<Range<usize>>),
    Client(Vec<u8>, ResponseHead),
}

impl Opened {
    const fn new(heads: Heads) -> Self {
        Self {
            heads,
            #[cfg(feature = "deflate")]
            deflate: None,
        }
    }

    #[cfg(feature = "deflate")]
    pub(super) fn with_deflate(self, deflate: Option<crate::DeflateParams>) -> Self {
        Self { heads: self.heads, deflate }
    }

    pub(super) const fn server(
        request: Request,
        response: Vec<u8>,
        subprotocol: Option<Range<usize>>,
    ) -> Self {
        Self::new(Heads::Server(request, response, subprotocol))
    }

    pub(super) const fn client(request: Vec<u8>, response: ResponseHead) -> Self {
        Self::new(Heads::Client(request, response))
    }

    /// Returns the subprotocol in use, if one was agreed on.
    #[must_use]
    pub fn subprotocol(&self) -> Option<&str> {
        match &self.heads {
            Heads::Server(_, response, range) => {
                range.clone().and_then(|range| response.get(range)).map(text)
            }
            Heads::Client(_, response) => response.header("Sec-WebSocket-Protocol"),
        }
    }

    /// Returns how messages may be compressed, if permessage-deflate was agreed on.
    #[cfg(feature = "deflate")]
    #[must_use]
    pub const fn deflate(&self) -> Option<crate::DeflateParams> {
        self.deflate
    }

    /// Returns the client's request, in a server.
    #[must_use]
    pub const fn request(&self) -> Option<&Request> {
        match &self.heads {
            Heads::Server(request, ..) => Some(request),
            Heads::Client(..) => None,
        }
    }

    /// Returns the server's response, in a client.
    #[must_use]
    pub const fn response(&self) -> Option<&ResponseHead> {
        match &self.heads {
            Heads::Client(_, response) => Some(response),
            Heads::Server(..) => None,
        }
    }

    /// Returns the head of the request verbatim, whoever sent it.
    #[must_use]
    pub fn raw_request(&self) -> &[u8] {
        match &self.heads {
            Heads::Server(request, ..) => request.raw(),
            Heads::Client(request, _) => request,
        }
    }

    /// Returns the head of the response verbatim, whoever sent it.
    #[must_use]
    pub fn raw_response(&self) -> &[u8] {
        match &self.heads {
            Heads::Server(_, response, _) => response,
            Heads::Client(_, response) => response.raw(),
        }
    }
}
