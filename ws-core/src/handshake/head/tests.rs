use alloc::string::String;
use alloc::{format, vec};

use proptest::prelude::*;

use super::*;

fn reader(kind: Kind) -> HeadReader {
    HeadReader::new(kind, &Config::default())
}

/// Reads in chunks of the given lengths, the last of which repeats; returns the result and the work done.
fn read(kind: Kind, bytes: &[u8], lens: &[usize]) -> (Result<Option<(Head, usize)>, HeadError>, usize) {
    let mut reader = reader(kind);
    let mut lens = lens.iter().copied().chain(core::iter::repeat(*lens.last().unwrap()));
    let mut at = 0;
    while at < bytes.len() {
        let end = bytes.len().min(at + lens.next().unwrap().max(1));
        match reader.read(&bytes[at..end]) {
            Err(error) => return (Err(error), reader.work),
            Ok((used, true)) => {
                let work = reader.work;
                return (Ok(Some((reader.into_head(), at + used))), work);
            }
            Ok((used, false)) => assert_eq!(used, end - at),
        }
        at = end;
    }
    (Ok(None), reader.work)
}

/// However a head is cut, each byte is looked at three times at most: not once more for each chunk.
#[test]
fn the_work_is_linear() {
    let mut bytes = b"GET / HTTP/1.1\r\n".to_vec();
    while bytes.len() < 12_000 {
        bytes.extend_from_slice(b"Some-Name: with some value\r\n");
        bytes.extend_from_slice(&[b'x'; 1500]);
        bytes.extend_from_slice(b": y\r\n");
    }
    bytes.extend_from_slice(b"\r\n");
    for len in [1, 2, 3, 100, 1499, 5000, bytes.len()] {
        let (result, work) = read(Kind::Request, &bytes, &[len]);
        assert!(matches!(result, Ok(Some((_, used))) if used == bytes.len()));
        assert!(work <= 3 * bytes.len(), "{work} for {} bytes in chunks of {len}", bytes.len());
    }
    // One line that does not end, as a flood would send it.
    let endless = vec![b'x'; 16 << 10];
    let (result, work) = read(Kind::Request, &endless, &[1]);
    assert_eq!(result, Err(HeadError::TargetTooLong));
    assert!(work <= 2 * endless.len());
}

/// One allocation for the bytes and one for the places, when the head comes whole.
#[test]
fn a_whole_head_is_kept_exactly() {
    let bytes = b"GET / HTTP/1.1\r\nA: b\r\n\r\n";
    let (Ok(Some((head, _))), _) = read(Kind::Request, bytes, &[bytes.len()]) else { panic!() };
    assert_eq!((head.raw.len(), head.raw.capacity()), (bytes.len(), bytes.len()));
}

/// Text that is close to a head: the pieces that matter, in any order.
fn near_head() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just(&b"\r\n"[..]),
        Just(&b"\r\n"[..]),
        Just(&b"\r\n\r\n"[..]),
        Just(&b"\n"[..]),
        Just(&b"\r"[..]),
        Just(&b": "[..]),
        Just(&b":"[..]),
        Just(&b" "[..]),
        Just(&b"\t"[..]),
        Just(&b"\0"[..]),
        Just(&b"\x7f"[..]),
        Just(&b"\xe9"[..]),
        Just(&b"Host"[..]),
        Just(&b"X-Name"[..]),
        Just(&b"value"[..]),
        Just(&b"some longer value, with more"[..]),
        Just(&b"HTTP/1.1"[..]),
        Just(&b"GET"[..]),
        Just(&b"/"[..]),
        Just(&b"\""[..]),
    ];
    let start = prop_oneof![
        4 => Just(&b"GET /x HTTP/1.1\r\n"[..]),
        4 => Just(&b"HTTP/1.1 101 Switching Protocols\r\n"[..]),
        1 => Just(&b""[..]),
    ];
    (start, proptest::collection::vec(piece, 0..24))
        .prop_map(|(start, pieces)| [start, &pieces.concat()].concat())
}

