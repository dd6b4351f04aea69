//! Calls between two user agents.

use super::ua::SDP;
use super::*;

/// INVITE, 180, 200, ACK: both sides' dialogs.
fn call(net: &mut Net, caller: &mut Ua, callee: &Ua) -> (Dialog, Dialog) {
    let mut dialog = caller.to(&callee.aor());
    caller.send(net, "INVITE", &mut dialog, SDP);
    let trying = caller.expect(net, 100);
    assert_eq!(trying.tag_of("To"), None, "a 100 has no To tag");
    let invite = callee.incoming(net, "INVITE");
    assert_eq!(invite.uri(), callee.contact);
    assert_eq!(invite.all("Record-Route").len(), 2);
    assert_eq!(invite.body(), SDP);

    callee.reply(net, &invite, "100 Trying");
    callee.reply(net, &invite, "180 Ringing");
    let ringing = caller.expect(net, 180);
    assert_eq!(ringing.tag_of("To"), Some(callee.local_tag().as_str()));
    net.send(callee.flow, callee.answer(&invite, "200 OK", SDP));
    let ok = caller.expect(net, 200);
    assert_eq!(ok.body(), SDP);
    dialog.confirm(&ok);
    net.quiet();

    caller.send(net, "ACK", &mut dialog, "");
    let ack = callee.incoming(net, "ACK");
    assert!(ack.all("Route").is_empty(), "our Route values are taken off");
    assert_eq!(ack.all("Via").len(), 2);
    net.quiet();
    (dialog, callee.dialog_of(&invite))
}

/// A request inside a dialog, and its answer.
fn in_dialog(net: &mut Net, from: &mut Ua, to: &Ua, method: &str, dialog: &mut Dialog) {
    from.send(net, method, dialog, if method == "INVITE" { SDP } else { "" });
    if method == "INVITE" {
        from.expect(net, 100);
    }
    let request = to.incoming(net, method);
    assert!(request.all("Route").is_empty());
    to.reply(net, &request, "200 OK");
    from.expect(net, 200);
    if method == "INVITE" {
        from.send(net, "ACK", dialog, "");
        to.incoming(net, "ACK");
    }
    net.quiet();
}

#[test]
fn a_call_and_requests_of_both_sides_in_all_pairings() {
    use Stack::{JsSip, SipJs};
    for (one, other) in [(JsSip, JsSip), (JsSip, SipJs), (SipJs, JsSip), (SipJs, SipJs)] {
        let mut net = Net::new();
        let mut alice = Ua::registered(&mut net, "alice", one);
        let mut bob = Ua::registered(&mut net, "bob", other);
        let (mut to_bob, mut to_alice) = call(&mut net, &mut alice, &bob);
        in_dialog(&mut net, &mut bob, &alice, "INFO", &mut to_alice);
        in_dialog(&mut net, &mut alice, &bob, "INVITE", &mut to_bob);
        in_dialog(&mut net, &mut bob, &alice, "INVITE", &mut to_alice);
        in_dialog(&mut net, &mut alice, &bob, "UPDATE", &mut to_bob);
        in_dialog(&mut net, &mut bob, &alice, "BYE", &mut to_alice);
        net.settle();
        assert_eq!(net.proxy.stats().stray_responses + net.proxy.stats().stray_acks, 0);
        assert!(net.proxy.transactions.is_clean());
    }
}

#[test]
fn a_caller_need_not_be_registered() {
    let mut net = Net::new();
    let mut alice = Ua::new(&mut net, "alice", Stack::SipJs);
    let mut bob = Ua::registered(&mut net, "bob", Stack::JsSip);
    let (_, mut to_alice) = call(&mut net, &mut alice, &bob);
    in_dialog(&mut net, &mut bob, &alice, "BYE", &mut to_alice);
    net.settle();
}

