//! What a client may be told to ask for: refused, or written so that an independent parser reads exactly that.

use std::sync::Arc;

use arbitrary::Arbitrary;
use ws_core::{ClientRequest, Config, Endpoint, Instant, KeySource, SendBuffer};

/// What the application gives.
#[derive(Arbitrary, Debug)]
pub struct Options {
    host: String,
    port: Option<u16>,
    path: String,
    /// Instead of the three.
    url: Option<String>,
    subprotocols: Vec<String>,
    origin: Option<String>,
    headers: Vec<(String, String)>,
}

/// Makes the request, if it can be made.
///
/// # Panics
/// If something else is written than what was given.
pub fn run(options: Options) {
    let url = options.url.unwrap_or_else(|| {
        let port = options.port.map(|port| format!(":{port}")).unwrap_or_default();
        format!("ws://{}{port}/{}", options.host, options.path)
    });
    let Ok(mut request) = ClientRequest::new(&url) else { return };
    let (mut subprotocols, mut headers, mut origin) = (Vec::new(), Vec::new(), None);
    for name in &options.subprotocols {
        if let Ok(with) = request.clone().subprotocol(name) {
            request = with;
            subprotocols.push(name.as_str());
        }
    }
    if let Some(given) = &options.origin
        && let Ok(with) = request.clone().origin(given)
    {
        request = with;
        origin = Some(given.as_str());
    }
    for (name, value) in &options.headers {
        if let Ok(with) = request.clone().header(name, value) {
            request = with;
            headers.push((name.as_str(), value.as_str()));
        }
    }

    let mut out = SendBuffer::new();
    let now = Instant::EPOCH;
    let mut endpoint = Endpoint::client(&request, &Arc::new(Config::default()), KeySource::counter(0), now);
    assert!(endpoint.poll_transmit(now, &mut out));
    let bytes = out.pending();
    let mut fields = vec![httparse::EMPTY_HEADER; headers.len() + 8];
    let mut parsed = httparse::Request::new(&mut fields);
    let status = parsed.parse(bytes).expect("well formed");
    assert_eq!(status, httparse::Status::Complete(bytes.len()), "one request and nothing behind it");
    assert_eq!((parsed.method, parsed.version), (Some("GET"), Some(1)));
    assert_eq!(parsed.path, Some(request.target()));
    // What we write ourselves, then what was given, in order.
    let own = ["Host", "Upgrade", "Connection", "Sec-WebSocket-Key", "Sec-WebSocket-Version"];
    let mut left = parsed.headers.iter();
    for name in own {
        assert_eq!(left.next().map(|field| field.name), Some(name));
    }
    if !subprotocols.is_empty() {
        let field = left.next().expect("the subprotocols");
        assert_eq!((field.name, field.value), ("Sec-WebSocket-Protocol", subprotocols.join(", ").as_bytes()));
    }
    if let Some(origin) = origin {
        let field = left.next().expect("the origin");
        assert_eq!((field.name, field.value), ("Origin", origin.as_bytes()));
    }
    for (name, value) in headers {
        let field = left.next().expect("a header");
        assert_eq!((field.name, field.value), (name, value.as_bytes()));
    }
    assert!(left.next().is_none(), "nothing else");
}
