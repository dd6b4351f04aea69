//! What is sent again, what is kept for that, and until when.

use super::*;

/// RFC 3261 section 17.1.2: Timers E and F.
#[test]
fn a_request_over_udp_is_sent_again_until_it_is_answered() {
    let mut scene = Scene::new(UpstreamTransport::Udp);
    let register = request("REGISTER", "sip:example.com", "");
    let up = scene.forwards(ALICE, &register, SERVER);
    let mut times = Vec::new();
    let answer = loop {
        let (at, sends) = scene.wait().expect("it ends with an answer");
        match &*sends {
            [] => {}
            [send] if send.flow == SERVER => {
                assert_eq!(send.bytes, up.as_bytes());
                times.push(at.as_millis());
            }
            [send] => break String::from_utf8(send.bytes.clone()).unwrap(),
            more => panic!("{more:?}"),
        }
    };
    assert_eq!(times, [500, 1500, 3500, 7500, 11500, 15500, 19500, 23500, 27500, 31500]);
    assert_eq!(scene.now, Duration::from_secs(32));
    assert!(answer.starts_with("SIP/2.0 408 ") && values(&answer, Header::Via).len() == 1, "{answer}");
    assert_eq!(scene.wait().map(|(_, sends)| sends), None);

    let up = scene.forwards(ALICE, &register, SERVER);
    scene.forwards(SERVER, &response(200, &up), ALICE);
    while let Some((_, sends)) = scene.wait() {
        assert_eq!(sends, []);
    }
}

/// RFC 3261 section 17.1.1: Timers A and B, and the ACK to what is not a 2xx.
#[test]
fn an_invite_over_udp_is_sent_again_until_it_rings() {
    let mut scene = Scene::new(UpstreamTransport::Udp);
    let invite = request("INVITE", "sip:bob@example.com", "");
    let up = scene.forwards(ALICE, &invite, SERVER);
    let (at, sends) = scene.wait().unwrap();
    assert_eq!((at.as_millis(), sends.len()), (500, 1));
    let (at, _) = scene.wait().unwrap();
    assert_eq!(at.as_millis(), 1500);
    scene.forwards(SERVER, &response(180, &up), ALICE);
    let busy = response(486, &up);
    scene.forwards(SERVER, &busy, ALICE);
    let ack =
        request("ACK", "sip:bob@example.com", "").replace("branch=z9hG4bK-ACK", "branch=z9hG4bK-INVITE");
    let ack = scene.forwards(ALICE, &ack, SERVER);
    // The ACK was lost: it is sent again, and the browser hears nothing of it.
    assert_eq!(scene.forwards(SERVER, &busy, SERVER), ack);
    while let Some((_, sends)) = scene.wait() {
        assert_eq!(sends, []);
    }
}

/// RFC 3261 section 17.2: what the upstream sends again is not forwarded again.
#[test]
fn retransmissions_of_the_upstream_end_at_the_edge() {
    let mut scene = Scene::new(UpstreamTransport::Udp);
    let up = scene.forwards(ALICE, &request("REGISTER", "sip:example.com", ""), SERVER);
    scene.forwards(SERVER, &response(200, &up), ALICE);
    let route = format!("Route: {}\r\n", values(&up, Header::Path)[0]);
    let invite = from_server("INVITE", "sip:x@abc.invalid", &route);
    let down = scene.forwards(SERVER, &invite, ALICE);
    scene.receive(SERVER, &invite).unwrap();
    scene.nothing_sent();
    let ringing = scene.forwards(ALICE, &response(180, &down), SERVER);
    assert_eq!(scene.forwards(SERVER, &invite, SERVER), ringing);
    let busy = scene.forwards(ALICE, &response(486, &down), SERVER);
    // Timer G.
    let mut again = 0;
    while again < 3 {
        let (_, sends) = scene.wait().unwrap();
        for send in sends {
            assert_eq!((send.flow, &*send.bytes), (SERVER, busy.as_bytes()));
            again += 1;
        }
    }
    let ack = from_server("ACK", "sip:x@abc.invalid", &route)
        .replace("branch=z9hG4bK-ACK", "branch=z9hG4bK-INVITE");
    scene.forwards(SERVER, &ack, ALICE);
    // Timer I: what was on its way meanwhile.
    for late in [&ack, &invite] {
        scene.receive(SERVER, late).unwrap();
        scene.nothing_sent();
    }
    let acked = scene.now;
    while let Some((_, sends)) = scene.wait() {
        assert_eq!(sends, []);
    }
    assert!(scene.now >= acked + Duration::from_secs(5));

    // Another method: its answer is repeated.
    let message = from_server("MESSAGE", "sip:x@abc.invalid", &route);
    let down = scene.forwards(SERVER, &message, ALICE);
    let ok = scene.forwards(ALICE, &response(200, &down), SERVER);
    assert_eq!(scene.forwards(SERVER, &message, SERVER), ok);
}

