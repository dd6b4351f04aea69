//! Flows that close, forged responses, and limits.

use super::ua::SDP;
use super::*;
use crate::flow::FlowId;
use crate::proxy::Refused;
use crate::sip::{Fault, ValueError};

fn ring(net: &mut Net, caller: &mut Ua, callee: &Ua) -> (Dialog, Text) {
    let mut dialog = caller.to(&callee.aor());
    caller.send(net, "INVITE", &mut dialog, SDP);
    caller.expect(net, 100);
    let invite = callee.incoming(net, "INVITE");
    callee.reply(net, &invite, "180 Ringing");
    caller.expect(net, 180);
    (dialog, invite)
}

/// INVITE, 180, 200, ACK; the caller's and the callee's dialog.
fn call(net: &mut Net, caller: &mut Ua, callee: &Ua) -> (Dialog, Dialog) {
    let (mut dialog, invite) = ring(net, caller, callee);
    net.send(callee.flow, callee.answer(&invite, "200 OK", SDP));
    dialog.confirm(&caller.expect(net, 200));
    caller.send(net, "ACK", &mut dialog, "");
    callee.incoming(net, "ACK");
    (dialog, callee.dialog_of(&invite))
}

#[test]
fn the_callee_vanishes_while_it_rings() {
    let mut net = Net::new();
    let mut alice = Ua::registered(&mut net, "alice", Stack::JsSip);
    let bob = Ua::registered(&mut net, "bob", Stack::SipJs);
    let (_, _) = ring(&mut net, &mut alice, &bob);
    net.close(bob.flow);
    let reply = alice.expect(&mut net, 480);
    assert!(reply.tag_of("To").is_some_and(|tag| tag.starts_with("ws")));
    net.settle();
    assert_eq!(net.proxy.stats().failed_flows, 1);
}

#[test]
fn one_of_two_phones_vanishes() {
    let mut net = Net::new();
    let mut alice = Ua::registered(&mut net, "alice", Stack::JsSip);
    let bob = Ua::registered(&mut net, "bob", Stack::SipJs);
    let other = Ua::registered(&mut net, "bob", Stack::JsSip);
    let mut dialog = alice.to("sip:bob@example.com");
    alice.send(&mut net, "INVITE", &mut dialog, SDP);
    alice.expect(&mut net, 100);
    let invite = bob.incoming(&mut net, "INVITE");
    other.incoming(&mut net, "INVITE");
    net.close(other.flow);
    net.quiet();
    bob.reply(&mut net, &invite, "486 Busy Here");
    bob.incoming(&mut net, "ACK");
    // 480 and 486 are of one class; the first stays.
    alice.expect(&mut net, 480);
    net.settle();
}

#[test]
fn the_caller_vanishes_while_it_rings() {
    let mut net = Net::new();
    let mut alice = Ua::registered(&mut net, "alice", Stack::JsSip);
    let bob = Ua::registered(&mut net, "bob", Stack::SipJs);
    let (_, invite) = ring(&mut net, &mut alice, &bob);
    net.close(alice.flow);
    let cancel = bob.incoming(&mut net, "CANCEL");
    bob.reply(&mut net, &cancel, "200 OK");
    bob.reply(&mut net, &invite, "487 Request Terminated");
    bob.incoming(&mut net, "ACK");
    net.quiet();
    assert_eq!(net.proxy.transactions(), 0);
}

#[test]
fn the_caller_vanishes_before_it_rings() {
    let mut net = Net::new();
    let mut alice = Ua::registered(&mut net, "alice", Stack::JsSip);
    let bob = Ua::registered(&mut net, "bob", Stack::SipJs);
    let mut dialog = alice.to("sip:bob@example.com");
    alice.send(&mut net, "INVITE", &mut dialog, SDP);
    alice.expect(&mut net, 100);
    let invite = bob.incoming(&mut net, "INVITE");
    net.close(alice.flow);
    net.quiet();
    bob.reply(&mut net, &invite, "180 Ringing");
    bob.incoming(&mut net, "CANCEL");
    // An answer that crosses has nobody to go to.
    net.send(bob.flow, bob.answer(&invite, "200 OK", SDP));
    net.settle();
}

