//! Digest authentication, where there is a users file.

use super::ua::SDP;
use super::*;
use crate::auth::{Authenticator, answer};
use crate::flow::FlowToken;
use crate::proxy::{Config, Refused};

fn guarded() -> Net {
    guarded_in(|_| {})
}

fn guarded_in(change: impl FnOnce(&mut Config)) -> Net {
    guarded_by("alice::secret\nbob::hidden", change)
}

fn guarded_of(users: &str) -> Net {
    guarded_by(users, |_| {})
}

fn guarded_by(users: &str, change: impl FnOnce(&mut Config)) -> Net {
    let mut net = Net::with(change);
    let users = users.parse().unwrap();
    net.proxy.set_authenticator(Some(Authenticator::new(users, "example.com", &[9; 32])));
    net
}

/// Registers as the browsers' stacks do: without credentials, and again with them.
#[track_caller]
fn register(net: &mut Net, ua: &mut Ua, password: &str) -> u16 {
    let contact = format!("Contact: <{}>;+sip.instance=\"<{}>\";expires=600\r\n", ua.contact, ua.instance);
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
    // As JsSIP spells it; but not who is behind a flow of ours.
    dialog.target = "sip:example.com@example.com".into();
    net.send(fresh.flow, fresh.request("OPTIONS", "who2", &dialog, ""));
    fresh.expect(&mut net, 200);
    dialog.target = "sip:example.com".into();
    let token = FlowToken::new(0x0123_4567, bob.flow);
    dialog.route.push(format!("<sip:{token}@proxy.example.com:8080;transport=ws;lr>"));
    net.send(fresh.flow, fresh.request("OPTIONS", "who3", &dialog, ""));
    fresh.expect(&mut net, 407);
    net.quiet();
}

/// An INVITE as a whole call, over the flows that the user agents have.
fn call(net: &mut Net, caller: &mut Ua, callee: &Ua, name: &str) -> (Dialog, Dialog) {
    let mut dialog = caller.to(name);
    dialog.target = callee.aor();
    caller.send(net, "INVITE", &mut dialog, SDP);
    caller.expect(net, 100);
    let invite = callee.incoming(net, "INVITE");
    callee.reply(net, &invite, "200 OK");
    dialog.confirm(&caller.expect(net, 200));
    caller.send(net, "ACK", &mut dialog, "");
    callee.incoming(net, "ACK");
    net.quiet();
    (dialog, callee.dialog_of(&invite))
}

/// RFC 3261 section 22.1: an ACK cannot be challenged.
#[test]
fn an_ack_of_a_stranger_is_dropped() {
    let mut net = guarded();
    let mut alice = Ua::new(&mut net, "alice", Stack::JsSip);
    let mut bob = Ua::new(&mut net, "bob", Stack::SipJs);
    assert_eq!(register(&mut net, &mut bob, "hidden"), 200);
    let mut dialog = alice.to(&bob.aor());
    // The challenge is acknowledged and that is the end of it.
    alice.send(&mut net, "INVITE", &mut dialog, SDP);
    let challenged = alice.expect(&mut net, 407);
    let mut challenge = dialog.clone();
    challenge.confirm_tag(&challenged);
    alice.send(&mut net, "ACK", &mut challenge, "");
    assert_eq!(net.proxy.stats().unproven_acks, 0);
    let stray = alice.request("ACK", "stray", &dialog, "injected");
    assert_eq!(net.try_send(alice.flow, &stray), Err(Refused::UnprovenAck));
    let tagged = stray.replace("To: <sip:bob@example.com>", "To: <sip:bob@example.com>;tag=x");
    assert_eq!(net.try_send(alice.flow, tagged), Err(Refused::UnprovenAck));
    assert_eq!(net.proxy.stats().unproven_acks, 2);
    net.quiet();

    // The credentials of an INVITE prove its flow, so that its ACKs pass: that to a 2xx, and that to a refusal,
    // which ends here.
    let answer = answer(challenged.all("Proxy-Authenticate")[0], "alice", "secret", "INVITE", &bob.aor());
    let invite = alice.request("INVITE", "proven", &dialog, SDP);
    net.send(alice.flow, invite.replacen("\r\n", &format!("\r\nProxy-Authorization: {answer}\r\n"), 1));
    alice.expect(&mut net, 100);
    let invite = bob.incoming(&mut net, "INVITE");
    bob.reply(&mut net, &invite, "486 Busy Here");
    bob.incoming(&mut net, "ACK");
    let busy = alice.expect(&mut net, 486);
    dialog.confirm_tag(&busy);
    net.send(alice.flow, alice.request("ACK", "proven", &dialog, ""));
    assert_eq!(net.proxy.transactions(), 0);
    net.quiet();
    let bob_aor = bob.aor();
    let (mut to_bob, _) = call(&mut net, &mut alice, &bob, &bob_aor);
    assert_eq!(net.proxy.stats().unproven_acks, 2);

    // A stranger that knows all of a call is a stranger still.
    let mut mallory = Ua::new(&mut net, "alice", Stack::JsSip);
    mallory.host = alice.host.clone();
    assert!(net.try_send(mallory.flow, mallory.request("ACK", "late", &to_bob, "")).is_err());
    mallory.send(&mut net, "BYE", &mut to_bob, "");
    mallory.expect(&mut net, 407);
    net.settle();
}