/// A head that is good by construction.
fn good_head() -> impl Strategy<Value = Vec<u8>> {
    let start = prop_oneof!["[A-Z]{1,9} /[!-\"$-~]{0,40} HTTP/1\\.1", "HTTP/1\\.1 [1-9][0-9]{2} [ -~]{0,20}"];
    let field = (
        "[!#$%&'*+.^_`|~0-9A-Za-z-]{1,20}",
        "[ \t]{0,3}([!-~\u{80}-\u{ff}]([ -~\t]{0,30}[!-~])?)?[ \t]{0,3}",
    );
    (start, proptest::collection::vec(field, 0..12)).prop_map(|(start, fields)| {
        let lines: String = fields.iter().map(|(name, value)| format!("{name}:{value}\r\n")).collect();
        format!("{start}\r\n{lines}\r\n").into_bytes()
    })
}

type Parsed = (Vec<(String, Vec<u8>)>, usize);

/// The fields and the length that httparse finds.
fn httparse(kind: Kind, bytes: &[u8]) -> Option<Parsed> {
    let mut fields = [httparse::EMPTY_HEADER; 64];
    let (status, fields) = match kind {
        Kind::Request => {
            let mut request = httparse::Request::new(&mut fields);
            (request.parse(bytes), &*request.headers)
        }
        Kind::Response => {
            let mut response = httparse::Response::new(&mut fields);
            (response.parse(bytes), &*response.headers)
        }
    };
    let Ok(httparse::Status::Complete(len)) = status else { return None };
    Some((fields.iter().map(|field| (field.name.into(), field.value.into())).collect(), len))
}

fn ours(kind: Kind, bytes: &[u8], lens: &[usize]) -> (Result<Option<Parsed>, HeadError>, Option<StartLine>) {
    let result = read(kind, bytes, lens).0;
    let start = result.as_ref().ok().and_then(|head| head.as_ref()).map(|(head, _)| head.start());
    let fields = |head: &Head| {
        head.fields().map(|(name, value)| (String::from_utf8(name.into()).unwrap(), value.into())).collect()
    };
    (result.map(|found| found.map(|(head, len)| (fields(&head), len))), start)
}

fn kind() -> impl Strategy<Value = Kind> {
    prop_oneof![Just(Kind::Request), Just(Kind::Response)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    /// What we accept, httparse accepts and reads the same way; and a cut changes nothing.
    #[test]
    fn agrees_with_httparse(
        kind in kind(),
        bytes in prop_oneof![near_head(), good_head()],
        lens in proptest::collection::vec(1usize..20, 1..10),
    ) {
        let whole = ours(kind, &bytes, &[bytes.len().max(1)]);
        prop_assert_eq!(&ours(kind, &bytes, &lens), &whole, "cut");
        prop_assert_eq!(&ours(kind, &bytes, &[1]), &whole, "byte by byte");
        if let (Ok(Some(parsed)), Some(start)) = &whole {
            prop_assert_eq!(&httparse(kind, &bytes), &Some(parsed.clone()));
            let mut fields = [httparse::EMPTY_HEADER; 64];
            match *start {
                StartLine::Request { method_end, target_end } => {
                    let mut request = httparse::Request::new(&mut fields);
                    prop_assert!(request.parse(&bytes).is_ok());
                    prop_assert_eq!(request.method.unwrap().as_bytes(), &bytes[..method_end as usize]);
                    let target = &bytes[method_end as usize + 1..target_end as usize];
                    prop_assert_eq!(request.path.unwrap().as_bytes(), target);
                }
                StartLine::Response { status, minor, .. } => {
                    let mut response = httparse::Response::new(&mut fields);
                    prop_assert!(response.parse(&bytes).is_ok());
                    prop_assert_eq!((response.code, response.version), (Some(status), Some(minor)));
                }
                StartLine::Missing => prop_assert!(false, "a complete head has a start line"),
            }
        }
    }

    /// A head that keeps the grammar is accepted.
    #[test]
    fn accepts_what_is_good(bytes in good_head()) {
        let kind = if bytes.starts_with(b"HTTP/") { Kind::Response } else { Kind::Request };
        let (found, _) = ours(kind, &bytes, &[bytes.len()]);
        prop_assert_eq!(found.ok().flatten(), httparse(kind, &bytes));
    }

    /// The step of eight bytes finds what the naive search finds.
    #[test]
    fn text_ends_where_it_should(bytes in proptest::collection::vec(prop_oneof![any::<u8>(), 0x20u8..0x7f], 0..64)) {
        let naive = bytes.iter().position(|&byte| (byte < 0x20 && byte != b'\t') || byte == 0x7f);
        prop_assert_eq!(super::super::line::text_len(&bytes), naive.unwrap_or(bytes.len()));
    }
}
