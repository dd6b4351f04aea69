//! The location service: which contacts an address-of-record has now, and through which flow each is reached
//! (RFC 3261 section 10, RFC 5626 section 6).
//!
//! Bindings live in memory and end with their flow: a contact behind WebSocket cannot be reached once its
//! connection is gone. Nothing here reads a clock: times are durations since an epoch of the caller's choice, and
//! [`Registrar::poll_timeout`] says when [`Registrar::handle_timeout`] has something to do.

mod binding;
mod config;
mod error;
#[cfg(test)]
mod tests;

pub use binding::Binding;
pub use config::Config;
pub use error::RegisterError;

use crate::flow::FlowId;
use crate::memory::give_back;
use crate::sip::{Contact, SipUri};
use core::time::Duration;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// What a REGISTER asks for.
#[derive(Clone, Copy, Debug)]
pub struct Registration<'a> {
    /// Call-ID.
    pub call_id: &'a [u8],
    /// The sequence number of CSeq.
    pub cseq: u32,
    /// Expires, for contacts that do not say themselves.
    pub expires: Option<u32>,
    /// The Contact header fields.
    pub contacts: Contacts<'a>,
    /// Whether the client supports `outbound`, so that `reg-id` counts (RFC 5626 section 6).
    pub outbound: bool,
    /// The values of Path, comma-separated; empty when there is none.
    pub path: &'a [u8],
}

/// The Contact header fields of a REGISTER.
#[derive(Clone, Copy, Debug)]
pub enum Contacts<'a> {
    /// None, or some: without any the request only asks which bindings there are.
    Some(&'a [Contact<'a>]),
    /// `*`: all bindings are to be removed.
    All,
}

/// An address-of-record in the form of [`SipUri::write_aor`], shared by all tables.
type Aor = Arc<[u8]>;

#[derive(Debug)]
struct Record {
    aor: Aor,
    bindings: Vec<Binding>,
    /// When the first binding expires, or, without bindings, when the record is forgotten: its place in
    /// `Registrar::expiry` or `Registrar::remembered`.
    deadline: Duration,
}

/// The bindings of all addresses-of-record.
#[derive(Debug)]
pub struct Registrar {
    config: Config,
    records: HashMap<Aor, Record>,
    /// The records with bindings, by deadline.
    expiry: BTreeSet<(Duration, Aor)>,
    /// The records without, by deadline.
    remembered: BTreeSet<(Duration, Aor)>,
    /// The addresses-of-record that have a binding through a flow, each once.
    flows: HashMap<FlowId, Vec<Aor>>,
    /// The address-of-record that has a contact, by user and host of the contact. The first to bind one keeps it.
    contacts: HashMap<Box<[u8]>, Aor>,
    bindings: usize,
    updates: u64,
}

impl Registrar {
    /// An empty registrar.
    pub fn new(config: Config) -> Self {
        Self {
            config,
            records: HashMap::new(),
            expiry: BTreeSet::new(),
            remembered: BTreeSet::new(),
            flows: HashMap::new(),
            contacts: HashMap::new(),
            bindings: 0,
            updates: 0,
        }
    }

    /// The limits.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// How many bindings there are, those included whose expiry was not handled yet.
    pub fn len(&self) -> usize {
        self.bindings
    }

    /// Whether there is no binding.
    pub fn is_empty(&self) -> bool {
        self.bindings == 0
    }

