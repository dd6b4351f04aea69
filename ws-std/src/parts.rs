use std::collections::VecDeque;

use ws_core::{Endpoint, Outcome, Part, SendBuffer};

/// A connection taken apart, with nothing lost: from [`WebSocket::into_parts`](crate::WebSocket::into_parts), and
/// for [`WebSocket::from_parts`](crate::WebSocket::from_parts).
#[derive(Debug)]
pub struct Parts<S> {
    /// The stream.
    pub stream: S,
    /// The protocol state. It is driven by the clock of [`now`](crate::now).
    pub endpoint: Endpoint,
    /// What was read from the stream and not looked at yet.
    pub input: Vec<u8>,
    /// Frames that the stream did not take yet. They go out before anything else.
    pub output: SendBuffer,
    /// Messages, or parts of them, that were received and that the application did not read yet. They come
    /// before what is in `input`.
    pub received: VecDeque<Part<'static>>,
    pub(crate) outcome: Option<Outcome>,
}

impl<S> Parts<S> {
    /// Returns the parts of a connection that nothing was read from or sent on yet.
    pub fn new(stream: S, endpoint: impl Into<Endpoint>) -> Self {
        Self {
            stream,
            endpoint: endpoint.into(),
            input: Vec::new(),
            output: SendBuffer::new(),
            received: VecDeque::new(),
            outcome: None,
        }
    }
}
