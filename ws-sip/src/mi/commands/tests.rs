use core::time::Duration;

use super::*;
use crate::mi::rpc::{MAX_BATCH, MAX_REQUEST_LEN, MAX_RESPONSE_LEN, answer};
use crate::mi::statistic::Statistic;
use crate::transport::{Counters, Ends};

/// A transport with flows of these numbers.
pub(in crate::mi) struct Fake {
    pub(in crate::mi) tracing: bool,
    pub(in crate::mi) flows: Vec<u64>,
    pub(in crate::mi) is_gone: bool,
    pub(in crate::mi) closed: Vec<FlowId>,
    pub(in crate::mi) pinged: Vec<FlowId>,
}

impl Default for Fake {
    fn default() -> Self {
        Self { tracing: false, flows: vec![3, 4], is_gone: false, closed: Vec::new(), pinged: Vec::new() }
    }
}

impl Fake {
    fn check(&self, flow: FlowId) -> Result<(), ControlError> {
        if self.is_gone {
            return Err(ControlError::Unreachable);
        }
        if self.closed.contains(&flow) {
            return Err(ControlError::Refused("the connection is closing".into()));
        }
        if self.flows.contains(&flow.0) { Ok(()) } else { Err(ControlError::NoSuchFlow) }
    }
}

impl Control for Fake {
    fn is_tracing(&mut self) -> bool {
        self.tracing
    }

    fn set_tracing(&mut self, on: bool) {
        self.tracing = on;
    }

    fn flows(&mut self, after: Option<FlowId>, max: usize) -> Result<Vec<FlowStatus>, ControlError> {
        assert!(max > 0 && max <= FLOWS_AT_ONCE);
        if self.is_gone {
            return Err(ControlError::Unreachable);
        }
        let ends = Ends {
            peer: "192.0.2.1:5000".parse().unwrap(),
            local: "[::1]:80".parse().unwrap(),
            is_incoming: true,
            is_secure: false,
        };
        let counters = Counters { messages_in: 1, messages_out: 2, bytes_in: 30, bytes_out: 40 };
        let age = Duration::from_millis(2500);
        let following = self.flows.iter().filter(|&&flow| after.is_none_or(|after| flow > after.0)).take(max);
        Ok(following.map(|&flow| FlowStatus { flow: FlowId(flow), ends, counters, age }).collect())
    }

    fn close(&mut self, flow: FlowId) -> Result<(), ControlError> {
        self.check(flow)?;
        self.closed.push(flow);
        Ok(())
    }

    fn ping(&mut self, flow: FlowId) -> Result<(), ControlError> {
        self.check(flow)?;
        self.pinged.push(flow);
        Ok(())
    }

    fn statistics(&mut self) -> Result<Vec<Statistic>, ControlError> {
        if self.is_gone {
            return Err(ControlError::Unreachable);
        }
        Ok(vec![
            Statistic::gauge("transport", "flows", "open flows", 2),
            Statistic::counter("transport", "opened", "flows opened", 7),
            Statistic::counter("proxy", "requests", "requests received", 9),
        ])
    }
}

fn ask(control: &mut Fake, request: &str) -> String {
    answer(control, request.as_bytes(), MAX_RESPONSE_LEN).unwrap_or_default()
}

