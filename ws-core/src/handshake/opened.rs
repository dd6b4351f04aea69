use alloc::string::String;
use alloc::vec::Vec;

use super::request::Request;
use super::response::ResponseHead;

/// What an opening handshake ended in: both heads, and the subprotocol that they agree on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    heads: Heads,
    subprotocol: Option<String>,
}

/// The peer's head parsed, ours as it went out.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Heads {
    Server(Request, Vec<u8>),
    Client(Vec<u8>, ResponseHead),
}

impl Opened {
    pub(super) const fn server(request: Request, response: Vec<u8>, subprotocol: Option<String>) -> Self {
        Self { heads: Heads::Server(request, response), subprotocol }
    }

    pub(super) const fn client(
        request: Vec<u8>,
        response: ResponseHead,
        subprotocol: Option<String>,
    ) -> Self {
        Self { heads: Heads::Client(request, response), subprotocol }
    }

    /// Returns the subprotocol in use, if one was agreed on.
    #[must_use]
    pub fn subprotocol(&self) -> Option<&str> {
        self.subprotocol.as_deref()
    }

    /// Returns the client's request, in a server.
    #[must_use]
    pub const fn request(&self) -> Option<&Request> {
        match &self.heads {
            Heads::Server(request, _) => Some(request),
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
            Heads::Server(request, _) => request.raw(),
            Heads::Client(request, _) => request,
        }
    }

    /// Returns the head of the response verbatim, whoever sent it.
    #[must_use]
    pub fn raw_response(&self) -> &[u8] {
        match &self.heads {
            Heads::Server(_, response) => response,
            Heads::Client(_, response) => response.raw(),
        }
    }
}
