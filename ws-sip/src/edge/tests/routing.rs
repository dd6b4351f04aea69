//! Which way messages go, and what the edge writes into them.

use super::*;

/// RFC 3327, RFC 5626 section 5.1.
#[test]
fn a_registration_gets_a_path_and_its_answer_comes_back() {
    let mut scene = Scene::new(UpstreamTransport::Tcp);
    let contact = "Contact: <sip:x@abc.invalid;transport=ws>\r\n";
    let register = request("REGISTER", "sip:example.com", contact);
    let up = scene.forwards(ALICE, &register, SERVER);
    let path = values(&up, Header::Path);
    assert_eq!(path.len(), 1);
    let own = token(&path[0]).to_owned();
    assert_eq!(path[0], format!("<sip:{own}@10.0.0.1:5070;transport=tcp;lr;ob>"));
    let vias = values(&up, Header::Via);
    assert!(vias[0].starts_with("SIP/2.0/TCP 10.0.0.1:5070;branch=z9hG4bK"), "{up}");
    assert_eq!(vias[1], "SIP/2.0/WS abc.invalid;branch=z9hG4bK-REGISTER");
    assert!(up.contains("Max-Forwards: 69\r\n") && up.ends_with("Content-Length: 0\r\n\r\n"), "{up}");
    assert!(up.contains(contact) && !up.contains("Record-Route"), "{up}");

    let ok = response(200, &up);
    let down = scene.forwards(SERVER, &ok, ALICE);
    assert_eq!(values(&down, Header::Via), &vias[1..]);

    // The registrar sends a call by the Path.
    let route = format!("Route: {}\r\n", path[0]);
    let invite = from_server("INVITE", "sip:x@abc.invalid;transport=ws", &route);
    let down = scene.forwards(SERVER, &invite, ALICE);
    assert!(values(&down, Header::Route).is_empty());
    let record = values(&down, Header::RecordRoute);
    assert_eq!(
        record,
        [
            format!("<sip:{own}@edge.example;transport=ws;lr;r2=on>"),
            format!("<sip:{own}@10.0.0.1:5070;transport=tcp;lr;r2=on>"),
        ]
    );
    assert!(values(&down, Header::Via)[0].starts_with("SIP/2.0/WS edge.example;branch="), "{down}");
    let ringing = response(180, &down);
    let up = scene.forwards(ALICE, &ringing, SERVER);
    assert_eq!(values(&up, Header::Via), ["SIP/2.0/TCP 10.0.0.9:5060;branch=z9hG4bK-INVITE"]);
}

/// The edge that the call was set up through is gone, and the one in its place has another address towards the server.
#[test]
fn a_call_outlives_a_restart_of_the_edge() {
    for transport in [UpstreamTransport::Tcp, UpstreamTransport::Udp, UpstreamTransport::Ws] {
        let mut before = Scene::new(transport);
        let invite = request("INVITE", "sip:bob@example.com", "");
        let records = values(&before.forwards(ALICE, &invite, SERVER), Header::RecordRoute);

        let mut after = Scene::with_key(transport, 8);
        after.edge.set_upstream_host("10.0.0.1:5999");
        let route = |uris: &[&str]| format!("Route: {}\r\n", uris.join(", "));
        // The caller has them in reverse, the server's own behind.
        let set = [&records[1][..], &records[0], "<sip:10.0.0.9;lr>"];
        let bye = request("BYE", "sip:bob@example.com", &route(&set));
        let up = after.forwards(ALICE, &bye, SERVER);
        assert_eq!(values(&up, Header::Route), ["<sip:10.0.0.9;lr>"]);
        // From the server's side there is no telling where the browser is now.
        if transport == UpstreamTransport::Tcp {
            after.edge.set_upstream_host("10.0.0.1:5070");
            let bye = from_server("BYE", "sip:x@abc.invalid", &route(&[&records[0], &records[1]]));
            after.answers(SERVER, &bye, 430);
        }

        // A pair is two, of one edge.
        for others in [
            vec![&records[1][..], "<sip:other@10.0.0.1:5070;lr;r2=on>"],
            vec![&records[1], &records[0], &records[0]],
            vec!["<sip:edge.example;lr>", &records[0]],
            vec![&records[0]],
        ] {
            after.edge.set_upstream_host("10.0.0.1:5999");
            let left = others.last().unwrap().to_owned();
            let up = after.forwards(ALICE, &request("INFO", "sip:bob@example.com", &route(&others)), SERVER);
            assert_eq!(values(&up, Header::Route), [left]);
        }
    }
}

