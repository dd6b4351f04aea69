//! MESSAGE, OPTIONS and keepalives.

use super::*;
use crate::proxy::{Action, Kind, Refused};
use crate::sip::Fault;

#[test]
fn two_users_send_each_other_text() {
    for (one, other) in [(Stack::JsSip, Stack::SipJs), (Stack::SipJs, Stack::JsSip)] {
        let mut net = Net::new();
        let mut alice = Ua::registered(&mut net, "alice", one);
        let mut bob = Ua::registered(&mut net, "bob", other);
        let (alice_too, bob_too) = (alice.clone(), bob.clone());
        let texts = [(&mut alice, &bob_too, "Grüße, 你好 👋"), (&mut bob, &alice_too, "ok\r\n\r\nok")];
        for (from, to, text) in texts {
            let mut dialog = from.to(&to.aor());
            from.send(&mut net, "MESSAGE", &mut dialog, text);
            let message = to.incoming(&mut net, "MESSAGE");
            assert_eq!(message.uri(), to.contact);
            assert_eq!(message.body(), text);
            assert_eq!(message.all("Via").len(), 2);
            assert!(message.all("Via")[0].starts_with("SIP/2.0/WS proxy.example.com:8080;branch=z9hG4bK"));
            let hops = if from.stack == Stack::JsSip { "68" } else { "69" };
            assert_eq!(message.one("Max-Forwards"), hops);
            assert!(message.all("Record-Route").is_empty(), "a MESSAGE opens no dialog");
            to.reply(&mut net, &message, "200 OK");
            from.expect(&mut net, 200);
        }
        net.quiet();
        assert_eq!(net.proxy.transactions(), 0);
        assert_eq!(net.proxy.stats().forwarded_requests, 2);
        assert_eq!(net.proxy.stats().forwarded_responses, 2);
    }
}

#[test]
fn what_is_not_utf_8_leaves_as_binary() {
    let mut net = Net::new();
    let alice = Ua::registered(&mut net, "alice", Stack::JsSip);
    let mut bob = Ua::registered(&mut net, "bob", Stack::JsSip);
    let dialog = bob.to(&alice.aor());
    let mut message = bob.request("MESSAGE", "1", &dialog, "12345").into_bytes();
    let end = message.len();
    message[end - 2] = 0xff;
    assert_eq!(net.proxy.handle_message(net.now, bob.flow, &message, Kind::Binary), Ok(()));
    let Some(Action::SendBinary { flow, bytes }) = net.proxy.poll_action() else { panic!("not binary") };
    assert_eq!(flow, alice.flow);
    assert!(bytes.ends_with(b"123\xff5"));
    assert_eq!(net.proxy.poll_action(), None);
}

#[test]
fn keepalives_are_answered_in_kind() {
    let mut net = Net::new();
    let flow = net.open();
    net.send(flow, "\r\n\r\n");
    assert_eq!(net.recv(flow).0, "\r\n");
    assert_eq!(net.proxy.handle_message(net.now, flow, b"\r\n\r\n", Kind::Binary), Ok(()));
    assert_eq!(net.proxy.poll_action(), Some(Action::SendBinary { flow, bytes: b"\r\n".to_vec() }));
    net.send(flow, "\r\n");
    net.quiet();
    assert_eq!(net.proxy.stats().keepalive_pings, 2);
    assert_eq!(net.proxy.stats().keepalive_pongs, 1);
}

/// RFC 3261 section 11.2, and JsSIP's way of writing the server's own address.
#[test]
fn options_to_the_server_are_answered() {
    let mut net = Net::new();
    let mut alice = Ua::new(&mut net, "alice", Stack::SipJs);
    for target in [
        "sip:example.com",
        "sip:example.com@example.com",
        "sip:proxy.example.com:8080;transport=ws",
        "sip:127.0.0.1",
    ] {
        let mut dialog = alice.to(target);
        alice.send(&mut net, "OPTIONS", &mut dialog, "");
        let reply = alice.expect(&mut net, 200);
        assert!(reply.one("Allow").contains("INVITE"));
        assert_eq!(reply.one("Accept"), "*/*");
        assert!(reply.one("Supported").contains("outbound"));
        assert!(reply.tag_of("To").is_some());
        assert_eq!(reply.one("Content-Length"), "0");
    }
    net.quiet();
    assert_eq!(net.proxy.transactions(), 0, "what is answered here leaves nothing behind");
}

