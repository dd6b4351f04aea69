//! The other end of the proxy's flows: what was sent on each, in order.

use super::super::{Action, Config, FlowInfo, Kind, Proxy, Refused};
use crate::flow::FlowId;
use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};

pub(super) struct Net {
    pub(super) proxy: Proxy,
    pub(super) now: Duration,
    inboxes: BTreeMap<FlowId, VecDeque<Text>>,
    opened: u64,
}

/// A message as a test sees it.
#[derive(Clone, Debug)]
pub(super) struct Text(pub(super) String);

impl Net {
    pub(super) fn new() -> Self {
        Self::with(|_| {})
    }

    pub(super) fn with(change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config { host: "proxy.example.com:8080".to_owned(), ..Config::default() };
        change(&mut config);
        Self {
            proxy: Proxy::new(config, 0x0123_4567_89ab_cdef).unwrap(),
            now: Duration::from_secs(1_000_000),
            inboxes: BTreeMap::new(),
            opened: 0,
        }
    }

    pub(super) fn open(&mut self) -> FlowId {
        self.open_as(FlowInfo::default())
    }

    pub(super) fn open_as(&mut self, info: FlowInfo) -> FlowId {
        self.opened += 1;
        let flow = FlowId(self.opened);
        self.proxy.handle_flow_opened(flow, info);
        self.inboxes.insert(flow, VecDeque::new());
        flow
    }

    /// What was sent before stays to be read; nothing may be sent after.
    pub(super) fn close(&mut self, flow: FlowId) {
        self.proxy.handle_flow_closed(self.now, flow);
        let unread = self.inboxes.remove(&flow);
        assert!(unread.is_some_and(|unread| unread.is_empty()), "unread messages on a flow that is closed");
        self.collect();
    }

    fn collect(&mut self) {
        while let Some(action) = self.proxy.poll_action() {
            let Action::SendText { flow, text } = action else { panic!("binary: {action:?}") };
            let inbox =
                self.inboxes.get_mut(&flow).unwrap_or_else(|| panic!("sent to closed flow {flow}: {text}"));
            inbox.push_back(Text(text));
        }
    }

    #[track_caller]
    pub(super) fn send(&mut self, flow: FlowId, message: impl AsRef<str>) {
        let message = message.as_ref();
        if let Err(refused) = self.try_send(flow, message) {
            panic!("{refused}:\n{message}");
        }
    }

    pub(super) fn try_send(&mut self, flow: FlowId, message: impl AsRef<str>) -> Result<(), Refused> {
        let outcome = self.proxy.handle_message(self.now, flow, message.as_ref().as_bytes(), Kind::Text);
        self.collect();
        outcome
    }

    /// The next message on a flow.
    #[track_caller]
    pub(super) fn recv(&mut self, flow: FlowId) -> Text {
        let inbox = self.inboxes.get_mut(&flow).expect("an open flow");
        inbox.pop_front().unwrap_or_else(|| panic!("nothing was sent on flow {flow}"))
    }

    pub(super) fn try_recv(&mut self, flow: FlowId) -> Option<Text> {
        self.inboxes.get_mut(&flow)?.pop_front()
    }

    /// The next message on a flow, which must start so.
    #[track_caller]
    pub(super) fn expect(&mut self, flow: FlowId, start: &str) -> Text {
        let message = self.recv(flow);
        assert!(message.0.starts_with(start), "expected {start}, not:\n{}", message.0);
        message
    }

    /// Nothing was sent on any flow that was not read, and nothing is kept of requests that are over.
    #[track_caller]
    pub(super) fn quiet(&self) {
        for (flow, inbox) in &self.inboxes {
            assert!(inbox.is_empty(), "unread on flow {flow}: {inbox:#?}");
        }
    }

    /// Lets time pass, deadline by deadline.
    pub(super) fn advance(&mut self, seconds: u64) {
        let end = self.now + Duration::from_secs(seconds);
        for _ in 0..10_000 {
            match self.proxy.poll_timeout().filter(|&at| at <= end) {
                Some(at) => {
                    self.now = self.now.max(at);
                    self.proxy.handle_timeout(self.now);
                    self.collect();
                }
                None => {
                    self.now = end;
                    return;
                }
            }
        }
        panic!("deadlines without end");
    }

    /// Lets time pass until no request is pending and asserts that nothing was sent meanwhile.
    #[track_caller]
    pub(super) fn settle(&mut self) {
        self.advance(33);
        self.quiet();
        assert_eq!(self.proxy.transactions(), 0, "transactions left");
    }
}

impl Text {
    pub(super) fn start_line(&self) -> &str {
        self.0.split("\r\n").next().unwrap()
    }

    pub(super) fn status(&self) -> u16 {
        self.0.strip_prefix("SIP/2.0 ").and_then(|rest| rest.get(..3)?.parse().ok()).expect("a response")
    }

    /// The Request-URI.
    pub(super) fn uri(&self) -> &str {
        self.start_line().split(' ').nth(1).unwrap()
    }

    /// The values of all header fields of this name, one for each line.
    pub(super) fn all(&self, name: &str) -> Vec<&str> {
        let head = self.0.split("\r\n\r\n").next().unwrap();
        head.split("\r\n")
            .skip(1)
            .filter_map(|line| line.split_once(':'))
            .filter(|(found, _)| found.trim().eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim())
            .collect()
    }

    #[track_caller]
    pub(super) fn one(&self, name: &str) -> &str {
        let all = self.all(name);
        assert_eq!(all.len(), 1, "{name} in\n{}", self.0);
        all[0]
    }

    pub(super) fn tag_of(&self, name: &str) -> Option<&str> {
        self.one(name).split_once(";tag=").map(|(_, tag)| tag.split(';').next().unwrap())
    }

    pub(super) fn body(&self) -> &str {
        self.0.split_once("\r\n\r\n").unwrap().1
    }
}
