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
    /// Passed on as it is.
    Other,
}

impl Header {
    /// The header field that `name` names in its long or compact form, without case.
    pub fn of(name: &[u8]) -> Self {
        // The length leaves one or two candidates, so most names are told apart without a comparison.
        let candidates: &[(&str, Self)] = match name.len() {
            1 => {
                return match name.first().map(u8::to_ascii_lowercase) {
                    Some(b'v') => Self::Via,
                    Some(b'f') => Self::From,
                    Some(b't') => Self::To,
                    Some(b'i') => Self::CallId,
                    Some(b'm') => Self::Contact,
                    Some(b'l') => Self::ContentLength,
                    Some(b'k') => Self::Supported,
                    _ => Self::Other,
                };
            }
            2 => &[("to", Self::To)],
            3 => &[("via", Self::Via)],
            4 => &[("from", Self::From), ("cseq", Self::CSeq), ("path", Self::Path)],
            5 => &[("route", Self::Route)],
            7 => &[
                ("call-id", Self::CallId),
                ("contact", Self::Contact),
                ("expires", Self::Expires),
                ("require", Self::Require),
            ],
            9 => &[("supported", Self::Supported), ("timestamp", Self::Timestamp)],
            11 => &[("max-breadth", Self::MaxBreadth)],
            12 => &[("max-forwards", Self::MaxForwards), ("record-route", Self::RecordRoute)],
            13 => &[("proxy-require", Self::ProxyRequire)],
            14 => &[("content-length", Self::ContentLength)],
            16 => &[("www-authenticate", Self::WwwAuthenticate)],
            18 => &[("proxy-authenticate", Self::ProxyAuthenticate)],
            _ => &[],
        };
        candidates
            .iter()
            .find(|(long, _)| name.eq_ignore_ascii_case(long.as_bytes()))
            .map_or(Self::Other, |&(_, header)| header)
    }
}
