//! What errors and answers say: each in words of its own, for logs and for people.

use std::collections::HashSet;
use std::sync::Arc;

use ws_core::proxy_protocol::HeaderError as ProxyHeaderError;
use ws_core::{
    AnswerError, Chunk, ClientRequestError, Deadline, Endpoint, Event, HeadError, HeaderError, Instant,
    KeySource, Outcome, ProtocolError, ProxyError, RequestError, Response, SendBuffer, SendError,
    ServerConfig, Side, StatusCode,
};

/// All different, lower case at the start unless it is a name, in one line without a full stop.
#[track_caller]
fn assert_words<E: core::fmt::Display>(errors: &[E]) {
    let mut seen = HashSet::new();
    for error in errors {
        let words = error.to_string();
        assert!(!words.is_empty() && !words.contains('\n') && !words.ends_with('.'), "{words:?}");
        assert!(seen.insert(words.clone()), "said twice: {words}");
    }
}

fn head_errors() -> Vec<HeadError> {
    use HeadError::*;
    vec![
        StartLine,
        Version,
        BareLf,
        BareCr,
        ObsFold,
        SpaceBeforeColon,
        FieldName,
        ControlCharacter,
        TooLong,
        TargetTooLong,
        TooManyFields,
        TooManyChunks,
    ]
}

#[test]
fn errors() {
    assert_words(&head_errors());
    assert_words(&[
        AnswerError::NoRequest,
        AnswerError::PlainRequest,
        AnswerError::SubprotocolNotOffered,
        AnswerError::InvalidResponse,
    ]);
    assert_words(&[HeaderError::Name, HeaderError::Value, HeaderError::Reserved]);
    assert_words(&[
        ClientRequestError::Character,
        ClientRequestError::Scheme,
        ClientRequestError::UserInfo,
        ClientRequestError::Fragment,
        ClientRequestError::Host,
        ClientRequestError::Port,
        ClientRequestError::Subprotocol,
        ClientRequestError::Origin,
        ClientRequestError::Header(HeaderError::Name),
    ]);
    assert_words(&[
        ProxyError::Url,
        ProxyError::Host,
        ProxyError::Status(407),
        ProxyError::Head(HeadError::BareLf),
        ProxyError::NotSocks,
        ProxyError::NoMethod,
        ProxyError::Unauthorized,
        ProxyError::Reply(5),
        ProxyError::Unexpected,
        ProxyError::Ended,
    ]);
    assert_words(&[
        ProxyHeaderError::Missing,
        ProxyHeaderError::Line,
        ProxyHeaderError::Version,
        ProxyHeaderError::Addresses,
        ProxyHeaderError::TooLong,
    ]);
    assert_words(&[
        SendError::NotOpen,
        SendError::Closing,
        SendError::OutputFull,
        SendError::MessageInProgress,
        SendError::KindMismatch,
        SendError::ControlTooLong,
        SendError::ReasonTooLong,
        SendError::ReasonWithoutCode,
    ]);
    assert_words(&[
        Deadline::OpeningHandshake,
        Deadline::Message,
        Deadline::Idle,
        Deadline::Pong,
        Deadline::ClosingHandshake,
        Deadline::Send,
    ]);
    assert_words(&[
        RequestError::Head(HeadError::BareLf),
        RequestError::Method,
        RequestError::Body,
        RequestError::Host,
        RequestError::NotWebSocket,
        RequestError::Connection,
        RequestError::Version,
        RequestError::Key,
        RequestError::Resource,
        RequestError::Origin,
        RequestError::Subprotocol,
        RequestError::Unavailable,
        RequestError::DataBeforeAnswer,
    ]);
}

#[test]
fn protocol_errors_fit_a_close_frame() {
    use ProtocolError::*;
    let errors = [
        ReservedBits,
        ReservedOpcode(3),
        Unmasked,
        Masked,
        NonMinimalLength,
        LengthTopBit,
        ControlTooLong,
        ControlFragmented,
        UnexpectedContinuation,
        ExpectedContinuation,
        CloseTooShort,
        InvalidCloseCode(1005),
        InvalidCloseReason,
        InvalidUtf8,
        InvalidDeflate,
        FrameTooLong,
        MessageTooLong,
        TooManyFragments,
        TooManyChunks,
    ];
    assert_words(&errors);
    for error in errors {
        assert!(error.reason().len() <= 123 && error.to_string().starts_with(error.reason()));
        assert!([1002, 1007, 1008, 1009].contains(&error.status_code().get()), "{error}");
    }
}

#[test]
fn outcomes() {
    let code = StatusCode::new(1000);
    assert_words(&[
        Outcome::Clean { initiator: Side::Us, code },
        Outcome::Clean { initiator: Side::Peer, code },
        Outcome::Clean { initiator: Side::Us, code: None },
        Outcome::Vanished,
        Outcome::TransportLost,
        Outcome::Failed(ProtocolError::Unmasked),
        Outcome::TimedOut(Deadline::Idle),
        Outcome::Aborted,
        Outcome::Refused(RequestError::Key),
        Outcome::Responded(404),
    ]);
    assert_eq!(format!("{:?}", StatusCode::NORMAL), "1000");
    assert_eq!(u16::from(StatusCode::NORMAL), 1000);
    // No key shows in a log.
    assert_eq!(format!("{:?}", KeySource::from_seed([7; 32])), "KeySource(ChaCha12)");
    assert_eq!(format!("{:?}", KeySource::counter(7)), "KeySource(counter)");
}

/// Each status that has a usual phrase is sent with it, and any other without.
#[test]
fn phrases() {
    let mut config = ServerConfig::default();
    config.plain_requests = true;
    let config = Arc::new(config);
    let mut phrases = HashSet::new();
    for status in 200..=599 {
        let mut server = Endpoint::server(&config, Instant::EPOCH);
        let mut request = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec();
        let event = server.poll_event(Instant::EPOCH, &mut Chunk::new(&mut request));
        assert!(matches!(event, Some(Event::Request(_))));
        server.respond(Instant::EPOCH, &Response::new(status)).unwrap();
        let mut out = SendBuffer::new();
        server.poll_transmit(Instant::EPOCH, &mut out);
        let head = String::from_utf8(out.take().to_vec()).unwrap();
        let phrase = head.lines().next().unwrap().strip_prefix(&format!("HTTP/1.1 {status} ")).unwrap();
        if !phrase.is_empty() {
            assert!(phrases.insert(phrase.to_owned()), "{status} {phrase}");
        }
    }
    assert_eq!(phrases.len(), 44);
    assert!(
        phrases.contains("OK") && phrases.contains("Upgrade Required") && phrases.contains("Gateway Timeout")
    );
}
