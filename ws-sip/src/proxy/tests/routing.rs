//! Where requests go, and where they may not.

use super::ua::SDP;
use super::*;
use crate::flow::{FlowId, FlowToken};
use crate::proxy::{FlowInfo, Refused};
use crate::sip::{Fault, ValueError};
use core::time::Duration;

fn options(net: &mut Net, ua: &mut Ua, target: &str) -> Text {
    let mut dialog = ua.to(target);
    ua.send(net, "OPTIONS", &mut dialog, "");
    ua.response(net)
}

#[test]
fn users_that_cannot_be_reached() {
    let mut net = Net::new();
    let mut alice = Ua::registered(&mut net, "alice", Stack::JsSip);
    assert_eq!(options(&mut net, &mut alice, "sip:nobody@example.com").start_line(), "SIP/2.0 404 Not Found");
    assert_eq!(options(&mut net, &mut alice, "sip:x@gone.invalid;transport=ws").status(), 480);
    let bob = Ua::registered(&mut net, "bob", Stack::SipJs);
    net.close(bob.flow);
    let reply = options(&mut net, &mut alice, "sip:bob@example.com");
    assert_eq!(reply.start_line(), "SIP/2.0 480 Temporarily Unavailable");
    // After an hour nobody remembers bob.
    net.advance(3600);
    assert_eq!(options(&mut net, &mut alice, "sip:bob@example.com").status(), 404);
    net.quiet();
    assert_eq!(net.proxy.transactions(), 0);
}

#[test]
fn the_spelling_of_an_address_does_not_matter() {
    let mut net = Net::new();
    let mut alice = Ua::registered(&mut net, "alice", Stack::JsSip);
    let bob = Ua::registered(&mut net, "bob", Stack::SipJs);
    for target in [
        "sip:bob@EXAMPLE.com",
        "sip:%62ob@example.com",
        "sip:bob@example.com:5060;transport=ws",
        "sip:bob:pw@example.com",
    ] {
        let mut dialog = alice.to(target);
        alice.send(&mut net, "MESSAGE", &mut dialog, "hello");
        let message = bob.incoming(&mut net, "MESSAGE");
        assert_eq!(message.one("To"), format!("<{target}>"), "To is the caller's");
    }
    net.settle();
}

/// RFC 3261 section 16.3 item 3.
#[test]
fn hops_run_out() {
    let mut net = Net::new();
    let mut alice = Ua::registered(&mut net, "alice", Stack::SipJs);
    let bob = Ua::registered(&mut net, "bob", Stack::SipJs);
    let mut send = |net: &mut Net, method: &str, hops: &str| {
        let dialog = alice.to("sip:bob@example.com");
        net.send(
            alice.flow,
            alice.request(method, &dialog.call_id, &dialog, "").replace("Max-Forwards: 70\r\n", hops),
        );
        alice.clone()
    };
    send(&mut net, "MESSAGE", "Max-Forwards: 0\r\n").expect(&mut net, 483);
    assert!(!send(&mut net, "OPTIONS", "Max-Forwards: 0\r\n").expect(&mut net, 200).one("Allow").is_empty());
    send(&mut net, "MESSAGE", "Max-Forwards: 1\r\n");
    assert_eq!(bob.incoming(&mut net, "MESSAGE").one("Max-Forwards"), "0");
    send(&mut net, "MESSAGE", "");
    assert_eq!(bob.incoming(&mut net, "MESSAGE").one("Max-Forwards"), "70");
    // Refused before a call is set up, the INVITE leaves nothing behind, and its ACK ends here.
    let ua = send(&mut net, "INVITE", "Max-Forwards: 0\r\n");
    let refused = ua.expect(&mut net, 483);
    let mut dialog = ua.clone().to("sip:bob@example.com");
    dialog.call_id = refused.one("Call-ID").to_owned();
    let ack = ua
        .request("ACK", "1", &dialog, "")
        .replace("To: <sip:bob@example.com>", &format!("To: {}", refused.one("To")));
    net.send(ua.flow, ack);
    net.settle();
    assert_eq!(net.proxy.stats().stray_acks, 0);
}

