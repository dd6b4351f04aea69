//! REGISTER as the proxy answers it; the rules of bindings are tested with the registrar.

use super::*;
use crate::proxy::FlowInfo;

#[test]
fn what_the_stacks_ask_for_and_get() {
    let mut net = Net::new();
    let mut alice = Ua::new(&mut net, "alice", Stack::JsSip);
    let reply = alice.register(&mut net);
    assert_eq!(
        reply.one("Contact"),
        format!(
            "<{}>;+sip.ice;reg-id=1;+sip.instance=\"<{i}>\";expires=600;pub-gruu=\"sip:alice@example.com;gr={i}\"",
            alice.contact,
            i = alice.instance
        )
    );
    assert_eq!(reply.one("Require"), "outbound");
    assert_eq!(reply.one("Supported"), "path, outbound, gruu");
    assert_eq!(reply.one("Content-Length"), "0");
    assert_eq!(reply.one("CSeq"), "1 REGISTER");
    assert!(reply.tag_of("To").is_some());

    let mut bob = Ua::new(&mut net, "bob", Stack::SipJs);
    let reply = bob.register(&mut net);
    assert_eq!(reply.one("Contact"), format!("<{}>;expires=600", bob.contact));
    assert!(reply.all("Require").is_empty());
    net.quiet();
    assert_eq!(net.proxy.registrar().len(), 2);
    assert_eq!(net.proxy.stats().registered, 2);
}

#[test]
fn a_refresh_a_fetch_and_the_end() {
    let mut net = Net::new();
    let mut alice = Ua::registered(&mut net, "alice", Stack::JsSip);
    net.advance(100);
    let fetched = alice.register_with(&mut net, "");
    assert!(fetched.one("Contact").contains(";expires=500;"), "{}", fetched.0);
    alice.register(&mut net);
    net.advance(599);
    assert_eq!(alice.register_with(&mut net, "").all("Contact").len(), 1);
    net.advance(1);
    assert!(alice.register_with(&mut net, "").all("Contact").is_empty());
    assert!(net.proxy.registrar().is_empty());
}

#[test]
fn taking_a_registration_back() {
    let mut net = Net::new();
    let mut alice = Ua::registered(&mut net, "alice", Stack::SipJs);
    let mut other = Ua::registered(&mut net, "alice", Stack::JsSip);
    let contact = format!("Contact: <{}>;expires=0\r\n", alice.contact);
    let left = alice.register_with(&mut net, &contact);
    assert!(left.one("Contact").contains(&other.contact));
    assert_eq!(other.register_with(&mut net, "Contact: *\r\nExpires: 0\r\n").all("Contact").len(), 0);
    assert!(net.proxy.registrar().is_empty());

    let mut bob = Ua::registered(&mut net, "bob", Stack::SipJs);
    let mut dialog = bob.to("sip:alice@example.com");
    bob.send(&mut net, "MESSAGE", &mut dialog, "hello");
    bob.expect(&mut net, 480);
}

