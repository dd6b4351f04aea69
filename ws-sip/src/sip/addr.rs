//! Addresses: From, To, Contact, Route, Record-Route and Path (RFC 3261 sections 20.10, 20.20, 20.30, 20.34).

use super::error::ValueError;
use super::lex::{self, Params};

/// A name-addr or addr-spec with the header field's parameters.
#[derive(Clone, Copy, Debug)]
pub struct NameAddr<'a> {
    /// The display name as it was written, quotes included; empty when there is none.
    pub display: &'a [u8],
    /// The URI, of any scheme.
    pub uri: &'a [u8],
    /// The parameters of the header field, not of the URI.
    pub params: Params<'a>,
}

impl<'a> NameAddr<'a> {
    /// Reads one element of an address header field.
    ///
    /// Without angle brackets, what follows the first semicolon belongs to the header field (section 20).
    ///
    /// # Errors
    /// When it is malformed. Parameters are only read when they are asked for.
    pub fn parse(value: &'a [u8]) -> Result<Self, ValueError> {
        let value = lex::trim(value);
        let (text, rest) = match value.first() {
            Some(b'"') => value.split_at(lex::quoted_len(value)?),
            _ => lex::take_while(value, |byte| !matches!(byte, b'<' | b';')),
        };
        let text = lex::trim(text);
        let (display, uri, rest) = match lex::trim_start(rest) {
            [b'<', rest @ ..] => {
                let (uri, rest) = lex::take_while(rest, |byte| byte != b'>');
                let [b'>', rest @ ..] = rest else { return Err(ValueError::Address) };
                (text, uri, rest)
            }
            rest => (&[][..], text, rest),
        };
        if uri.is_empty() || uri.first() == Some(&b'"') || uri.iter().any(|&byte| lex::is_lws(byte)) {
            return Err(ValueError::Address);
        }
        let rest = lex::trim_start(rest);
        if !matches!(rest.first(), None | Some(b';')) {
            return Err(ValueError::Address);
        }
        Ok(Self { display, uri, params: Params::new(rest) })
    }

    /// The `tag` parameter of a From or To.
    pub fn tag(&self) -> Option<&'a [u8]> {
        self.params.get("tag")?.value
    }
}

/// One Contact with the parameters that a registrar acts on (RFC 3261 section 20.10, RFC 5626 section 11.1).
#[derive(Clone, Copy, Debug)]
pub struct Contact<'a> {
    /// The address with all parameters.
    pub addr: NameAddr<'a>,
    /// `expires`, in seconds.
    pub expires: Option<u32>,
    /// `q` in thousandths, 0 to 1000.
    pub q: Option<u16>,
    /// `+sip.instance` without its quotes, angle brackets included.
    pub instance: Option<&'a [u8]>,
    /// `reg-id`.
    pub reg_id: Option<u32>,
}

impl<'a> Contact<'a> {
    /// Reads one element of a Contact header field that is not `*`.
    ///
    /// # Errors
    /// When the address or a parameter is malformed.
    pub fn parse(value: &'a [u8]) -> Result<Self, ValueError> {
        let addr = NameAddr::parse(value)?;
        let mut contact = Self { addr, expires: None, q: None, instance: None, reg_id: None };
        for param in addr.params {
            let param = param?;
            let value = param.value.unwrap_or_default();
            if param.is("expires") {
                contact.expires = Some(lex::seconds(value).ok_or(ValueError::Number)?);
            } else if param.is("q") {
                contact.q = Some(qvalue(value).ok_or(ValueError::Number)?);
            } else if param.is("+sip.instance") {
                contact.instance = Some(lex::unquote(value)).filter(|instance| !instance.is_empty());
            } else if param.is("reg-id") {
                let id = lex::number(value).and_then(|id| u32::try_from(id).ok()).filter(|&id| id > 0);
                contact.reg_id = Some(id.ok_or(ValueError::Number)?);
            }
        }
        Ok(contact)
    }
}

