//! Heads of HTTP requests and responses without the secrets in them.

/// What stands in place of a secret.
const MASKED: &str = "***";
/// Header fields whose values are secrets.
const NAMES: &[&str] = &["authorization", "cookie", "proxy-authorization", "set-cookie"];

/// Replaces the values of header fields that hold secrets.
///
/// A head that was refused may be malformed: whatever a lenient reader could take for such a field is one here, with
/// white space around its name, lines that continue it, and line ends of any kind. What is no secret stays as it is,
/// so that the trace shows what was wrong.
pub(super) fn mask(head: &str) -> String {
    let mut masked = String::with_capacity(head.len());
    let mut is_secret = false;
    for (number, line) in head.split_inclusive('\n').enumerate() {
        let text = line.trim_end_matches(['\r', '\n']);
        let end = &line[text.len()..];
        let continues = number > 0 && text.trim_start_matches('\r').starts_with([' ', '\t']);
        is_secret &= continues;
        if is_secret {
            masked.push_str(&text[..text.len() - text.trim_start_matches([' ', '\t', '\r']).len()]);
            masked.push_str(MASKED);
        } else if let Some(colon) = secret_at(text) {
            is_secret = true;
            masked.push_str(&text[..colon]);
            masked.push_str(": ");
            masked.push_str(MASKED);
        } else {
            masked.push_str(text);
        }
        masked.push_str(end);
    }
    masked
}

/// Returns where the name of a secret field ends in a line, if there is one. Its colon may be on the next.
fn secret_at(line: &str) -> Option<usize> {
    let mut start = 0;
    // To some, a carriage return alone ends a line too.
    for part in line.split('\r') {
        let name = part.split(':').next().unwrap_or_default();
        let trimmed = name.trim_matches(|c: char| c.is_whitespace() || c.is_control());
        if NAMES.iter().any(|secret| trimmed.eq_ignore_ascii_case(secret)) {
            return Some(start + name.len());
        }
        start += part.len() + 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_secrets_are_masked() {
        let head = "GET /?cookie:7 HTTP/1.1\r\nHost: x\r\nCOOKIE: id=7\r\nAuthorization: Basic eDp5\r\nCookies: no\r\n\
            X: a\r\n b\r\n\r\n";
        let expected = "GET /?cookie:7 HTTP/1.1\r\nHost: x\r\nCOOKIE: ***\r\nAuthorization: ***\r\nCookies: no\r\n\
            X: a\r\n b\r\n\r\n";
        assert_eq!(mask(head), expected);
    }

    /// What was refused is still seen to be wrong.
    #[test]
    fn malformed_fields_keep_their_form() {
        for (head, expected) in [
            (
                "X: 1\r\nCookie: a\r\n b\r\n\tc: d\r\nY: 2\r\n",
                "X: 1\r\nCookie: ***\r\n ***\r\n\t***\r\nY: 2\r\n",
            ),
            ("Authorization : Basic x\r\n", "Authorization : ***\r\n"),
            (" Cookie: x\nY: 1\n", " Cookie: ***\nY: 1\n"),
            ("X: 1\n cookie : x", "X: 1\n cookie : ***"),
            ("X: 1\rCookie: x\ry\r\n", "X: 1\rCookie: ***\r\n"),
            ("Cookie\r\n : x\r\n", "Cookie: ***\r\n ***\r\n"),
            ("Cookie: x\n\r y\n", "Cookie: ***\n\r ***\n"),
            ("Cookie:", "Cookie: ***"),
            ("Cook", "Cook"),
            ("", ""),
        ] {
            assert_eq!(mask(head), expected, "{head:?}");
        }
    }

    fn any_case(name: &'static str) -> impl Strategy<Value = String> {
        prop::collection::vec(any::<bool>(), name.len()).prop_map(move |upper| {
            let chars = name.chars().zip(upper);
            chars.map(|(c, upper)| if upper { c.to_ascii_uppercase() } else { c }).collect()
        })
    }

    /// A field whose value is written with `§` alone, however it is spelled.
    fn secret_field() -> impl Strategy<Value = String> {
        let name = prop::sample::select(NAMES).prop_flat_map(any_case);
        let end = || prop::sample::select(vec!["\r\n", "\n"]);
        let value = || "[ \t]{0,2}§{1,4}(=§|: §|;[ \t]§)?";
        let continuation =
            (end(), "[ \t]{1,3}", value()).prop_map(|(end, space, value)| end.to_owned() + &space + &value);
        ("[ \t]{0,2}", name, "[ \t]{0,2}", value(), prop::collection::vec(continuation, 0..3), end())
            .prop_map(|(before, name, space, value, more, end)| {
                format!("{before}{name}{space}:{value}{}{end}", more.concat())
            })
    }

    proptest! {
        #[test]
        fn no_secret_is_left(
            fields in prop::collection::vec(
                prop_oneof![secret_field(), Just("X: y\r\n".into()), Just("X: y\n".into()), Just("z\r".into()), Just(" f\r\n".into())],
                0..8,
            ),
            end in prop::sample::select(vec!["\r\n", "\n", ""]),
            cut in any::<prop::sample::Index>(),
        ) {
            let head = format!("GET / HTTP/1.1\r\n{}{end}", fields.concat());
            let cut = head.char_indices().map(|(at, _)| at).nth(cut.index(head.chars().count())).unwrap_or(0);
            for head in [&head[..], &head[..cut]] {
                let masked = mask(head);
                prop_assert!(!masked.contains('§'), "{head:?}: {masked:?}");
            }
        }
    }
}
