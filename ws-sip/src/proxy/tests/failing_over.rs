//! One user agent with several flows: RFC 5626 section 7.

use super::ua::SDP;
use super::*;

/// A caller, and bob's user agent as it is at the end of each of its flows, the newest last.
fn bob_with<const N: usize>(net: &mut Net) -> (Ua, [Ua; N]) {
    let alice = Ua::registered(net, "alice", Stack::JsSip);
    let mut instance = None;
    let flows = core::array::from_fn(|index| {
        let mut bob = Ua::new(net, "bob", Stack::JsSip);
        bob.instance = instance.get_or_insert_with(|| bob.instance.clone()).clone();
        let contact = format!(
            "Contact: <{}>;reg-id={};+sip.instance=\"<{}>\";expires=600\r\n",
            bob.contact,
            index + 1,
            bob.instance
        );
        assert_eq!(bob.register_with(net, &contact).status(), 200);
        bob
    });
    (alice, flows)
}

fn invite(net: &mut Net, alice: &mut Ua) -> Dialog {
    let mut dialog = alice.to("sip:bob@example.com");
    dialog.cseq = 7;
    net.send(alice.flow, alice.request("INVITE", "call", &dialog, SDP));
    alice.expect(net, 100);
    dialog
}

#[test]
fn a_text_takes_the_other_flow_when_one_vanishes() {
    for to_instance in [false, true] {
        let mut net = Net::new();
        let (mut alice, [oldest, older, newest]) = bob_with::<3>(&mut net);
        let gruu = format!("sip:bob@example.com;gr={}", newest.instance);
        let target = if to_instance { &gruu } else { "sip:bob@example.com" };
        let mut dialog = alice.to(target);
        alice.send(&mut net, "MESSAGE", &mut dialog, "hello");
        let first = newest.incoming(&mut net, "MESSAGE");
        net.quiet();
        net.close(newest.flow);
        let second = older.incoming(&mut net, "MESSAGE");
        assert_eq!(second.uri(), older.contact);
        assert_eq!((second.body(), second.one("Max-Forwards")), ("hello", first.one("Max-Forwards")));
        assert_ne!(second.all("Via")[0], first.all("Via")[0], "a branch of its own");
        net.quiet();
        net.close(older.flow);
        let third = oldest.incoming(&mut net, "MESSAGE");
        oldest.reply(&mut net, &third, "200 OK");
        alice.expect(&mut net, 200);
        net.settle();
        assert_eq!((net.proxy.stats().failed_flows, net.proxy.stats().forwarded_requests), (2, 3));

        // The last one was all there was.
        alice.send(&mut net, "MESSAGE", &mut dialog, "again");
        oldest.incoming(&mut net, "MESSAGE");
        net.close(oldest.flow);
        alice.expect(&mut net, 480);
        net.settle();
        assert!(net.proxy.transactions.is_clean());
    }
}

#[test]
fn a_call_takes_the_other_flow_when_the_one_that_rings_vanishes() {
    let mut net = Net::new();
    let (mut alice, [mut older, newest]) = bob_with::<2>(&mut net);
    let mut dialog = invite(&mut net, &mut alice);
    let rings = newest.incoming(&mut net, "INVITE");
    newest.reply(&mut net, &rings, "180 Ringing");
    alice.expect(&mut net, 180);
    net.close(newest.flow);
    let invite = older.incoming(&mut net, "INVITE");
    net.send(older.flow, older.answer(&invite, "200 OK", SDP));
    dialog.confirm(&alice.expect(&mut net, 200));
    assert_eq!(net.proxy.transactions.retries_len(), 0);
    alice.send(&mut net, "ACK", &mut dialog, "");
    older.incoming(&mut net, "ACK");
    let mut back = older.dialog_of(&invite);
    older.send(&mut net, "INFO", &mut back, "");
    let info = alice.incoming(&mut net, "INFO");
    alice.reply(&mut net, &info, "200 OK");
    older.expect(&mut net, 200);
    alice.send(&mut net, "BYE", &mut dialog, "");
    let bye = older.incoming(&mut net, "BYE");
    older.reply(&mut net, &bye, "200 OK");
    alice.expect(&mut net, 200);
    net.settle();
    assert!(net.proxy.transactions.is_clean());
}