    /// Carries out a REGISTER that came on `flow`: all of it, or, on an error, nothing (RFC 3261 section 10.3).
    ///
    /// `aor` has the form of [`SipUri::write_aor`].
    ///
    /// # Errors
    /// When a contact breaks a rule or a limit.
    pub fn register(
        &mut self,
        now: Duration,
        aor: &[u8],
        flow: FlowId,
        request: &Registration<'_>,
    ) -> Result<(), RegisterError> {
        self.handle_timeout(now);
        let contacts = match request.contacts {
            Contacts::All => return self.remove_all(now, aor, request),
            Contacts::Some(contacts) => contacts,
        };
        if let [contact] = contacts
            && self.refresh(now, aor, flow, request, contact)
        {
            return Ok(());
        }
        self.check_update(aor, flow, request, contacts)?;
        if contacts.is_empty() {
            return Ok(());
        }
        let has_record = self.records.contains_key(aor);
        let has_new = contacts.iter().any(|contact| self.granted(request, contact) > 0);
        if !has_record && !has_new {
            return Ok(());
        }
        self.update(aor, now, |this, aor, record| {
            for contact in contacts {
                this.update_binding(now, aor, flow, record, request, contact);
            }
        });
        Ok(())
    }

    /// Carries out the usual REGISTER, which moves the end of one binding; false when it is something else.
    fn refresh(
        &mut self,
        now: Duration,
        aor: &[u8],
        flow: FlowId,
        request: &Registration<'_>,
        contact: &Contact<'_>,
    ) -> bool {
        let expires = self.granted(request, contact);
        if expires < self.config.min_expires.max(1) {
            return false;
        }
        let Some(record) = self.records.get_mut(aor) else { return false };
        let refreshed =
            record.bindings.iter_mut().find(|binding| binding.is_refreshed_by(flow, request, contact));
        let Some(binding) = refreshed else { return false };
        self.updates += 1;
        binding.refresh(request, now + Duration::from_secs(expires.into()), self.updates);
        let first = record.bindings.iter().map(|binding| binding.expires_at).min().unwrap_or_default();
        if first != record.deadline
            && let Some((_, aor)) = self.expiry.take(&(record.deadline, Arc::clone(&record.aor)))
        {
            record.deadline = first;
            self.expiry.insert((first, aor));
        }
        true
    }