/// A CANCEL belongs to an INVITE of its own flow (RFC 3261 section 9.2), so that it needs no proof.
#[test]
fn a_cancel_of_a_stranger_ends_no_call() {
    let mut net = guarded();
    let mut alice = Ua::new(&mut net, "alice", Stack::JsSip);
    let mut bob = Ua::new(&mut net, "bob", Stack::SipJs);
    assert_eq!(register(&mut net, &mut alice, "secret"), 200);
    assert_eq!(register(&mut net, &mut bob, "hidden"), 200);
    let dialog = alice.to(&bob.aor());
    net.send(alice.flow, alice.request("INVITE", "one", &dialog, SDP));
    alice.expect(&mut net, 100);
    let invite = bob.incoming(&mut net, "INVITE");
    bob.reply(&mut net, &invite, "180 Ringing");
    alice.expect(&mut net, 180);
    let cancel = alice.request("CANCEL", "one", &dialog, "");
    let mut mallory = Ua::new(&mut net, "alice", Stack::JsSip);
    mallory.host = alice.host.clone();
    net.send(mallory.flow, &cancel);
    mallory.expect(&mut net, 481);
    net.quiet();
    net.send(alice.flow, cancel);
    alice.expect(&mut net, 200);
    bob.incoming(&mut net, "CANCEL");
    net.close(bob.flow);
    alice.expect(&mut net, 487);
}

