//! What is left to users who are taken out of the users file, or get another secret.

use super::*;
use crate::auth::{Authenticator, answer};

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