#[test]
fn a_busy_callee() {
    let mut net = Net::new();
    let mut alice = Ua::registered(&mut net, "alice", Stack::JsSip);
    let bob = Ua::registered(&mut net, "bob", Stack::SipJs);
    let mut dialog = alice.to(&bob.aor());
    alice.send(&mut net, "INVITE", &mut dialog, SDP);
    alice.expect(&mut net, 100);
    let invite = bob.incoming(&mut net, "INVITE");
    bob.reply(&mut net, &invite, "486 Busy Here");

    // 17.1.1.3: each hop acknowledges for itself.
    let busy = alice.expect(&mut net, 486);
    let ack = bob.incoming(&mut net, "ACK");
    assert_eq!(ack.uri(), invite.uri());
    assert_eq!(ack.all("Via"), [invite.all("Via")[0]]);
    assert_eq!(ack.one("From"), invite.one("From"));
    assert_eq!(ack.one("Call-ID"), invite.one("Call-ID"));
    assert_eq!(ack.tag_of("To"), Some(bob.local_tag().as_str()));
    assert_eq!(ack.one("CSeq"), invite.one("CSeq").replace("INVITE", "ACK"));

    let branch = invite.all("Via")[1].split_once("z9hG4bK").unwrap().1;
    net.send(alice.flow, alice.request("ACK", branch, &dialog, ""));
    net.quiet();
    assert_eq!(net.proxy.transactions(), 0, "the ACK ends the transaction");
    assert!(busy.tag_of("To").is_some());
}

#[test]
fn an_ack_that_never_comes_is_not_waited_for_for_ever() {
    let mut net = Net::new();
    let mut alice = Ua::registered(&mut net, "alice", Stack::JsSip);
    let bob = Ua::registered(&mut net, "bob", Stack::SipJs);
    let mut dialog = alice.to(&bob.aor());
    alice.send(&mut net, "INVITE", &mut dialog, SDP);
    alice.expect(&mut net, 100);
    let invite = bob.incoming(&mut net, "INVITE");
    bob.reply(&mut net, &invite, "603 Decline");
    bob.incoming(&mut net, "ACK");
    alice.expect(&mut net, 603);
    assert_eq!(net.proxy.transactions(), 1);
    net.settle();
}

/// Rings `callee` and returns its INVITE with the caller's dialog.
fn ring(net: &mut Net, caller: &mut Ua, callee: &Ua) -> (Dialog, Text) {
    let mut dialog = caller.to(&callee.aor());
    caller.send(net, "INVITE", &mut dialog, SDP);
    caller.expect(net, 100);
    let invite = callee.incoming(net, "INVITE");
    callee.reply(net, &invite, "180 Ringing");
    caller.expect(net, 180);
    (dialog, invite)
}

fn branch_of(invite: &Text) -> &str {
    invite.all("Via")[1].split_once("z9hG4bK").unwrap().1
}

/// RFC 3261 sections 9.2 and 16.10.
#[test]
fn a_caller_hangs_up_before_the_answer() {
    let mut net = Net::new();
    let mut alice = Ua::registered(&mut net, "alice", Stack::JsSip);
    let bob = Ua::registered(&mut net, "bob", Stack::SipJs);
    let (dialog, invite) = ring(&mut net, &mut alice, &bob);

    net.send(alice.flow, alice.request("CANCEL", branch_of(&invite), &dialog, ""));
    assert!(alice.expect(&mut net, 200).one("CSeq").ends_with(" CANCEL"));
    let cancel = bob.incoming(&mut net, "CANCEL");
    assert_eq!(cancel.uri(), invite.uri());
    assert_eq!(cancel.all("Via"), [invite.all("Via")[0]]);
    assert_eq!(cancel.one("To"), invite.one("To"));
    assert_eq!(cancel.one("CSeq"), invite.one("CSeq").replace("INVITE", "CANCEL"));
    net.quiet();

    bob.reply(&mut net, &cancel, "200 OK");
    net.quiet();
    bob.reply(&mut net, &invite, "487 Request Terminated");
    bob.incoming(&mut net, "ACK");
    alice.expect(&mut net, 487);
    net.send(alice.flow, alice.request("ACK", branch_of(&invite), &dialog, ""));
    net.quiet();
    assert_eq!(net.proxy.transactions(), 0);
}