/// RFC 3261 section 22.3: a To tag or another domain makes no name one's own.
#[test]
fn a_to_tag_lets_nobody_take_anothers_name() {
    let mut net = guarded_in(|config| config.domains = vec!["example.com".to_owned()]);
    let mut alice = Ua::new(&mut net, "alice", Stack::JsSip);
    let mut bob = Ua::new(&mut net, "bob", Stack::SipJs);
    assert_eq!(register(&mut net, &mut alice, "secret"), 200);
    assert_eq!(register(&mut net, &mut bob, "hidden"), 200);
    let dialog = alice.to(&bob.aor());
    let own = alice.request("MESSAGE", "one", &dialog, "x");
    let tagged = own.replace("To: <sip:bob@example.com>", "To: <sip:bob@example.com>;tag=x");
    for forged in ["sip:carol@example.com", "sip:alice@other.org", "sip:anonymous@anonymous.invalid"] {
        for message in [&own, &tagged] {
            let message = message.replace("<sip:alice@example.com>;tag", &format!("<{forged}>;tag"));
            net.send(alice.flow, &message);
            let challenge = alice.expect(&mut net, 407);
            let challenge = challenge.all("Proxy-Authenticate")[0];
            let credentials = answer(challenge, "alice", "secret", "MESSAGE", &bob.aor());
            let line = format!("\r\nProxy-Authorization: {credentials}\r\n");
            net.send(alice.flow, message.replacen("\r\n", &line, 1));
            alice.expect(&mut net, 403);
            let ack = message.replacen("MESSAGE ", "ACK ", 1).replace(" MESSAGE\r\n", " ACK\r\n");
            assert_eq!(net.try_send(alice.flow, ack), Err(Refused::UnprovenAck));
        }
    }
    // Its own name is its own in any spelling of the domain, and in any place of a dialog.
    for (branch, name) in [("2", "sip:alice@EXAMPLE.com"), ("3", "sips:alice@proxy.example.com")] {
        let message = tagged.replace("<sip:alice@example.com>;tag", &format!("<{name}>;tag"));
        net.send(alice.flow, message.replace("branch=z9hG4bKone", &format!("branch=z9hG4bK{branch}")));
        let message = bob.incoming(&mut net, "MESSAGE");
        bob.reply(&mut net, &message, "200 OK");
        alice.expect(&mut net, 200);
    }
    net.quiet();
}

/// RFC 3325: whose name a proxy vouches for is not the client's to say.
#[test]
fn nobody_asserts_an_identity() {
    let line = "P-asserted-Identity: <sip:carol@example.com>\r\n";
    for is_guarded in [true, false] {
        let mut net = if is_guarded { guarded() } else { Net::new() };
        let mut alice = Ua::new(&mut net, "alice", Stack::JsSip);
        let mut bob = Ua::new(&mut net, "bob", Stack::SipJs);
        if is_guarded {
            assert_eq!(register(&mut net, &mut alice, "secret"), 200);
            assert_eq!(register(&mut net, &mut bob, "hidden"), 200);
        } else {
            bob.register(&mut net);
        }
        let dialog = alice.to(&bob.aor());
        let message = alice.request("MESSAGE", "one", &dialog, "x");
        net.send(alice.flow, message.replacen("Call-ID: ", &format!("{line}Call-ID: "), 1));
        let received = bob.incoming(&mut net, "MESSAGE");
        assert_eq!(received.all("P-Asserted-Identity").is_empty(), is_guarded);
        // In a response neither, be it passed on at once or kept as the best final one.
        let busy = bob.answer(&received, "486 Busy Here", "");
        net.send(bob.flow, busy.replacen("Call-ID: ", &format!("{line}Call-ID: "), 1));
        let busy = alice.expect(&mut net, 486);
        assert_eq!(busy.all("P-Asserted-Identity").is_empty(), is_guarded);
        net.send(alice.flow, alice.request("MESSAGE", "two", &dialog, "x"));
        let received = bob.incoming(&mut net, "MESSAGE");
        let ok = bob.answer(&received, "200 OK", "");
        net.send(bob.flow, ok.replacen("Call-ID: ", &format!("{line}Call-ID: "), 1));
        let ok = alice.expect(&mut net, 200);
        assert_eq!(ok.all("P-Asserted-Identity").is_empty(), is_guarded);
    }
}

