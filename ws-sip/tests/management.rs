//! Management of a running transport, from another thread.
#![cfg(unix)]

mod common;

use core::time::Duration;
use std::thread;

use common::{Node, Seen, destination, options, until};
use ws_core::{Outcome, Side, StatusCode};
use ws_sip::mi::{Control, ControlError, TransportControl, answer};
use ws_sip::{FlowId, Settings, Tracing};

fn open() -> Settings {
    let mut settings = Settings::default();
    settings.require_origin = false;
    settings
}

/// Runs `ask` in a thread of its own while the nodes are polled.
fn ask<T: Send + 'static>(nodes: &mut [&mut Node], ask: impl FnOnce() -> T + Send + 'static) -> T {
    let thread = thread::spawn(ask);
    until(nodes, |_| thread.is_finished());
    thread.join().unwrap()
}

#[test]
fn flows_are_listed_pinged_and_closed_while_they_run() {
    let (mut server, address) = Node::server(open());
    let mut client = Node::new(open());
    client.transport.flows().send_to(&destination(address), &options("1")).unwrap();
    until(&mut [&mut server, &mut client], |nodes| !nodes[0].messages().is_empty());
    let flow = server.opened()[0];
    let tracing = Tracing::default();
    let control = || TransportControl::new(server.transport.handle(), tracing.clone());
    let (mut listing, mut closing, mut unknown) = (control(), control(), control());

    let flows = ask(&mut [&mut server, &mut client], move || listing.flows(None, 10).unwrap());
    let [status] = flows.as_slice() else { panic!("{flows:?}") };
    assert_eq!((status.flow, status.ends.local), (flow, address));
    assert_eq!((status.counters.messages_in, status.counters.bytes_in), (1, options("1").len() as u64));

    let response = ask(&mut [&mut server, &mut client], move || {
        let request = format!(
            r#"[{{"jsonrpc":"2.0","id":1,"method":"ws_ping","params":["{flow}"]}},
                {{"jsonrpc":"2.0","id":2,"method":"ws_close","params":["{flow}"]}},
                {{"jsonrpc":"2.0","id":3,"method":"ws_trace","params":["on"]}},
                {{"jsonrpc":"2.0","id":4,"method":"get_statistics","params":["opened"]}}]"#
        );
        answer(&mut closing, request.as_bytes(), 10_000).unwrap()
    });
    assert_eq!(
        response,
        r#"[{"jsonrpc":"2.0","result":"OK","id":1},{"jsonrpc":"2.0","result":"OK","id":2},{"jsonrpc":"2.0","result":"OK","id":3},{"jsonrpc":"2.0","result":{"transport:opened":1},"id":4}]"#
    );
    assert!(tracing.is_on());
    until(&mut [&mut server, &mut client], |nodes| nodes.iter().all(|node| !node.closed().is_empty()));
    let code = Some(StatusCode::NORMAL);
    assert_eq!(client.closed(), [&Outcome::Clean { initiator: Side::Peer, code }]);
    assert!(matches!(server.seen.last(), Some(Seen::Closed(closed, _)) if *closed == flow));

    let gone = ask(&mut [&mut server], move || {
        (unknown.close(flow), unknown.ping(FlowId(9)), unknown.flows(Some(flow), 10))
    });
    assert_eq!(gone, (Err(ControlError::NoSuchFlow), Err(ControlError::NoSuchFlow), Ok(Vec::new())));
}

#[test]
fn a_list_in_parts_has_each_flow_once() {
    let (mut server, address) = Node::server(open());
    let mut clients: Vec<_> = (0..7).map(|_| Node::new(open())).collect();
    for client in &mut clients {
        client.transport.flows().send_to(&destination(address), &options("1")).unwrap();
    }
    let mut nodes: Vec<_> = core::iter::once(&mut server).chain(&mut clients).collect();
    until(&mut nodes, |nodes| nodes[0].opened().len() == 7);
    let mut expected = server.opened();
    let flows = server.transport.flows();
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let part = flows.page(after, 3);
        let Some(last) = part.last() else { break };
        assert!(part.len() <= 3);
        after = Some(last.flow);
        found.extend(part.iter().map(|status| status.flow));
    }
    found.sort();
    expected.sort();
    assert_eq!(found, expected);
}

#[test]
fn a_transport_that_is_gone_is_told_as_such() {
    let node = Node::new(open());
    let mut control = TransportControl::new(node.transport.handle(), Tracing::default());
    let answers = node.transport.handle().call(|flows| flows.len()).unwrap();
    drop(node);
    assert!(answers.recv_timeout(Duration::from_millis(1)).is_err());
    assert_eq!(control.statistics(), Err(ControlError::Unreachable));
    control.set_tracing(true);
    assert!(control.is_tracing());
}