#[test]
fn who_hangs_up_is_not_put_through_again() {
    let mut net = Net::new();
    let (mut alice, [older, newest]) = bob_with::<2>(&mut net);
    for is_moved in [true, false] {
        let dialog = invite(&mut net, &mut alice);
        let mut rings = (&newest, newest.incoming(&mut net, "INVITE"));
        if is_moved {
            newest.reply(&mut net, &rings.1, "430 Flow Failed");
            newest.incoming(&mut net, "ACK");
            rings = (&older, older.incoming(&mut net, "INVITE"));
        }
        let (bob, invite) = rings;
        bob.reply(&mut net, &invite, "180 Ringing");
        alice.expect(&mut net, 180);
        net.send(alice.flow, alice.request("CANCEL", "call", &dialog, ""));
        alice.expect(&mut net, 200);
        let cancel = bob.incoming(&mut net, "CANCEL");
        if is_moved {
            bob.reply(&mut net, &cancel, "200 OK");
            bob.reply(&mut net, &invite, "487 Request Terminated");
            bob.incoming(&mut net, "ACK");
        } else {
            net.close(bob.flow);
        }
        alice.expect(&mut net, 487);
        net.settle();
    }
}

/// Each flow is tried once; and what another phone of the user says stands.
#[test]
fn a_flow_that_failed_behind_another_proxy() {
    let mut net = Net::new();
    let (mut alice, [older, newest]) = bob_with::<2>(&mut net);
    let phone = Ua::registered(&mut net, "bob", Stack::SipJs);
    invite(&mut net, &mut alice);
    let ringing = phone.incoming(&mut net, "INVITE");
    for bob in [&newest, &older] {
        let invite = bob.incoming(&mut net, "INVITE");
        bob.reply(&mut net, &invite, "430 Flow Failed");
        bob.incoming(&mut net, "ACK");
    }
    net.quiet();
    phone.reply(&mut net, &ringing, "302 Moved Temporarily");
    phone.incoming(&mut net, "ACK");
    alice.expect(&mut net, 302);
    net.settle();

    // Who has answered is not asked again.
    let mut dialog = alice.to("sip:bob@example.com");
    alice.send(&mut net, "MESSAGE", &mut dialog, "hello");
    let message = newest.incoming(&mut net, "MESSAGE");
    newest.reply(&mut net, &message, "486 Busy Here");
    let message = phone.incoming(&mut net, "MESSAGE");
    net.close(newest.flow);
    net.quiet();
    phone.reply(&mut net, &message, "486 Busy Here");
    alice.expect(&mut net, 486);
    net.settle();
}

/// A client has given up on a request other than INVITE after 64*T1 (Timer F), however often it was sent.
#[test]
fn another_flow_has_what_is_left_of_the_time() {
    let mut net = Net::new();
    let (mut alice, [older, newest]) = bob_with::<2>(&mut net);
    let mut dialog = alice.to("sip:bob@example.com");
    alice.send(&mut net, "MESSAGE", &mut dialog, "hello");
    newest.incoming(&mut net, "MESSAGE");
    net.advance(20);
    net.close(newest.flow);
    older.incoming(&mut net, "MESSAGE");
    net.advance(12);
    assert_eq!(net.proxy.transactions(), 0);
    net.quiet();
}

#[test]
fn what_is_kept_to_be_sent_again_is_bounded() {
    let mut net = Net::with(|config| config.max_stored_len = 2_000);
    let (mut alice, [_, newest]) = bob_with::<2>(&mut net);
    let mut dialog = alice.to("sip:bob@example.com");
    alice.send(&mut net, "MESSAGE", &mut dialog, &"x".repeat(2_000));
    newest.incoming(&mut net, "MESSAGE");
    assert_eq!(net.proxy.transactions.retries_len(), 0);
    net.close(newest.flow);
    alice.expect(&mut net, 480);
    net.settle();
}

/// What is kept for a fail-over is worth no other request.
#[test]
fn what_is_kept_to_be_sent_again_refuses_nobody() {
    let mut net = Net::with(|config| config.max_stored_len = 16_000);
    let (mut alice, [older, newest]) = bob_with::<2>(&mut net);
    let mut carol = Ua::registered(&mut net, "carol", Stack::SipJs);
    let mut dialog = alice.to("sip:bob@example.com");
    for _ in 0..24 {
        alice.send(&mut net, "MESSAGE", &mut dialog, &"x".repeat(600));
        newest.incoming(&mut net, "MESSAGE");
    }
    let kept = net.proxy.transactions.retries_len();
    assert!((3_000..=4_000).contains(&kept), "{kept}");
    let mut to_alice = carol.to(&alice.aor());
    carol.send(&mut net, "MESSAGE", &mut to_alice, "hello");
    let message = alice.incoming(&mut net, "MESSAGE");
    alice.reply(&mut net, &message, "200 OK");
    carol.expect(&mut net, 200);
    assert_eq!(net.proxy.stats().overloads, 0);
    // Those that found room take the other flow.
    let before = net.proxy.stats().forwarded_requests;
    net.close(newest.flow);
    let moved = net.proxy.stats().forwarded_requests - before;
    assert!((3..24).contains(&moved), "{moved}");
    for _ in 0..moved {
        older.incoming(&mut net, "MESSAGE");
    }
    for _ in moved..24 {
        alice.expect(&mut net, 480);
    }
    net.settle();
    assert!(net.proxy.transactions.is_clean());
}
