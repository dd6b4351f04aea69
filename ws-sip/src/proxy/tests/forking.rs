//! One user, several user agents.

use super::ua::SDP;
use super::*;

/// A caller and `N` user agents of bob.
fn many<const N: usize>(net: &mut Net) -> (Ua, [Ua; N]) {
    let stack = |index: usize| if index.is_multiple_of(2) { Stack::JsSip } else { Stack::SipJs };
    let alice = Ua::registered(net, "alice", Stack::JsSip);
    let bobs = core::array::from_fn(|index| {
        let mut bob = Ua::new(net, "bob", stack(index));
        let contact = format!("Contact: <{}>;expires=600\r\n", bob.contact);
        assert_eq!(bob.register_with(net, &contact).all("Contact").len(), index + 1);
        bob
    });
    (alice, bobs)
}

fn invite<const N: usize>(net: &mut Net, alice: &mut Ua, bobs: &[Ua; N]) -> (Dialog, [Text; N]) {
    let mut dialog = alice.to("sip:bob@example.com");
    alice.send(net, "INVITE", &mut dialog, SDP);
    alice.expect(net, 100);
    let invites = core::array::from_fn(|index| bobs[index].incoming(net, "INVITE"));
    net.quiet();
    (dialog, invites)
}

/// RFC 3261 section 16.7: the first 2xx goes up at once, the others are cancelled.
#[test]
fn the_first_to_answer_takes_the_call() {
    let mut net = Net::new();
    let (mut alice, bobs) = many::<3>(&mut net);
    let (mut dialog, invites) = invite(&mut net, &mut alice, &bobs);
    for (bob, invite) in bobs.iter().zip(&invites) {
        assert_eq!(invite.uri(), bob.contact);
        bob.reply(&mut net, invite, "180 Ringing");
        assert_eq!(alice.expect(&mut net, 180).tag_of("To"), Some(bob.local_tag().as_str()));
    }
    net.send(bobs[1].flow, bobs[1].answer(&invites[1], "200 OK", SDP));
    dialog.confirm(&alice.expect(&mut net, 200));
    for index in [0, 2] {
        let cancel = bobs[index].incoming(&mut net, "CANCEL");
        bobs[index].reply(&mut net, &cancel, "200 OK");
        bobs[index].reply(&mut net, &invites[index], "487 Request Terminated");
        bobs[index].incoming(&mut net, "ACK");
    }
    net.quiet();
    alice.send(&mut net, "ACK", &mut dialog, "");
    bobs[1].incoming(&mut net, "ACK");
    alice.send(&mut net, "BYE", &mut dialog, "");
    let bye = bobs[1].incoming(&mut net, "BYE");
    bobs[1].reply(&mut net, &bye, "200 OK");
    alice.expect(&mut net, 200);
    net.settle();
}

/// RFC 3261 section 16.7 item 5: each 2xx to INVITE is forwarded, also one that crosses the CANCEL.
#[test]
fn two_that_answer_at_once() {
    let mut net = Net::new();
    let (mut alice, bobs) = many::<2>(&mut net);
    let (_, invites) = invite(&mut net, &mut alice, &bobs);
    bobs[1].reply(&mut net, &invites[1], "180 Ringing");
    alice.expect(&mut net, 180);
    net.send(bobs[0].flow, bobs[0].answer(&invites[0], "200 OK", SDP));
    alice.expect(&mut net, 200);
    bobs[1].incoming(&mut net, "CANCEL");
    net.send(bobs[1].flow, bobs[1].answer(&invites[1], "200 OK", SDP));
    let second = alice.expect(&mut net, 200);
    assert_eq!(second.tag_of("To"), Some(bobs[1].local_tag().as_str()));
    // One that had not even rung is cancelled when it does.
    net.settle();
}

#[test]
fn one_that_rings_after_the_answer_is_cancelled_then() {
    let mut net = Net::new();
    let (mut alice, bobs) = many::<2>(&mut net);
    let (_, invites) = invite(&mut net, &mut alice, &bobs);
    net.send(bobs[0].flow, bobs[0].answer(&invites[0], "200 OK", SDP));
    alice.expect(&mut net, 200);
    net.quiet();
    bobs[1].reply(&mut net, &invites[1], "180 Ringing");
    bobs[1].incoming(&mut net, "CANCEL");
    net.settle();
}

