//! Random user agents: whatever they do, the proxy keeps its promises.

use super::ua::SDP;
use super::*;
use crate::sip::{Header, Message, StartLine};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

#[derive(Clone, Debug)]
enum Step {
    /// A user agent connects (again) and registers as one of a few users.
    Connect {
        ua: usize,
    },
    Close {
        ua: usize,
    },
    Send {
        ua: usize,
        to: usize,
        method: &'static str,
    },
    /// Answers the oldest unanswered request, or with `late` one that was answered already.
    Answer {
        ua: usize,
        status: &'static str,
        late: bool,
    },
    Cancel {
        ua: usize,
    },
    Wait {
        seconds: u64,
    },
    /// A byte of the next message is changed on its way.
    Garble {
        at: usize,
        byte: u8,
    },
}

const USERS: [&str; 3] = ["alice", "bob", "carol"];
const UAS: usize = 5;

fn step() -> impl Strategy<Value = Step> {
    let ua = 0..UAS;
    let method = proptest::sample::select(vec!["INVITE", "INVITE", "MESSAGE", "OPTIONS", "BYE", "ACK"]);
    let status = proptest::sample::select(vec![
        "100 Trying",
        "180 Ringing",
        "200 OK",
        "200 OK",
        "302 Moved Temporarily",
        "401 Unauthorized",
        "486 Busy Here",
        "487 Request Terminated",
        "503 Service Unavailable",
        "603 Decline",
    ]);
    prop_oneof![
        3 => ua.clone().prop_map(|ua| Step::Connect { ua }),
        1 => ua.clone().prop_map(|ua| Step::Close { ua }),
        6 => (ua.clone(), 0..USERS.len(), method).prop_map(|(ua, to, method)| Step::Send { ua, to, method }),
        9 => (ua.clone(), status, prop::bool::weighted(0.2)).prop_map(|(ua, status, late)| Step::Answer { ua, status, late }),
        2 => ua.prop_map(|ua| Step::Cancel { ua }),
        1 => (1u64..60).prop_map(|seconds| Step::Wait { seconds }),
        1 => (0usize..400, any::<u8>()).prop_map(|(at, byte)| Step::Garble { at, byte }),
    ]
}

/// A user agent, and what it has seen.
struct Peer {
    ua: Ua,
    unanswered: Vec<Text>,
    answered: Vec<Text>,
    /// The INVITEs sent, with their branch.
    invites: Vec<(String, Dialog)>,
    /// The final responses that came to each request, by Call-ID and method, in order.
    finals: BTreeMap<(String, String), Vec<u16>>,
    /// The requests that reached the proxy whole.
    sent: BTreeSet<(String, String)>,
    number: u32,
}

struct World {
    net: Net,
    peers: Vec<Option<Peer>>,
    garble: Option<(usize, u8)>,
    /// A message was garbled: what comes back for it may be as odd.
    garbled: bool,
    /// A response was: its Call-ID may have become another.
    lost_response: bool,
}

impl World {
    fn send(&mut self, index: usize, message: String) -> bool {
        let Some(peer) = &self.peers[index] else { return false };
        let mut bytes = message.clone().into_bytes();
        if let Some((at, byte)) = self.garble.take()
            && let Some(place) = bytes.get_mut(at)
        {
            *place = byte;
        }
        let whole = bytes == message.as_bytes();
        self.garbled |= !whole;
        self.lost_response |= !whole && message.starts_with("SIP/");
        // What is no text any more would come back as binary, which these peers do not read.
        let Ok(message) = String::from_utf8(bytes) else { return false };
        let _ = self.net.try_send(peer.ua.flow, message);
        self.read();
        whole
    }

    /// Reads everything that was sent to each peer.
    fn read(&mut self) {
        for peer in self.peers.iter_mut().flatten() {
            while let Some(message) = self.net.try_recv(peer.ua.flow) {
                let parsed = Message::parse(message.0.as_bytes()).expect("a sip message");
                // A 400 gives back what was malformed.
                if matches!(parsed.start_line(), StartLine::Response { status: 400 | 505, .. }) {
                    continue;
                }
                let found = parsed.check().unwrap_or_else(|fault| panic!("{fault}:\n{}", message.0));
                match parsed.start_line() {
                    StartLine::Request { token: b"ACK" | b"CANCEL", .. } => {}
                    // The peers know the long names alone.
                    StartLine::Request { .. } => {
                        if ["To", "From", "Call-ID", "CSeq"].iter().all(|name| message.all(name).len() == 1) {
                            peer.unanswered.push(message);
                        }
                    }
                    StartLine::Response { status, .. } => {
                        assert!(self.garbled || parsed.values(Header::Via).count() == 1);
                        if status >= 200 {
                            let call_id = String::from_utf8(found.call_id.to_vec()).unwrap();
                            let method = String::from_utf8(found.cseq.method.to_vec()).unwrap();
                            peer.finals.entry((call_id, method)).or_default().push(status);
                        }
                    }
                }
            }
        }
    }