/// RFC 7118 section 5.2.3: on request alone.
#[test]
fn received_and_rport_are_added_when_configured() {
    let alice = "192.0.2.7:40001".parse().unwrap();
    for add in [false, true] {
        let mut scene = Scene::new(UpstreamTransport::Tcp);
        scene.edge.config.add_received = add;
        scene.edge.handle_flow_opened(ALICE, Side::Client, Some(alice));
        let register = request("REGISTER", "sip:example.com", "").replace(";branch", ";rport;branch");
        let expected = match add {
            true => "SIP/2.0/WS abc.invalid;branch=z9hG4bK-REGISTER;received=192.0.2.7;rport=40001",
            false => "SIP/2.0/WS abc.invalid;rport;branch=z9hG4bK-REGISTER",
        };
        let up = scene.forwards(ALICE, &register, SERVER);
        assert_eq!(values(&up, Header::Via)[1], expected);
        let down = scene.forwards(SERVER, &response(200, &up), ALICE);
        assert_eq!(values(&down, Header::Via), [expected]);
        let own = scene.answers(ALICE, &register.replace("Max-Forwards: 70", "Max-Forwards: 0"), 483);
        assert_eq!(values(&own, Header::Via), [expected]);
        // The server's own is its own business.
        let path = values(&up, Header::Path);
        let down = from_server("OPTIONS", "sip:x@abc.invalid", &format!("Route: {}\r\n", path[0]));
        let down = scene.forwards(SERVER, &down, ALICE);
        assert!(!values(&down, Header::Via)[1].contains("received"), "{down}");
    }
}

/// A proxy for HTTP tells the address of a browser and no port.
#[test]
fn no_port_is_told_that_is_not_known() {
    let mut scene = Scene::new(UpstreamTransport::Tcp);
    scene.edge.config.add_received = true;
    scene.edge.handle_flow_opened(ALICE, Side::Client, Some("192.0.2.7:0".parse().unwrap()));
    let register = request("REGISTER", "sip:example.com", "").replace(";branch", ";rport;branch");
    let expected = "SIP/2.0/WS abc.invalid;branch=z9hG4bK-REGISTER;received=192.0.2.7";
    let up = scene.forwards(ALICE, &register, SERVER);
    assert_eq!(values(&up, Header::Via)[1], expected);
    let own = scene.answers(ALICE, &register.replace("Max-Forwards: 70", "Max-Forwards: 0"), 483);
    assert_eq!(values(&own, Header::Via), [expected]);
}

#[test]
fn requests_in_a_dialog_follow_the_record_routes_both_ways() {
    let mut scene = Scene::new(UpstreamTransport::Tcp);
    let up = scene.forwards(ALICE, &request("INVITE", "sip:bob@example.com", ""), SERVER);
    let record = values(&up, Header::RecordRoute);
    assert!(record[0].contains("transport=tcp") && record[1].contains("transport=ws"), "{record:?}");

    // The caller's route set is in reverse; what is not ours stays.
    let routes = format!("Route: {}, {}\r\nRoute: <sip:10.0.0.9;lr>\r\n", record[1], record[0]);
    let bye = request("BYE", "sip:bob@10.0.0.5", &routes)
        .replace("example.com>\r\nCall", "example.com>;tag=b\r\nCall");
    let up = scene.forwards(ALICE, &bye, SERVER);
    assert_eq!(values(&up, Header::Route), ["<sip:10.0.0.9;lr>"]);
    assert!(values(&up, Header::RecordRoute).is_empty());

    let routes = format!("Route: {}, {}\r\n", record[0], record[1]);
    let bye = from_server("BYE", "sip:x@abc.invalid", &routes);
    let down = scene.forwards(SERVER, &bye, ALICE);
    assert!(values(&down, Header::Route).is_empty());
}

/// RFC 3261 section 16.11: what belongs to one transaction gets one branch.
#[test]
fn a_cancel_and_an_ack_find_their_invite() {
    let mut scene = Scene::new(UpstreamTransport::Tcp);
    let branch = |message: &str| values(message, Header::Via)[0].split("branch=").nth(1).unwrap().to_owned();
    let invite = scene.forwards(ALICE, &request("INVITE", "sip:bob@example.com", ""), SERVER);
    let same = |text: String| {
        text.replace("branch=z9hG4bK-CANCEL", "branch=z9hG4bK-INVITE")
            .replace("branch=z9hG4bK-ACK", "branch=z9hG4bK-INVITE")
    };
    let cancel = scene.forwards(ALICE, &same(request("CANCEL", "sip:bob@example.com", "")), SERVER);
    let ack = scene.forwards(ALICE, &same(request("ACK", "sip:bob@example.com", "")), SERVER);
    assert_eq!(branch(&invite), branch(&cancel));
    assert_eq!(branch(&invite), branch(&ack));
    let other =
        scene.forwards(BOB, &request("INVITE", "sip:bob@example.com", "").replace("abc.", "def."), SERVER);
    assert_ne!(branch(&invite), branch(&other));
}