#[test]
fn bad_registrations() {
    let mut net = Net::new();
    let mut alice = Ua::new(&mut net, "alice", Stack::SipJs);
    for (lines, status, reason) in [
        ("Contact: *\r\n", 400, "Wildcard Contact Without Zero Expires"),
        ("Contact: *\r\nExpires: 60\r\n", 400, "Wildcard Contact Without Zero Expires"),
        ("Contact: *, <sip:a@b.invalid>\r\nExpires: 0\r\n", 400, "Wildcard Contact Not Alone"),
        ("Contact: *\r\nContact: *\r\nExpires: 0\r\n", 400, "Wildcard Contact Not Alone"),
        ("Contact: <sip:a@b.invalid\r\n", 400, "Bad Contact (malformed address)"),
        ("Contact: <sip:a@b.invalid>;expires=soon\r\n", 400, "Bad Contact (malformed number)"),
        ("Contact: <mailto:a@b.example>\r\n", 400, "Bad Contact URI"),
        (
            "Contact: <sip:a@b.invalid>;+sip.instance=\"<urn:x:1>\";reg-id=1, <sip:c@d.invalid>\r\n",
            400,
            "Several Contacts With Reg-Id",
        ),
        ("Contact: <sip:a@b.invalid>\r\nExpires: soon\r\n", 400, "Bad Expires"),
        ("Contact: <sip:a@b.invalid>\r\nPath: <sip:edge\r\n", 400, "Bad Path"),
        ("Contact: <sip:a@b.invalid>;expires=59\r\n", 423, "Interval Too Brief"),
        ("Contact: <sip:a@b.invalid>\r\nExpires: 1\r\n", 423, "Interval Too Brief"),
        ("Contact: <sip:a@b.invalid>\r\nRequire: teleport\r\n", 420, "Bad Extension"),
        ("Contact: <sip:a@b.invalid>\r\nProxy-Require: teleport\r\n", 420, "Bad Extension"),
    ] {
        let reply = alice.register_with(&mut net, lines);
        assert_eq!(reply.start_line(), format!("SIP/2.0 {status} {reason}"), "{lines}");
        match status {
            423 => assert_eq!(reply.one("Min-Expires"), "60"),
            420 => assert_eq!(reply.one("Unsupported"), "teleport"),
            _ => {}
        }
    }
    net.quiet();
    assert!(net.proxy.registrar().is_empty());
    assert_eq!(alice.register_with(&mut net, "Require: path, gruu\r\n").status(), 200);
    // RFC 5626 section 6: others may end with it, and a reg-id without an instance does not count.
    for lines in [
        "Contact: <sip:a@b.invalid>;+sip.instance=\"<urn:x:1>\";reg-id=1, <sip:c@d.invalid>;expires=0\r\n",
        "Contact: <sip:a@b.invalid>;reg-id=1, <sip:c@d.invalid>;reg-id=2\r\n",
    ] {
        assert_eq!(alice.register_with(&mut net, lines).status(), 200);
    }
}

#[test]
fn only_served_domains() {
    let mut net =
        Net::with(|config| config.domains = vec!["Example.com".to_owned(), "example.net".to_owned()]);
    let mut alice = Ua::new(&mut net, "alice", Stack::JsSip);
    alice.register(&mut net);
    let register = |uri: &str, to: &str| {
        format!(
            "REGISTER {uri} SIP/2.0\r\nVia: SIP/2.0/WS {};branch=z9hG4bK1\r\nTo: <{to}>\r\nFrom: <{to}>;tag=1\r\n\
             Call-ID: {uri}\r\nCSeq: 1 REGISTER\r\nContact: <sip:x@y.invalid>\r\n\r\n",
            alice.host
        )
    };
    for (uri, to, status) in [
        ("sip:example.net", "sip:alice@example.net", 200),
        ("sip:proxy.example.com", "sip:alice@example.net", 200),
        ("sip:example.org", "sip:alice@example.org", 403),
        ("sip:example.net", "sip:alice@example.org", 404),
        ("sip:example.net", "sip:example.net", 400),
        ("sip:example.net", "tel:+1", 400),
        ("tel:+1", "sip:alice@example.net", 416),
    ] {
        net.send(alice.flow, register(uri, to));
        alice.expect(&mut net, status);
    }
    for (target, status) in
        [("sip:bob@example.net", 404), ("sip:bob@example.org", 403), ("sip:example.org", 403)]
    {
        let mut dialog = alice.to(target);
        alice.send(&mut net, "OPTIONS", &mut dialog, "");
        alice.expect(&mut net, status);
    }
}

/// RFC 5626 section 6: after a reconnect the same instance and reg-id take the old binding's place.
#[test]
fn a_new_flow_of_the_same_instance_replaces_the_old() {
    let mut net = Net::new();
    let old = Ua::registered(&mut net, "alice", Stack::JsSip);
    let mut alice = Ua::new(&mut net, "alice", Stack::JsSip);
    alice.instance = old.instance.clone();
    let reply = alice.register(&mut net);
    assert_eq!(reply.all("Contact").len(), 1);
    let mut bob = Ua::registered(&mut net, "bob", Stack::SipJs);
    let mut dialog = bob.to("sip:alice@example.com");
    bob.send(&mut net, "MESSAGE", &mut dialog, "hello");
    let message = alice.incoming(&mut net, "MESSAGE");
    alice.reply(&mut net, &message, "200 OK");
    bob.expect(&mut net, 200);
    // The old flow's end is no end of the new binding.
    net.close(old.flow);
    assert_eq!(net.proxy.registrar().len(), 2);
    net.close(alice.flow);
    assert_eq!(net.proxy.registrar().len(), 1);
}

