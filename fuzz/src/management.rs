//! What carries management, and the commands.

use serde_json::Value;
use ws_sip::FlowId;
use ws_sip::mi::fifo::{FifoReader, FifoRequest};
use ws_sip::mi::http::{HttpInput, HttpReader, respond};
use ws_sip::mi::{Control, ControlError, Statistic, answer};
use ws_sip::transport::FlowStatus;

/// Any bytes as datagram, through the FIFO and over HTTP; cuts make no difference, answers are JSON.
pub fn receive(bytes: &[u8]) {
    let Some((&cut, bytes)) = bytes.split_first() else { return };
    let chunk_len = usize::from(cut).max(1);

    check(answer(&mut Nothing, bytes, 65_507));

    let whole = fifo(core::iter::once(bytes));
    assert_eq!(whole, fifo(bytes.chunks(chunk_len)), "requests through the FIFO");
    for request in whole {
        if let Ok(json) = request.json {
            check(answer(&mut Nothing, &json, 10_000));
        }
        if let Some(name) = request.reply {
            assert!(!name.contains(['/', '.', '\\', '\0']), "{name}");
        }
    }

    let whole = http(core::iter::once(bytes));
    assert_eq!(whole, http(bytes.chunks(chunk_len)), "the request over HTTP");
    if let Some(HttpInput::Request(request)) = whole {
        let response = respond(&mut Nothing, "mi", &request);
        assert!(response.starts_with(b"HTTP/1.1 "));
    }
}

fn check(response: Option<String>) {
    if let Some(response) = response {
        serde_json::from_str::<Value>(&response).unwrap_or_else(|error| panic!("{error}: {response}"));
    }
}

fn fifo<'a>(chunks: impl Iterator<Item = &'a [u8]>) -> Vec<FifoRequest> {
    let mut reader = FifoReader::default();
    let mut requests = Vec::new();
    for chunk in chunks {
        reader.push(chunk);
        requests.extend(core::iter::from_fn(|| reader.next()));
    }
    requests.extend(reader.give_up());
    assert!(!reader.is_partial());
    requests
}

/// Returns what the bytes are, once that is known.
fn http<'a>(mut chunks: impl Iterator<Item = &'a [u8]>) -> Option<HttpInput> {
    let mut reader = HttpReader::default();
    chunks.find_map(|chunk| match reader.push(chunk) {
        HttpInput::Partial(_) => None,
        input => Some(input),
    })
}

/// A transport without flows.
struct Nothing;

impl Control for Nothing {
    fn is_tracing(&mut self) -> bool {
        true
    }

    fn set_tracing(&mut self, _: bool) {}

    fn flows(&mut self, _: Option<FlowId>, _: usize) -> Result<Vec<FlowStatus>, ControlError> {
        Ok(Vec::new())
    }

    fn close(&mut self, _: FlowId) -> Result<(), ControlError> {
        Err(ControlError::NoSuchFlow)
    }

    fn ping(&mut self, _: FlowId) -> Result<(), ControlError> {
        Err(ControlError::Refused("not now".into()))
    }

    fn statistics(&mut self) -> Result<Vec<Statistic>, ControlError> {
        Ok(vec![Statistic::gauge("transport", "flows", "open flows", 0)])
    }
}
