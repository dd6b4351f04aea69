//! The reader on messages as they come and as they may come, and the editor.

use super::*;
use proptest::prelude::*;

fn request(lines: &str) -> String {
    format!("MESSAGE sip:bob@example.com SIP/2.0\r\n{lines}\r\n")
}

const PLAIN: &str = "Via: SIP/2.0/WS a.invalid;branch=z9hG4bK1\r\nMax-Forwards: 70\r\nFrom: <sip:a@example.com>;tag=1\r\n\
    To: <sip:bob@example.com>\r\nCall-ID: x@y\r\nCSeq: 7 MESSAGE\r\n";

fn header<'a>(message: &Message<'a>, header: Header) -> Vec<&'a [u8]> {
    message.all(header).map(|field| message.value_of(field)).collect()
}

fn strings<'a>(values: impl Iterator<Item = Value<'a>>) -> Vec<String> {
    values.map(|value| String::from_utf8(value.bytes.to_vec()).unwrap()).collect()
}

#[test]
fn start_lines() {
    let head = |line: &str| {
        Message::parse(format!("{line}\r\n\r\n").as_bytes())
            .map(|message| format!("{:?}", message.start_line()))
    };
    for line in [
        "OPTIONS sip:a@b SIP/2.0",
        "!interesting-Method0123456789_*+`.%indeed'~ sip:a SIP/2.0",
        "OPTIONS nobodyKnowsThisScheme:opaque sip/2.0",
        "OPTIONS sip:a SIP/7.0",
        "SIP/2.0 200 OK",
        "SIP/2.0 100 ",
        "SIP/2.0 299 = 2**3 * 5**2 но сто девяносто девять",
    ] {
        assert!(head(line).is_ok(), "{line}");
    }
    for line in [
        " ",
        "OPTIONS",
        "OPTIONS sip:a",
        "OPTIONS  sip:a SIP/2.0",
        "OPTIONS sip:a  SIP/2.0",
        "OPTIONS sip:a SIP/2.0 ",
        " OPTIONS sip:a SIP/2.0",
        "OPTIONS sip:a HTTP/1.1",
        "OPTIONS sip:a SIP/",
        "OPTIONS sip:a SIP/two",
        "OPT(IONS sip:a SIP/2.0",
        "SIP/2.0 200",
        "SIP/2.0 99 X",
        "SIP/2.0 700 X",
        "SIP/2.0 20 X",
        "SIP/2.0 2000 X",
        "SIP/2.0 +20 X",
        "SIP/1.0 200 OK",
    ] {
        assert_eq!(head(line), Err(HeadError::StartLine), "{line}");
    }
}

#[test]
fn a_head_must_end_and_its_lines_too() {
    for (text, error) in [
        ("OPTIONS sip:a SIP/2.0", HeadError::Unfinished),
        ("OPTIONS sip:a SIP/2.0\r", HeadError::Unfinished),
        ("OPTIONS sip:a SIP/2.0\r\n", HeadError::Unfinished),
        ("OPTIONS sip:a SIP/2.0\r\nTo: x\r\n", HeadError::Unfinished),
        ("OPTIONS sip:a SIP/2.0\r\nTo: x\r\n\r", HeadError::Unfinished),
        ("OPTIONS sip:a SIP/2.0\r\nTo: x\r\n y", HeadError::Unfinished),
        ("OPTIONS sip:a SIP/2.0\nTo: x\n\n", HeadError::BareLineBreak),
        ("OPTIONS sip:a SIP/2.0\r\nTo: x\n\r\n", HeadError::BareLineBreak),
        ("OPTIONS sip:a SIP/2.0\r\nTo: x\ry\r\n\r\n", HeadError::BareLineBreak),
        ("OPTIONS sip:a SIP/2.0\r\nTo: x\r\r\n\r\n", HeadError::BareLineBreak),
        ("", HeadError::Unfinished),
    ] {
        assert_eq!(Message::parse(text.as_bytes()).map(drop), Err(error), "{text:?}");
    }
    let many = |count| request(&"X: y\r\n".repeat(count));
    assert!(Message::parse(many(MAX_FIELDS).as_bytes()).is_ok());
    assert_eq!(Message::parse(many(MAX_FIELDS + 1).as_bytes()).map(drop), Err(HeadError::TooManyFields));
}