/// RFC 3327: a REGISTER that came over an edge proxy.
#[test]
fn path_becomes_route() {
    let mut net = Net::new();
    let edge = net.open();
    let register = |path: &str, params: &str| {
        format!(
            "REGISTER sip:example.com SIP/2.0\r\nVia: SIP/2.0/WS edge.example.com;branch=z9hG4bKe\r\n\
             Via: SIP/2.0/WS a.invalid;branch=z9hG4bKa\r\nTo: <sip:alice@example.com>\r\n\
             From: <sip:alice@example.com>;tag=1\r\nCall-ID: 1\r\nCSeq: 1 REGISTER\r\n{path}\
             Contact: <sip:alice@a.invalid;transport=ws>{params}\r\nSupported: path, outbound\r\n\r\n"
        )
    };
    // The first hop must support outbound for reg-id to mean something.
    let outbound = ";reg-id=1;+sip.instance=\"<urn:uuid:1>\"";
    net.send(edge, register("", outbound));
    assert_eq!(net.recv(edge).start_line(), "SIP/2.0 439 First Hop Lacks Outbound Support");
    net.send(
        edge,
        register("Path: <sip:edge2.example.com;lr>, <sip:tok@edge.example.com;lr;ob>\r\n", outbound),
    );
    let reply = net.expect(edge, "SIP/2.0 200 ");
    assert_eq!(reply.one("Path"), "<sip:edge2.example.com;lr>, <sip:tok@edge.example.com;lr;ob>");
    assert_eq!(reply.all("Via").len(), 2);

    let mut bob = Ua::registered(&mut net, "bob", Stack::SipJs);
    let mut dialog = bob.to("sip:alice@example.com");
    bob.send(&mut net, "INVITE", &mut dialog, "");
    bob.expect(&mut net, 100);
    let invite = net.expect(edge, "INVITE sip:alice@a.invalid;transport=ws ");
    assert_eq!(invite.one("Route"), "<sip:edge2.example.com;lr>, <sip:tok@edge.example.com;lr;ob>");
    // CANCEL and ACK take the same way.
    net.send(edge, "SIP/2.0 486 Busy Here\r\n".to_owned() + invite.0.split_once("\r\n").unwrap().1);
    let ack = net.expect(edge, "ACK ");
    assert_eq!(ack.one("Route"), invite.one("Route"));
    bob.expect(&mut net, 486);
    net.settle();
}

#[test]
fn received_and_rport_are_added_when_configured() {
    let mut net = Net::with(|config| config.add_received = true);
    let peer = Some("192.0.2.7:40001".parse().unwrap());
    let flow = net.open_as(FlowInfo { secure: false, peer });
    let options = |target: &str, via: &str| {
        format!(
            "OPTIONS {target} SIP/2.0\r\nVia: {via}\r\nTo: <{target}>\r\nFrom: <sip:a@example.com>;tag=1\r\n\
             Call-ID: 1\r\nCSeq: 1 OPTIONS\r\n\r\n"
        )
    };
    net.send(
        flow,
        options("sip:example.com", "SIP/2.0/WS a.invalid;rport ;branch=z9hG4bK1, SIP/2.0/WS b;branch=x"),
    );
    let via = "SIP/2.0/WS a.invalid;branch=z9hG4bK1;received=192.0.2.7;rport=40001, SIP/2.0/WS b;branch=x";
    assert_eq!(net.recv(flow).one("Via"), via);

    let alice = Ua::registered(&mut net, "alice", Stack::JsSip);
    net.send(flow, options(&alice.aor(), "SIP/2.0/WS a.invalid;received=10.0.0.1;branch=z9hG4bK2"));
    let forwarded = alice.incoming(&mut net, "OPTIONS");
    assert_eq!(forwarded.all("Via")[1], "SIP/2.0/WS a.invalid;branch=z9hG4bK2;received=192.0.2.7");
    net.settle();
}
