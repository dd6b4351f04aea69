//! permessage-deflate (RFC 7692, sections 5 and 7.1) in the opening handshakes.
#![cfg(feature = "deflate")]

use std::sync::Arc;

use ws_core::{
    Chunk, ClientRequest, Config, DeflateConfig, DeflateParams, Endpoint, Event, Instant, KeySource, Message,
    Outcome, ResponseFault, SendBuffer, ServerConfig,
};

const NOW: Instant = Instant::EPOCH;

/// Takeover allowed, 15 bits.
fn wide() -> DeflateConfig {
    DeflateConfig::with_context_takeover()
}

fn with(change: impl FnOnce(&mut DeflateConfig)) -> DeflateConfig {
    let mut config = wide();
    change(&mut config);
    config
}

fn connection(deflate: Option<DeflateConfig>) -> Arc<Config> {
    let mut config = Config::default();
    config.deflate = deflate;
    Arc::new(config)
}

fn pending(endpoint: &mut Endpoint) -> String {
    let mut out = SendBuffer::new();
    endpoint.poll_transmit(NOW, &mut out);
    let bytes = out.pending().to_vec();
    endpoint.handle_transmitted(NOW, bytes.len(), &mut out);
    String::from_utf8(bytes).unwrap()
}

fn event(endpoint: &mut Endpoint, bytes: &str) -> Option<Event<'static>> {
    let mut bytes = bytes.as_bytes().to_vec();
    endpoint.poll_event(NOW, &mut Chunk::new(&mut bytes)).map(Event::into_owned)
}

/// The value of the extension field.
fn extensions(head: &str) -> Option<&str> {
    let mut values = head.lines().filter_map(|line| line.strip_prefix("Sec-WebSocket-Extensions: "));
    let value = values.next();
    assert_eq!(values.next(), None);
    value
}

fn describe(params: DeflateParams) -> String {
    format!(
        "{}{} {}{}",
        params.server_max_window_bits,
        if params.server_no_context_takeover { "" } else { "+" },
        params.client_max_window_bits,
        if params.client_no_context_takeover { "" } else { "+" },
    )
}

/// Answers a request with these extension fields: the field of the response, and what was agreed on, server first,
/// "+" for context takeover.
fn answer(config: Option<DeflateConfig>, offers: &[&str]) -> Option<(String, String)> {
    let mut server = ServerConfig::default();
    server.connection = connection(config);
    let mut server = Endpoint::server(&Arc::new(server), NOW);
    let fields: String =
        offers.iter().map(|offer| format!("Sec-WebSocket-Extensions: {offer}\r\n")).collect();
    let request = format!(
        "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{fields}\r\n"
    );
    let Some(Event::Open(opened)) = event(&mut server, &request) else { panic!("not opened: {offers:?}") };
    let response = pending(&mut server);
    assert!(response.starts_with("HTTP/1.1 101 ") && response.ends_with("\r\n\r\n"), "{response}");
    assert_eq!(extensions(&response).is_some(), opened.deflate().is_some());
    Some((extensions(&response)?.to_owned(), describe(opened.deflate()?)))
}

#[track_caller]
fn assert_answer(config: DeflateConfig, offer: &str, field: &str, agreed: &str) {
    let expected = Some((field.to_owned(), agreed.to_owned()));
    assert_eq!(answer(Some(config), &[offer]), expected, "{offer}");
}

#[test]
fn a_server_accepts_what_it_can() {
    let name = "permessage-deflate";
    assert_answer(wide(), name, name, "15+ 15+");
    for (offer, field, agreed) in [
        ("; client_max_window_bits", "", "15+ 15+"),
        ("; client_max_window_bits=15", "", "15+ 15+"),
        ("; client_max_window_bits=10", "; client_max_window_bits=10", "15+ 10+"),
        ("; client_max_window_bits=8", "; client_max_window_bits=8", "15+ 8+"),
        ("; server_max_window_bits=15", "; server_max_window_bits=15", "15+ 15+"),
        ("; server_max_window_bits=9", "; server_max_window_bits=9", "9+ 15+"),
        ("; server_max_window_bits=8", "; server_max_window_bits=8", "8+ 15+"),
        ("; server_max_window_bits=\"12\"", "; server_max_window_bits=12", "12+ 15+"),
        ("; server_no_context_takeover", "; server_no_context_takeover", "15 15+"),
        ("; client_no_context_takeover", "; client_no_context_takeover", "15+ 15"),
        (
            ";client_max_window_bits;server_max_window_bits=11;client_no_context_takeover;server_no_context_takeover",
            "; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=11",
            "11 15",
        ),
    ] {
        assert_answer(wide(), &format!("{name}{offer}"), &format!("{name}{field}"), agreed);
    }
}