/// RFC 6026 section 7.1: an INVITE that crossed its 2xx makes no second call.
#[test]
fn an_invite_that_comes_after_its_answer_ends_at_the_edge() {
    let mut scene = Scene::new(UpstreamTransport::Udp);
    let up = scene.forwards(ALICE, &request("REGISTER", "sip:example.com", ""), SERVER);
    scene.forwards(SERVER, &response(200, &up), ALICE);
    let route = format!("Route: {}\r\n", values(&up, Header::Path)[0]);
    let invite = from_server("INVITE", "sip:x@abc.invalid", &route);
    let down = scene.forwards(SERVER, &invite, ALICE);
    let ok = response(200, &down);
    // The user agent says its 2xx again until the ACK, which passes whatever its branch.
    for _ in 0..2 {
        scene.forwards(ALICE, &ok, SERVER);
        scene.receive(SERVER, &invite).unwrap();
        scene.nothing_sent();
    }
    let ack = from_server("ACK", "sip:x@abc.invalid", &route);
    for branch in ["z9hG4bK-ACK", "z9hG4bK-INVITE"] {
        scene.forwards(SERVER, &ack.replace("z9hG4bK-ACK", branch), ALICE);
    }
    let answered = scene.now;
    while let Some((_, sends)) = scene.wait() {
        assert_eq!(sends, []);
    }
    assert_eq!(scene.now, answered + Duration::from_secs(32));
}

/// RFC 3261 section 17.2.1, when it is the edge that answers.
#[test]
fn an_answer_of_the_edge_to_an_invite_is_sent_again_until_its_ack() {
    let mut scene = Scene::new(UpstreamTransport::Udp);
    let up = scene.forwards(ALICE, &request("REGISTER", "sip:example.com", ""), SERVER);
    let route = format!("Route: {}\r\n", values(&up, Header::Path)[0]);
    scene.edge.handle_flow_closed(ALICE);
    let invite = from_server("INVITE", "sip:x@abc.invalid", &route);
    let failed = scene.answers(SERVER, &invite, 430);
    let (at, sends) = scene.wait().unwrap();
    assert_eq!((at.as_millis(), sends.len()), (500, 1));
    assert_eq!((sends[0].flow, &*sends[0].bytes), (SERVER, failed.as_bytes()));
    let ack = from_server("ACK", "sip:x@abc.invalid", &route).replace("z9hG4bK-ACK", "z9hG4bK-INVITE");
    scene.receive(SERVER, &ack).unwrap();
    while let Some((_, sends)) = scene.wait() {
        assert_eq!(sends, []);
    }
}

#[test]
fn transactions_are_bounded_and_go_with_their_flow() {
    let mut config = Config::new("edge.example", "10.0.0.1:5070", UpstreamTransport::Udp);
    config.max_transactions = 1;
    let mut scene = Scene { edge: Edge::new(config, &[1; 32]), now: Duration::ZERO };
    scene.edge.handle_flow_opened(ALICE, Side::Client, None);
    scene.edge.handle_flow_opened(SERVER, Side::Upstream, None);
    scene.forwards(ALICE, &request("MESSAGE", "sip:bob@example.com", ""), SERVER);
    scene.answers(ALICE, &request("MESSAGE", "sip:carol@example.com", "").replace("K-MESS", "K-2"), 503);
    scene.edge.handle_flow_closed(ALICE);
    assert_eq!(scene.edge.poll_timeout(), None, "no deadline outlives its transaction");
    scene.edge.handle_flow_opened(BOB, Side::Client, None);
    scene.forwards(BOB, &request("MESSAGE", "sip:bob@example.com", ""), SERVER);
}