/// Reads a qvalue: 0 to 1 with at most three decimals, in thousandths.
fn qvalue(text: &[u8]) -> Option<u16> {
    let (whole, decimals) = lex::take_while(text, |byte| byte != b'.');
    let decimals = decimals.get(1..).unwrap_or_default();
    if decimals.len() > 3 {
        return None;
    }
    let mut thousandths = match whole {
        b"0" => 0,
        b"1" => 1000,
        _ => return None,
    };
    for (digit, scale) in decimals.iter().zip([100, 10, 1]) {
        thousandths += u16::from(digit.is_ascii_digit().then(|| digit - b'0')?) * scale;
    }
    (thousandths <= 1000).then_some(thousandths)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_in_all_their_forms() {
        for (text, display, uri, params) in [
            ("<sip:a@b>", "", "sip:a@b", ""),
            ("sip:a@b", "", "sip:a@b", ""),
            ("sip:a@b;tag=1", "", "sip:a@b", ";tag=1"),
            ("<sip:a@b;lr>;tag=1", "", "sip:a@b;lr", ";tag=1"),
            ("Alice B <sip:a@b>\t; tag = 1 ", "Alice B", "sip:a@b", "; tag = 1"),
            ("\"A, \\\"<B>\\\";\" <sip:a@b>;tag=1", "\"A, \\\"<B>\\\";\"", "sip:a@b", ";tag=1"),
            ("\"\"<tel:+1>", "\"\"", "tel:+1", ""),
            ("\"a\"\r\n <sip:a@b>\r\n\t;x", "\"a\"", "sip:a@b", ";x"),
            ("Zoë <sip:a@b>", "Zoë", "sip:a@b", ""),
        ] {
            let found = NameAddr::parse(text.as_bytes()).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(found.display, display.as_bytes(), "{text}");
            assert_eq!(found.uri, uri.as_bytes(), "{text}");
            assert_eq!(found.params.as_bytes(), params.as_bytes(), "{text}");
        }
    }

    #[test]
    fn malformed_addresses_are_refused() {
        for text in [
            "",
            " ",
            "<>",
            "<sip:a@b",
            "\"a <sip:a@b>",
            "\"a\" sip:a@b",
            "\"a\"",
            "<sip:a@b> x",
            "sip:a b",
            "Alice B;tag=1",
            ";tag=1",
        ] {
            assert!(NameAddr::parse(text.as_bytes()).is_err(), "{text}");
        }
    }

    #[test]
    fn contact_parameters() {
        let contact = Contact::parse(
            b"<sip:a@b.invalid;transport=ws>;+sip.ice;reg-id=1;Q=0.25;\
              +sip.instance=\"<urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6>\";expires=600",
        )
        .unwrap();
        assert_eq!(contact.addr.uri, b"sip:a@b.invalid;transport=ws");
        assert_eq!(contact.expires, Some(600));
        assert_eq!(contact.q, Some(250));
        assert_eq!(contact.instance, Some(&b"<urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6>"[..]));
        assert_eq!(contact.reg_id, Some(1));
        assert_eq!(
            Contact::parse(b"<sip:a@b>;expires=99999999999999999999").unwrap().expires,
            Some(u32::MAX)
        );
        for text in [
            "<sip:a@b>;q=2",
            "<sip:a@b>;q=1.001",
            "<sip:a@b>;q=0.1234",
            "<sip:a@b>;q",
            "<sip:a@b>;expires=-1",
            "<sip:a@b>;reg-id=0",
            "<sip:a@b>;=x",
            "<sip:a@b>;x=\"y",
            "<sip:a@b>;;",
        ] {
            assert!(Contact::parse(text.as_bytes()).is_err(), "{text}");
        }
    }

    #[test]
    fn qvalues() {
        for (text, q) in
            [("0", 0), ("1", 1000), ("1.000", 1000), ("0.5", 500), ("0.05", 50), ("0.", 0), ("0.999", 999)]
        {
            assert_eq!(qvalue(text.as_bytes()), Some(q), "{text}");
        }
    }
}