/// RFC 3261 section 12.1.1: in a dialog From is what To was in the INVITE, and a caller may have meant another than the
/// one who took the call.
#[test]
fn a_callee_answers_to_the_name_it_was_called_by() {
    let mut net = guarded();
    let mut alice = Ua::new(&mut net, "alice", Stack::JsSip);
    let mut bob = Ua::new(&mut net, "bob", Stack::SipJs);
    assert_eq!(register(&mut net, &mut alice, "secret"), 200);
    assert_eq!(register(&mut net, &mut bob, "hidden"), 200);
    for name in ["sip:carol@Example.com;x=y", "tel:+358", "sip:bob@example.com"] {
        let (mut to_bob, mut to_alice) = call(&mut net, &mut alice, &bob, name);
        for method in ["INFO", "MESSAGE", "REFER", "NOTIFY", "INVITE", "BYE"] {
            for is_caller in [true, false] {
                let (from, to, dialog) = match is_caller {
                    true => (&mut alice, &bob, &mut to_bob),
                    false => (&mut bob, &alice, &mut to_alice),
                };
                from.send(&mut net, method, dialog, "");
                if method == "INVITE" {
                    from.expect(&mut net, 100);
                }
                let request = to.incoming(&mut net, method);
                to.reply(&mut net, &request, "200 OK");
                from.expect(&mut net, 200);
                if method == "INVITE" {
                    from.send(&mut net, "ACK", dialog, "");
                    to.incoming(&mut net, "ACK");
                }
                net.quiet();
            }
        }
    }
    assert_eq!(net.proxy.stats().unproven_acks, 0);

    // After a reconnect the callee proves itself again, by its own password.
    let (_, mut to_alice) = call(&mut net, &mut alice, &bob, "sip:carol@example.com");
    let mut back = Ua::new(&mut net, "bob", Stack::SipJs);
    back.send(&mut net, "BYE", &mut to_alice, "");
    let challenge = back.expect(&mut net, 407);
    let credentials =
        answer(challenge.all("Proxy-Authenticate")[0], "bob", "hidden", "BYE", &to_alice.target);
    let bye = back.request("BYE", "again", &to_alice, "");
    net.send(back.flow, bye.replacen("\r\n", &format!("\r\nProxy-Authorization: {credentials}\r\n"), 1));
    let bye = alice.incoming(&mut net, "BYE");
    alice.reply(&mut net, &bye, "200 OK");
    back.expect(&mut net, 200);
}

/// A call survives a reconnect of its caller, whatever name it called.
#[test]
fn a_callee_finds_a_caller_that_came_back() {
    for has_gruu in [true, false] {
        let mut net = guarded();
        let mut alice = Ua::new(&mut net, "alice", Stack::JsSip);
        let mut bob = Ua::new(&mut net, "bob", Stack::SipJs);
        assert_eq!(register(&mut net, &mut alice, "secret"), 200);
        assert_eq!(register(&mut net, &mut bob, "hidden"), 200);
        if has_gruu {
            alice.gruu = Some(format!("sip:alice@example.com;gr={}", alice.instance));
        }
        let (_, mut to_alice) = call(&mut net, &mut alice, &bob, "tel:+358");
        net.close(alice.flow);
        alice.flow = net.open();
        // Not before she is there, and not to another who says so.
        let bye = bob.request("BYE", "early", &to_alice, "");
        net.send(bob.flow, bye);
        bob.expect(&mut net, 407);
        assert_eq!(register(&mut net, &mut alice, "secret"), 200);
        let mut elsewhere = to_alice.clone();
        elsewhere.target.clone_from(&bob.contact);
        net.send(bob.flow, bob.request("BYE", "elsewhere", &elsewhere, ""));
        bob.expect(&mut net, 407);
        for method in ["INFO", "BYE"] {
            bob.send(&mut net, method, &mut to_alice, "");
            let request = alice.incoming(&mut net, method);
            alice.reply(&mut net, &request, "200 OK");
            bob.expect(&mut net, 200);
        }
        net.settle();
    }
}

