//! Every workload with its contestants: one line each.

use core::cell::LazyCell;
use std::rc::Rc;
use std::sync::{Arc, Mutex};

use crate::accept::{REQUEST, SHORT_REQUEST};
use crate::floor::{BATCH, Copy, Floor, FloorEncode};
use crate::sink::Sink;
use crate::wire::{Arrivals, Wire};
use crate::workload::{self, Spec, Workload};
use crate::{kernels, ours};

/// Does the work of a number of messages and keeps its connection for the next call.
pub trait Contestant {
    /// Works through `messages` messages and puts what it delivers into `sink`.
    fn run(&mut self, messages: usize, sink: &mut Sink);
}

/// A contestant's name, what it does of the work, and how to make it.
pub type Line<F> = (&'static str, &'static str, F);

/// One contestant of a case.
pub struct Entry {
    /// What the tables call it.
    pub name: &'static str,
    /// What it does of the work and what it leaves out.
    pub does: &'static str,
    /// Sets up a connection that is ready to work.
    pub start: Box<dyn Fn() -> Box<dyn Contestant>>,
    /// The same, checked: whether one round's messages came out whole and in order.
    pub check: Box<dyn Fn() -> bool>,
}

/// One workload with its contestants.
pub struct Case {
    /// Criterion's group, `decode`, `encode`, `deflate`, `handshake`, `mask`, `utf8`; or `echo`.
    pub group: &'static str,
    /// The workload.
    pub name: &'static str,
    /// Payload bytes of one message; 0 where there is none.
    pub len: usize,
    /// The entry the others are compared with.
    pub base: &'static str,
    /// The base's work is part of every other entry's and is no work of theirs.
    pub contains_base: bool,
    /// The contestants: limits first, then ours, then the peers.
    pub entries: Vec<Entry>,
}

/// The whole suite; no input is built before a contestant starts.
pub fn cases() -> Vec<Case> {
    let mut cases: Vec<_> = workload::decode().into_iter().map(decode).collect();
    let names =
        [("16 B text, client", "16 B text, server"), ("700 B SIP text, client", "700 B SIP text, server")];
    for (spec, (client, server)) in workload::encode().into_iter().zip(names) {
        cases.push(encode(client, spec, true));
        cases.push(encode(server, spec, false));
    }
    cases.extend(workload::echo().into_iter().map(echo));
    #[cfg(feature = "deflate")]
    cases.extend(crate::deflate::cases());
    cases.push(server_handshake());
    cases.push(client_handshake());
    cases.extend(kernels::mask());
    cases.extend(kernels::utf8());
    cases
}

/// The cases of one criterion group.
pub fn group(name: &str) -> Vec<Case> {
    cases().into_iter().filter(|case| case.group == name).collect()
}

type Input = Rc<LazyCell<Workload, Box<dyn FnOnce() -> Workload>>>;

fn input(spec: Spec) -> Input {
    Rc::new(LazyCell::new(Box::new(move || Workload::new(&spec))))
}

/// Starts a contestant of the group `decode`.
pub type Decode = fn(&Workload, Wire) -> Box<dyn Contestant>;