#[test]
fn a_server_asks_for_what_it_wants() {
    let name = "permessage-deflate";
    let no_takeover = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
    assert_answer(DeflateConfig::default(), name, no_takeover, "15 15");
    let narrow = with(|config| {
        config.server_max_window_bits = 10;
        config.client_max_window_bits = 11;
    });
    let own = "permessage-deflate; server_max_window_bits=10";
    assert_answer(narrow, name, own, "10+ 15+");
    assert_answer(
        narrow,
        "permessage-deflate; server_max_window_bits=9",
        "permessage-deflate; server_max_window_bits=9",
        "9+ 15+",
    );
    assert_answer(narrow, "permessage-deflate; server_max_window_bits=12", own, "10+ 15+");
    let both = "permessage-deflate; server_max_window_bits=10; client_max_window_bits=11";
    assert_answer(narrow, "permessage-deflate; client_max_window_bits", both, "10+ 11+");
    assert_answer(narrow, "permessage-deflate; client_max_window_bits=13", both, "10+ 11+");
    // Numbers that cannot be are taken as the nearest that can.
    let odd = with(|config| config.server_max_window_bits = 3);
    assert_answer(odd, name, "permessage-deflate; server_max_window_bits=9", "9+ 15+");
    let odd = with(|config| config.client_max_window_bits = 3);
    let offer = "permessage-deflate; client_max_window_bits";
    assert_answer(odd, offer, "permessage-deflate; client_max_window_bits=9", "15+ 9+");
    assert_answer(with(|config| config.client_max_window_bits = 99), offer, name, "15+ 15+");
}

#[test]
fn a_server_declines_what_it_does_not_understand() {
    for bad in [
        "permessage-deflate; server_max_window_bits",
        "permessage-deflate; server_max_window_bits=7",
        "permessage-deflate; server_max_window_bits=16",
        "permessage-deflate; server_max_window_bits=08",
        "permessage-deflate; server_max_window_bits=010",
        "permessage-deflate; server_max_window_bits=+9",
        "permessage-deflate; server_max_window_bits=1e1",
        "permessage-deflate; server_max_window_bits=4294967305",
        "permessage-deflate; server_max_window_bits=10; server_max_window_bits=10",
        "permessage-deflate; client_max_window_bits=7",
        "permessage-deflate; client_max_window_bits=16",
        "permessage-deflate; client_max_window_bits; client_max_window_bits=10",
        "permessage-deflate; server_no_context_takeover=true",
        "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
        "permessage-deflate; client_no_context_takeover=1",
        "permessage-deflate; client_no_context_takeover; client_no_context_takeover",
        "permessage-deflate; x",
        "permessage-deflate; Server_no_context_takeover",
        "permessage-deflate;",
        "permessage-deflate x",
        "Permessage-Deflate",
        "permessage-bzip2",
        "x-webkit-deflate-frame",
        "",
    ] {
        assert_eq!(answer(Some(wide()), &[bad]), None, "{bad}");
        // The next offer is as good.
        let second = format!("{bad}, permessage-deflate; server_max_window_bits=10");
        let expected = Some(("permessage-deflate; server_max_window_bits=10".into(), "10+ 15+".into()));
        assert_eq!(answer(Some(wide()), &[&second]), expected, "{second}");
        assert_eq!(answer(Some(wide()), &[bad, "permessage-deflate; server_max_window_bits=10"]), expected);
        assert_eq!(answer(None, &[&second]), None, "not asked for in the settings");
    }
    assert_eq!(answer(Some(wide()), &[]), None);
}

/// Thousands of offers are read once each, and the one that counts is found.
#[test]
fn thousands_of_offers() {
    let many = "permessage-deflate; x, ".repeat(600) + "permessage-deflate";
    assert_eq!(answer(Some(wide()), &[&many]), Some(("permessage-deflate".into(), "15+ 15+".into())));
}

fn client(config: Option<DeflateConfig>) -> (Endpoint, String) {
    let request = ClientRequest::new("ws://x/").unwrap();
    let mut client = Endpoint::client(&request, &connection(config), KeySource::counter(0), NOW);
    let head = pending(&mut client);
    (client, head)
}

#[test]
fn what_a_client_offers() {
    for (config, field) in [
        (None, None),
        (Some(wide()), Some("permessage-deflate; client_max_window_bits")),
        (
            Some(DeflateConfig::default()),
            Some(
                "permessage-deflate; server_no_context_takeover; client_no_context_takeover; client_max_window_bits",
            ),
        ),
        (
            Some(with(|config| {
                config.server_max_window_bits = 9;
                config.client_max_window_bits = 12;
            })),
            Some("permessage-deflate; server_max_window_bits=9; client_max_window_bits=12"),
        ),
    ] {
        assert_eq!(extensions(&client(config).1), field);
    }
}