    /// Everything that can refuse an update, so that applying it cannot fail half-way.
    fn check_update(
        &self,
        aor: &[u8],
        flow: FlowId,
        request: &Registration<'_>,
        contacts: &[Contact<'_>],
    ) -> Result<(), RegisterError> {
        // No client has that many to add and to remove; each is compared with each binding.
        if contacts.len() > 2 * self.config.max_bindings_per_aor {
            return Err(RegisterError::TooManyContacts);
        }
        let mut bound = contacts.iter().filter(|contact| self.asked(request, contact) > 0);
        if bound.clone().count() > 1 && bound.any(|contact| binding::outbound_id(request, contact).is_some())
        {
            return Err(RegisterError::SeveralFlows);
        }
        let bindings = self.records.get(aor).map_or(&[][..], |record| &record.bindings);
        let mut added = 0;
        for contact in contacts {
            SipUri::parse(contact.addr.uri).map_err(|_| RegisterError::ContactUri)?;
            let asked = self.asked(request, contact);
            if asked > 0 && asked < self.config.min_expires {
                return Err(RegisterError::IntervalTooBrief(self.config.min_expires));
            }
            let len = aor.len()
                + contact.addr.uri.len()
                + contact.addr.params.as_bytes().len()
                + request.path.len()
                + request.call_id.len();
            if len > self.config.max_binding_len {
                return Err(RegisterError::TooLong);
            }
            match bindings.iter().find(|binding| binding.is_for(request, contact)) {
                Some(binding) => binding.check_order(request)?,
                None if asked > 0 => added += 1,
                None => {}
            }
        }
        if added > 0 {
            if bindings.len() + added > self.config.max_bindings_per_aor {
                return Err(RegisterError::TooManyContacts);
            }
            if self.bindings + added > self.config.max_bindings {
                return Err(RegisterError::Full);
            }
        }
        let aors = self.flows.get(&flow).map_or(&[][..], Vec::as_slice);
        if aors.len() >= self.config.max_aors_per_flow
            && contacts.iter().any(|contact| self.asked(request, contact) > 0)
            && !aors.iter().any(|known| **known == *aor)
        {
            return Err(RegisterError::TooManyContacts);
        }
        Ok(())
    }

    fn remove_all(
        &mut self,
        now: Duration,
        aor: &[u8],
        request: &Registration<'_>,
    ) -> Result<(), RegisterError> {
        if request.expires != Some(0) {
            return Err(RegisterError::Wildcard);
        }
        let Some(record) = self.records.get(aor) else { return Ok(()) };
        record.bindings.iter().try_for_each(|binding| binding.check_order(request))?;
        self.update(aor, now, |this, aor, record| {
            for binding in core::mem::take(&mut record.bindings) {
                this.forget_binding(aor, record, &binding);
            }
        });
        Ok(())
    }

    fn asked(&self, request: &Registration<'_>, contact: &Contact<'_>) -> u32 {
        contact.expires.or(request.expires).unwrap_or(self.config.default_expires)
    }

    fn granted(&self, request: &Registration<'_>, contact: &Contact<'_>) -> u32 {
        self.asked(request, contact).min(self.config.max_expires)
    }

    fn update_binding(
        &mut self,
        now: Duration,
        aor: &Aor,
        flow: FlowId,
        record: &mut Record,
        request: &Registration<'_>,
        contact: &Contact<'_>,
    ) {
        let expires = self.granted(request, contact);
        let found = record.bindings.iter().position(|binding| binding.is_for(request, contact));
        if expires == 0 {
            if let Some(index) = found {
                let binding = record.bindings.remove(index);
                self.forget_binding(aor, record, &binding);
            }
            return;
        }
        self.updates += 1;
        let until = now + Duration::from_secs(expires.into());
        let binding = Binding::new(flow, request, contact, until, self.updates);
        let key = contact_key(&binding.contact);
        match found {
            Some(index) => {
                let old = record.bindings.remove(index);
                record.bindings.insert(index, binding);
                self.forget_binding(aor, record, &old);
            }
            None => record.bindings.push(binding),
        }
        self.bindings += 1;
        self.contacts.entry(key).or_insert_with(|| Arc::clone(aor));
        let aors = self.flows.entry(flow).or_default();
        if !aors.iter().any(|known| Arc::ptr_eq(known, aor)) {
            aors.push(Arc::clone(aor));
        }
    }

    /// Takes a binding that left `record` out of the other tables.
    fn forget_binding(&mut self, aor: &Aor, record: &Record, binding: &Binding) {
        self.bindings -= 1;
        if !record.bindings.iter().any(|other| other.flow == binding.flow)
            && let Some(aors) = self.flows.get_mut(&binding.flow)
        {
            aors.retain(|known| !Arc::ptr_eq(known, aor));
            if aors.is_empty() {
                self.flows.remove(&binding.flow);
            }
        }
        let key = contact_key(&binding.contact);
        if self.contacts.get(&key).is_some_and(|holder| Arc::ptr_eq(holder, aor))
            && !record.bindings.iter().any(|other| contact_key(&other.contact) == key)
        {
            self.contacts.remove(&key);
        }
    }

    /// Changes a record, which is made if there is none, and puts it in its place by its new deadline.
    fn update(&mut self, aor: &[u8], now: Duration, change: impl FnOnce(&mut Self, &Aor, &mut Record)) {
        let found = self.records.remove_entry(aor);
        let is_new = found.is_none();
        let (aor, mut record) = found.unwrap_or_else(|| {
            let aor = Aor::from(aor);
            (Arc::clone(&aor), Record { aor, bindings: Vec::new(), deadline: Duration::ZERO })
        });
        let (was_bound, old) = (!record.bindings.is_empty(), record.deadline);
        change(self, &aor, &mut record);
        let is_bound = !record.bindings.is_empty();
        if let Some(first) = record.bindings.iter().map(|binding| binding.expires_at).min() {
            record.deadline = first;
        } else if was_bound || is_new {
            record.deadline = now + self.config.remember;
        }
        if is_new || (was_bound, old) != (is_bound, record.deadline) {
            let place = (old, Arc::clone(&aor));
            let left = if was_bound { &mut self.expiry } else { &mut self.remembered };
            left.remove(&place);
            let place = (record.deadline, place.1);
            let entered = if is_bound { &mut self.expiry } else { &mut self.remembered };
            entered.insert(place);
        }
        self.records.insert(aor, record);
        while self.remembered.len() > self.config.max_remembered
            && let Some((_, aor)) = self.remembered.pop_first()
        {
            self.records.remove(&aor);
        }
    }

    /// The bindings of an address-of-record in the order in which they were made; `None` when none was known since
    /// [`Config::remember`]. Those past their time may still be there: see [`Binding::is_current`].
    pub fn bindings(&self, aor: &[u8]) -> Option<&[Binding]> {
        self.records.get(aor).map(|record| record.bindings.as_slice())
    }

    /// The binding whose contact has the user and host of `uri`, the most recently refreshed if there are several.
    pub fn binding_of_contact(&self, now: Duration, uri: &SipUri<'_>) -> Option<&Binding> {
        let mut key = Vec::with_capacity(64);
        uri.write_aor(&mut key);
        let bindings = self.bindings(self.contacts.get(key.as_slice())?)?;
        let of_contact =
            |binding: &&Binding| binding.is_current(now) && *contact_key(&binding.contact) == *key;
        bindings.iter().filter(of_contact).max_by_key(|binding| binding.updated)
    }

    /// Ends all bindings through a flow that was closed.
    pub fn handle_flow_closed(&mut self, now: Duration, flow: FlowId) {
        for aor in self.flows.remove(&flow).unwrap_or_default() {
            self.update(&aor, now, |this, aor, record| {
                this.retain(aor, record, |binding| binding.flow != flow);
            });
        }
        give_back(&mut self.flows);
        give_back(&mut self.records);
        give_back(&mut self.contacts);
    }

    /// Ends all bindings of the addresses-of-record, in any domain, whose user `is_gone` knows; escapes are resolved in it.
    pub fn remove_users(&mut self, now: Duration, is_gone: impl Fn(&[u8]) -> bool) {
        // A host has no `@`.
        let user = |aor: &[u8]| memchr::memrchr(b'@', aor).and_then(|at| aor.get(..at)).is_some_and(&is_gone);
        let aors: Vec<Aor> = self.records.keys().filter(|aor| user(aor)).cloned().collect();
        for aor in aors {
            self.update(&aor, now, |this, aor, record| this.retain(aor, record, |_| false));
        }
        give_back(&mut self.flows);
        give_back(&mut self.contacts);
    }

    fn retain(&mut self, aor: &Aor, record: &mut Record, keep: impl Fn(&Binding) -> bool) {
        let mut index = 0;
        while let Some(binding) = record.bindings.get(index) {
            if keep(binding) {
                index += 1;
            } else {
                let binding = record.bindings.remove(index);
                self.forget_binding(aor, record, &binding);
            }
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due next.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Duration> {
        let first = |set: &BTreeSet<(Duration, Aor)>| set.first().map(|(at, _)| *at);
        [first(&self.expiry), first(&self.remembered)].into_iter().flatten().min()
    }

    /// Ends bindings whose time is over and forgets addresses-of-record; early or repeated calls do nothing.
    pub fn handle_timeout(&mut self, now: Duration) {
        while let Some((at, aor)) = self.expiry.first()
            && *at <= now
        {
            let aor = Arc::clone(aor);
            self.update(&aor, now, |this, aor, record| {
                this.retain(aor, record, |binding| binding.is_current(now));
            });
        }
        while let Some((at, _)) = self.remembered.first()
            && *at <= now
            && let Some((_, aor)) = self.remembered.pop_first()
        {
            self.records.remove(&aor);
        }
    }
}

/// User and host of a contact; its URI was checked when it was bound.
fn contact_key(contact: &[u8]) -> Box<[u8]> {
    let mut key = Vec::with_capacity(contact.len());
    match SipUri::parse(contact) {
        Ok(uri) => uri.write_aor(&mut key),
        Err(_) => key.extend_from_slice(contact),
    }
    key.into_boxed_slice()
}