#[test]
fn options_to_a_user_reach_the_user() {
    let mut net = Net::new();
    let alice = Ua::registered(&mut net, "alice", Stack::JsSip);
    let mut bob = Ua::registered(&mut net, "bob", Stack::SipJs);
    let mut dialog = bob.to(&alice.aor());
    bob.send(&mut net, "OPTIONS", &mut dialog, "");
    let options = alice.incoming(&mut net, "OPTIONS");
    alice.reply(&mut net, &options, "200 OK");
    bob.expect(&mut net, 200);
    net.quiet();
}

#[test]
fn other_requests_to_the_server_are_refused() {
    let mut net = Net::new();
    let mut alice = Ua::registered(&mut net, "alice", Stack::JsSip);
    let mut dialog = alice.to("sip:example.com");
    alice.send(&mut net, "MESSAGE", &mut dialog, "hello?");
    assert_eq!(alice.expect(&mut net, 405).one("Allow"), "OPTIONS, REGISTER");
    alice.send(&mut net, "BREW", &mut dialog, "");
    alice.expect(&mut net, 501);
    net.quiet();
}

#[test]
fn a_request_of_a_method_that_is_not_known_is_forwarded() {
    let mut net = Net::new();
    let alice = Ua::registered(&mut net, "alice", Stack::JsSip);
    let mut bob = Ua::registered(&mut net, "bob", Stack::SipJs);
    let mut dialog = bob.to(&alice.aor());
    bob.send(&mut net, "BREW", &mut dialog, "");
    let brew = alice.incoming(&mut net, "BREW");
    alice.reply(&mut net, &brew, "418 I'm A Teapot");
    bob.expect(&mut net, 418);
    net.quiet();
}

/// RFC 7118 section 5.1, RFC 3261 section 18.3.
#[test]
fn a_websocket_message_holds_one_sip_message() {
    let mut net = Net::new();
    let alice = Ua::registered(&mut net, "alice", Stack::JsSip);
    let mut bob = Ua::registered(&mut net, "bob", Stack::SipJs);
    let dialog = bob.to(&alice.aor());
    let message = bob.request("MESSAGE", "1", &dialog, "hello");

    assert_eq!(
        net.try_send(bob.flow, message.clone() + &message),
        Err(Refused::Malformed(Fault::BodyTooLong))
    );
    assert_eq!(bob.expect(&mut net, 400).start_line(), "SIP/2.0 400 Octets After Body");
    assert_eq!(
        net.try_send(bob.flow, &message[..message.len() - 1]),
        Err(Refused::Malformed(Fault::BodyTooShort))
    );
    assert_eq!(bob.expect(&mut net, 400).start_line(), "SIP/2.0 400 Body Shorter Than Content-Length");
    net.quiet();
    assert_eq!(net.proxy.stats().malformed, 2);
    assert_eq!(net.proxy.stats().octets_after_body, 1);

    // Without Content-Length the body is all that follows.
    net.send(bob.flow, message.replace("Content-Length: 5\r\n", ""));
    let received = alice.incoming(&mut net, "MESSAGE");
    assert_eq!(received.body(), "hello");

    // A response is dropped in the same cases.
    let reply = alice.answer(&received, "200 OK", "");
    assert_eq!(net.try_send(alice.flow, reply.clone() + "x"), Err(Refused::Malformed(Fault::BodyTooLong)));
    let short = reply.replace("Content-Length: 0", "Content-Length: 1");
    assert_eq!(net.try_send(alice.flow, short), Err(Refused::Malformed(Fault::BodyTooShort)));
    net.quiet();
    net.send(alice.flow, reply);
    bob.expect(&mut net, 200);
    net.quiet();
}
