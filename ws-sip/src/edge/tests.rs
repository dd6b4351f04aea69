use super::*;
use crate::sip::{Header, Received};

const ALICE: FlowId = FlowId(1);
const BOB: FlowId = FlowId(2);
const SERVER: FlowId = FlowId(100);

struct Scene {
    edge: Edge,
    now: Duration,
}

impl Scene {
    fn new(transport: UpstreamTransport) -> Self {
        Self::with_key(transport, 7)
    }

    fn with_key(transport: UpstreamTransport, key: u8) -> Self {
        let config = Config::new("edge.example", "10.0.0.1:5070", transport);
        let mut edge = Edge::new(config, &[key; 32]);
        edge.handle_flow_opened(ALICE, Side::Client, None);
        edge.handle_flow_opened(BOB, Side::Client, None);
        edge.handle_flow_opened(SERVER, Side::Upstream, None);
        Self { edge, now: Duration::ZERO }
    }

    #[track_caller]
    fn receive(&mut self, flow: FlowId, text: &str) -> Result<(), Refused> {
        let Ok(Received::Sip(message)) = Received::parse(text.as_bytes()) else { panic!("{text}") };
        self.edge.handle_sip(self.now, flow, &message)
    }

    /// The one message that was sent.
    #[track_caller]
    fn sent(&mut self) -> (FlowId, String) {
        let send = self.edge.poll_send().expect("nothing was sent");
        assert_eq!(self.edge.poll_send(), None);
        (send.flow, String::from_utf8(send.bytes).unwrap())
    }

    #[track_caller]
    fn nothing_sent(&mut self) {
        assert_eq!(self.edge.poll_send(), None);
    }

    #[track_caller]
    fn forwards(&mut self, from: FlowId, text: &str, to: FlowId) -> String {
        self.receive(from, text).unwrap();
        let (flow, sent) = self.sent();
        assert_eq!(flow, to, "{sent}");
        sent
    }

    #[track_caller]
    fn answers(&mut self, from: FlowId, text: &str, status: u16) -> String {
        let sent = self.forwards(from, text, from);
        assert!(sent.starts_with(&format!("SIP/2.0 {status} ")), "{sent}");
        sent
    }

    /// Lets time pass until the next deadline; returns what was sent then, and when.
    fn wait(&mut self) -> Option<(Duration, Vec<Send>)> {
        self.now = self.edge.poll_timeout()?;
        self.edge.handle_timeout(self.now);
        Some((self.now, core::iter::from_fn(|| self.edge.poll_send()).collect()))
    }
}

fn request(method: &str, uri: &str, extra: &str) -> String {
    format!(
        "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/WS abc.invalid;branch=z9hG4bK-{method}\r\nMax-Forwards: 70\r\n\
         From: <sip:alice@example.com>;tag=a\r\nTo: <sip:bob@example.com>\r\nCall-ID: c1\r\n\
         CSeq: 1 {method}\r\n{extra}\r\n"
    )
}

fn from_server(method: &str, uri: &str, extra: &str) -> String {
    request(method, uri, extra).replace("SIP/2.0/WS abc.invalid", "SIP/2.0/TCP 10.0.0.9:5060")
}

/// A response to a request as it arrived.
fn response(status: u16, request: &str) -> String {
    let Ok(Received::Sip(message)) = Received::parse(request.as_bytes()) else { panic!("{request}") };
    let reply = crate::sip::Reply::to(&message, None, status, "R", "b").unwrap().finish();
    String::from_utf8(reply).unwrap()
}

fn values(message: &str, header: Header) -> Vec<String> {
    let Ok(Received::Sip(message)) = Received::parse(message.as_bytes()) else { panic!("{message}") };
    message.values(header).map(|value| String::from_utf8(value.bytes.to_vec()).unwrap()).collect()
}

/// What the user part of a URI of ours holds.
fn token(uri: &str) -> &str {
    uri.strip_prefix("<sip:").unwrap().split('@').next().unwrap()
}

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
    scene.forwards(ALICE, &request("INVITE", "sip:bob@example.com", ""), SERVER);
    assert_eq!(scene.edge.unanswered.len(), 5001);
    scene.now += Duration::from_secs(2);
    scene.forwards(BOB, &request("OPTIONS", "sip:alice@example.com", ""), SERVER);
    assert_eq!(scene.edge.unanswered.len(), 2);
    scene.edge.handle_upstream_gone(scene.now + Duration::from_secs(300));
    scene.nothing_sent();
}