    fn run(&mut self, step: &Step) {
        match *step {
            Step::Connect { ua: index } => {
                if self.peers[index].is_none() {
                    let stack = if index % 2 == 0 { Stack::JsSip } else { Stack::SipJs };
                    let ua = Ua::registered(&mut self.net, USERS[index % USERS.len()], stack);
                    self.peers[index] = Some(Peer {
                        ua,
                        unanswered: Vec::new(),
                        answered: Vec::new(),
                        invites: Vec::new(),
                        finals: BTreeMap::new(),
                        sent: BTreeSet::new(),
                        number: 0,
                    });
                }
            }
            Step::Close { ua: index } => {
                if let Some(peer) = self.peers[index].take() {
                    self.net.close(peer.ua.flow);
                    self.read();
                }
            }
            Step::Send { ua: index, to, method } => {
                let Some(peer) = &mut self.peers[index] else { return };
                peer.number += 1;
                let branch = format!("{}x{}", peer.ua.flow, peer.number);
                let dialog = peer.ua.to(&format!("sip:{}@example.com", USERS[to]));
                let message =
                    peer.ua.request(method, &branch, &dialog, if method == "INVITE" { SDP } else { "" });
                let whole = self.send(index, message);
                let Some(peer) = self.peers[index].as_mut().filter(|_| whole) else { return };
                if method != "ACK" {
                    peer.sent.insert((dialog.call_id.clone(), method.to_owned()));
                }
                if method == "INVITE" {
                    peer.invites.push((branch, dialog));
                }
            }
            Step::Answer { ua: index, status, late } => {
                let Some(peer) = &mut self.peers[index] else { return };
                let is_final = !status.starts_with('1');
                let request = match late {
                    true => peer.answered.last().cloned(),
                    false if peer.unanswered.is_empty() => None,
                    false if is_final => Some(peer.unanswered.remove(0)),
                    false => Some(peer.unanswered[0].clone()),
                };
                let Some(request) = request else { return };
                let message = peer.ua.answer(&request, status, "");
                if is_final && !late {
                    peer.answered.push(request);
                }
                self.send(index, message);
            }
            Step::Cancel { ua: index } => {
                let Some(peer) = &self.peers[index] else { return };
                let Some((branch, dialog)) = peer.invites.last() else { return };
                let message = peer.ua.request("CANCEL", branch, dialog, "");
                self.send(index, message);
            }
            Step::Wait { seconds } => {
                self.net.advance(seconds);
                self.read();
            }
            Step::Garble { at, byte } => self.garble = Some((at, byte)),
        }
    }

    /// RFC 3261 section 17.2: at most one final response, but any number of 2xx to INVITE.
    fn check_finals(&self) {
        for peer in self.peers.iter().flatten() {
            for ((call_id, method), statuses) in &peer.finals {
                let refusals = statuses.iter().filter(|status| **status >= 300).count();
                let limit = match method.as_str() {
                    "INVITE" => refusals <= 1,
                    "CANCEL" => true,
                    _ => statuses.len() <= 1,
                };
                assert!(limit, "{method} {call_id} got {statuses:?}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn whatever_happens(steps in proptest::collection::vec(step(), 1..120)) {
        let mut world = World { net: Net::new(), peers: (0..UAS).map(|_| None).collect(), garble: None, garbled: false, lost_response: false };
        for step in &steps {
            world.run(step);
            world.check_finals();
        }
        // Timer C, then the wait for what CANCEL brings, then the wait for an ACK.
        world.net.advance(181 + 32 + 32);
        world.read();
        world.check_finals();
        prop_assert!(world.net.proxy.transactions.is_clean(), "{:?}", world.net.proxy.transactions);
        prop_assert!(world.net.proxy.flows.values().all(|flow| flow.transactions == 0));
        for peer in world.peers.iter().flatten() {
            for sent in peer.sent.iter().filter(|(_, method)| method == "INVITE") {
                prop_assert!(world.lost_response || peer.finals.contains_key(sent), "{:?} was never answered", sent);
            }
        }
        for index in 0..UAS {
            world.run(&Step::Close { ua: index });
        }
        prop_assert!(world.net.proxy.registrar().is_empty());
        prop_assert!(world.net.proxy.flows.is_empty());
        prop_assert!(world.net.proxy.transactions.is_clean());
        world.net.advance(3600);
        prop_assert_eq!(world.net.proxy.poll_timeout(), None);
    }
}