/// RFC 3261 section 7.3.3.
#[test]
fn compact_names_and_any_case() {
    let text = request(
        "v: SIP/2.0/WS a\r\nVIA: SIP/2.0/WS b\r\nf: <sip:a@b>;tag=1\r\nT: <sip:c@d>\r\ni: x\r\nI:y\r\nm: <sip:e@f>\r\n\
         l: 0\r\nk: path\r\ncSEQ: 1 MESSAGE\r\nrecord-ROUTE: <sip:r>\r\nx: other\r\nVias: other\r\n",
    );
    let message = Message::parse(text.as_bytes()).unwrap();
    for (name, count) in [
        (Header::Via, 2),
        (Header::From, 1),
        (Header::To, 1),
        (Header::CallId, 2),
        (Header::Contact, 1),
        (Header::ContentLength, 1),
        (Header::Supported, 1),
        (Header::CSeq, 1),
        (Header::RecordRoute, 1),
        (Header::Other, 2),
    ] {
        assert_eq!(message.all(name).count(), count, "{name:?}");
    }
}

#[test]
fn every_known_name_is_known() {
    let names = "Via,From,To,Call-ID,CSeq,Contact,Expires,Max-Forwards,Max-Breadth,Route,Record-Route,Path,Content-Length,\
        Supported,Require,Proxy-Require,Timestamp,WWW-Authenticate,Proxy-Authenticate";
    let known: Vec<_> = names.split(',').map(|name| Header::of(name.as_bytes())).collect();
    assert!(!known.contains(&Header::Other), "{known:?}");
    let distinct: std::collections::HashSet<_> = known.iter().collect();
    assert_eq!(distinct.len(), known.len());
    for method in [
        "INVITE",
        "ACK",
        "BYE",
        "CANCEL",
        "OPTIONS",
        "REGISTER",
        "MESSAGE",
        "SUBSCRIBE",
        "NOTIFY",
        "REFER",
        "INFO",
        "UPDATE",
        "PRACK",
        "PUBLISH",
    ] {
        assert_eq!(format!("{:?}", Method::of(method.as_bytes())).to_uppercase(), method);
    }
    assert_eq!(Method::of(b"invite"), Method::Other, "methods are compared with case");
}

/// White space wherever RFC 3261 allows it, folds included.
#[test]
fn odd_but_legal_spacing() {
    let text = request(
        "TO :\r\n sip:bob@example.com ;   tag    = 1918181833n\r\nfrom   : \"J Rosenberg \\\\\\\"\"       <sip:j@example.com>\r\n  ;\r\n  tag = 98asjd8\r\n\
         MaX-fOrWaRdS: 0068\r\nCall-ID: w.1@192.0.2.1\r\nContent-Length   : 3\r\ncseq: 0009\r\n  MESSAGE\r\n\
         Via  : SIP  /   2.0\r\n /WS\r\n    192.0.2.2;branch=390skdjuw\r\ns :\r\nNewFangledHeader:   newfangled value\r\n continued\r\n\
         v:  SIP  / 2.0  / TCP     spindle.example.com   ;\r\n  branch  =   z9hG4bK9ikj8  ,\r\n SIP  /    2.0   / UDP  192.168.255.111   ; branch=\r\n z9hG4bK30239\r\n\
         m:\"Quoted string \\\"\\\"\" <sip:j@example.com> ; newparam =\r\n      newvalue ;\r\n  secondparam ; q = 0.33\r\n",
    ) + "abc";
    let message = Message::parse(text.as_bytes()).unwrap();
    let found = message.check().unwrap();
    assert_eq!(found.to.tag(), Some(&b"1918181833n"[..]));
    assert_eq!(found.from.tag(), Some(&b"98asjd8"[..]));
    assert_eq!(found.from.display, b"\"J Rosenberg \\\\\\\"\"");
    assert_eq!(found.max_forwards, Some(68));
    assert_eq!(found.cseq, CSeq { number: 9, method: b"MESSAGE" });
    assert_eq!(found.via.branch, Some(&b"390skdjuw"[..]));
    let branches: Vec<_> =
        message.values(Header::Via).map(|value| Via::parse(value.bytes).unwrap().branch.unwrap()).collect();
    assert_eq!(branches, [&b"390skdjuw"[..], b"z9hG4bK9ikj8", b"z9hG4bK30239"]);
    let contact = message.values(Header::Contact).next().unwrap();
    assert_eq!(Contact::parse(contact.bytes).unwrap().q, Some(330));
    assert_eq!(message.body(), b"abc");
    let other = message.fields().iter().find(|field| message.name_of(field) == b"NewFangledHeader").unwrap();
    assert_eq!(message.value_of(other), b"newfangled value\r\n continued");
}

