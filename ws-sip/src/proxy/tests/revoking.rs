//! What is left to users who are taken out of the users file, or get another secret.

use super::ua::SDP;
use super::*;
use crate::auth::{Authenticator, answer};
use crate::proxy::Refused;

const USERS: &str = "alice::secret\nbob::hidden\na%20c::third";

/// A proxy with [`USERS`], and a flow of each that has registered.
fn registered() -> (Net, [Ua; 3]) {
    let mut net = Net::new();
    let users = USERS.parse().unwrap();
    net.proxy.set_authenticator(Some(Authenticator::new(users, "example.com", &[9; 32])));
    let phones = [("alice", "secret"), ("bob", "hidden"), ("a%20c", "third")].map(|(user, password)| {
        // An escape stands in the name alone, not in the host that the stack makes of it.
        let mut ua = Ua::new(&mut net, &user[..1], Stack::JsSip);
        ua.user = user;
        let contact = format!("Contact: <{}>;expires=600\r\n", ua.contact);
        let refused = ua.register_with(&mut net, &contact);
        let answer =
            answer(refused.all("WWW-Authenticate")[0], user, password, "REGISTER", "sip:example.com");
        let registered = ua.register_with(&mut net, &format!("{contact}Authorization: {answer}\r\n"));
        assert_eq!(registered.status(), 200);
        ua
    });
    (net, phones)
}

#[test]
fn who_is_gone_neither_calls_nor_is_called() {
    let (mut net, [mut alice, mut bob, mut third]) = registered();
    net.proxy.set_users(net.now, "bob::hidden".parse().unwrap());
    assert_eq!(net.proxy.registrar().len(), 1);
    for gone in [&mut alice, &mut third] {
        let mut dialog = bob.to(&gone.aor());
        bob.send(&mut net, "MESSAGE", &mut dialog, "are you there?");
        bob.expect(&mut net, 480);
        let mut dialog = gone.to(&bob.aor());
        gone.send(&mut net, "MESSAGE", &mut dialog, "hello");
        gone.expect(&mut net, 407);
    }
    net.quiet();
    // Whoever stays does not notice.
    let mut dialog = bob.to(&bob.aor());
    bob.send(&mut net, "MESSAGE", &mut dialog, "note");
    let message = bob.incoming(&mut net, "MESSAGE");
    bob.reply(&mut net, &message, "200 OK");
    bob.expect(&mut net, 200);
    // Who comes back proves himself anew.
    net.proxy.set_users(net.now, USERS.parse().unwrap());
    let mut dialog = alice.to(&bob.aor());
    alice.send(&mut net, "MESSAGE", &mut dialog, "hello");
    alice.expect(&mut net, 407);
    net.quiet();
}

/// A new secret is asked for, and the binding that the old one made lasts.
#[test]
fn another_secret_is_to_be_proven() {
    let (mut net, [mut alice, mut bob, _]) = registered();
    net.proxy.set_users(net.now, USERS.replace("secret", "changed").parse().unwrap());
    let mut dialog = alice.to(&bob.aor());
    alice.send(&mut net, "MESSAGE", &mut dialog, "hello");
    alice.expect(&mut net, 407);
    let mut dialog = bob.to(&alice.aor());
    bob.send(&mut net, "MESSAGE", &mut dialog, "hello");
    let message = alice.incoming(&mut net, "MESSAGE");
    alice.reply(&mut net, &message, "200 OK");
    bob.expect(&mut net, 200);
    net.quiet();
}

/// The INVITE was proven, and there is no challenge for its ACK (RFC 3261 section 22.1).
#[test]
fn a_call_that_rings_is_answered_all_the_same() {
    let (mut net, [mut alice, mut bob, _]) = registered();
    let mut dialog = alice.to(&bob.aor());
    alice.send(&mut net, "INVITE", &mut dialog, SDP);
    alice.expect(&mut net, 100);
    let invite = bob.incoming(&mut net, "INVITE");
    net.proxy.set_users(net.now, USERS.replace("secret", "changed").parse().unwrap());
    // Not before there is something to acknowledge.
    let early = alice.request("ACK", "early", &dialog, "");
    assert_eq!(net.try_send(alice.flow, early), Err(Refused::UnprovenAck));
    bob.reply(&mut net, &invite, "200 OK");
    dialog.confirm(&alice.expect(&mut net, 200));
    for _ in 0..2 {
        // A 200 that is sent once more is acknowledged once more.
        alice.send(&mut net, "ACK", &mut dialog, "");
        bob.incoming(&mut net, "ACK");
    }
    // Neither another flow's, nor another request's, nor under another name.
    let ack = alice.request("ACK", "other", &dialog, "");
    let mut mallory = Ua::new(&mut net, "alice", Stack::JsSip);
    mallory.host.clone_from(&alice.host);
    assert_eq!(net.try_send(mallory.flow, &ack), Err(Refused::UnprovenAck));
    let cseq = format!("CSeq: {} ACK", dialog.cseq);
    for (part, other) in
        [(cseq.as_str(), "CSeq: 99 ACK"), ("<sip:alice@", "<sip:carol@"), ("Call-ID: ", "Call-ID: x")]
    {
        assert_eq!(net.try_send(alice.flow, ack.replace(part, other)), Err(Refused::UnprovenAck));
    }
    // All else needs the new secret.
    alice.send(&mut net, "BYE", &mut dialog, "");
    alice.expect(&mut net, 407);
    let mut back = bob.dialog_of(&invite);
    bob.send(&mut net, "BYE", &mut back, "");
    let bye = alice.incoming(&mut net, "BYE");
    alice.reply(&mut net, &bye, "200 OK");
    bob.expect(&mut net, 200);
    net.settle();
    assert!(net.proxy.transactions.is_clean());
    assert_eq!(net.try_send(alice.flow, ack), Err(Refused::UnprovenAck), "once the INVITE is forgotten");
}

/// A user file that says the same in other words asks for no proof.
#[test]
fn the_same_secret_as_a_hash_is_not_to_be_proven() {
    let (mut net, [mut alice, bob, _]) = registered();
    // MD5 of alice:example.com:secret.
    let hashed = "alice:example.com:b1726872c344b6dc8365b774f8fd6412";
    net.proxy.set_users(net.now, USERS.replace("alice::secret", hashed).parse().unwrap());
    let mut dialog = alice.to(&bob.aor());
    alice.send(&mut net, "MESSAGE", &mut dialog, "hello");
    let message = bob.incoming(&mut net, "MESSAGE");
    bob.reply(&mut net, &message, "200 OK");
    alice.expect(&mut net, 200);
}