fn decode(spec: Spec) -> Case {
    const FLOOR: &str = "header, unmask, UTF-8, whole message lent; no state, no rules, no limits";
    const OURS: &str = "all rules and limits, UTF-8, whole message lent";
    const PARTS: &str = "the same, lent in parts as they come: no message is whole";
    /// From here on there are applications that would rather have parts.
    const LONG_LEN: usize = 64 << 10;
    let mut lines: Vec<Line<Decode>> = vec![
        ("memcpy", "the bytes copied out of the wire, nothing else", |w, wire| {
            Box::new(Copy::new(w, wire, false))
        }),
        ("memcpy + XOR", "the same, then XORed in place", |w, wire| Box::new(Copy::new(w, wire, true))),
        ("floor", FLOOR, |_, wire| Box::new(Floor::new(wire))),
        ("ws-core", OURS, |_, wire| Box::new(ours::Decode::<false>::new(wire))),
    ];
    if spec.len >= LONG_LEN {
        lines.push(("ws-core, in parts", PARTS, |_, wire| Box::new(ours::Decode::<true>::new(wire))));
    }
    #[cfg(feature = "peers")]
    lines.extend(crate::peers::decode());
    let input = input(spec);
    let entry = |(name, does, make): Line<Decode>| {
        let (started, checked) = (Rc::clone(&input), Rc::clone(&input));
        Entry {
            name,
            does,
            start: Box::new(move || make(&started, Wire::new(&started.arrivals))),
            check: Box::new(move || {
                let mut sink = Sink::checking();
                let mut contestant = make(&checked, Wire::new(&checked.arrivals));
                contestant.run(checked.payloads.len(), &mut sink);
                name.starts_with("memcpy") || sink == checked.expected()
            }),
        }
    };
    let entries = lines.drain(..).map(entry).collect();
    Case { group: "decode", name: spec.name, len: spec.len, base: "floor", contains_base: false, entries }
}

/// Starts a contestant of the group `encode`; the last argument: as a client.
pub type Encode = fn(&Workload, Wire, bool) -> Box<dyn Contestant>;

fn encode(name: &'static str, spec: Spec, client: bool) -> Case {
    const FLOOR: &str = "header and payload into one buffer, one write for 16; weak masking keys";
    const OURS: &str = "the same with cryptographic masking keys, from a borrowed text";
    let mut lines: Vec<Line<Encode>> = vec![
        ("floor", FLOOR, |w, wire, client| Box::new(FloorEncode::new(w, wire, client))),
        ("ws-core", OURS, |w, wire, client| Box::new(ours::Encode::new(w, wire, client))),
    ];
    #[cfg(feature = "peers")]
    lines.extend(crate::peers::encode());
    let input = input(spec);
    let entry = |(name, does, make): Line<Encode>| {
        let (started, checked) = (Rc::clone(&input), Rc::clone(&input));
        Entry {
            name,
            does,
            start: Box::new(move || make(&started, Wire::new(&started.arrivals), client)),
            check: Box::new(move || {
                let tape = Arc::new(Mutex::new(Vec::new()));
                make(&checked, Wire::recording(&tape), client).run(BATCH, &mut Sink::touching());
                let tape = tape.lock().expect("no writer panicked");
                written(&tape, client).is_some_and(|payloads| payloads == checked.payloads)
            }),
        }
    };
    let entries = lines.drain(..).map(entry).collect();
    Case { group: "encode", name, len: spec.len, base: "floor", contains_base: false, entries }
}

/// What a message costs a server that sends it back; the servers with sockets are in the program `echo`.
fn echo(spec: Spec) -> Case {
    let input = input(spec);
    let (started, checked) = (Rc::clone(&input), input);
    let entry = Entry {
        name: "ws-core",
        does: "all rules and limits, UTF-8, lent and sent back; one write for a read, the next deadline asked for",
        start: Box::new(move || Box::new(ours::Echo::new(Wire::new(&started.arrivals)))),
        check: Box::new(move || {
            let tape = Arc::new(Mutex::new(Vec::new()));
            let wire = Wire::taped(&checked.arrivals, &tape);
            ours::Echo::new(wire).run(BATCH, &mut Sink::touching());
            let tape = tape.lock().expect("no writer panicked");
            written(&tape, false).is_some_and(|payloads| payloads == checked.payloads)
        }),
    };
    let entries = vec![entry];
    Case { group: "echo", name: spec.name, len: spec.len, base: "ws-core", contains_base: false, entries }
}

/// The payloads of the frames in `bytes`, read the plainest way, if each is a final text frame.
fn written(bytes: &[u8], masked: bool) -> Option<Vec<Vec<u8>>> {
    payloads(bytes, 0x81, masked)
}

