//! What is told of a connection: the members of a trace record, as JSON or as plain text.

use core::fmt::Write as _;

use super::secrets;

/// The values of a record in their order.
///
/// Keys, events and statuses are those of OpenSIPS, so that tools which know them read ours; further members tell
/// what the original leaves out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    members: Vec<(&'static str, String)>,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Happened {
    /// A connection was accepted, or refused.
    Accepted,
    /// A connection that we opened is there, or cannot be had.
    Connected,
    /// A connection ended.
    Closed,
}

impl Happened {
    const fn name(self) -> &'static str {
        match self {
            Self::Accepted => "ACCEPTED",
            Self::Connected => "CONNECTED",
            Self::Closed => "CLOSED",
        }
    }
}

/// What a value ends in when it was cut to fit.
pub const CUT_MARK: &str = "...[cut]";

impl Record {
    /// Starts a record of a WebSocket connection, over TLS if it `is_secure`.
    #[must_use]
    pub fn new(happened: Happened, is_secure: bool) -> Self {
        let mut record = Self::default();
        record.push("Protocol", if is_secure { "WSS" } else { "WS" });
        record.push("Event", happened.name());
        record
    }

    /// Adds a member.
    pub fn push(&mut self, key: &'static str, value: impl Into<String>) {
        self.members.push((key, value.into()));
    }

    /// Adds the head of an HTTP request or response, if there is one, its secrets masked unless `secrets`.
    pub fn push_head(&mut self, key: &'static str, head: &[u8], secrets: bool) {
        if !head.is_empty() {
            let head = String::from_utf8_lossy(head);
            self.push(key, if secrets { head.into_owned() } else { secrets::mask(&head) });
        }
    }

    /// Adds how it went.
    pub fn push_status(&mut self, success: bool) {
        self.push("Status", if success { "SUCCESS" } else { "FAILURE" });
    }

