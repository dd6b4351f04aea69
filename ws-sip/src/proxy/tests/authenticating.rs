//! Digest authentication, where there is a users file.

use super::*;
use crate::auth::{Authenticator, answer};

fn guarded() -> Net {
    let mut net = Net::new();
    let users = "alice::secret\nbob::hidden".parse().unwrap();
    net.proxy.set_authenticator(Some(Authenticator::new(users, "example.com", &[9; 32])));
    net
}

/// Registers as the browsers' stacks do: without credentials, and again with them.
#[track_caller]
fn register(net: &mut Net, ua: &mut Ua, password: &str) -> u16 {
    let contact = format!("Contact: <{}>;expires=600\r\n", ua.contact);
    let refused = ua.register_with(net, &contact);
    assert_eq!(refused.status(), 401);
    let challenges = refused.all("WWW-Authenticate");
    let answer = answer(challenges[0], ua.user, password, "REGISTER", "sip:example.com");
    ua.register_with(net, &format!("{contact}Authorization: {answer}\r\n")).status()
}

/// RFC 3261 section 22.2.
#[test]
fn who_registers_must_know_the_password() {
    let mut net = guarded();
    let mut alice = Ua::new(&mut net, "alice", Stack::JsSip);
    assert_eq!(register(&mut net, &mut alice, "wrong"), 401);
    assert_eq!(register(&mut net, &mut alice, "secret"), 200);
    // A stranger's name, a stranger, and a nonce of another flow.
    let mut mallory = Ua::new(&mut net, "mallory", Stack::SipJs);
    assert_eq!(register(&mut net, &mut mallory, "secret"), 401);
    let refused = mallory.register_with(&mut net, "");
    let as_alice =
        answer(refused.all("WWW-Authenticate")[1], "alice", "secret", "REGISTER", "sip:example.com");
    assert_eq!(mallory.register_with(&mut net, &format!("Authorization: {as_alice}\r\n")).status(), 403);
    let mut elsewhere = Ua::new(&mut net, "alice", Stack::JsSip);
    let again = elsewhere.register_with(&mut net, &format!("Authorization: {as_alice}\r\n"));
    assert_eq!(again.status(), 401);
    assert!(again.all("WWW-Authenticate")[0].contains("stale=true"));
    // After ten minutes the nonce is stale.
    net.advance(601);
    let refreshed = alice.register_with(&mut net, "");
    assert_eq!(refreshed.status(), 401);
}

/// RFC 3261 section 22.3.
#[test]
fn who_is_known_calls_under_its_own_name_alone() {
    let mut net = guarded();
    let mut alice = Ua::new(&mut net, "alice", Stack::JsSip);
    let mut bob = Ua::new(&mut net, "bob", Stack::SipJs);
    assert_eq!(register(&mut net, &mut alice, "secret"), 200);
    assert_eq!(register(&mut net, &mut bob, "hidden"), 200);
    let mut dialog = alice.to(&bob.aor());
    alice.send(&mut net, "MESSAGE", &mut dialog, "hello");
    let message = bob.incoming(&mut net, "MESSAGE");
    bob.reply(&mut net, &message, "200 OK");
    alice.expect(&mut net, 200);

    // Over a flow that proved nothing a request is challenged, and its answer goes no further.
    let mut fresh = Ua::new(&mut net, "alice", Stack::JsSip);
    let mut dialog = fresh.to(&bob.aor());
    fresh.send(&mut net, "MESSAGE", &mut dialog, "again");
    let challenged = fresh.expect(&mut net, 407);
    let credentials =
        answer(challenged.all("Proxy-Authenticate")[0], "alice", "secret", "MESSAGE", &bob.aor());
    let request = fresh.request("MESSAGE", "auth2", &dialog, "again");
    let request = request.replacen("\r\n", &format!("\r\nProxy-Authorization: {credentials}\r\n"), 1);
    net.send(fresh.flow, request);
    let message = bob.incoming(&mut net, "MESSAGE");
    assert!(message.all("Proxy-Authorization").is_empty());
    bob.reply(&mut net, &message, "200 OK");
    fresh.expect(&mut net, 200);

    // Another's name is not believed.
    let mut dialog = bob.to(&alice.aor());
    let request = bob
        .request("MESSAGE", "forged", &dialog, "x")
        .replace("sip:bob@example.com>;tag", "sip:carol@example.com>;tag");
    net.send(bob.flow, request);
    bob.expect(&mut net, 407);
    // Anybody may ask what is here.
    dialog.target = "sip:example.com".into();
    let options = fresh.request("OPTIONS", "who", &dialog, "");
    net.send(fresh.flow, options);
    fresh.expect(&mut net, 200);
    net.quiet();
}
