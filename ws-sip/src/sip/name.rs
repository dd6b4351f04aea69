//! The methods and header fields that a registrar and proxy must know by name.

/// A request's method. Methods are compared with case (RFC 3261 section 7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are the methods")]
#[non_exhaustive]
pub enum Method {
    Invite,
    Ack,
    Bye,
    Cancel,
    Options,
    Register,
    Message,
    Subscribe,
    Notify,
    Refer,
    Info,
    Update,
    Prack,
    Publish,
    /// A method that is forwarded like any other but not known here.
    Other,
}

impl Method {
    /// The method that `token` names.
    pub fn of(token: &[u8]) -> Self {
        match token {
            b"INVITE" => Self::Invite,
            b"ACK" => Self::Ack,
            b"BYE" => Self::Bye,
            b"CANCEL" => Self::Cancel,
            b"OPTIONS" => Self::Options,
            b"REGISTER" => Self::Register,
            b"MESSAGE" => Self::Message,
            b"SUBSCRIBE" => Self::Subscribe,
            b"NOTIFY" => Self::Notify,
            b"REFER" => Self::Refer,
            b"INFO" => Self::Info,
            b"UPDATE" => Self::Update,
            b"PRACK" => Self::Prack,
            b"PUBLISH" => Self::Publish,
            _ => Self::Other,
        }
    }

    /// Whether a request of this method can open a dialog, so that a proxy record-routes it.
    pub fn forms_dialog(self) -> bool {
        matches!(self, Self::Invite | Self::Subscribe | Self::Refer)
    }
}

/// A header field that a registrar or proxy reads or edits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are the header fields")]
#[non_exhaustive]
pub enum Header {
    Via,
    From,
    To,
    CallId,
    CSeq,
    Contact,
    Expires,
    MaxForwards,
    MaxBreadth,
    Route,
    RecordRoute,
    Path,
    ContentLength,
    Supported,
    Require,
    ProxyRequire,
    Timestamp,
    WwwAuthenticate,
    ProxyAuthenticate,
    Authorization,
    ProxyAuthorization,
    PAssertedIdentity,
    /// Passed on as it is.
    Other,
}

impl Header {
    /// The header field that `name` names in its long or compact form, without case; `name` is a token.
    pub fn of(name: &[u8]) -> Self {
        let Some(first) = name.first().map(u8::to_ascii_lowercase) else { return Self::Other };
        // Length and first letter leave one candidate.
        let (long, header): (&[u8], Self) = match (name.len(), first) {
            (1, b'v') => return Self::Via,
            (1, b'f') => return Self::From,
            (1, b't') => return Self::To,
            (1, b'i') => return Self::CallId,
            (1, b'm') => return Self::Contact,
            (1, b'l') => return Self::ContentLength,
            (1, b'k') => return Self::Supported,
            (2, b't') => (b"to", Self::To),
            (3, b'v') => (b"via", Self::Via),
            (4, b'f') => (b"from", Self::From),
            (4, b'c') => (b"cseq", Self::CSeq),
            (4, b'p') => (b"path", Self::Path),
            (5, b'r') => (b"route", Self::Route),
            (7, b'c') if name.get(4) == Some(&b'-') => (b"call-id", Self::CallId),
            (7, b'c') => (b"contact", Self::Contact),
            (7, b'e') => (b"expires", Self::Expires),
            (7, b'r') => (b"require", Self::Require),
            (9, b's') => (b"supported", Self::Supported),
            (9, b't') => (b"timestamp", Self::Timestamp),
            (11, b'm') => (b"max-breadth", Self::MaxBreadth),
            (12, b'm') => (b"max-forwards", Self::MaxForwards),
            (12, b'r') => (b"record-route", Self::RecordRoute),
            (13, b'p') => (b"proxy-require", Self::ProxyRequire),
            (13, b'a') => (b"authorization", Self::Authorization),
            (14, b'c') => (b"content-length", Self::ContentLength),
            (16, b'w') => (b"www-authenticate", Self::WwwAuthenticate),
            (18, b'p') => (b"proxy-authenticate", Self::ProxyAuthenticate),
            (19, b'p') if name.get(1) == Some(&b'-') => (b"p-asserted-identity", Self::PAssertedIdentity),
            (19, b'p') => (b"proxy-authorization", Self::ProxyAuthorization),
            _ => return Self::Other,
        };
        // Bit 5 is the case of a letter, and no two other token characters differ in it alone.
        match name.iter().zip(long).all(|(mine, long)| mine | 0x20 == *long) {
            true => header,
            false => Self::Other,
        }
    }
}
