//! One binding of a contact to an address-of-record.

use super::{RegisterError, Registration};
use crate::flow::FlowId;
use crate::sip::{Contact, SipUri, append_number, is_uri_param};
use core::time::Duration;

/// A contact, and what is known of it.
#[derive(Clone, Debug)]
pub struct Binding {
    /// The contact's URI.
    pub contact: Box<[u8]>,
    /// The flow on which it was registered last: the only way to reach it.
    pub flow: FlowId,
    /// When it ends.
    pub expires_at: Duration,
    /// The preference in thousandths; 1000 when the contact gave none.
    pub q: u16,
    /// `+sip.instance` without quotes, angle brackets included.
    pub instance: Option<Box<[u8]>>,
    /// The `reg-id`, if both sides support `outbound` and the contact has an instance.
    pub reg_id: Option<u32>,
    /// The values of Path, comma-separated; empty when there was none.
    pub path: Box<[u8]>,
    /// All parameters of the contact as they were received.
    raw_params: Box<[u8]>,
    /// The same without `expires`, `pub-gruu` and `temp-gruu`.
    params: Box<[u8]>,
    /// Whether the instance can be written into a URI as it is.
    has_gruu: bool,
    call_id: Box<[u8]>,
    cseq: u32,
    /// Counts up over all bindings: the higher, the more recently refreshed.
    pub(super) updated: u64,
}

impl Binding {
    pub(super) fn new(
        flow: FlowId,
        request: &Registration<'_>,
        contact: &Contact<'_>,
        expires_at: Duration,
        updated: u64,
    ) -> Self {
        let mut params = Vec::new();
        write_params(contact, &mut params);
        Self {
            contact: contact.addr.uri.into(),
            flow,
            expires_at,
            q: contact.q.unwrap_or(1000),
            instance: contact.instance.map(Box::from),
            has_gruu: contact.instance.is_some_and(|instance| {
                let name = without_brackets(instance);
                !name.is_empty() && name.iter().all(|&byte| is_uri_param(byte))
            }),
            reg_id: outbound_id(request, contact),
            path: request.path.into(),
            raw_params: contact.addr.params.as_bytes().into(),
            params: params.into_boxed_slice(),
            call_id: request.call_id.into(),
            cseq: request.cseq,
            updated,
        }
    }

    /// Whether its time is not over.
    pub fn is_current(&self, now: Duration) -> bool {
        now < self.expires_at
    }

    /// The value of the `gr` parameter that names its instance, if it has one that can be written so.
    pub fn gruu_value(&self) -> Option<&[u8]> {
        self.instance.as_deref().filter(|_| self.has_gruu).map(without_brackets)
    }

    /// How recently it was made or refreshed: of two bindings the newer has the higher number.
    pub fn recency(&self) -> u64 {
        self.updated
    }

    /// Whether a contact of a REGISTER is this binding's: by instance and `reg-id` where outbound is in use
    /// (RFC 5626 section 6), else by URI (RFC 3261 section 10.3).
    pub(super) fn is_for(&self, request: &Registration<'_>, contact: &Contact<'_>) -> bool {
        if let Some(id) = outbound_id(request, contact) {
            return self.reg_id == Some(id) && self.instance.as_deref() == contact.instance;
        }
        *self.contact == *contact.addr.uri
            || SipUri::parse(&self.contact).is_ok_and(|mine| {
                SipUri::parse(contact.addr.uri).is_ok_and(|theirs| mine.is_equivalent(&theirs))
            })
    }

    /// Whether a request may change it (RFC 3261 section 10.3, items 6 and 7).
    pub(super) fn check_order(&self, request: &Registration<'_>) -> Result<(), RegisterError> {
        match *self.call_id == *request.call_id && request.cseq <= self.cseq {
            true => Err(RegisterError::OutOfOrder),
            false => Ok(()),
        }
    }

    /// Whether a request changes nothing but when the binding ends: the usual case, which needs no memory.
    pub(super) fn is_refreshed_by(
        &self,
        flow: FlowId,
        request: &Registration<'_>,
        contact: &Contact<'_>,
    ) -> bool {
        self.flow == flow
            && *self.contact == *contact.addr.uri
            && *self.raw_params == *contact.addr.params.as_bytes()
            && *self.call_id == *request.call_id
            && *self.path == *request.path
            && self.reg_id == outbound_id(request, contact)
            && self.cseq < request.cseq
    }

    pub(super) fn refresh(&mut self, request: &Registration<'_>, expires_at: Duration, updated: u64) {
        self.expires_at = expires_at;
        self.cseq = request.cseq;
        self.updated = updated;
    }

    /// Appends the binding as a Contact value, `expires` being what is left.
    pub fn write_contact(&self, now: Duration, out: &mut Vec<u8>) {
        out.push(b'<');
        out.extend_from_slice(&self.contact);
        out.push(b'>');
        out.extend_from_slice(&self.params);
        out.extend_from_slice(b";expires=");
        append_number(out, self.expires_at.saturating_sub(now).as_secs());
    }
}

/// `<urn:uuid:...>` without its brackets.
fn without_brackets(instance: &[u8]) -> &[u8] {
    match instance {
        [b'<', inner @ .., b'>'] => inner,
        other => other,
    }
}

/// The `reg-id` of a contact, where it counts.
pub(super) fn outbound_id(request: &Registration<'_>, contact: &Contact<'_>) -> Option<u32> {
    contact.reg_id.filter(|_| request.outbound && contact.instance.is_some())
}

/// Appends the parameters that are kept, white space left out.
fn write_params(contact: &Contact<'_>, out: &mut Vec<u8>) {
    let is_ours = |name: &[u8]| {
        ["expires", "pub-gruu", "temp-gruu"].iter().any(|ours| name.eq_ignore_ascii_case(ours.as_bytes()))
    };
    for param in contact.addr.params.map_while(Result::ok).filter(|param| !is_ours(param.name)) {
        out.push(b';');
        out.extend_from_slice(param.name);
        if let Some(value) = param.value {
            out.push(b'=');
            out.extend_from_slice(value);
        }
    }
}