/// RFC 3261 section 16.3 item 4: a user agent that sends everything back.
#[test]
fn a_loop_is_found_and_a_spiral_is_none() {
    let mut net = Net::new();
    let mut alice = Ua::registered(&mut net, "alice", Stack::JsSip);
    let bob = Ua::registered(&mut net, "bob", Stack::SipJs);
    let carol = Ua::registered(&mut net, "carol", Stack::SipJs);
    let mut dialog = alice.to("sip:bob@example.com");
    alice.send(&mut net, "INVITE", &mut dialog, SDP);
    alice.expect(&mut net, 100);
    let back = |invite: &Text, target: &str| {
        let via = format!("INVITE {target} SIP/2.0\r\nVia: SIP/2.0/WS {};branch=z9hG4bKback", bob.host);
        format!("{via}\r\n{}", invite.0.split_once("\r\n").unwrap().1)
    };
    let invite = bob.incoming(&mut net, "INVITE");

    net.send(bob.flow, back(&invite, "sip:bob@example.com"));
    assert_eq!(bob.response_over(&mut net).start_line(), "SIP/2.0 482 Loop Detected");
    assert_eq!(net.proxy.stats().loops, 1);
    net.quiet();

    net.send(bob.flow, back(&invite, "sip:carol@example.com"));
    assert_eq!(bob.response_over(&mut net).status(), 100);
    let spiral = carol.incoming(&mut net, "INVITE");
    assert_eq!(spiral.all("Via").len(), 4);
    carol.reply(&mut net, &spiral, "486 Busy Here");
    carol.incoming(&mut net, "ACK");
    let busy = bob.response_over(&mut net);
    assert_eq!(busy.status(), 486);
    // bob passes it on, its own Via taken off.
    net.send(bob.flow, busy.0.replacen(&format!("Via: {}\r\n", busy.all("Via")[0]), "", 1));
    bob.incoming(&mut net, "ACK");
    alice.expect(&mut net, 486);
    net.settle();
}

#[test]
fn an_invite_that_comes_twice_is_forwarded_once() {
    let mut net = Net::new();
    let mut alice = Ua::registered(&mut net, "alice", Stack::JsSip);
    let bob = Ua::registered(&mut net, "bob", Stack::SipJs);
    let dialog = alice.to("sip:bob@example.com");
    let invite = alice.request("INVITE", "1", &dialog, SDP);
    net.send(alice.flow, &invite);
    net.send(alice.flow, &invite);
    alice.expect(&mut net, 100);
    bob.incoming(&mut net, "INVITE");
    net.quiet();
    assert_eq!(net.proxy.stats().repeated_requests, 1);
}

#[test]
fn extensions_and_schemes_that_are_not_known() {
    let mut net = Net::new();
    let mut alice = Ua::registered(&mut net, "alice", Stack::JsSip);
    let bob = Ua::registered(&mut net, "bob", Stack::SipJs);
    let dialog = alice.to("sip:bob@example.com");
    let request = alice.request("MESSAGE", "1", &dialog, "");
    net.send(alice.flow, request.replacen("Supported:", "Proxy-Require: a, b\r\nSupported:", 1));
    assert_eq!(alice.expect(&mut net, 420).all("Unsupported"), ["a", "b"]);
    net.send(
        alice.flow,
        alice.request("MESSAGE", "2", &dialog, "").replacen("sip:bob@example.com", "tel:+49301234", 1),
    );
    alice.expect(&mut net, 416);
    // Require is the recipient's business.
    net.send(
        alice.flow,
        alice.request("MESSAGE", "3", &dialog, "").replacen("Supported:", "Require: a\r\nSupported:", 1),
    );
    assert_eq!(bob.incoming(&mut net, "MESSAGE").one("Require"), "a");
    net.settle();
}

#[test]
fn malformed_requests_are_told_why() {
    let mut net = Net::new();
    let mut alice = Ua::registered(&mut net, "alice", Stack::SipJs);
    let dialog = alice.to("sip:bob@example.com");
    let request = alice.request("MESSAGE", "1", &dialog, "hello");
    let cases: &[(&str, &str, Fault, u16)] = &[
        (" SIP/2.0\r\n", " SIP/3.0\r\n", Fault::Version, 505),
        ("CSeq: 1 MESSAGE", "CSeq: 1 INVITE", Fault::CSeqMethod, 400),
        ("CSeq: 1 MESSAGE", "CSeq: one MESSAGE", Fault::Value("CSeq", ValueError::Number), 400),
        ("Max-Forwards: 70", "Max-Forwards: 256", Fault::Value("Max-Forwards", ValueError::Number), 400),
        ("Max-Forwards: 70", "Max-Forwards: 70\r\nMax-Forwards: 70", Fault::Repeated("Max-Forwards"), 400),
        ("User-Agent:", "User Agent", Fault::HeaderField, 400),
        (
            "Content-Length: 5",
            "Content-Length: five",
            Fault::Value("Content-Length", ValueError::Number),
            400,
        ),
        (
            "MESSAGE sip:bob@example.com",
            "MESSAGE <sip:bob@example.com>",
            Fault::Value("Request-URI", ValueError::Uri),
            400,
        ),
        (
            "MESSAGE sip:bob@example.com",
            "MESSAGE sip:bob@",
            Fault::Value("Request-URI", ValueError::Host),
            400,
        ),
        (
            "To: <sip:bob@example.com>",
            "To: <sip:bob@example.com",
            Fault::Value("To", ValueError::Address),
            400,
        ),
    ];
    for &(from, to, fault, status) in cases {
        assert!(request.contains(from), "{from}");
        assert_eq!(
            net.try_send(alice.flow, request.replacen(from, to, 1)),
            Err(Refused::Malformed(fault)),
            "{to}"
        );
        assert_eq!(alice.expect(&mut net, status).start_line(), format!("SIP/2.0 {status} {fault}"));
    }
    // Without what a response is made of there is none.
    for line in ["Via", "From", "To", "Call-ID", "CSeq"] {
        let lacking: String =
            request.split_inclusive("\r\n").filter(|text| !text.starts_with(&format!("{line}:"))).collect();
        assert_eq!(net.try_send(alice.flow, lacking), Err(Refused::Malformed(Fault::Missing(line))));
        net.quiet();
    }
    // A malformed ACK is not answered either.
    let ack = alice.request("ACK", "1", &dialog, "").replace("Max-Forwards: 70", "Max-Forwards: x");
    assert!(net.try_send(alice.flow, ack).is_err());
    net.quiet();
    for garbage in [
        "",
        "\r\n\r\n\r\n",
        "hello",
        "GET / HTTP/1.1\r\n\r\n",
        "MESSAGE sip:bob@example.com SIP/2.0\r\n",
        "\0\0\0\0",
    ] {
        assert!(matches!(net.try_send(alice.flow, garbage), Err(Refused::NotSip(_))), "{garbage}");
    }
    net.quiet();
    assert_eq!(net.proxy.stats().not_sip, 6);
}