/// RFC 3261 section 16.7 item 6.
#[test]
fn the_best_of_several_refusals() {
    for (first, second, best) in [
        ("486 Busy Here", "480 Temporarily Unavailable", 486),
        ("480 Temporarily Unavailable", "486 Busy Here", 480),
        ("500 Server Internal Error", "404 Not Found", 404),
        ("404 Not Found", "302 Moved Temporarily", 302),
        ("404 Not Found", "484 Address Incomplete", 484),
        ("486 Busy Here", "603 Decline", 603),
        ("503 Service Unavailable", "501 Not Implemented", 500),
        ("604 Does Not Exist Anywhere", "301 Moved Permanently", 604),
    ] {
        let mut net = Net::new();
        let (mut alice, bobs) = many::<2>(&mut net);
        let (_, invites) = invite(&mut net, &mut alice, &bobs);
        for ((bob, invite), status) in bobs.iter().zip(&invites).zip([first, second]) {
            net.quiet();
            bob.reply(&mut net, invite, status);
            bob.incoming(&mut net, "ACK");
        }
        alice.expect(&mut net, best);
        net.settle();
    }
}

/// RFC 3261 section 16.7 item 5: a 6xx ends the search.
#[test]
fn a_decline_stops_the_other_phones() {
    let mut net = Net::new();
    let (mut alice, bobs) = many::<2>(&mut net);
    let (_, invites) = invite(&mut net, &mut alice, &bobs);
    bobs[0].reply(&mut net, &invites[0], "180 Ringing");
    alice.expect(&mut net, 180);
    bobs[1].reply(&mut net, &invites[1], "603 Decline");
    bobs[1].incoming(&mut net, "ACK");
    let cancel = bobs[0].incoming(&mut net, "CANCEL");
    bobs[0].reply(&mut net, &cancel, "200 OK");
    net.quiet();
    bobs[0].reply(&mut net, &invites[0], "487 Request Terminated");
    bobs[0].incoming(&mut net, "ACK");
    alice.expect(&mut net, 603);
    net.settle();
}

/// RFC 3261 section 16.7 item 7.
#[test]
fn the_challenges_of_all_branches_reach_the_caller() {
    let mut net = Net::new();
    let (mut alice, bobs) = many::<2>(&mut net);
    let (_, invites) = invite(&mut net, &mut alice, &bobs);
    for (index, status) in ["401 Unauthorized", "407 Proxy Authentication Required"].into_iter().enumerate() {
        let header = ["WWW-Authenticate", "Proxy-Authenticate"][index];
        let reply = bobs[index].answer(&invites[index], status, "");
        let reply = reply.replacen("Via:", &format!("{header}: Digest realm=\"{index}\"\r\nVia:"), 1);
        net.send(bobs[index].flow, reply);
        bobs[index].incoming(&mut net, "ACK");
    }
    let reply = alice.expect(&mut net, 401);
    assert_eq!(reply.one("WWW-Authenticate"), "Digest realm=\"0\"");
    assert_eq!(reply.one("Proxy-Authenticate"), "Digest realm=\"1\"");
    net.settle();
}

#[test]
fn a_text_reaches_all_and_is_answered_once() {
    let mut net = Net::new();
    let (mut alice, bobs) = many::<2>(&mut net);
    let mut dialog = alice.to("sip:bob@example.com");
    alice.send(&mut net, "MESSAGE", &mut dialog, "hello");
    let messages: Vec<_> = bobs.iter().map(|bob| bob.incoming(&mut net, "MESSAGE")).collect();
    bobs[0].reply(&mut net, &messages[0], "415 Unsupported Media Type");
    net.quiet();
    bobs[1].reply(&mut net, &messages[1], "200 OK");
    alice.expect(&mut net, 200);
    net.quiet();
    assert_eq!(net.proxy.transactions(), 0);
}