#[test]
fn lists_are_split_where_they_are_lists() {
    let text = request(
        "Route: <sip:a,b@c;lr>, \"x, y\" <sip:d>;p=\"1,2\" ,<sip:e>\r\nRoute: <sip:f>\r\nSupported: a, b ,\r\n c,\r\nSupported:\r\nRequire: ,\r\n",
    );
    let message = Message::parse(text.as_bytes()).unwrap();
    assert_eq!(
        strings(message.values(Header::Route)),
        ["<sip:a,b@c;lr>", "\"x, y\" <sip:d>;p=\"1,2\"", "<sip:e>", "<sip:f>"]
    );
    assert_eq!(message.option_tags(Header::Supported).collect::<Vec<_>>(), [b"a", b"b", b"c"]);
    assert!(message.has_option(Header::Supported, "B") && !message.has_option(Header::Supported, "ab"));
    assert_eq!(message.option_tags(Header::Require).count(), 0);
    for value in message.values(Header::Route) {
        assert_eq!(&text.as_bytes()[value.start..value.end], value.bytes);
    }
}

#[test]
fn a_line_that_is_no_header_field_is_reported_and_skipped() {
    for line in ["no colon\r\n", ": no name\r\n", "Sub ject: x\r\n", "Sübject: x\r\n", " folded first\r\n"] {
        let text = request(&format!("{line}{PLAIN}"));
        let message = Message::parse(text.as_bytes()).unwrap();
        assert_eq!(message.check().map(drop), Err(Fault::HeaderField), "{line}");
        assert_eq!(header(&message, Header::CSeq), [b"7 MESSAGE"]);
    }
}

#[test]
fn faults() {
    use Fault::{BodyTooLong, BodyTooShort, CSeqMethod, Missing, Repeated, Value};
    let check = |text: &str| Message::parse(text.as_bytes()).unwrap().check().map(drop);
    assert_eq!(check(&request(PLAIN)), Ok(()));
    for (from, to, fault) in [
        ("Via: SIP/2.0/WS a.invalid;branch=z9hG4bK1\r\n", "", Missing("Via")),
        ("To: <sip:bob@example.com>\r\n", "", Missing("To")),
        ("Via: SIP/2.0/WS a.invalid", "Via: , SIP/2.0/WS a.invalid", Value("Via", ValueError::Protocol)),
        ("Via: SIP/2.0/WS a.invalid", "Via: SIP/2.0/WS", Value("Via", ValueError::Protocol)),
        ("CSeq: 7", "CSeq: 7 MESSAGE\r\nCSeq: 7", Repeated("CSeq")),
        ("CSeq: 7", "CSeq: 2147483648", Value("CSeq", ValueError::Number)),
        ("CSeq: 7 MESSAGE", "CSeq: 7", Value("CSeq", ValueError::Protocol)),
        ("CSeq: 7 MESSAGE", "CSeq: 7MESSAGE", Value("CSeq", ValueError::Protocol)),
        ("CSeq: 7 MESSAGE", "CSeq: 7 BYE", CSeqMethod),
        ("Call-ID: x@y", "Call-ID: x y", Value("Call-ID", ValueError::Parameter)),
        ("Call-ID: x@y", "Call-ID:", Value("Call-ID", ValueError::Parameter)),
        (";tag=1", ";tag=", Value("From", ValueError::Parameter)),
        ("Max-Forwards: 70", "Max-Forwards: -1", Value("Max-Forwards", ValueError::Number)),
        ("Max-Forwards: 70", "Content-Length: 1", BodyTooShort),
        (
            "Max-Forwards: 70",
            "Content-Length: 99999999999999999999",
            Value("Content-Length", ValueError::Number),
        ),
        ("Max-Forwards: 70", "l: 0\r\nContent-Length: 0", Repeated("Content-Length")),
    ] {
        assert!(PLAIN.contains(from), "{from}");
        assert_eq!(check(&request(&PLAIN.replacen(from, to, 1))), Err(fault), "{to}");
    }
    assert_eq!(
        check(&(request(&format!("{PLAIN}l: 0\r\n")) + "\r\n")),
        Err(BodyTooLong),
        "also a stray CRLF"
    );
    assert_eq!(check(&(request(&format!("{PLAIN}l: 5\r\n")) + "hello")), Ok(()));
    // A response has no method to compare, and its version was compared before.
    let response = request(PLAIN).replacen("MESSAGE sip:bob@example.com SIP/2.0", "SIP/2.0 200 OK", 1);
    assert_eq!(check(&response.replace("7 MESSAGE", "7 BYE")), Ok(()));
}

