//! REGISTER (RFC 3261 section 10.3, RFC 3327, RFC 5626 section 6, RFC 5627 section 5).

use super::Proxy;
use super::request::{Outcome, Request, refuse};
use super::transaction::Local;
use crate::registrar::{Binding, Contacts, RegisterError, Registration};
use crate::sip::{Contact, Fault, Header, Message, NameAddr, SipUri, append, seconds};
use core::time::Duration;

impl Proxy {
    pub(super) fn register(&mut self, now: Duration, request: &Request<'_, '_>) -> Outcome {
        let message = request.message;
        if !self.serves(request.uri.at.host) {
            return refuse(403, "Domain Not Served");
        }
        if self.refuses_require(request) {
            return Ok(());
        }
        let to = match SipUri::parse(request.found.to.uri) {
            Ok(uri) if uri.user.is_some() => uri,
            _ => return refuse(400, "Bad Address-Of-Record"),
        };
        if !self.serves(to.at.host) {
            return refuse(404, "Not Found");
        }
        let mut aor = Vec::with_capacity(64);
        to.write_aor(&mut aor);

        let mut contacts = Vec::new();
        let mut has_wildcard = false;
        for value in message.values(Header::Contact) {
            if value.bytes == b"*" {
                has_wildcard = true;
                continue;
            }
            match Contact::parse(value.bytes) {
                Ok(contact) => contacts.push(contact),
                Err(error) => {
                    let fault = Fault::Value("Contact", error);
                    self.answer(
                        request.flow,
                        request.info,
                        message,
                        fault.status(),
                        &fault.to_string(),
                        |_| {},
                    );
                    return Ok(());
                }
            }
        }
        if has_wildcard && (!contacts.is_empty() || message.all(Header::Contact).count() > 1) {
            return refuse(400, "Wildcard Contact Not Alone");
        }
        let expires = match message.first(Header::Expires).map(|field| seconds(message.value_of(field))) {
            // 20.19 leaves what to do to the registrar: what cannot be read cannot be honoured.
            Some(None) => return refuse(400, "Bad Expires"),
            Some(expires) => expires,
            None => None,
        };
        let supports_outbound = message.has_option(Header::Supported, "outbound")
            || message.has_option(Header::Require, "outbound");
        let path = path(message)?;
        let is_outbound = supports_outbound && has_outbound_contact(&contacts);
        if is_outbound && !first_hop_has_outbound(message) {
            return refuse(439, "First Hop Lacks Outbound Support");
        }
        let registration = Registration {
            call_id: request.found.call_id,
            cseq: request.found.cseq.number,
            expires,
            contacts: if has_wildcard { Contacts::All } else { Contacts::Some(&contacts) },
            outbound: supports_outbound,
            path: &path,
        };
        if let Err(error) = self.registrar.register(now, &aor, request.flow, &registration) {
            self.answer(request.flow, request.info, message, error.status(), &error.to_string(), |out| {
                if let RegisterError::IntervalTooBrief(min) = error {
                    append(out, format_args!("Min-Expires: {min}\r\n"));
                }
            });
            return Ok(());
        }
        self.stats.registered += 1;
        self.confirm(now, request, &aor, &to, is_outbound);
        Ok(())
    }

    /// Answers 200 with all current bindings.
    fn confirm(
        &mut self,
        now: Duration,
        request: &Request<'_, '_>,
        aor: &[u8],
        to: &SipUri<'_>,
        outbound: bool,
    ) {
        let message = request.message;
        let wants_gruu = message.has_option(Header::Supported, "gruu");
        let Some(mut reply) = self.start_reply(request.info, message, 200, "OK") else { return };
        reply.lines(|out| {
            let bindings = self.registrar.bindings(aor).unwrap_or_default();
            for binding in bindings.iter().filter(|binding| binding.is_current(now)) {
                out.extend_from_slice(b"Contact: ");
                binding.write_contact(now, out);
                if wants_gruu {
                    write_gruu(binding, to, out);
                }
                out.extend_from_slice(b"\r\n");
            }
            out.extend_from_slice(b"Supported: path, outbound, gruu\r\n");
            if outbound {
                // RFC 5626 section 6: tells the client that reg-id was acted on.
                out.extend_from_slice(b"Require: outbound\r\n");
            }
            for field in message.all(Header::Path) {
                // RFC 3327 section 5.3.
                out.extend_from_slice(message.line_of(field));
            }
        });
        let bytes = self.finish_reply(200, reply);
        self.send(request.flow, bytes);
    }
}

/// Appends the public GRUU of a binding that has an instance (RFC 5627 section 3.1).
///
/// There is no temporary GRUU: its point is privacy, which a registrar without authentication cannot give.
fn write_gruu(binding: &Binding, to: &SipUri<'_>, out: &mut Vec<u8>) {
    let Some(instance) = binding.gruu_value() else { return };
    out.extend_from_slice(if to.secure { b";pub-gruu=\"sips:" } else { b";pub-gruu=\"sip:" });
    out.extend_from_slice(to.user.unwrap_or_default());
    out.push(b'@');
    out.extend_from_slice(to.at.host);
    out.extend_from_slice(b";gr=");
    out.extend_from_slice(instance);
    out.push(b'"');
}

fn has_outbound_contact(contacts: &[Contact<'_>]) -> bool {
    contacts.iter().any(|contact| contact.reg_id.is_some() && contact.instance.is_some())
}

/// Whether the first hop of a REGISTER supports outbound: this server does, and another proxy says so with `ob` in
/// the Path value that it added first (RFC 5626 section 6).
fn first_hop_has_outbound(message: &Message<'_>) -> bool {
    if message.values(Header::Via).nth(1).is_none() {
        return true;
    }
    message.values(Header::Path).last().is_some_and(|value| {
        NameAddr::parse(value.bytes)
            .and_then(|addr| SipUri::parse(addr.uri))
            .is_ok_and(|uri| uri.param("ob").is_some())
    })
}

/// The values of Path, comma-separated, as they go into Route later.
fn path(message: &Message<'_>) -> Result<Vec<u8>, Local> {
    let mut path = Vec::new();
    for value in message.values(Header::Path) {
        if NameAddr::parse(value.bytes).and_then(|addr| SipUri::parse(addr.uri)).is_err() {
            return refuse(400, "Bad Path");
        }
        if !path.is_empty() {
            path.extend_from_slice(b", ");
        }
        path.extend_from_slice(value.bytes);
    }
    Ok(path)
}