/// What a client makes of a response with these extension fields: what was agreed on, or `None` if it is refused.
fn taken(config: Option<DeflateConfig>, fields: &[&str]) -> Option<String> {
    let (mut client, head) = client(config);
    let key = head.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: ")).unwrap();
    let fields: String =
        fields.iter().map(|field| format!("Sec-WebSocket-Extensions: {field}\r\n")).collect();
    let response = format!(
        "HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {}\r\n{fields}\r\n",
        accept(key)
    );
    match event(&mut client, &response) {
        Some(Event::Open(opened)) => Some(opened.deflate().map_or_else(|| "plain".into(), describe)),
        Some(Event::Closed(Outcome::Rejected(error))) if error.fault() == ResponseFault::Extension => None,
        other => panic!("{other:?}"),
    }
}

/// The accept value, from a server of our own.
fn accept(key: &str) -> String {
    let mut server = Endpoint::server(&Arc::new(ServerConfig::default()), NOW);
    let request = format!(
        "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: {key}\r\n\r\n"
    );
    assert!(matches!(event(&mut server, &request), Some(Event::Open(_))));
    let response = pending(&mut server);
    response.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Accept: ")).unwrap().to_owned()
}

#[test]
fn a_client_takes_an_answer_to_its_offer() {
    let narrow = with(|config| {
        config.server_max_window_bits = 11;
        config.client_max_window_bits = 12;
    });
    for (config, fields, agreed) in [
        (wide(), &[][..], "plain"),
        (wide(), &[""], "plain"),
        (wide(), &["permessage-deflate"], "15+ 15+"),
        (wide(), &["permessage-deflate; server_no_context_takeover"], "15 15+"),
        (wide(), &["permessage-deflate; client_no_context_takeover"], "15+ 15"),
        (wide(), &["permessage-deflate; server_max_window_bits=10"], "10+ 15+"),
        (wide(), &["permessage-deflate; client_max_window_bits=8"], "15+ 8+"),
        (DeflateConfig::default(), &["permessage-deflate; server_no_context_takeover"], "15 15"),
        (narrow, &["permessage-deflate; server_max_window_bits=11"], "11+ 12+"),
        (narrow, &["permessage-deflate; server_max_window_bits=9; client_max_window_bits=15"], "9+ 12+"),
        (narrow, &["permessage-deflate; server_max_window_bits=9; client_max_window_bits=10"], "9+ 10+"),
    ] {
        assert_eq!(taken(Some(config), fields).as_deref(), Some(agreed), "{fields:?}");
    }
}

#[test]
fn a_client_refuses_all_else() {
    let narrow = with(|config| config.server_max_window_bits = 11);
    for (config, fields) in [
        (None, &["permessage-deflate"][..]),
        (Some(wide()), &["permessage-bzip2"]),
        (Some(wide()), &["permessage-deflate, permessage-deflate"]),
        (Some(wide()), &["permessage-deflate", "permessage-deflate"]),
        (Some(wide()), &["permessage-deflate, x"]),
        (Some(wide()), &["permessage-deflate;"]),
        (Some(wide()), &["permessage-deflate; x"]),
        (Some(wide()), &["permessage-deflate; client_max_window_bits"]),
        (Some(wide()), &["permessage-deflate; client_max_window_bits=16"]),
        (Some(wide()), &["permessage-deflate; server_max_window_bits=7"]),
        (Some(wide()), &["permessage-deflate; server_max_window_bits"]),
        (Some(wide()), &["permessage-deflate; server_no_context_takeover=1"]),
        (Some(wide()), &["permessage-deflate; server_no_context_takeover; server_no_context_takeover"]),
        // What was asked of the server is not to be passed over.
        (Some(DeflateConfig::default()), &["permessage-deflate"]),
        (Some(narrow), &["permessage-deflate"]),
        (Some(narrow), &["permessage-deflate; server_max_window_bits=12"]),
    ] {
        assert_eq!(taken(config, fields), None, "{fields:?}");
    }
}

/// From the first byte to a message that is compressed on the wire.
#[test]
fn from_end_to_end() {
    let mut settings = ServerConfig::default();
    settings.connection = connection(Some(DeflateConfig::default()));
    let mut server = Endpoint::server(&Arc::new(settings), NOW);
    let (mut client, request) = client(Some(wide()));
    assert!(matches!(event(&mut server, &request), Some(Event::Open(_))));
    let response = pending(&mut server);
    assert!(matches!(event(&mut client, &response), Some(Event::Open(_))));
    let text = "one and the same ".repeat(20);
    let mut out = SendBuffer::new();
    client.send_text(&text, &mut out).unwrap();
    let mut bytes = out.take().to_vec();
    assert!(bytes.len() < 60 && bytes[0] == 0xc1, "{bytes:x?}");
    let mut chunk = Chunk::new(&mut bytes);
    let expected = Event::Message(Message::Text(text.clone().into()));
    assert_eq!(server.poll_event(NOW, &mut chunk), Some(expected));
    server.send_uncompressed(&Message::Text(text.into()), &mut out).unwrap();
    assert_eq!(out.take()[0], 0x81);
}
