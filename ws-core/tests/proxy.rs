//! What a client says to a proxy in front of its opening handshake.

use ws_core::{HeadError, Proxy, ProxyError, ProxyHandshake};

fn start(proxy: &str, host: &str, port: u16) -> ProxyHandshake {
    ProxyHandshake::new(&proxy.parse().unwrap(), host, port).unwrap()
}

/// What it has to say.
fn said(handshake: &mut ProxyHandshake) -> Vec<u8> {
    let bytes = handshake.pending().to_vec();
    handshake.handle_written(bytes.len());
    bytes
}

/// Plays a proxy's part, whole and byte by byte: in turn what must have been said, and the answer.
#[track_caller]
fn play(proxy: &str, host: &str, port: u16, turns: &[(&[u8], &[u8])]) -> Result<(), ProxyError> {
    let mut results = [false, true].map(|bytewise| {
        let mut handshake = start(proxy, host, port);
        for (expected, answer) in turns {
            assert_eq!(said(&mut handshake).escape_ascii().to_string(), expected.escape_ascii().to_string());
            assert!(!handshake.is_done());
            if bytewise {
                for byte in *answer {
                    handshake.handle_read(&[*byte])?;
                }
            } else {
                handshake.handle_read(answer)?;
            }
        }
        assert!(handshake.is_done() && handshake.pending().is_empty());
        // The server has nothing to say before it is asked.
        assert_eq!(handshake.handle_read(b"x"), Err(ProxyError::Unexpected));
        assert_eq!(handshake.handle_read(b""), Ok(()));
        Ok(())
    });
    assert_eq!(results[0], results[1]);
    core::mem::replace(&mut results[0], Ok(()))
}

#[test]
fn connect() {
    let asked = b"CONNECT sip.example:443 HTTP/1.1\r\nHost: sip.example:443\r\n\r\n";
    for answer in [
        &b"HTTP/1.1 200 OK\r\n\r\n"[..],
        b"HTTP/1.0 200 Connection established\r\nProxy-agent: tinyproxy/1.11.1\r\n\r\n",
        b"HTTP/1.1 299 \r\nContent-Length: 5\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
    ] {
        assert_eq!(play("http://proxy.example", "sip.example", 443, &[(asked, answer)]), Ok(()));
    }
    let asked = b"CONNECT [2001:db8::1]:80 HTTP/1.1\r\nHost: [2001:db8::1]:80\r\n\
        Proxy-Authorization: Basic YWxpY2U6b3BlbiBzZXM6YW1l\r\n\r\n";
    let url = "http://alice:open%20ses:ame@proxy.example:3128/";
    assert_eq!(play(url, "2001:db8::1", 80, &[(asked, b"HTTP/1.1 200 OK\r\n\r\n")]), Ok(()));
}

#[test]
fn connect_refused() {
    let asked = b"CONNECT x:80 HTTP/1.1\r\nHost: x:80\r\n\r\n";
    for (answer, error) in [
        (
            &b"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\n\r\n"[..],
            ProxyError::Status(407),
        ),
        (b"HTTP/1.1 503 \r\n\r\n", ProxyError::Status(503)),
        (b"HTTP/1.1 302 Found\r\nLocation: http://elsewhere/\r\n\r\n", ProxyError::Status(302)),
        (b"HTTP/1.1 200 OK\nX: y\n\n", ProxyError::Head(HeadError::BareLf)),
        (b"nonsense\r\n\r\n", ProxyError::Head(HeadError::StartLine)),
        (b"HTTP/1.1 200 OK\r\n\r\nx", ProxyError::Unexpected),
    ] {
        assert_eq!(play("http://p", "x", 80, &[(asked, answer)]), Err(error));
    }
    // Heads without end.
    let mut handshake = start("http://p", "x", 80);
    let _ = said(&mut handshake);
    handshake.handle_read(b"HTTP/1.1 200 OK\r\n").unwrap();
    let endless = (0..2000).find_map(|_| handshake.handle_read(b"X-Filler: yyyyyyyyyyyyyyyyyyyy\r\n").err());
    assert!(
        matches!(endless, Some(ProxyError::Head(HeadError::TooLong | HeadError::TooManyFields))),
        "{endless:?}"
    );
}

#[test]
fn socks() {
    let accepted = &[5, 0, 0, 1, 192, 0, 2, 1, 0x9c, 0x41][..];
    let by_name = [&[5, 1, 0, 3, 11][..], b"sip.example", &[1, 0xbb]].concat();
    assert_eq!(
        play("socks5://p", "sip.example", 443, &[(&[5, 1, 0], &[5, 0]), (&by_name, accepted)]),
        Ok(())
    );
    let v4 = [5, 1, 0, 1, 192, 0, 2, 7, 0, 80];
    let mut v6_reply = vec![5, 0, 0, 4];
    v6_reply.extend([0; 18]);
    assert_eq!(play("socks5h://p", "192.0.2.7", 80, &[(&[5, 1, 0], &[5, 0]), (&v4, &v6_reply)]), Ok(()));
    let mut v6 = vec![5, 1, 0, 4];
    v6.extend("2001:db8::1".parse::<core::net::Ipv6Addr>().unwrap().octets());
    v6.extend([0, 80]);
    let name_reply = [&[5, 0, 0, 3, 255][..], &[b'x'; 255], &[0, 1]].concat();
    assert_eq!(play("socks5://p", "2001:db8::1", 80, &[(&[5, 1, 0], &[5, 0]), (&v6, &name_reply)]), Ok(()));
    // With user and password, whether they are asked for or not.
    let login = [&[1, 5][..], b"alice", &[6], b"secret"].concat();
    let url = "socks5://alice:secret@p:9050";
    let asked: &[(&[u8], &[u8])] = &[(&[5, 2, 0, 2], &[5, 2]), (&login, &[1, 0]), (&by_name, accepted)];
    assert_eq!(play(url, "sip.example", 443, asked), Ok(()));
    assert_eq!(play(url, "sip.example", 443, &[(&[5, 2, 0, 2], &[5, 0]), (&by_name, accepted)]), Ok(()));
}