/// The payloads of the frames in `bytes` if each begins with `head` and is masked or not.
pub(crate) fn payloads(mut bytes: &[u8], head: u8, masked: bool) -> Option<Vec<Vec<u8>>> {
    let mut payloads = Vec::new();
    while let Some((&[first, second], mut rest)) = bytes.split_first_chunk::<2>() {
        if first != head || (second & 0x80 != 0) != masked {
            return None;
        }
        let mut len = usize::from(second & 127);
        if len == 126 {
            let (extended, after) = rest.split_first_chunk::<2>()?;
            (len, rest) = (usize::from(u16::from_be_bytes(*extended)), after);
        }
        let mut key = [0; 4];
        if masked {
            (key, rest) = rest.split_first_chunk::<4>().map(|(key, rest)| (*key, rest))?;
        }
        if len == 127 {
            return None;
        }
        let (payload, after) = rest.split_at_checked(len)?;
        payloads.push(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key).collect());
        bytes = after;
    }
    bytes.is_empty().then_some(payloads)
}

/// Does an opening handshake; the buffer is there for those who receive into one that all connections share.
pub type Handshake = fn(Wire, &mut [u8]);

/// Runs a handshake as often as asked, each with a connection of its own.
struct Handshakes {
    arrivals: Arrivals,
    answering: bool,
    once: Handshake,
    buffer: Vec<u8>,
}

impl Contestant for Handshakes {
    fn run(&mut self, messages: usize, sink: &mut Sink) {
        for _ in 0..messages {
            let wire =
                if self.answering { Wire::answering(&self.arrivals) } else { Wire::new(&self.arrivals) };
            (self.once)(wire, &mut self.buffer);
        }
        sink.messages += messages as u64;
    }
}

fn handshakes(name: &'static str, lines: Vec<Line<Handshake>>, answering: bool) -> Case {
    let entry = |(name, does, once): Line<Handshake>| {
        let start = move || -> Box<dyn Contestant> {
            let arrivals = Arrivals::at(REQUEST.to_vec(), vec![REQUEST.len()]);
            Box::new(Handshakes { arrivals, answering, once, buffer: vec![0; 4096] })
        };
        // A handshake that fails panics, so to have run is to have passed.
        let check = move || {
            start().run(2, &mut Sink::touching());
            true
        };
        Entry { name, does, start: Box::new(start), check: Box::new(check) }
    };
    let base = lines[0].0;
    let entries = lines.into_iter().map(entry).collect();
    Case { group: "handshake", name, len: 0, base, contains_base: answering, entries }
}

fn server_handshake() -> Case {
    #[cfg_attr(not(feature = "peers"), expect(unused_mut, reason = "the peers come on top"))]
    let mut lines: Vec<Line<Handshake>> = vec![
        (
            "floor",
            "httparse, the five fields, SHA-1, base64, the 101; no rule but presence",
            kernels::accept_floor,
        ),
        ("ws-core", "all rules of the table; an open `Endpoint`", ours::accept),
    ];
    #[cfg(feature = "peers")]
    lines.extend(crate::peers::accept());
    handshakes("server", lines, false)
}

fn client_handshake() -> Case {
    #[cfg_attr(not(feature = "peers"), expect(unused_mut, reason = "the peers come on top"))]
    let mut lines: Vec<Line<Handshake>> = vec![
        (
            "answer alone",
            "a fixed request and the server's answer to it: taken off every other row",
            |mut wire, buffer| {
                std::io::Write::write_all(&mut wire, SHORT_REQUEST).expect("the wire takes everything");
                core::hint::black_box(wire.fetch(buffer));
            },
        ),
        ("ws-core", "URL parsed, all rules; an open `Endpoint`; seed of the keys given", ours::connect),
    ];
    #[cfg(feature = "peers")]
    lines.extend(crate::peers::connect());
    handshakes("client", lines, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_contestant_does_the_work() {
        for case in cases() {
            for entry in &case.entries {
                assert!((entry.check)(), "{}: {}: {}", case.group, case.name, entry.name);
            }
        }
    }
}
