mod routing;
mod transactions;

use super::*;
use crate::sip::{Header, Received};

const ALICE: FlowId = FlowId(1);
const BOB: FlowId = FlowId(2);
const SERVER: FlowId = FlowId(100);

struct Scene {
    edge: Edge,
    now: Duration,
}

impl Scene {
    fn new(transport: UpstreamTransport) -> Self {
        Self::with_key(transport, 7)
    }

    fn with_key(transport: UpstreamTransport, key: u8) -> Self {
        let config = Config::new("edge.example", "10.0.0.1:5070", transport);
        let mut edge = Edge::new(config, &[key; 32]);
        edge.handle_flow_opened(ALICE, Side::Client, None);
        edge.handle_flow_opened(BOB, Side::Client, None);
        edge.handle_flow_opened(SERVER, Side::Upstream, None);
        Self { edge, now: Duration::ZERO }
    }

    #[track_caller]
    fn receive(&mut self, flow: FlowId, text: &str) -> Result<(), Refused> {
        let Ok(Received::Sip(message)) = Received::parse(text.as_bytes()) else { panic!("{text}") };
        self.edge.handle_sip(self.now, flow, &message)
    }

    /// The one message that was sent.
    #[track_caller]
    fn sent(&mut self) -> (FlowId, String) {
        let send = self.edge.poll_send().expect("nothing was sent");
        assert_eq!(self.edge.poll_send(), None);
        (send.flow, String::from_utf8(send.bytes).unwrap())
    }

    #[track_caller]
    fn nothing_sent(&mut self) {
        assert_eq!(self.edge.poll_send(), None);
    }

    #[track_caller]
    fn forwards(&mut self, from: FlowId, text: &str, to: FlowId) -> String {
        self.receive(from, text).unwrap();
        let (flow, sent) = self.sent();
        assert_eq!(flow, to, "{sent}");
        sent
    }

    #[track_caller]
    fn answers(&mut self, from: FlowId, text: &str, status: u16) -> String {
        let sent = self.forwards(from, text, from);
        assert!(sent.starts_with(&format!("SIP/2.0 {status} ")), "{sent}");
        sent
    }

    /// Lets time pass until the next deadline; returns what was sent then, and when.
    fn wait(&mut self) -> Option<(Duration, Vec<Send>)> {
        self.now = self.edge.poll_timeout()?;
        self.edge.handle_timeout(self.now);
        Some((self.now, core::iter::from_fn(|| self.edge.poll_send()).collect()))
    }
}

fn request(method: &str, uri: &str, extra: &str) -> String {
    format!(
        "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/WS abc.invalid;branch=z9hG4bK-{method}\r\nMax-Forwards: 70\r\n\
         From: <sip:alice@example.com>;tag=a\r\nTo: <sip:bob@example.com>\r\nCall-ID: c1\r\n\
         CSeq: 1 {method}\r\n{extra}\r\n"
    )
}

fn from_server(method: &str, uri: &str, extra: &str) -> String {
    request(method, uri, extra).replace("SIP/2.0/WS abc.invalid", "SIP/2.0/TCP 10.0.0.9:5060")
}

/// A response to a request as it arrived.
fn response(status: u16, request: &str) -> String {
    let Ok(Received::Sip(message)) = Received::parse(request.as_bytes()) else { panic!("{request}") };
    let reply = crate::sip::Reply::to(&message, None, status, "R", "b").unwrap().finish();
    String::from_utf8(reply).unwrap()
}

fn values(message: &str, header: Header) -> Vec<String> {
    let Ok(Received::Sip(message)) = Received::parse(message.as_bytes()) else { panic!("{message}") };
    message.values(header).map(|value| String::from_utf8(value.bytes.to_vec()).unwrap()).collect()
}

/// What the user part of a URI of ours holds.
fn token(uri: &str) -> &str {
    uri.strip_prefix("<sip:").unwrap().split('@').next().unwrap()
}