#[test]
fn both_vanish() {
    for caller_first in [true, false] {
        let mut net = Net::new();
        let mut alice = Ua::registered(&mut net, "alice", Stack::JsSip);
        let bob = Ua::registered(&mut net, "bob", Stack::SipJs);
        ring(&mut net, &mut alice, &bob);
        if caller_first {
            net.close(alice.flow);
            bob.incoming(&mut net, "CANCEL");
            net.close(bob.flow);
        } else {
            net.close(bob.flow);
            alice.expect(&mut net, 480);
            net.close(alice.flow);
        }
        assert!(net.proxy.transactions.is_clean());
        assert!(net.proxy.registrar().is_empty());
    }
}

#[test]
fn a_text_to_one_who_vanishes() {
    let mut net = Net::new();
    let mut alice = Ua::registered(&mut net, "alice", Stack::JsSip);
    let bob = Ua::registered(&mut net, "bob", Stack::SipJs);
    let mut dialog = alice.to("sip:bob@example.com");
    alice.send(&mut net, "MESSAGE", &mut dialog, "hello");
    bob.incoming(&mut net, "MESSAGE");
    net.close(bob.flow);
    alice.expect(&mut net, 480);
    net.quiet();
    assert_eq!(net.proxy.transactions(), 0);
}

#[test]
fn one_who_calls_itself_and_vanishes() {
    let mut net = Net::new();
    let mut alice = Ua::registered(&mut net, "alice", Stack::JsSip);
    let mut dialog = alice.to("sip:alice@example.com");
    alice.send(&mut net, "INVITE", &mut dialog, SDP);
    let invite = alice.incoming(&mut net, "INVITE");
    alice.expect(&mut net, 100);
    alice.reply(&mut net, &invite, "180 Ringing");
    net.recv(alice.flow);
    net.close(alice.flow);
    assert_eq!(net.proxy.transactions(), 0);
}

/// A browser that lost its connection in a call comes back under the same contact, or the same instance.
#[test]
fn a_call_survives_a_reconnect() {
    for stack in [Stack::SipJs, Stack::JsSip] {
        let mut net = Net::new();
        let mut alice = Ua::registered(&mut net, "alice", Stack::JsSip);
        let mut bob = Ua::registered(&mut net, "bob", stack);
        let (mut to_bob, mut to_alice) = call(&mut net, &mut alice, &bob);
        net.close(bob.flow);
        alice.send(&mut net, "INFO", &mut to_bob, "");
        // By the GRUU it is the user who is away, by the token the flow.
        alice.expect(&mut net, 430);

        bob.flow = net.open();
        bob.register(&mut net);
        bob.send(&mut net, "INVITE", &mut to_alice, SDP);
        bob.expect(&mut net, 100);
        let invite = alice.incoming(&mut net, "INVITE");
        net.send(alice.flow, alice.answer(&invite, "200 OK", SDP));
        bob.expect(&mut net, 200);
        bob.send(&mut net, "ACK", &mut to_alice, "");
        alice.incoming(&mut net, "ACK");
        alice.send(&mut net, "BYE", &mut to_bob, "");
        let bye = bob.incoming(&mut net, "BYE");
        bob.reply(&mut net, &bye, "200 OK");
        alice.expect(&mut net, 200);
        net.settle();
    }
}

