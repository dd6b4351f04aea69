//! JSON to write, whose members keep their order.

use core::fmt::Write as _;

/// A value to write.
#[derive(Clone, Debug)]
pub(super) enum Json {
    Text(String),
    Number(u64),
    List(Vec<Self>),
    Object(Vec<(String, Self)>),
    /// Already written.
    Written(String),
}

impl Json {
    pub(super) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    pub(super) fn object<const N: usize>(members: [(&str, Self); N]) -> Self {
        Self::Object(members.map(|(name, value)| (name.to_owned(), value)).into())
    }

    /// Appends the value to `out`, without white space.
    pub(super) fn write(&self, out: &mut String) {
        match self {
            Self::Text(text) => write_text(text, out),
            // Writing to a string cannot fail.
            Self::Number(number) => drop(write!(out, "{number}")),
            Self::Written(json) => out.push_str(json),
            Self::List(items) => {
                out.push('[');
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    item.write(out);
                }
                out.push(']');
            }
            Self::Object(members) => {
                out.push('{');
                for (index, (name, value)) in members.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    write_text(name, out);
                    out.push(':');
                    value.write(out);
                }
                out.push('}');
            }
        }
    }
}

/// Appends a string with its quotes and escapes.
pub(super) fn write_text(text: &str, out: &mut String) {
    // `Display` of a JSON value is JSON.
    let _ = write!(out, "{}", serde_json::Value::from(text));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_keep_their_order_and_texts_their_escapes() {
        let json = Json::object([
            ("z \"q\"", Json::List(vec![Json::Number(1), Json::text("a\r\n\u{1}ä")])),
            ("a", Json::List(Vec::new())),
            ("m", Json::Written("{}".into())),
        ]);
        let mut out = String::new();
        json.write(&mut out);
        assert_eq!(out, r#"{"z \"q\"":[1,"a\r\n\u0001ä"],"a":[],"m":{}}"#);
        serde_json::from_str::<serde_json::Value>(&out).unwrap();
    }
}