/// RFC 5626 section 4.4.1.
#[test]
fn keepalives_and_what_is_none() {
    assert!(matches!(Received::parse(b"\r\n\r\n"), Ok(Received::KeepalivePing)));
    assert!(matches!(Received::parse(b"\r\n"), Ok(Received::KeepalivePong)));
    for bytes in [&b""[..], b"\r", b"\n", b"\r\n\r", b"\r\n\r\n\r\n", b"\n\n", b" \r\n"] {
        assert!(Received::parse(bytes).is_err(), "{bytes:?}");
    }
    // RFC 3261 section 7.5: CRLFs before a message are skipped.
    let text = format!("\r\n\r\n{}", request(PLAIN));
    assert!(matches!(Received::parse(text.as_bytes()), Ok(Received::Sip(_))));
}

fn edit(text: &str, change: impl FnOnce(&mut Editor<'_, '_>)) -> String {
    let message = Message::parse(text.as_bytes()).unwrap();
    let mut editor = Editor::new(&message);
    change(&mut editor);
    String::from_utf8(editor.finish()).unwrap()
}

#[test]
fn edits_leave_all_else_as_it_was() {
    let text = request("Route: <sip:a>,  <sip:b>\r\nX:  odd \r\nRoute: <sip:c>\r\n max: \r\n") + "body";
    assert_eq!(edit(&text, |_| {}), text);
    let changed = edit(&text, |editor| {
        editor.set(Header::MaxForwards, "Max-Forwards", 3);
        editor.set_request_uri(b"sip:new@host");
        editor.add_on_top(|out| out.extend_from_slice(b"Via: 1"));
        editor.add_on_top(|out| out.extend_from_slice(b"Via: 2"));
        editor.remove_values(Header::Route, 1);
        editor.ensure_content_length();
    });
    assert_eq!(
        changed,
        "MESSAGE sip:new@host SIP/2.0\r\nMax-Forwards: 3\r\nVia: 1\r\nVia: 2\r\nRoute: <sip:b>\r\nX:  odd \r\n\
         Route: <sip:c>\r\n max: \r\nContent-Length: 4\r\n\r\nbody"
    );
    assert_eq!(
        edit(&format!("\r\n\r\n{text}"), |editor| editor.set_request_uri(b"sip:x")).split("\r\n").next(),
        Some("MESSAGE sip:x SIP/2.0")
    );
    let with_length = request("l: 0\r\nMax-Forwards : 70\r\n");
    let changed = edit(&with_length, |editor| {
        editor.ensure_content_length();
        editor.set(Header::MaxForwards, "Max-Forwards", 69);
    });
    assert_eq!(changed, request("l: 0\r\nMax-Forwards : 69\r\n"));
}

#[test]
fn values_are_removed_with_their_lines() {
    let lines =
        "A: 1\r\nRoute: <sip:a>, <sip:b>\r\nRoute: <sip:c>\r\nRoute: <sip:d> ,\r\n <sip:e>\r\nB: 2\r\n";
    for (count, left) in [
        (0, lines),
        (1, "A: 1\r\nRoute: <sip:b>\r\nRoute: <sip:c>\r\nRoute: <sip:d> ,\r\n <sip:e>\r\nB: 2\r\n"),
        (2, "A: 1\r\nRoute: <sip:c>\r\nRoute: <sip:d> ,\r\n <sip:e>\r\nB: 2\r\n"),
        (3, "A: 1\r\nRoute: <sip:d> ,\r\n <sip:e>\r\nB: 2\r\n"),
        (4, "A: 1\r\nRoute: <sip:e>\r\nB: 2\r\n"),
        (5, "A: 1\r\nB: 2\r\n"),
        (6, "A: 1\r\nB: 2\r\n"),
    ] {
        assert_eq!(
            edit(&request(lines), |editor| editor.remove_values(Header::Route, count)),
            request(left),
            "{count}"
        );
    }
    let cut = edit(&request(lines), |editor| editor.remove_last_value(Header::Route));
    assert_eq!(
        cut,
        request("A: 1\r\nRoute: <sip:a>, <sip:b>\r\nRoute: <sip:c>\r\nRoute: <sip:d>\r\nB: 2\r\n")
    );
    let cut = edit(&request("Route: <sip:a>\r\n"), |editor| editor.remove_last_value(Header::Route));
    assert_eq!(cut, request(""));
}