    /// Returns a member's value.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.members.iter().find(|(name, _)| *name == key).map(|(_, value)| value.as_str())
    }

    /// Writes the record as JSON, in the layout that OpenSIPS uses, in at most `max` bytes.
    #[must_use]
    pub fn to_json(&self, max: usize) -> String {
        self.fitted(max, |members| {
            let mut json = String::from("{\n");
            for (number, (key, value)) in members.iter().enumerate() {
                let comma = if number + 1 < members.len() { "," } else { "" };
                json.push('\t');
                push_json_string(&mut json, key);
                json.push_str(":\t");
                push_json_string(&mut json, value);
                json.push_str(comma);
                json.push('\n');
            }
            json.push('}');
            json
        })
    }

    /// Writes the values alone, joined by colons, as `homer5_on` asks for, in at most `max` bytes.
    #[must_use]
    pub fn to_plain(&self, max: usize) -> String {
        self.fitted(max, |members| {
            let values: Vec<&str> = members.iter().map(|(_, value)| value.as_str()).collect();
            values.join(":")
        })
    }

    /// Writes with the longest values cut until the whole fits.
    fn fitted(&self, max: usize, write: impl Fn(&[(&'static str, String)]) -> String) -> String {
        let mut text = write(&self.members);
        if text.len() <= max {
            return text;
        }
        let mut members = self.members.clone();
        loop {
            let Some((_, longest)) = members.iter_mut().max_by_key(|(_, value)| value.len()) else {
                return text;
            };
            // Each round takes off half of the longest at least, so that there are few.
            let over = (text.len() - max).min(longest.len() / 2).max(1);
            let keep = longest.trim_end_matches(CUT_MARK).len().saturating_sub(over + CUT_MARK.len());
            if keep == 0 {
                // Only short values are left: nothing that is told here is so long.
                return text;
            }
            let keep = (0..=keep).rev().find(|&at| longest.is_char_boundary(at)).unwrap_or(0);
            longest.truncate(keep);
            longest.push_str(CUT_MARK);
            text = write(&members);
            if text.len() <= max {
                return text;
            }
        }
    }
}

fn push_json_string(json: &mut String, text: &str) {
    json.push('"');
    for c in text.chars() {
        match c {
            '"' => json.push_str("\\\""),
            '\\' => json.push_str("\\\\"),
            '\u{8}' => json.push_str("\\b"),
            '\u{c}' => json.push_str("\\f"),
            '\n' => json.push_str("\\n"),
            '\r' => json.push_str("\\r"),
            '\t' => json.push_str("\\t"),
            c if c < ' ' => {
                // Writing to a string cannot fail.
                let _ = write!(json, "\\u{:04x}", u32::from(c));
            }
            c => json.push(c),
        }
    }
    json.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    const REQUEST: &str = "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nOrigin: http://x\r\nSec-WebSocket-Protocol: sip\r\n\
        Sec-WebSocket-Version: 13\r\n\r\n";
    const REPLY: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Protocol: sip\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

    fn accepted() -> Record {
        let mut record = Record::new(Happened::Accepted, false);
        record.push_head("Ws-Request", REQUEST.as_bytes(), false);
        record.push_status(true);
        record.push_head("Ws-Reply", REPLY.as_bytes(), false);
        record.push("Message", "Connection accepted...");
        record
    }

    /// The payload of a record that OpenSIPS 3.6 sent, of 514 bytes.
    #[test]
    fn json_is_laid_out_as_the_original_does() {
        let json = accepted().to_json(65_000);
        assert_eq!(json.len(), 0x0208 - 6);
        assert!(json.starts_with("{\n\t\"Protocol\":\t\"WS\",\n\t\"Event\":\t\"ACCEPTED\",\n\t\"Ws-Request\":\t\"GET / HTTP/1.1\\r\\nHost"));
        assert!(json.ends_with("\\r\\n\\r\\n\",\n\t\"Message\":\t\"Connection accepted...\"\n}"));
    }

    /// The same with `homer5_on`, of 389 bytes.
    #[test]
    fn plain_text_is_the_values() {
        let plain = accepted().to_plain(65_000);
        assert_eq!(plain.len(), 0x018b - 6);
        assert!(plain.starts_with("WS:ACCEPTED:GET / HTTP/1.1\r\n"));
        assert!(plain.ends_with("\r\n\r\n:Connection accepted..."));
    }

    #[test]
    fn secrets_are_masked_unless_asked_for() {
        let head =
            "GET / HTTP/1.1\r\nHost: x\r\nCOOKIE: id=7\r\nAuthorization: Basic eDp5\r\nCookies: no\r\n\r\n";
        let mut record = Record::default();
        record.push_head("Ws-Request", head.as_bytes(), false);
        assert_eq!(
            record.get("Ws-Request"),
            Some("GET / HTTP/1.1\r\nHost: x\r\nCOOKIE: ***\r\nAuthorization: ***\r\nCookies: no\r\n\r\n")
        );
        let mut record = Record::default();
        record.push_head("Ws-Request", head.as_bytes(), true);
        assert_eq!(record.get("Ws-Request"), Some(head));
    }

    #[test]
    fn what_does_not_fit_is_cut_and_marked() {
        let mut record = accepted();
        record.push("Ws-Request-2", "é\"".repeat(40_000));
        for max in [20_000, 4_000, 1_200] {
            let json = record.to_json(max);
            assert!(json.len() <= max && json.len() > max / 3, "{} of {max}", json.len());
            assert!(json.contains(CUT_MARK) && json.ends_with("\n}"));
            let plain = record.to_plain(max);
            assert!(plain.len() <= max && plain.contains(CUT_MARK), "{} of {max}", plain.len());
        }
        let mut control = Record::default();
        control.push("Message", "\u{1}\u{8}\\");
        assert_eq!(control.to_json(100), "{\n\t\"Message\":\t\"\\u0001\\b\\\\\"\n}");
    }
}