/// A response counts on the flow of its branch alone.
#[test]
fn forged_responses_are_dropped() {
    let mut net = Net::new();
    let mut alice = Ua::registered(&mut net, "alice", Stack::JsSip);
    let bob = Ua::registered(&mut net, "bob", Stack::SipJs);
    let mallory = net.open();
    let (_, invite) = ring(&mut net, &mut alice, &bob);
    let ok = bob.answer(&invite, "200 OK", SDP);
    assert_eq!(net.try_send(mallory, &ok), Err(Refused::StrayResponse));
    let own = invite.all("Via")[0];
    let (start, digest) = own.rsplit_once('.').unwrap();
    for (from, to) in [
        (own, format!("{start}.{digest}0")),
        (own, own.replace("proxy.example.com:8080", "proxy.example.com")),
        (own, "SIP/2.0/WS proxy.example.com:8080;branch=z9hG4bK1".to_owned()),
        (own, "SIP/2.0/WS proxy.example.com:8080".to_owned()),
        ("CSeq: 2 INVITE", "CSeq: 3 INVITE".to_owned()),
        ("CSeq: 2 INVITE", "CSeq: 2 BYE".to_owned()),
    ] {
        assert!(ok.contains(from), "{from}");
        assert_eq!(net.try_send(bob.flow, ok.replacen(from, &to, 1)), Err(Refused::StrayResponse), "{to}");
    }
    net.quiet();
    assert_eq!(net.proxy.stats().stray_responses, 7);

    // Below our Via must be the one that it goes to.
    let next = format!("Via: {}\r\n", invite.all("Via")[1]);
    for (via, fault) in
        [("", Fault::Missing("Via")), ("Via: x\r\n", Fault::Value("Via", ValueError::Protocol))]
    {
        assert_eq!(net.try_send(bob.flow, ok.replacen(&next, via, 1)), Err(Refused::Malformed(fault)));
    }
    net.quiet();
    net.send(bob.flow, ok);
    alice.expect(&mut net, 200);
}

#[test]
fn transactions_are_bounded() {
    let mut net = Net::with(|config| {
        config.max_transactions = 3;
        config.max_transactions_per_flow = 2;
    });
    let mut alice = Ua::registered(&mut net, "alice", Stack::JsSip);
    let mut bob = Ua::registered(&mut net, "bob", Stack::SipJs);
    let mut to_bob = alice.to("sip:bob@example.com");
    let mut to_alice = bob.to("sip:alice@example.com");
    for _ in 0..2 {
        alice.send(&mut net, "MESSAGE", &mut to_bob, "hello");
        bob.incoming(&mut net, "MESSAGE");
    }
    alice.send(&mut net, "MESSAGE", &mut to_bob, "one too many for a flow");
    alice.expect(&mut net, 503);
    bob.send(&mut net, "MESSAGE", &mut to_alice, "hello");
    let message = alice.incoming(&mut net, "MESSAGE");
    bob.send(&mut net, "MESSAGE", &mut to_alice, "one too many for all");
    bob.expect(&mut net, 503);
    assert_eq!(net.proxy.stats().overloads, 2);
    alice.reply(&mut net, &message, "200 OK");
    bob.expect(&mut net, 200);
    bob.send(&mut net, "MESSAGE", &mut to_alice, "again");
    alice.incoming(&mut net, "MESSAGE");
    net.settle();
}

#[test]
fn the_bytes_that_are_kept_are_bounded() {
    let mut net = Net::with(|config| config.max_stored_len = 2_000);
    let mut alice = Ua::registered(&mut net, "alice", Stack::JsSip);
    let bob = Ua::registered(&mut net, "bob", Stack::SipJs);
    let other = Ua::registered(&mut net, "bob", Stack::SipJs);
    let mut dialog = alice.to("sip:bob@example.com");
    alice.send(&mut net, "INVITE", &mut dialog, SDP);
    alice.expect(&mut net, 100);
    let invite = bob.incoming(&mut net, "INVITE");
    other.incoming(&mut net, "INVITE");
    // A refusal with a large body has to wait for the other phone; only its status is kept.
    net.send(bob.flow, bob.answer(&invite, "488 Not Acceptable Here", &"x".repeat(5_000)));
    bob.incoming(&mut net, "ACK");
    assert!(net.proxy.transactions.stored_len() < 2_000);
    net.close(other.flow);
    assert_eq!(alice.expect(&mut net, 488).body(), "");

    let long = format!("{}x", "y".repeat(2_000));
    let mut dialog = alice.to("sip:bob@example.com");
    dialog.call_id = long;
    alice.send(&mut net, "MESSAGE", &mut dialog, "hello");
    alice.expect(&mut net, 503);
    net.settle();
}

#[test]
fn flows_that_are_not_open() {
    let mut net = Net::new();
    assert_eq!(net.try_send(FlowId(5), "\r\n\r\n"), Err(Refused::UnknownFlow));
    let flow = net.open();
    net.close(flow);
    assert_eq!(net.try_send(flow, "\r\n\r\n"), Err(Refused::UnknownFlow));
    net.proxy.handle_flow_closed(net.now, flow);
    assert_eq!(net.proxy.stats().unknown_flow, 2);
}