#[test]
fn replies_copy_what_they_must() {
    let text = request(&format!("v: SIP/2.0/WS b.invalid\r\n{PLAIN}Record-Route: <sip:r>\r\n"));
    let message = Message::parse(text.as_bytes()).unwrap();
    let expected = |status: &str, tag: &str| {
        format!(
            "SIP/2.0 {status}\r\nv: SIP/2.0/WS b.invalid\r\nVia: SIP/2.0/WS a.invalid;branch=z9hG4bK1\r\n\
             From: <sip:a@example.com>;tag=1\r\nCall-ID: x@y\r\nCSeq: 7 MESSAGE\r\nTo: <sip:bob@example.com>{tag}\r\n\
             X: 1\r\nContent-Length: 0\r\n\r\n"
        )
    };
    let head = ReplyHead::of(&message, None).unwrap();
    let finish = |mut reply: Reply| {
        reply.header("X", 1);
        String::from_utf8(reply.finish()).unwrap()
    };
    assert_eq!(
        finish(Reply::to(&message, None, 404, "Not Found", b"t").unwrap()),
        expected("404 Not Found", ";tag=t")
    );
    assert_eq!(finish(head.reply(404, "Not Found", b"t")), expected("404 Not Found", ";tag=t"));
    assert_eq!(finish(head.reply(100, "Trying", b"t")), expected("100 Trying", ""));
    assert_eq!(head.from_and_call_id(), b"From: <sip:a@example.com>;tag=1\r\nCall-ID: x@y\r\n");
    assert_eq!(head.to(), b"To: <sip:bob@example.com>");

    let tagged = text.replacen("To: <sip:bob@example.com>", "To: <sip:bob@example.com>;TAG=u", 1);
    let message = Message::parse(tagged.as_bytes()).unwrap();
    let reply = String::from_utf8(Reply::to(&message, None, 200, "OK", b"t").unwrap().finish()).unwrap();
    assert!(reply.contains("To: <sip:bob@example.com>;TAG=u\r\n"), "{reply}");

    for line in PLAIN.split_inclusive("\r\n").filter(|line| !line.starts_with("Max")) {
        let text = request(&PLAIN.replacen(line, "", 1));
        assert!(
            Reply::to(&Message::parse(text.as_bytes()).unwrap(), None, 400, "Bad Request", b"t").is_none(),
            "{line}"
        );
    }
}

/// Pieces of which heads are made, so that random messages get past the first checks.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        Just(b"\r\n".to_vec()),
        Just(b"\r\n ".to_vec()),
        Just(b"Via: SIP/2.0/WS a.invalid;branch=z9hG4bK1".to_vec()),
        Just(b"Route: <sip:a@b;lr>, \"q\\\"\" <sip:c".to_vec()),
        Just(b"Contact: *".to_vec()),
        Just(b"m: <sip:a@b>;q=0.5;expires=60;reg-id=1;+sip.instance=\"<u>\"".to_vec()),
        Just(PLAIN.as_bytes().to_vec()),
        Just(b"Content-Length: 3".to_vec()),
        "[ -~]{0,12}".prop_map(String::into_bytes),
        proptest::collection::vec(any::<u8>(), 0..6),
        proptest::sample::select(b",;=\"<>\\:@%/ \t".to_vec()).prop_map(|byte| vec![byte]),
    ]
}

fn random_message() -> impl Strategy<Value = Vec<u8>> {
    let start =
        proptest::sample::select(vec!["MESSAGE sip:bob@example.com SIP/2.0\r\n", "SIP/2.0 200 OK\r\n", ""]);
    (start, proptest::collection::vec(piece(), 0..16), any::<bool>()).prop_map(|(start, pieces, ended)| {
        let mut bytes = start.as_bytes().to_vec();
        bytes.extend(pieces.concat());
        if ended {
            bytes.extend(b"\r\n\r\n");
        }
        bytes
    })
}