#[test]
fn a_preloaded_route_to_this_server() {
    let mut net = Net::new();
    let mut alice = Ua::registered(&mut net, "alice", Stack::JsSip);
    let bob = Ua::registered(&mut net, "bob", Stack::SipJs);
    let mut dialog = alice.to("sip:bob@example.com");
    dialog.route = vec!["<sip:127.0.0.1:8080;transport=ws;lr>".to_owned()];
    alice.send(&mut net, "MESSAGE", &mut dialog, "hello");
    assert!(bob.incoming(&mut net, "MESSAGE").all("Route").is_empty());
    dialog.route = vec!["<sip:127.0.0.1:8080".to_owned()];
    alice.send(&mut net, "MESSAGE", &mut dialog, "hello");
    alice.expect(&mut net, 400);
    net.settle();

    let mut net = Net::with(|config| config.domains = vec!["example.com".to_owned()]);
    let mut alice = Ua::registered(&mut net, "alice", Stack::JsSip);
    let mut dialog = alice.to("sip:alice@example.com");
    dialog.route = vec!["<sip:elsewhere.example.org;lr>".to_owned()];
    alice.send(&mut net, "MESSAGE", &mut dialog, "hello");
    alice.expect(&mut net, 403);
    net.quiet();
}

fn token(flow: FlowId) -> String {
    // The epoch is the upper half of the seed that `Net` uses.
    format!("<sip:{}@proxy.example.com:8080;transport=ws;lr>", FlowToken::new(0x0123_4567, flow))
}

#[test]
fn the_last_of_our_routes_names_the_flow_and_others_stay() {
    let mut net = Net::new();
    let mut alice = Ua::registered(&mut net, "alice", Stack::JsSip);
    let bob = Ua::registered(&mut net, "bob", Stack::SipJs);
    let mut dialog = alice.to(&bob.contact);
    dialog.route =
        vec![format!("{}, {}", token(alice.flow), token(bob.flow)), "<sip:next.example.org;lr>".to_owned()];
    alice.send(&mut net, "MESSAGE", &mut dialog, "hello");
    let message = bob.incoming(&mut net, "MESSAGE");
    assert_eq!(message.uri(), bob.contact);
    assert_eq!(message.one("Route"), "<sip:next.example.org;lr>");

    dialog.route = vec![format!("{}, {} , <sip:next.example.org;lr>", token(alice.flow), token(bob.flow))];
    alice.send(&mut net, "MESSAGE", &mut dialog, "hello");
    assert_eq!(bob.incoming(&mut net, "MESSAGE").one("Route"), "<sip:next.example.org;lr>");
    net.settle();
}

/// A token counts only where we wrote it.
#[test]
fn a_token_under_another_name_is_none() {
    let mut net = Net::new();
    let mut alice = Ua::registered(&mut net, "alice", Stack::JsSip);
    let bob = Ua::registered(&mut net, "bob", Stack::SipJs);
    let mut dialog = alice.to("sip:bob@example.com");
    for host in ["proxy.example.org:8080", "proxy.example.com", "proxy.example.com:8081"] {
        dialog.route = vec![token(alice.flow).replace("proxy.example.com:8080", host)];
        alice.send(&mut net, "MESSAGE", &mut dialog, "hello");
        bob.incoming(&mut net, "MESSAGE");
    }
    net.settle();
}