/// RFC 3261 section 9.1: CANCEL waits for a provisional response.
#[test]
fn a_cancel_before_any_response_waits_for_one() {
    let mut net = Net::new();
    let mut alice = Ua::registered(&mut net, "alice", Stack::JsSip);
    let bob = Ua::registered(&mut net, "bob", Stack::SipJs);
    let mut dialog = alice.to(&bob.aor());
    alice.send(&mut net, "INVITE", &mut dialog, SDP);
    alice.expect(&mut net, 100);
    let invite = bob.incoming(&mut net, "INVITE");
    net.send(alice.flow, alice.request("CANCEL", branch_of(&invite), &dialog, ""));
    alice.expect(&mut net, 200);
    net.quiet();
    bob.reply(&mut net, &invite, "100 Trying");
    let cancel = bob.incoming(&mut net, "CANCEL");
    bob.reply(&mut net, &cancel, "200 OK");
    bob.reply(&mut net, &invite, "487 Request Terminated");
    bob.incoming(&mut net, "ACK");
    alice.expect(&mut net, 487);
    net.settle();
}

#[test]
fn a_cancel_that_crosses_the_answer_is_too_late() {
    let mut net = Net::new();
    let mut alice = Ua::registered(&mut net, "alice", Stack::JsSip);
    let bob = Ua::registered(&mut net, "bob", Stack::SipJs);
    let (dialog, invite) = ring(&mut net, &mut alice, &bob);
    net.send(bob.flow, bob.answer(&invite, "200 OK", SDP));
    alice.expect(&mut net, 200);
    net.send(alice.flow, alice.request("CANCEL", branch_of(&invite), &dialog, ""));
    alice.expect(&mut net, 200);
    net.settle();
}

#[test]
fn a_cancel_of_nothing() {
    let mut net = Net::new();
    let mut alice = Ua::registered(&mut net, "alice", Stack::JsSip);
    let bob = Ua::registered(&mut net, "bob", Stack::SipJs);
    let (dialog, invite) = ring(&mut net, &mut alice, &bob);
    net.send(alice.flow, alice.request("CANCEL", "other", &dialog, ""));
    alice.expect(&mut net, 481);
    // Another client cannot cancel the call even if it knows the branch.
    let mallory = net.open();
    net.send(mallory, alice.request("CANCEL", branch_of(&invite), &dialog, ""));
    net.expect(mallory, "SIP/2.0 481 ");
    net.quiet();
    net.send(bob.flow, bob.answer(&invite, "200 OK", SDP));
    alice.expect(&mut net, 200);
    net.settle();
}

/// Timer B: nothing at all comes back.
#[test]
fn a_callee_that_says_nothing() {
    let mut net = Net::new();
    let mut alice = Ua::registered(&mut net, "alice", Stack::JsSip);
    let bob = Ua::registered(&mut net, "bob", Stack::SipJs);
    let mut dialog = alice.to(&bob.aor());
    alice.send(&mut net, "INVITE", &mut dialog, SDP);
    alice.expect(&mut net, 100);
    bob.incoming(&mut net, "INVITE");
    net.advance(31);
    net.quiet();
    net.advance(1);
    alice.expect(&mut net, 408);
    net.settle();
    assert_eq!(net.proxy.stats().timeouts, 1);
}

/// Timer C, started again by each provisional response (RFC 3261 section 16.7 item 2), then CANCEL (16.8).
#[test]
fn a_callee_that_rings_for_too_long() {
    let mut net = Net::new();
    let mut alice = Ua::registered(&mut net, "alice", Stack::JsSip);
    let bob = Ua::registered(&mut net, "bob", Stack::SipJs);
    let (_, invite) = ring(&mut net, &mut alice, &bob);
    net.advance(180);
    bob.reply(&mut net, &invite, "180 Ringing");
    alice.expect(&mut net, 180);
    net.advance(180);
    net.quiet();
    net.advance(1);
    bob.incoming(&mut net, "CANCEL");
    net.advance(31);
    net.quiet();
    net.advance(1);
    alice.expect(&mut net, 408);
    net.settle();
}

/// RFC 4320 section 4.2: a request other than INVITE ends in silence.
#[test]
fn a_text_that_is_never_answered() {
    let mut net = Net::new();
    let mut alice = Ua::registered(&mut net, "alice", Stack::JsSip);
    let bob = Ua::registered(&mut net, "bob", Stack::SipJs);
    let mut dialog = alice.to(&bob.aor());
    alice.send(&mut net, "MESSAGE", &mut dialog, "hello");
    let message = bob.incoming(&mut net, "MESSAGE");
    net.settle();
    assert!(net.try_send(bob.flow, bob.answer(&message, "200 OK", "")).is_err(), "too late");
    net.quiet();
}