/// Reads whatever can be read, as a proxy might.
fn read_all(message: &Message<'_>) {
    let _ = message.check();
    for header in [Header::Via, Header::Route, Header::Contact, Header::Path, Header::RecordRoute] {
        for value in message.values(header) {
            let _ = Via::parse(value.bytes);
            let _ = Contact::parse(value.bytes);
            if let Ok(addr) = NameAddr::parse(value.bytes) {
                let _ = addr.tag();
                if let Ok(uri) = SipUri::parse(addr.uri) {
                    assert!(uri.is_equivalent(&uri), "{:?}", String::from_utf8_lossy(addr.uri));
                    uri.write_aor(&mut Vec::new());
                    let _ = uri.param("lr");
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn nothing_panics_and_offsets_hold(bytes in random_message()) {
        let Ok(message) = Message::parse(&bytes) else { return Ok(()) };
        read_all(&message);
        // Fields lie in order, each from its name to its CRLF, and cover the head but for lines that are none.
        let mut at = message.fields_start();
        for field in message.fields() {
            prop_assert!(at <= field.start() && field.start() < field.name_end() && field.name_end() < field.value_end().max(field.end()));
            prop_assert!(field.value_start() <= field.value_end() && field.value_end() < field.end());
            prop_assert!(message.line_of(field).ends_with(b"\r\n"));
            prop_assert_eq!(Header::of(message.name_of(field)), field.header());
            at = field.end();
        }
        prop_assert!(at <= message.body_start());
        prop_assert_eq!(&bytes[message.body_start() - 2..message.body_start()], b"\r\n");
    }

    /// Lines made of a name, a value and folds are found again, whatever the spacing.
    #[test]
    fn fields_are_found_as_they_were_written(
        fields in proptest::collection::vec(
            ("[A-Za-z][A-Za-z0-9-]{0,15}", "[ \t]{0,2}", "(\r\n[ \t])?[ \t]{0,3}", "([!-~éü]([ -~é]{0,20}[!-~])?)?", "[ \t]{0,2}(\r\n[ \t]+)?"),
            0..12,
        ),
        body in proptest::collection::vec(any::<u8>(), 0..40),
    ) {
        let mut text = String::from("INFO sip:a SIP/2.0\r\n");
        for (name, before_colon, before, value, after) in &fields {
            text += &format!("{name}{before_colon}:{before}{value}{after}\r\n");
        }
        let mut bytes = (text + "\r\n").into_bytes();
        bytes.extend(&body);
        let message = Message::parse(&bytes).unwrap();
        prop_assert_eq!(message.fields().len(), fields.len());
        for (found, (name, _, _, value, _)) in message.fields().iter().zip(&fields) {
            prop_assert_eq!(message.name_of(found), name.as_bytes());
            prop_assert_eq!(message.value_of(found), value.as_bytes());
        }
        prop_assert_eq!(message.body(), &body[..]);
        prop_assert_eq!(Editor::new(&message).finish(), bytes);
    }

    /// The editor against string building: values removed from the front, and a line put on top.
    #[test]
    fn removing_values_agrees_with_a_naive_twin(
        lines in proptest::collection::vec((any::<bool>(), proptest::collection::vec("<sip:[a-z]{1,5}(,[a-z])?>", 1..4)), 0..6),
        count in 0usize..10,
    ) {
        let name = |is_route: bool| if is_route { "Route" } else { "Path" };
        let write = |lines: &[(bool, Vec<String>)]| {
            lines.iter().filter(|(_, values)| !values.is_empty())
                .map(|(is_route, values)| format!("{}: {}\r\n", name(*is_route), values.join(", "))).collect::<String>()
        };
        let mut left = lines.clone();
        let mut to_remove = count;
        for (_, values) in left.iter_mut().filter(|(is_route, _)| *is_route) {
            let here = to_remove.min(values.len());
            values.drain(..here);
            to_remove -= here;
        }
        let changed = edit(&request(&write(&lines)), |editor| {
            editor.remove_values(Header::Route, count);
            editor.add_on_top(|out| out.extend_from_slice(b"Top: 1"));
        });
        prop_assert_eq!(changed, request(&format!("Top: 1\r\n{}", write(&left))));
    }

    /// What `write_aor` calls equal is what unescaping and lower-casing make equal.
    #[test]
    fn addresses_of_record_ignore_escapes(user in "[a-zA-Z0-9;?/&+$,=_.!~*'()-]{1,12}", mask in any::<u16>()) {
        let escaped: String = user.bytes().enumerate()
            .map(|(index, byte)| if mask >> (index % 16) & 1 == 1 { format!("%{byte:02x}") } else { char::from(byte).to_string() })
            .collect();
        let aor = |text: String| { let mut out = Vec::new(); SipUri::parse(text.as_bytes()).unwrap().write_aor(&mut out); out };
        prop_assert_eq!(aor(format!("sip:{user}@Example.com")), aor(format!("sips:{escaped}@example.COM:5061")));
        prop_assert_eq!(aor(format!("sip:{user}@example.com")), format!("{user}@example.com").into_bytes());
    }
}