/// RFC 5626 section 5.3.1.
#[test]
fn a_flow_that_is_gone_fails_at_once() {
    let mut scene = Scene::new(UpstreamTransport::Tcp);
    let up = scene.forwards(ALICE, &request("REGISTER", "sip:example.com", ""), SERVER);
    let path = values(&up, Header::Path).remove(0);
    let call = |path: &str| from_server("INVITE", "sip:x@abc.invalid", &format!("Route: {path}\r\n"));
    scene.forwards(SERVER, &call(&path), ALICE);

    let forged = path.replacen(token(&path).chars().next().unwrap(), "z", 1);
    scene.answers(SERVER, &call(&forged), 430);
    let mut elsewhere = Scene::with_key(UpstreamTransport::Tcp, 8);
    elsewhere.answers(SERVER, &call(&path), 430);
    // A token leads to browsers only.
    let to_server =
        path.replace(token(&path), core::str::from_utf8(scene.edge.tokens.token(SERVER).as_bytes()).unwrap());
    scene.answers(SERVER, &call(&to_server), 430);

    scene.edge.handle_flow_closed(ALICE);
    scene.answers(SERVER, &call(&path), 430);
    assert_eq!(scene.edge.stats().flow_failed, 3);
    // Its answer has nowhere to go.
    scene.receive(SERVER, &response(200, &up)).unwrap();
    scene.nothing_sent();
    scene.answers(SERVER, &from_server("INVITE", "sip:bob@example.com", ""), 404);
    scene.receive(SERVER, &from_server("ACK", "sip:bob@example.com", "")).unwrap();
    scene.nothing_sent();
}

#[test]
fn what_is_for_the_edge_itself_is_answered() {
    let mut scene = Scene::new(UpstreamTransport::Tcp);
    scene.answers(SERVER, &from_server("OPTIONS", "sip:10.0.0.1:5070", ""), 200);
    scene.answers(ALICE, &request("OPTIONS", "sip:example.com", "").replace("wards: 70", "wards: 0"), 200);
    scene.answers(
        ALICE,
        &request("MESSAGE", "sip:bob@example.com", "").replace("wards: 70", "wards: 0"),
        483,
    );
    let bad = request("MESSAGE", "sip:bob@example.com", "Content-Length: 5\r\n");
    assert!(matches!(scene.receive(ALICE, &bad), Err(Refused::Malformed(_))));
    assert!(scene.sent().1.starts_with("SIP/2.0 400 "));
    scene.edge.handle_flow_closed(SERVER);
    assert!(!scene.edge.is_connected());
    scene.answers(ALICE, &request("MESSAGE", "sip:bob@example.com", ""), 503);
}

#[test]
fn a_response_passes_by_a_via_of_ours_alone_and_never_back() {
    let mut scene = Scene::new(UpstreamTransport::Tcp);
    let up = scene.forwards(ALICE, &request("MESSAGE", "sip:bob@example.com", ""), SERVER);
    let ok = response(200, &up);
    assert_eq!(scene.receive(ALICE, &ok), Err(Refused::StrayResponse), "from the wrong side");
    let own = token(
        &values(
            &scene.forwards(ALICE, &request("INVITE", "sip:b@example.com", ""), SERVER),
            Header::RecordRoute,
        )[0],
    )
    .to_owned();
    let forged = ok.replacen(&own[..4], "AAAB", 1);
    assert_eq!(scene.receive(SERVER, &forged), Err(Refused::StrayResponse));
    scene.nothing_sent();
    // The edge was reached by another address then.
    scene.edge.set_upstream_host("10.0.0.2:5070");
    scene.forwards(SERVER, &ok, ALICE);

    // The connection that the request came over is gone: its response takes the other.
    let second = FlowId(101);
    scene.edge.handle_upstream_accepted(second);
    let route = format!("Route: <sip:{own}@10.0.0.1:5070;lr>\r\n");
    let down = scene.forwards(second, &from_server("MESSAGE", "sip:x@abc.invalid", &route), ALICE);
    scene.edge.handle_flow_closed(second);
    scene.forwards(ALICE, &response(200, &down), SERVER);
}