#[test]
fn a_cancelled_fork() {
    let mut net = Net::new();
    let (mut alice, bobs) = many::<2>(&mut net);
    let (dialog, invites) = invite(&mut net, &mut alice, &bobs);
    for (bob, invite) in bobs.iter().zip(&invites) {
        bob.reply(&mut net, invite, "180 Ringing");
        alice.expect(&mut net, 180);
    }
    let branch = invites[0].all("Via")[1].split_once("z9hG4bK").unwrap().1;
    net.send(alice.flow, alice.request("CANCEL", branch, &dialog, ""));
    alice.expect(&mut net, 200);
    for (bob, invite) in bobs.iter().zip(&invites) {
        net.expect(bob.flow, "CANCEL ");
        bob.reply(&mut net, invite, "487 Request Terminated");
        bob.incoming(&mut net, "ACK");
    }
    alice.expect(&mut net, 487);
    net.settle();
}

#[test]
fn a_limited_fork_takes_the_preferred_and_the_newest() {
    let mut net = Net::with(|config| config.max_branches = 2);
    let mut alice = Ua::registered(&mut net, "alice", Stack::JsSip);
    let mut bobs: Vec<_> = (0..3).map(|_| Ua::new(&mut net, "bob", Stack::SipJs)).collect();
    for (bob, q) in bobs.iter_mut().zip(["0.7", "0.2", "0.2"]) {
        let contact = format!("Contact: <{}>;q={q}\r\n", bob.contact);
        bob.register_with(&mut net, &contact);
    }
    let mut dialog = alice.to("sip:bob@example.com");
    alice.send(&mut net, "MESSAGE", &mut dialog, "hello");
    bobs[0].incoming(&mut net, "MESSAGE");
    bobs[2].incoming(&mut net, "MESSAGE");
    net.settle();
}

/// RFC 5626 section 7: two flows of one instance are two ways to one user agent.
#[test]
fn an_instance_is_called_once() {
    let mut net = Net::new();
    let mut alice = Ua::registered(&mut net, "alice", Stack::JsSip);
    let mut bob = Ua::registered(&mut net, "bob", Stack::JsSip);
    let mut second = bob.clone();
    second.flow = net.open();
    second.host = "second.invalid".to_owned();
    second.contact = "sip:bob2@second.invalid;transport=ws".to_owned();
    let contact = format!("Contact: <{}>;reg-id=2;+sip.instance=\"<{}>\"\r\n", second.contact, bob.instance);
    assert_eq!(second.register_with(&mut net, &contact).all("Contact").len(), 2);
    let mut dialog = alice.to("sip:bob@example.com");
    alice.send(&mut net, "MESSAGE", &mut dialog, "hello");
    second.incoming(&mut net, "MESSAGE");
    net.quiet();

    bob.register(&mut net);
    alice.send(&mut net, "MESSAGE", &mut dialog, "hello");
    bob.incoming(&mut net, "MESSAGE");
    net.settle();
}

/// RFC 5393 section 5.3.
#[test]
fn breadth_is_shared_among_the_branches() {
    let mut net = Net::new();
    let (mut alice, bobs) = many::<2>(&mut net);
    let mut send = |net: &mut Net, breadth: &str| {
        let mut dialog = alice.to("sip:bob@example.com");
        dialog.cseq += 1;
        let request = alice.request("MESSAGE", breadth, &dialog, "hello");
        let request = request.replacen("Max-Forwards", &format!("Max-Breadth: {breadth}\r\nMax-Forwards"), 1);
        net.send(alice.flow, request);
        alice.clone()
    };
    send(&mut net, "9");
    for bob in &bobs {
        assert_eq!(bob.incoming(&mut net, "MESSAGE").one("Max-Breadth"), "4");
    }
    send(&mut net, "1");
    bobs[1].incoming(&mut net, "MESSAGE");
    net.quiet();
    send(&mut net, "0").expect(&mut net, 440);
    send(&mut net, "x").expect(&mut net, 400);
    net.settle();
}