/// Calls a command with a client's spacing; returns what stands between the version and the identifier.
fn call(control: &mut Fake, method: &str, params: &str) -> String {
    let request = format!(r#"{{"jsonrpc": "2.0", "id": "8750", "method": "{method}", "params": {params}}}"#);
    let response = ask(control, &request);
    let inner =
        response.strip_prefix(r#"{"jsonrpc":"2.0","#).and_then(|rest| rest.strip_suffix(r#","id":"8750"}"#));
    inner.unwrap_or_else(|| panic!("{response}")).to_owned()
}

/// The responses that the real server gives, byte for byte.
#[test]
fn ws_trace_as_the_real_client_knows_it() {
    let fake = &mut Fake::default();
    for (request, response) in [
        (
            r#"{"jsonrpc": "2.0", "id": "8750", "method": "ws_trace", "params": {}}"#,
            r#"{"jsonrpc":"2.0","result":{"WS tracing":"off"},"id":"8750"}"#,
        ),
        (
            r#"{"jsonrpc": "2.0", "id": "11988", "method": "ws_trace", "params": ["on"]}"#,
            r#"{"jsonrpc":"2.0","result":"OK","id":"11988"}"#,
        ),
        (
            r#"{"jsonrpc": "2.0", "id": "8751", "method": "ws_trace", "params": []}"#,
            r#"{"jsonrpc":"2.0","result":{"WS tracing":"on"},"id":"8751"}"#,
        ),
        (
            r#"{"jsonrpc": "2.0", "id": "26606", "method": "ws_trace", "params": ["off"]}"#,
            r#"{"jsonrpc":"2.0","result":"OK","id":"26606"}"#,
        ),
        (
            r#"{"jsonrpc": "2.0", "id": "8752", "method": "ws_trace"}"#,
            r#"{"jsonrpc":"2.0","result":{"WS tracing":"off"},"id":"8752"}"#,
        ),
        (
            r#"{"jsonrpc": "2.0", "id": "20047", "method": "ws_trace", "params": ["bad"]}"#,
            r#"{"jsonrpc":"2.0","error":{"code":500,"message":"Bad parameter value","data":"trace_mode should be 'on' or 'off'"},"id":"20047"}"#,
        ),
        (
            r#"{"jsonrpc": "2.0", "id": "2", "method": "ws_trace", "params": {"trace_mode": "on"}}"#,
            r#"{"jsonrpc":"2.0","result":"OK","id":"2"}"#,
        ),
        (
            r#"{"jsonrpc": "2.0", "id": "1970", "method": "ws_trace", "params": ["on", "extra"]}"#,
            r#"{"jsonrpc":"2.0","error":{"code":-32602,"message":"Invalid params","data":"Too few or too many parameters"},"id":"1970"}"#,
        ),
        (
            r#"{"jsonrpc": "2.0", "id": "27749", "method": "ws_trace", "params": {"foo": "on"}}"#,
            r#"{"jsonrpc":"2.0","error":{"code":-32602,"message":"Invalid params","data":"Named parameters do not match"},"id":"27749"}"#,
        ),
        (
            r#"{"jsonrpc": "2.0", "id": "7", "method": "nosuch", "params": {}}"#,
            r#"{"jsonrpc":"2.0","error":{"code":-32601,"message":"Method not found"},"id":"7"}"#,
        ),
        (
            r#"{"id": 1, "method": "ws_trace"}"#,
            r#"{"jsonrpc":"2.0","error":{"code":-32600,"message":"Invalid Request"},"id":1}"#,
        ),
        ("nonsense", r#"{"jsonrpc":"2.0","error":{"code":-32700,"message":"Parse error"},"id":null}"#),
        (
            r#"{"jsonrpc": "2.0", "id": "3", "method": "which", "params": ["ws_trace"]}"#,
            r#"{"jsonrpc":"2.0","result":[[],["trace_mode"]],"id":"3"}"#,
        ),
        (
            r#"{"jsonrpc": "2.0", "id": "3", "method": "which", "params": {"command": "ws:trace"}}"#,
            r#"{"jsonrpc":"2.0","result":[[],["trace_mode"]],"id":"3"}"#,
        ),
        (
            r#"{"jsonrpc": "2.0", "id": "4", "method": "help", "params": {"mi_cmd": "ws_trace"}}"#,
            r#"{"jsonrpc":"2.0","result":{"Help":"not available for this command","Exported by":"proto_ws"},"id":"4"}"#,
        ),
    ] {
        assert_eq!(ask(fake, request), response, "{request}");
    }
    assert!(fake.tracing, "the last that was carried out is trace_mode=on");
}

#[test]
fn a_mode_is_on_or_off_and_nothing_else() {
    let fake = &mut Fake::default();
    for (mode, on) in
        [(r#""ON""#, true), (r#""oFF""#, false), ("true", true), ("false", false), (r#""On""#, true)]
    {
        assert_eq!(call(fake, "ws:trace", &format!("[{mode}]")), r#""result":"OK""#);
        assert_eq!(fake.tracing, on, "{mode}");
    }
    for mode in [r#""once""#, r#""offline""#, r#""""#, "1", "0", "null", "[]", r#"" on""#] {
        assert!(call(fake, "ws_trace", &format!("[{mode}]")).contains(r#""code":500,"#), "{mode}");
    }
    assert!(fake.tracing);
}

#[test]
fn every_command_can_be_found() {
    let fake = &mut Fake::default();
    assert_eq!(
        call(fake, "which", "{}"),
        r#""result":["which","help","version","ws_trace","ws:trace","ws_list","ws_close","ws_ping","get_statistics"]"#
    );
    for command in COMMANDS {
        let sets = call(fake, "which", &format!("[\"{}\"]", command.name));
        assert!(sets.starts_with(r#""result":[["#) && sets.ends_with("]]"), "{sets}");
        assert!(call(fake, "help", &format!("[\"{}\"]", command.name)).contains(r#""Exported by":"#));
    }
    assert!(call(fake, "help", "[]").starts_with(r#""result":{"Usage":"#));
    let unknown = r#""error":{"code":404,"message":"Unknown command"}"#;
    assert_eq!(call(fake, "help", r#"["nosuch"]"#), unknown);
    assert_eq!(call(fake, "which", r#"["nosuch"]"#), unknown);
    assert!(call(fake, "which", "[1]").contains("command should be a string"));
    assert!(call(fake, "version", "[]").starts_with(r#""result":{"Server":"ws-sip ("#));
    assert!(call(fake, "version", "[1]").contains("Too few or too many parameters"));
}

#[test]
fn flows_are_listed_in_parts() {
    let fake = &mut Fake::default();
    let flow = |number: u64| {
        format!(
            r#"{{"Flow":"{number}","Peer":"192.0.2.1:5000","Local":"[::1]:80","Opened by":"peer","Age":2,"Messages in":1,"Messages out":2,"Bytes in":30,"Bytes out":40}}"#
        )
    };
    let list = |flows: &[u64]| {
        let flows: Vec<_> = flows.iter().map(|&number| flow(number)).collect();
        format!(r#""result":{{"Flows":[{}]}}"#, flows.join(","))
    };
    assert_eq!(call(fake, "ws_list", "{}"), list(&[3, 4]));
    assert_eq!(call(fake, "ws_list", r#"["1"]"#), list(&[3]));
    assert_eq!(call(fake, "ws_list", r#"["5", 3]"#), list(&[4]));
    assert_eq!(call(fake, "ws_list", r#"{"after": "3"}"#), list(&[4]));
    assert_eq!(call(fake, "ws_list", r#"{"after": "4", "limit": 9}"#), list(&[]));
    assert_eq!(call(fake, "ws_list", "[0]"), list(&[]));
    assert!(call(fake, "ws_list", r#"["-1"]"#).contains("limit should be a number of flows"));
    // Asked for in several parts, told in one.
    fake.flows = (0..3000).collect();
    let all = call(fake, "ws_list", "{}");
    assert_eq!(all.matches(r#""Flow":"#).count(), 3000);
    assert_eq!(call(fake, "ws_list", "[2048]").matches(r#""Flow":"#).count(), 2048);
    // What a datagram cannot hold.
    let request = br#"{"jsonrpc":"2.0","id":1,"method":"ws_list"}"#;
    assert_eq!(
        answer(fake, request, 65_507).unwrap(),
        r#"{"jsonrpc":"2.0","error":{"code":-32000,"message":"Server error","data":"the response is longer than 65507 bytes; `limit` and `after` give it in parts"},"id":1}"#
    );
    fake.is_gone = true;
    assert_eq!(
        call(fake, "ws_list", "{}"),
        r#""error":{"code":-32000,"message":"Server error","data":"the transport does not answer"}"#
    );
}

#[test]
fn a_flow_is_closed_or_pinged_by_its_number() {
    let fake = &mut Fake::default();
    assert_eq!(call(fake, "ws_ping", r#"["4"]"#), r#""result":"OK""#);
    assert_eq!(call(fake, "ws_close", r#"{"flow": 3}"#), r#""result":"OK""#);
    assert_eq!(
        (fake.pinged.as_slice(), fake.closed.as_slice()),
        ([FlowId(4)].as_slice(), [FlowId(3)].as_slice())
    );
    assert_eq!(
        call(fake, "ws_close", "[3]"),
        r#""error":{"code":500,"message":"Not possible now","data":"the connection is closing"}"#
    );
    assert_eq!(call(fake, "ws_close", "[5]"), r#""error":{"code":404,"message":"No such flow"}"#);
    for flow in [r#""""#, r#""+3""#, r#""x""#, "3.5", "-3", "null", r#""99999999999999999999""#] {
        assert!(call(fake, "ws_close", &format!("[{flow}]")).contains(r#""code":500,"#), "{flow}");
    }
    assert!(call(fake, "ws_ping", "[]").contains("Too few or too many parameters"));
}

#[test]
fn statistics_by_name_and_group() {
    let fake = &mut Fake::default();
    let all = r#""result":{"transport:flows":2,"transport:opened":7,"proxy:requests":9}"#;
    assert_eq!(call(fake, "get_statistics", "{}"), all);
    assert_eq!(call(fake, "get_statistics", r#"[["all"]]"#), all);
    assert_eq!(
        call(fake, "get_statistics", r#"["transport:"]"#),
        r#""result":{"transport:flows":2,"transport:opened":7}"#
    );
    assert_eq!(
        call(fake, "get_statistics", r#"{"statistics": ["proxy:requests", "opened", "requests"]}"#),
        r#""result":{"transport:opened":7,"proxy:requests":9}"#
    );
    assert_eq!(
        call(fake, "get_statistics", r#"[["opened", "nosuch:"]]"#),
        r#""error":{"code":404,"message":"Statistics Not Found","data":"nosuch:"}"#
    );
    assert!(call(fake, "get_statistics", "[[1]]").contains(r#""code":500,"#));
}

#[test]
fn an_identifier_comes_back_as_it_is() {
    let fake = &mut Fake::default();
    for id in [r#""a\"b""#, "0", "-7", "1.50", "123456789012345678901234567890", "null", r#""""#] {
        let request = format!(r#"{{"jsonrpc":"2.0","method":"nosuch","id":{id}}}"#);
        assert!(ask(fake, &request).ends_with(&format!(r#","id":{id}}}"#)), "{id}");
    }
    for id in ["{}", "[1]", "true", "1.5E4333", "-1e999", r#""\ud800""#] {
        let request = format!(r#"{{"jsonrpc":"2.0","method":"version","id":{id}}}"#);
        let invalid = r#"{"jsonrpc":"2.0","error":{"code":-32600,"message":"Invalid Request"},"id":null}"#;
        assert_eq!(ask(fake, &request), invalid, "{id}");
    }
}

#[test]
fn a_notification_is_carried_out_and_not_answered() {
    let fake = &mut Fake::default();
    for request in [
        r#"{"jsonrpc":"2.0","method":"ws_trace","params":["on"]}"#,
        r#"{"jsonrpc":"2.0","method":"nosuch"}"#,
        r#"{"jsonrpc":"2.0","method":"ws_trace","params":["bad"]}"#,
    ] {
        assert_eq!(answer(fake, request.as_bytes(), MAX_RESPONSE_LEN), None, "{request}");
    }
    assert!(fake.tracing);
}

#[test]
fn what_is_no_request_is_told_so() {
    let fake = &mut Fake::default();
    let invalid = r#"{"jsonrpc":"2.0","error":{"code":-32600,"message":"Invalid Request"},"id":null}"#;
    for request in [
        "{}",
        "1",
        "\"x\"",
        "null",
        r#"{"jsonrpc":"2.0"}"#,
        r#"{"jsonrpc":2.0,"method":"version"}"#,
        r#"{"jsonrpc":"1.0","method":"version"}"#,
        r#"{"jsonrpc":"2.0","method":1}"#,
        r#"{"jsonrpc":"2.0","method":"version","params":"x"}"#,
        r#"{"jsonrpc":"2.0","method":"version","params":null}"#,
    ] {
        assert_eq!(ask(fake, request), invalid, "{request}");
    }
    let broken = r#"{"jsonrpc":"2.0","error":{"code":-32700,"message":"Parse error"},"id":null}"#;
    for request in ["", "{", "{}x", "[1,", "\u{feff}{}"] {
        assert_eq!(ask(fake, request), broken, "{request}");
    }
    assert_eq!(answer(fake, b"\"\xff\"", 1000).unwrap(), broken);
    let deep = format!(r#"{{"jsonrpc":"2.0","method":"ws_trace","id":1,"params":{}"#, "[".repeat(60_000));
    assert_eq!(ask(fake, &deep), broken);
    let deep = format!("{deep}{}}}", "]".repeat(60_000));
    assert!(answer(fake, deep.as_bytes(), 1000).unwrap().contains("is longer than 65536 bytes"));
    let deep = "[".repeat(30_000) + &"]".repeat(30_000);
    assert_eq!(ask(fake, &deep), format!("[{invalid}]"));
    assert!(ask(fake, &" ".repeat(MAX_REQUEST_LEN + 1)).contains("is longer than 65536 bytes"));
}

#[test]
fn a_batch_is_answered_as_one() {
    let fake = &mut Fake::default();
    assert_eq!(
        ask(
            fake,
            r#"[{"jsonrpc":"2.0","method":"ws_trace","params":["on"],"id":1},
                {"jsonrpc":"2.0","method":"ws_trace","params":["off"]},
                1,
                {"jsonrpc":"2.0","method":"ws_trace","id":"2"}]"#
        ),
        r#"[{"jsonrpc":"2.0","result":"OK","id":1},{"jsonrpc":"2.0","error":{"code":-32600,"message":"Invalid Request"},"id":null},{"jsonrpc":"2.0","result":{"WS tracing":"off"},"id":"2"}]"#
    );
    assert_eq!(ask(fake, r#"[{"jsonrpc":"2.0","method":"version"}]"#), "", "notifications alone");
    let one = r#"{"jsonrpc":"2.0","method":"version","id":1},"#;
    let batch = |n: usize| format!("[{}]", one.repeat(n).trim_end_matches(','));
    assert_eq!(ask(fake, &batch(MAX_BATCH)).matches("Server").count(), MAX_BATCH);
    for batch in ["[]", " [ ] ", &batch(MAX_BATCH + 1)] {
        assert_eq!(
            ask(fake, batch),
            r#"{"jsonrpc":"2.0","error":{"code":-32600,"message":"Invalid Request","data":"a batch has 1 to 64 requests"},"id":null}"#
        );
    }
    // Many large responses are no way to take the memory.
    fake.flows = (0..3000).collect();
    let batch = format!("[{}]", vec![r#"{"jsonrpc":"2.0","method":"ws_list","id":1}"#; MAX_BATCH].join(","));
    let response = answer(fake, batch.as_bytes(), 1 << 20).unwrap();
    assert!(response.len() <= 1 << 20);
    assert_eq!(response.matches(r#""Flows":"#).count(), 2);
    assert_eq!(response.matches("-32000").count(), MAX_BATCH - 2);
}
