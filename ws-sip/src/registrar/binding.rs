//! One binding of a contact to an address-of-record.

use super::{RegisterError, Registration};
use crate::flow::FlowId;
use crate::sip::{Contact, SipUri, append};
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
    /// All parameters of the contact but `expires`, `pub-gruu` and `temp-gruu`, from the first semicolon.
    params: Box<[u8]>,
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
            reg_id: outbound_id(request, contact),
            path: request.path.into(),
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

    /// Takes over the times and order of a request if all else is as before; otherwise changes nothing and
    /// returns false.
    pub(super) fn refresh(
        &mut self,
        flow: FlowId,
        request: &Registration<'_>,
        contact: &Contact<'_>,
        expires_at: Duration,
        updated: u64,
    ) -> bool {
        let is_same = self.flow == flow
            && *self.contact == *contact.addr.uri
            && *self.call_id == *request.call_id
            && *self.path == *request.path
            && has_params(contact, &self.params);
        if is_same {
            self.expires_at = expires_at;
            self.cseq = request.cseq;
            self.updated = updated;
        }
        is_same
    }

    /// Appends the binding as a Contact value, `expires` being what is left.
    pub fn write_contact(&self, now: Duration, out: &mut Vec<u8>) {
        out.push(b'<');
        out.extend_from_slice(&self.contact);
        out.push(b'>');
        out.extend_from_slice(&self.params);
        append(out, format_args!(";expires={}", self.expires_at.saturating_sub(now).as_secs()));
    }
}

fn outbound_id(request: &Registration<'_>, contact: &Contact<'_>) -> Option<u32> {
    contact.reg_id.filter(|_| request.outbound && contact.instance.is_some())
}

/// Calls `each` with the pieces of the parameters that are kept, white space left out.
fn kept_params<'a>(contact: &Contact<'a>, mut each: impl FnMut(&'a [u8])) {
    let is_ours = |name: &[u8]| {
        ["expires", "pub-gruu", "temp-gruu"].iter().any(|ours| name.eq_ignore_ascii_case(ours.as_bytes()))
    };
    for param in contact.addr.params.map_while(Result::ok).filter(|param| !is_ours(param.name)) {
        each(b";");
        each(param.name);
        if let Some(value) = param.value {
            each(b"=");
            each(value);
        }
    }
}

fn write_params(contact: &Contact<'_>, out: &mut Vec<u8>) {
    kept_params(contact, |piece| out.extend_from_slice(piece));
}

/// Whether `write_params` would write `kept`.
fn has_params(contact: &Contact<'_>, kept: &[u8]) -> bool {
    let mut rest = Some(kept);
    kept_params(contact, |piece| rest = rest.and_then(|rest| rest.strip_prefix(piece)));
    rest == Some(&[])
}