#[test]
fn socks_refused() {
    let greeting = &[5, 1, 0][..];
    let v4 = &[5, 1, 0, 1, 192, 0, 2, 7, 0, 80][..];
    for (turns, error) in [
        (&[(greeting, &b"HTTP/1.1 400 \r\n"[..])][..], ProxyError::NotSocks),
        (&[(greeting, &[4])], ProxyError::NotSocks),
        (&[(greeting, &[5, 0xff])], ProxyError::NoMethod),
        // What was not offered.
        (&[(greeting, &[5, 2])], ProxyError::NotSocks),
        (&[(greeting, &[5, 1])], ProxyError::NotSocks),
        (&[(greeting, &[5, 0]), (v4, &[5, 5])], ProxyError::Reply(5)),
        (&[(greeting, &[5, 0]), (v4, &[5, 2, 0, 1, 0, 0, 0, 0, 0, 0])], ProxyError::Reply(2)),
        (&[(greeting, &[5, 0]), (v4, &[4])], ProxyError::NotSocks),
        (&[(greeting, &[5, 0]), (v4, &[5, 0, 0, 2])], ProxyError::NotSocks),
        (&[(greeting, &[5, 0]), (v4, &[5, 0, 0, 1, 0, 0, 0, 0, 0, 0, 7])], ProxyError::Unexpected),
    ] {
        assert_eq!(play("socks5://p", "192.0.2.7", 80, turns), Err(error), "{turns:?}");
    }
    let login: &[(&[u8], &[u8])] = &[(&[5, 2, 0, 2], &[5, 2]), (&[1, 1, b'a', 1, b'b'], &[1, 1])];
    assert_eq!(play("socks5://a:b@p", "192.0.2.7", 80, login), Err(ProxyError::Unauthorized));
    let long = "x".repeat(256);
    let proxy: Proxy = "socks5://p".parse().unwrap();
    assert_eq!(ProxyHandshake::new(&proxy, &long, 80).err(), Some(ProxyError::Host));
}

#[test]
fn urls() {
    for (url, host, port) in [
        ("http://proxy.example", "proxy.example", 8080),
        ("HTTP://proxy.example:3128/", "proxy.example", 3128),
        ("http://a:b@[::1]:1", "::1", 1),
        ("socks5://192.0.2.1", "192.0.2.1", 1080),
        ("socks5h://a%40b:c%3a@x:9050", "x", 9050),
    ] {
        let proxy: Proxy = url.parse().unwrap();
        assert_eq!((proxy.host(), proxy.port()), (host, port), "{url}");
        assert!(!format!("{proxy:?}").contains("c:"), "no secrets in logs");
    }
    for url in [
        "",
        "proxy.example",
        "proxy.example:8080",
        "https://x",
        "socks4://x",
        "http://",
        "http://x:0",
        "http://x:65536",
        "http://x/path",
        "http://x?q",
        "http://x y",
        "http://x:",
        "http://a%4@x",
        "http://a%zz@x",
        "http://a%3ab:c@x",
        "socks5://:p@x",
        "http://x\r\nHost: y",
    ] {
        assert_eq!(url.parse::<Proxy>().err(), Some(ProxyError::Url), "{url}");
    }
    assert!(format!("socks5://{}:p@x", "u".repeat(256)).parse::<Proxy>().is_err());
}

/// Any bytes, cut anywhere: the same result, and never more than a head's worth of memory.
#[test]
fn any_split() {
    use proptest::prelude::*;
    let bytes = prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..40),
        Just(b"HTTP/1.1 200 OK\r\n\r\n".to_vec()),
        Just(vec![5, 0, 5, 0, 0, 1, 1, 2, 3, 4, 0, 80]),
        Just(vec![5, 2, 1, 0, 5, 0, 0, 3, 1, b'x', 0, 80]),
    ];
    proptest!(|(bytes in bytes, cut in 0_usize..40, socks: bool)| {
        let url = if socks { "socks5://a:b@p" } else { "http://p" };
        let run = |pieces: &[&[u8]]| {
            let mut handshake = start(url, "x", 80);
            let mut all = said(&mut handshake);
            for piece in pieces {
                handshake.handle_read(piece)?;
                all.extend(said(&mut handshake));
            }
            Ok::<_, ProxyError>((handshake.is_done(), all))
        };
        let (one, two) = bytes.split_at(cut.min(bytes.len()));
        prop_assert_eq!(run(&[&bytes]), run(&[one, two]));
    });
}