/// What waits for its response when the upstream is gone is answered, each request once; what was answered is not.
#[test]
fn requests_without_a_response_are_answered_when_the_upstream_is_gone() {
    for transport in [UpstreamTransport::Tcp, UpstreamTransport::Ws] {
        let mut scene = Scene::new(transport);
        let invite = request("INVITE", "sip:bob@example.com", "");
        let up = scene.forwards(ALICE, &invite, SERVER);
        let respond = |up: &str, status: &str| {
            let kept = up.lines().filter(|line| {
                ["Via:", "From:", "To:", "Call-ID:", "CSeq:"].iter().any(|name| line.starts_with(name))
            });
            kept.fold(format!("SIP/2.0 {status}\r\n"), |all, line| all + line + "\r\n") + "\r\n"
        };
        scene.forwards(SERVER, &respond(&up, "180 Ringing"), ALICE);
        let up = scene.forwards(BOB, &request("MESSAGE", "sip:alice@example.com", ""), SERVER);
        scene.forwards(SERVER, &respond(&up, "200 OK"), BOB);
        scene.forwards(BOB, &request("OPTIONS", "sip:alice@example.com", ""), SERVER);
        // A CANCEL and an ACK have nothing to wait for.
        scene.forwards(ALICE, &request("CANCEL", "sip:bob@example.com", ""), SERVER);
        scene.forwards(ALICE, &request("ACK", "sip:bob@example.com", ""), SERVER);
        assert_eq!(scene.edge.unanswered.len(), 2);

        scene.edge.handle_flow_closed(SERVER);
        scene.edge.handle_flow_closed(BOB);
        scene.nothing_sent();
        scene.edge.handle_upstream_gone(scene.now);
        let (flow, sent) = scene.sent();
        assert_eq!(flow, ALICE);
        assert!(
            sent.starts_with("SIP/2.0 503 Service Unavailable\r\nVia: SIP/2.0/WS abc.invalid;"),
            "{sent}"
        );
        assert!(sent.contains("CSeq: 1 INVITE\r\n") || sent.contains(" INVITE\r\n"), "{sent}");
        scene.edge.handle_upstream_gone(scene.now);
        scene.nothing_sent();
    }
}

/// What is kept of requests is bounded in bytes; those beyond it are forwarded all the same. A response that goes no further
/// answers nothing.
#[test]
fn what_is_remembered_is_bounded() {
    let mut scene = Scene::new(UpstreamTransport::Tcp);
    let vias = format!("Via: SIP/2.0/WS abc.invalid;branch=z9hG4bKfar;x={}\r\n", "x".repeat(200_000));
    let mut up = String::new();
    for i in 0..400 {
        let options = request("OPTIONS", "sip:alice@example.com", &vias);
        up = scene.forwards(BOB, &options.replace("z9hG4bK-", &format!("z9hG4bK-{i}-")), SERVER);
    }
    let kept = scene.edge.unanswered.len();
    assert!((300..400).contains(&kept) && kept * vias.len() <= 64 << 20, "{kept}");
    scene.edge.handle_upstream_gone(scene.now);
    let answers = core::iter::from_fn(|| scene.edge.poll_send());
    assert_eq!(answers.filter(|send| send.bytes.starts_with(b"SIP/2.0 503 ")).count(), kept);
    assert!(up.contains("z9hG4bK-399-"));

    let up = scene.forwards(BOB, &request("OPTIONS", "sip:alice@example.com", ""), SERVER);
    let without_via = response(200, &up)
        .lines()
        .filter(|line| !line.contains(" abc.invalid;"))
        .fold(String::new(), |all, line| all + line + "\r\n");
    assert!(scene.receive(SERVER, &without_via).is_err());
    assert_eq!(scene.edge.unanswered.len(), 1);
    scene.forwards(SERVER, &response(200, &up), BOB);
    assert_eq!(scene.edge.unanswered.len(), 0);
}

/// A request that its browser has given up is forgotten, and so is what it took.
#[test]
fn requests_are_not_remembered_for_ever() {
    let mut scene = Scene::new(UpstreamTransport::Tcp);
    for i in 0..5000 {
        let options = request("OPTIONS", "sip:alice@example.com", "");
        scene.forwards(BOB, &options.replace("z9hG4bK-", &format!("z9hG4bK-{i}-")), SERVER);
    }
    assert_eq!(scene.edge.unanswered.len(), 5000);
    scene.now += Duration::from_secs(31);
    let up = scene.forwards(ALICE, &request("INVITE", "sip:bob@example.com", ""), SERVER);
    scene.forwards(SERVER, &response(180, &up), ALICE);
    assert_eq!(scene.edge.unanswered.len(), 5001);
    assert_eq!(scene.wait(), Some((Duration::from_secs(32), Vec::new())));
    assert_eq!(scene.edge.unanswered.len(), 1);
    scene.forwards(BOB, &request("OPTIONS", "sip:alice@example.com", ""), SERVER);
    scene.edge.handle_upstream_gone(scene.now + Duration::from_secs(300));
    scene.nothing_sent();
    assert_eq!(scene.edge.poll_timeout(), None, "no deadline outlives its request");
}