/// A late timer makes no binding last longer.
#[test]
fn a_binding_past_its_time_is_not_used() {
    let mut net = Net::new();
    let mut alice = Ua::registered(&mut net, "alice", Stack::JsSip);
    let bob = Ua::registered(&mut net, "bob", Stack::JsSip);
    net.now += Duration::from_secs(599);
    let mut dialog = alice.to("sip:bob@example.com");
    alice.send(&mut net, "MESSAGE", &mut dialog, "hello");
    bob.incoming(&mut net, "MESSAGE");
    net.now += Duration::from_secs(1);
    for target in ["sip:bob@example.com", bob.gruu.as_deref().unwrap(), &bob.contact] {
        assert_eq!(options(&mut net, &mut alice, target).status(), 480, "{target}");
    }
}

/// RFC 3261 section 16.4: a strict router before us has put our URI into the Request-URI.
#[test]
fn a_strict_router_is_undone() {
    let mut net = Net::new();
    let mut alice = Ua::registered(&mut net, "alice", Stack::JsSip);
    let bob = Ua::registered(&mut net, "bob", Stack::SipJs);
    let ours = token(bob.flow);
    let mut dialog = alice.to(ours.trim_matches(['<', '>']));
    for (route, left) in [
        (format!("<{}>", bob.contact), None),
        (format!("{}, <{}>", token(bob.flow), bob.contact), None),
        (format!("<sip:next.example.org;lr>, <{}>", bob.contact), Some("<sip:next.example.org;lr>")),
    ] {
        dialog.route = vec![route];
        alice.send(&mut net, "INFO", &mut dialog, "");
        let info = bob.incoming(&mut net, "INFO");
        assert_eq!(info.uri(), bob.contact);
        assert_eq!(info.all("Route").first().copied(), left);
    }
    dialog.route.clear();
    alice.send(&mut net, "INFO", &mut dialog, "");
    alice.expect(&mut net, 404);
    net.settle();
}

/// RFC 5626 section 5.3.1.
#[test]
fn tokens_of_flows_that_are_gone() {
    let mut net = Net::new();
    let mut alice = Ua::registered(&mut net, "alice", Stack::JsSip);
    let other_run = format!("<sip:{}@proxy.example.com:8080;lr>", FlowToken::new(1, alice.flow));
    for route in [token(FlowId(99)), other_run] {
        let mut dialog = alice.to("sip:bob@bob.invalid");
        dialog.route = vec![route];
        alice.send(&mut net, "INFO", &mut dialog, "");
        assert_eq!(alice.expect(&mut net, 430).start_line(), "SIP/2.0 430 Flow Failed");
    }
    net.quiet();
}

/// RFC 5627 section 6.
#[test]
fn a_gruu_names_one_instance() {
    let mut net = Net::new();
    let mut alice = Ua::registered(&mut net, "alice", Stack::JsSip);
    let one = Ua::registered(&mut net, "bob", Stack::JsSip);
    let other = Ua::registered(&mut net, "bob", Stack::JsSip);
    for bob in [&one, &other] {
        let mut dialog = alice.to(bob.gruu.as_deref().unwrap());
        alice.send(&mut net, "MESSAGE", &mut dialog, "hello");
        let message = bob.incoming(&mut net, "MESSAGE");
        assert_eq!(message.uri(), bob.contact);
    }
    net.settle();
    net.close(other.flow);
    assert_eq!(options(&mut net, &mut alice, other.gruu.as_deref().unwrap()).status(), 480);
    assert_eq!(options(&mut net, &mut alice, "sip:carol@example.com;gr=urn:uuid:1").status(), 404);
    net.quiet();
}

/// A `sips` URI asks for TLS on each hop (RFC 5630).
#[test]
fn sips_goes_over_tls_alone() {
    let mut net = Net::new();
    let mut alice = Ua::registered(&mut net, "alice", Stack::JsSip);
    let mut bob = Ua::registered(&mut net, "bob", Stack::SipJs);
    assert_eq!(options(&mut net, &mut alice, "sips:bob@example.com").status(), 480);
    bob.flow = net.open_as(FlowInfo { secure: true, peer: None });
    bob.register(&mut net);
    let mut dialog = alice.to("sips:bob@example.com");
    alice.send(&mut net, "INVITE", &mut dialog, SDP);
    alice.expect(&mut net, 100);
    let invite = net.expect(bob.flow, "INVITE ");
    assert!(invite.all("Via")[0].starts_with("SIP/2.0/WSS proxy.example.com:8080;"));
    assert!(invite.all("Record-Route").iter().all(|route| route.starts_with("<sips:fl-")));
}