/// What a callee may say to its caller is worth nothing elsewhere, though the caller has seen all of it.
#[test]
fn a_caller_takes_no_name_that_it_called() {
    let mut net = guarded();
    let mut alice = Ua::new(&mut net, "alice", Stack::JsSip);
    let mut bob = Ua::new(&mut net, "bob", Stack::JsSip);
    assert_eq!(register(&mut net, &mut alice, "secret"), 200);
    assert_eq!(register(&mut net, &mut bob, "hidden"), 200);
    let (mut dialog, _) = call(&mut net, &mut alice, &bob, "sip:carol@example.com");
    let gruu = format!("sip:bob@example.com;gr={}", bob.instance);
    let reversed: Vec<_> = dialog.route.iter().rev().cloned().collect();
    assert!(reversed[1].contains(";callee=") && !reversed[0].contains(";callee="));
    let number_of = |ua: &Ua| format!("-{:x}@", ua.flow.0);
    let unsealed = reversed[1].replace(";callee=", ";callee=A");
    // The own route, the callee's, the callee's with another contact, seal or token.
    for (index, (target, route)) in [
        (&bob.contact, &dialog.route),
        (&gruu, &reversed),
        (&bob.contact, &vec![unsealed]),
        (&bob.contact, &vec![reversed[1].replace(&number_of(&alice), &number_of(&bob))]),
    ]
    .into_iter()
    .enumerate()
    {
        let mut forged = dialog.clone();
        (forged.target, forged.route) = (target.clone(), route.clone());
        let request = alice.request("MESSAGE", &format!("forged{index}"), &forged, "x");
        net.send(alice.flow, request.replace("<sip:alice@example.com>;tag", "<sip:carol@example.com>;tag"));
        alice.expect(&mut net, 407);
    }
    // Nor over another flow once its own, to which all of it leads, is closed.
    let mut back = Ua::new(&mut net, "alice", Stack::JsSip);
    assert_eq!(register(&mut net, &mut back, "secret"), 200);
    net.close(alice.flow);
    (dialog.target, dialog.route) = (bob.contact.clone(), reversed);
    let request = back.request("MESSAGE", "late", &dialog, "x");
    let request = request.replace("<sip:alice@example.com>;tag", "<sip:carol@example.com>;tag");
    let to = "sip:carol@example.com";
    for (branch, name) in [("late", to), ("late2", "sip:bob@example.com"), ("late3", "sip:alice@example.com")]
    {
        let request = request.replace(&format!("To: <{to}>"), &format!("To: <{name}>"));
        net.send(back.flow, request.replace("z9hG4bKlate", &format!("z9hG4bK{branch}")));
        back.expect(&mut net, 407);
    }
    net.settle();
}

/// A name that was only lent leads to nobody else, though a user has it.
#[test]
fn a_lent_name_lends_none() {
    let mut net = guarded_of("alice::secret\nbob::hidden\ncarol::third");
    let mut alice = Ua::new(&mut net, "alice", Stack::JsSip);
    let mut bob = Ua::new(&mut net, "bob", Stack::SipJs);
    let mut carol = Ua::new(&mut net, "carol", Stack::SipJs);
    assert_eq!(register(&mut net, &mut alice, "secret"), 200);
    assert_eq!(register(&mut net, &mut bob, "hidden"), 200);
    assert_eq!(register(&mut net, &mut carol, "third"), 200);
    // Bob, who was called carol, asks alice for something: the way back that she gets names her, and leads to him.
    let (_, mut to_alice) = call(&mut net, &mut alice, &bob, "sip:carol@example.com");
    bob.send(&mut net, "INVITE", &mut to_alice, SDP);
    bob.expect(&mut net, 100);
    let received = alice.incoming(&mut net, "INVITE");
    alice.reply(&mut net, &received, "486 Busy Here");
    alice.incoming(&mut net, "ACK");
    bob.expect(&mut net, 486);
    // He knows it too, since it stands in the response; it lets nobody write her name to carol herself.
    net.close(bob.flow);
    bob.flow = net.open();
    assert_eq!(register(&mut net, &mut bob, "hidden"), 200);
    let mut forged = alice.dialog_of(&received);
    assert!(forged.route[1].contains(";callee="));
    forged.route.remove(0);
    forged.target.clone_from(&carol.contact);
    let request = bob.request("MESSAGE", "forged", &forged, "x");
    assert!(request.contains("From: \"alice\" <sip:alice@") && request.contains("To: <sip:carol@"));
    net.send(bob.flow, request);
    bob.expect(&mut net, 407);
    net.settle();
}