/// RFC 3261 section 18.2.2: the upstream may answer over a new connection. It has until Timer B or C.
#[test]
fn a_call_whose_connection_ended_waits_no_longer_than_its_timer() {
    let next = FlowId(101);
    for (rings_at, ends_at) in [(None, 32), (Some(30), 330)] {
        let mut scene = Scene::new(UpstreamTransport::Tcp);
        let up = scene.forwards(ALICE, &request("INVITE", "sip:bob@example.com", ""), SERVER);
        if let Some(at) = rings_at {
            scene.now = Duration::from_secs(at);
            scene.forwards(SERVER, &response(180, &up), ALICE);
        }
        scene.forwards(BOB, &request("MESSAGE", "sip:alice@example.com", ""), SERVER);
        scene.edge.handle_flow_closed(SERVER);
        scene.edge.handle_flow_opened(next, Side::Upstream, None);
        let mut sent = Vec::new();
        while let Some((at, sends)) = scene.wait() {
            sent.extend(sends.into_iter().map(|send| (at.as_secs(), send)));
        }
        let [(at, answer)] = &*sent else { panic!("{sent:?}") };
        assert_eq!((*at, answer.flow), (ends_at, ALICE));
        let text = core::str::from_utf8(&answer.bytes).unwrap();
        assert!(text.starts_with("SIP/2.0 408 ") && values(text, Header::Via).len() == 1, "{text}");
    }
    // Answered over the new connection; and one that the upstream has in hand.
    let mut scene = Scene::new(UpstreamTransport::Tcp);
    let up = scene.forwards(ALICE, &request("INVITE", "sip:bob@example.com", ""), SERVER);
    scene.edge.handle_flow_closed(SERVER);
    scene.edge.handle_flow_opened(next, Side::Upstream, None);
    scene.forwards(next, &response(486, &up), ALICE);
    scene.forwards(BOB, &request("INVITE", "sip:alice@example.com", ""), next);
    while let Some((_, sends)) = scene.wait() {
        assert_eq!(sends, []);
    }
}

/// RFC 3261 section 21.5.7. One that is too long costs its sender alone, and only once.
#[test]
fn what_no_datagram_carries_stays_here() {
    let mut scene = Scene::new(UpstreamTransport::Udp);
    let with_body = |method: &str, len: usize| {
        let head = request(method, "sip:bob@example.com", &format!("Content-Length: {len}\r\n"));
        head + &"x".repeat(len)
    };
    // What the edge writes into it counts.
    let written = scene.forwards(ALICE, &with_body("MESSAGE", 10_000), SERVER).len() - 10_000;
    let most = 65_507 - written;
    assert_eq!(scene.forwards(ALICE, &with_body("MESSAGE", most), SERVER).len(), 65_507);
    scene.edge.handle_flow_closed(ALICE);
    scene.edge.handle_flow_opened(ALICE, Side::Client, None);
    for len in [most + 1, 65_535, 100_000] {
        scene.answers(ALICE, &with_body("MESSAGE", len), 513);
        assert_eq!(scene.edge.poll_timeout(), None, "nothing is sent again");
    }
    let refused = scene.receive(ALICE, &with_body("ACK", 65_507));
    assert!(matches!(refused, Err(Refused::TooLong(65_508..))), "{refused:?}");
    scene.nothing_sent();
    assert_eq!((scene.edge.stats().answered, scene.edge.stats().refused), (3, 1));

    let up = scene.forwards(ALICE, &request("REGISTER", "sip:example.com", ""), SERVER);
    scene.forwards(SERVER, &response(200, &up), ALICE);
    let route = format!("Route: {}\r\n", values(&up, Header::Path)[0]);
    let down = scene.forwards(SERVER, &from_server("OPTIONS", "sip:x@abc.invalid", &route), ALICE);
    let length =
        |len: usize| response(200, &down).replace("Length: 0\r\n\r\n", &format!("Length: {len}\r\n\r\n"));
    let refused = scene.receive(ALICE, &(length(65_507) + &"x".repeat(65_507)));
    assert!(matches!(refused, Err(Refused::TooLong(65_508..))), "{refused:?}");
    scene.nothing_sent();
    scene.forwards(ALICE, &response(200, &down), SERVER);

    let mut scene = Scene::new(UpstreamTransport::Tcp);
    scene.forwards(ALICE, &with_body("MESSAGE", 100_000), SERVER);
}

/// What the server reads at most is told in bytes as they reach it.
#[test]
fn what_the_upstream_does_not_take_stays_here() {
    for transport in [UpstreamTransport::Tcp, UpstreamTransport::Udp, UpstreamTransport::Ws] {
        let mut scene = Scene::new(transport);
        for method in ["MESSAGE", "REGISTER", "INVITE"] {
            let request = request(method, "sip:bob@example.com", "");
            scene.edge.config.max_upstream_message_len = usize::MAX;
            let len = scene.forwards(ALICE, &request, SERVER).len();
            scene.edge.config.max_upstream_message_len = len;
            assert_eq!(scene.forwards(ALICE, &request, SERVER).len(), len);
            scene.edge.config.max_upstream_message_len = len - 1;
            scene.answers(ALICE, &request, 513);
        }
    }
}
