//! The rules of bindings, and random registrations against a naive twin.

use super::*;
use proptest::prelude::*;

const ALICE: &[u8] = b"alice@example.com";
const ONE: FlowId = FlowId(1);
const TWO: FlowId = FlowId(2);

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn registrar() -> Registrar {
    Registrar::new(Config::default())
}

/// A REGISTER in short: header field values as a client writes them.
#[derive(Clone, Copy)]
struct Request<'a> {
    call_id: &'a str,
    cseq: u32,
    expires: Option<u32>,
    contacts: &'a [&'a str],
    outbound: bool,
}

const REQUEST: Request<'_> = Request { call_id: "x", cseq: 1, expires: None, contacts: &[], outbound: false };

fn send(
    registrar: &mut Registrar,
    now: u64,
    flow: FlowId,
    request: Request<'_>,
) -> Result<(), RegisterError> {
    let contacts: Vec<_> = request
        .contacts
        .iter()
        .filter(|text| **text != "*")
        .map(|text| Contact::parse(text.as_bytes()).unwrap())
        .collect();
    registrar.register(
        at(now),
        ALICE,
        flow,
        &Registration {
            call_id: request.call_id.as_bytes(),
            cseq: request.cseq,
            expires: request.expires,
            contacts: if request.contacts == ["*"] { Contacts::All } else { Contacts::Some(&contacts) },
            outbound: request.outbound,
            path: b"",
        },
    )
}

/// A REGISTER of these contacts with nothing special.
fn plain<'a>(contacts: &'a [Contact<'a>]) -> Registration<'a> {
    Registration {
        call_id: b"x",
        cseq: 1,
        expires: None,
        contacts: Contacts::Some(contacts),
        outbound: false,
        path: b"",
    }
}

/// The bindings of alice at a time, as they are written into a 200.
fn contacts(registrar: &Registrar, now: u64) -> Vec<String> {
    let current =
        registrar.bindings(ALICE).unwrap_or_default().iter().filter(|binding| binding.is_current(at(now)));
    current
        .map(|binding| {
            let mut out = Vec::new();
            binding.write_contact(at(now), &mut out);
            String::from_utf8(out).unwrap()
        })
        .collect()
}

/// RFC 3261 section 10.2.1.1: the contact's own time, then Expires, then the default; cut to the maximum.
#[test]
fn which_time_counts() {
    for (contact, expires, given) in [
        ("<sip:a@a.invalid>;expires=100", Some(200), 100),
        ("<sip:a@a.invalid>", Some(200), 200),
        ("<sip:a@a.invalid>", None, 3600),
        ("<sip:a@a.invalid>;expires=4294967295", None, 3600),
        ("<sip:a@a.invalid>;expires=60", None, 60),
    ] {
        let mut registrar = registrar();
        send(&mut registrar, 0, ONE, Request { expires, contacts: &[contact], ..REQUEST }).unwrap();
        assert_eq!(
            contacts(&registrar, 0),
            [format!("<sip:a@a.invalid>;expires={given}")],
            "{contact} {expires:?}"
        );
        assert_eq!(registrar.poll_timeout(), Some(at(given)));
    }
}

/// RFC 3261 section 10.3 item 7.
#[test]
fn too_short_a_time_is_refused_and_nothing_changes() {
    let mut registrar = registrar();
    for (contact, expires) in [("<sip:a@a.invalid>;expires=59", None), ("<sip:a@a.invalid>", Some(1))] {
        let request = Request { expires, contacts: &["<sip:b@b.invalid>;expires=600", contact], ..REQUEST };
        assert_eq!(send(&mut registrar, 0, ONE, request), Err(RegisterError::IntervalTooBrief(60)));
    }
    assert!(registrar.is_empty() && registrar.bindings(ALICE).is_none());
}

#[test]
fn several_contacts_refresh_and_removal() {
    let mut registrar = registrar();
    let both = [
        "<sip:a@a.invalid>;q=0.5;expires=600",
        "\"A\" <sip:b@b.invalid;transport=ws> ; +sip.ice ; expires = 300",
    ];
    send(&mut registrar, 0, ONE, Request { contacts: &both, ..REQUEST }).unwrap();
    assert_eq!(
        contacts(&registrar, 100),
        ["<sip:a@a.invalid>;q=0.5;expires=500", "<sip:b@b.invalid;transport=ws>;+sip.ice;expires=200"]
    );
    // The URI is compared by section 19.1.4, so another spelling is the same contact; the new spelling is kept.
    let request = Request { cseq: 2, contacts: &["<sip:%61@A.invalid>;expires=700"], ..REQUEST };
    send(&mut registrar, 100, ONE, request).unwrap();
    assert_eq!(contacts(&registrar, 100)[0], "<sip:%61@A.invalid>;expires=700");
    assert_eq!(registrar.len(), 2);
    send(
        &mut registrar,
        200,
        ONE,
        Request { cseq: 3, contacts: &["<sip:a@a.invalid>;expires=0"], ..REQUEST },
    )
    .unwrap();
    assert_eq!(contacts(&registrar, 200), ["<sip:b@b.invalid;transport=ws>;+sip.ice;expires=100"]);
    registrar.handle_timeout(at(299));
    assert_eq!(registrar.len(), 1);
    registrar.handle_timeout(at(300));
    assert_eq!(registrar.len(), 0);
    assert_eq!(registrar.bindings(ALICE).map(<[_]>::len), Some(0), "remembered");
    assert_eq!(registrar.poll_timeout(), Some(at(300 + 3600)));
    registrar.handle_timeout(at(300 + 3600));
    assert!(registrar.bindings(ALICE).is_none());
    assert_eq!(registrar.poll_timeout(), None);
    assert_empty(&registrar);
}

/// Nothing is left in any table.
fn assert_empty(registrar: &Registrar) {
    assert_eq!(registrar.len(), 0);
    assert!(registrar.records.is_empty() && registrar.expiry.is_empty() && registrar.remembered.is_empty());
    assert!(registrar.flows.is_empty() && registrar.contacts.is_empty());
}

#[test]
fn what_removes_nothing_leaves_nothing() {
    let mut registrar = registrar();
    send(&mut registrar, 0, ONE, REQUEST).unwrap();
    send(&mut registrar, 0, ONE, Request { contacts: &["<sip:a@a.invalid>;expires=0"], ..REQUEST }).unwrap();
    send(&mut registrar, 0, ONE, Request { contacts: &["*"], expires: Some(0), ..REQUEST }).unwrap();
    assert_empty(&registrar);
}

#[test]
fn a_contact_that_comes_and_goes_in_one_request() {
    let mut registrar = registrar();
    let contacts = ["<sip:a@a.invalid>;expires=600", "<sip:a@a.invalid>;expires=0"];
    send(&mut registrar, 0, ONE, Request { contacts: &contacts, ..REQUEST }).unwrap();
    assert!(registrar.is_empty());
    registrar.handle_timeout(at(3600));
    assert_empty(&registrar);
}

/// RFC 3261 section 10.2.2.
#[test]
fn the_wildcard() {
    let mut registrar = registrar();
    send(
        &mut registrar,
        0,
        ONE,
        Request { contacts: &["<sip:a@a.invalid>", "<sip:b@b.invalid>"], ..REQUEST },
    )
    .unwrap();
    for expires in [None, Some(600)] {
        let request = Request { cseq: 2, contacts: &["*"], expires, ..REQUEST };
        assert_eq!(send(&mut registrar, 0, ONE, request), Err(RegisterError::Wildcard));
    }
    let stale = Request { contacts: &["*"], expires: Some(0), ..REQUEST };
    assert_eq!(send(&mut registrar, 0, ONE, stale), Err(RegisterError::OutOfOrder));
    assert_eq!(registrar.len(), 2);
    send(&mut registrar, 0, ONE, Request { cseq: 2, ..stale }).unwrap();
    assert!(registrar.is_empty());
}

/// RFC 3261 section 10.3: CSeq orders the requests of one Call-ID; another Call-ID is another life of the client.
#[test]
fn order() {
    let mut registrar = registrar();
    let contact = ["<sip:a@a.invalid>;expires=600"];
    send(&mut registrar, 0, ONE, Request { cseq: 5, contacts: &contact, ..REQUEST }).unwrap();
    for cseq in [4, 5] {
        for contacts in [&contact, &["<sip:a@a.invalid>;expires=0"]] {
            let request = Request { cseq, contacts, ..REQUEST };
            assert_eq!(send(&mut registrar, 1, ONE, request), Err(RegisterError::OutOfOrder));
        }
    }
    send(&mut registrar, 1, ONE, Request { cseq: 4, contacts: &["<sip:b@b.invalid>"], ..REQUEST }).unwrap();
    send(&mut registrar, 1, ONE, Request { cseq: 1, call_id: "y", contacts: &contact, ..REQUEST }).unwrap();
    send(&mut registrar, 1, ONE, Request { cseq: 6, contacts: &contact, ..REQUEST }).unwrap();
    assert_eq!(registrar.len(), 2);
}

const INSTANCE: &str = "+sip.instance=\"<urn:uuid:1>\"";

/// RFC 5626 section 6.
#[test]
fn instance_and_reg_id_replace_whatever_the_contact() {
    let mut registrar = registrar();
    let contact = |uri: &str, id: u32| format!("<sip:{uri}>;reg-id={id};{INSTANCE}");
    let register = |registrar: &mut Registrar, flow, cseq, contact: String, outbound| {
        send(registrar, 0, flow, Request { cseq, contacts: &[&contact], outbound, ..REQUEST }).unwrap();
        registrar
            .bindings(ALICE)
            .unwrap()
            .iter()
            .map(|binding| (binding.flow, binding.reg_id))
            .collect::<Vec<_>>()
    };
    assert_eq!(register(&mut registrar, ONE, 1, contact("a@a.invalid", 1), true), [(ONE, Some(1))]);
    assert_eq!(register(&mut registrar, TWO, 2, contact("b@b.invalid", 1), true), [(TWO, Some(1))]);
    assert!(registrar.binding_of_contact(at(0), &SipUri::parse(b"sip:a@a.invalid").unwrap()).is_none());
    // The old flow has no part in it any more.
    registrar.handle_flow_closed(at(0), ONE);
    assert_eq!(registrar.len(), 1);
    // Another reg-id is another flow of the same instance.
    assert_eq!(
        register(&mut registrar, ONE, 3, contact("c@c.invalid", 2), true),
        [(TWO, Some(1)), (ONE, Some(2))]
    );
    // Without the option tag it is an ordinary contact.
    let all = register(&mut registrar, ONE, 4, contact("d@d.invalid", 1), false);
    assert_eq!(all, [(TWO, Some(1)), (ONE, Some(2)), (ONE, None)]);
}

/// RFC 3261: the same contact from another flow moves there.
#[test]
fn a_contact_follows_its_client_to_a_new_flow() {
    let mut registrar = registrar();
    let contact = ["<sip:a@a.invalid>"];
    send(&mut registrar, 0, ONE, Request { contacts: &contact, ..REQUEST }).unwrap();
    send(&mut registrar, 0, TWO, Request { cseq: 2, contacts: &contact, ..REQUEST }).unwrap();
    assert_eq!(registrar.len(), 1);
    registrar.handle_flow_closed(at(0), ONE);
    let uri = SipUri::parse(b"sip:a@A.INVALID;transport=ws").unwrap();
    assert_eq!(registrar.binding_of_contact(at(0), &uri).map(|binding| binding.flow), Some(TWO));
    registrar.handle_flow_closed(at(10), TWO);
    assert!(registrar.binding_of_contact(at(10), &uri).is_none());
    registrar.handle_timeout(at(3610));
    assert_empty(&registrar);
}

#[test]
fn a_closed_flow_takes_its_bindings_of_all_users_along() {
    let mut registrar = registrar();
    for (index, aor) in [&b"a@x"[..], b"b@x", b"c@x"].into_iter().enumerate() {
        let contact = Contact::parse(b"<sip:u@u.invalid>").unwrap();
        let other = Contact::parse(b"<sip:o@o.invalid>").unwrap();
        registrar.register(at(0), aor, ONE, &plain(&[contact])).unwrap();
        if index < 2 {
            registrar.register(at(0), aor, TWO, &plain(&[other])).unwrap();
        }
    }
    assert_eq!(registrar.len(), 5);
    registrar.handle_flow_closed(at(0), ONE);
    assert_eq!(registrar.len(), 2);
    assert_eq!(registrar.bindings(b"c@x").map(<[_]>::len), Some(0));
    registrar.handle_flow_closed(at(0), ONE);
    registrar.handle_flow_closed(at(0), TWO);
    assert!(registrar.is_empty());
}

/// The first to bind a contact keeps it: a stranger who registers the same contact gets none of its requests.
#[test]
fn a_contact_is_not_taken_over() {
    let mut registrar = registrar();
    send(&mut registrar, 0, ONE, Request { contacts: &["<sip:a@a.invalid>"], ..REQUEST }).unwrap();
    let contact = Contact::parse(b"<sip:a@a.invalid>").unwrap();
    registrar.register(at(0), b"mallory@example.com", TWO, &plain(&[contact])).unwrap();
    let uri = SipUri::parse(b"sip:a@a.invalid").unwrap();
    assert_eq!(registrar.binding_of_contact(at(0), &uri).map(|binding| binding.flow), Some(ONE));
}

#[test]
fn contacts_that_no_flow_leads_to() {
    let mut registrar = registrar();
    for contact in ["<mailto:a@a.example>", "<tel:+1>", "<sip:>", "<sip:a@>"] {
        let request = Request { contacts: &[contact], ..REQUEST };
        assert_eq!(send(&mut registrar, 0, ONE, request), Err(RegisterError::ContactUri), "{contact}");
    }
}

#[test]
fn limits() {
    let config = Config {
        max_bindings_per_aor: 2,
        max_bindings: 3,
        max_aors_per_flow: 2,
        max_binding_len: 60,
        max_remembered: 1,
        ..Config::default()
    };
    let mut registrar = Registrar::new(config);
    let register = |registrar: &mut Registrar, aor: &str, flow, contacts: &[&str]| {
        let contacts: Vec<_> = contacts.iter().map(|text| Contact::parse(text.as_bytes()).unwrap()).collect();
        registrar.register(at(0), aor.as_bytes(), flow, &plain(&contacts))
    };
    let three = ["<sip:1@a>", "<sip:2@a>", "<sip:3@a>"];
    assert_eq!(register(&mut registrar, "a@x", ONE, &three), Err(RegisterError::TooManyContacts));
    assert_eq!(register(&mut registrar, "a@x", ONE, &three[..2]), Ok(()));
    assert_eq!(register(&mut registrar, "a@x", ONE, &three[2..]), Err(RegisterError::TooManyContacts));
    assert_eq!(register(&mut registrar, "b@x", ONE, &three[..2]), Err(RegisterError::Full));
    assert_eq!(register(&mut registrar, "b@x", ONE, &three[..1]), Ok(()));
    assert_eq!(register(&mut registrar, "c@x", TWO, &three[..1]), Err(RegisterError::Full));
    assert_eq!(register(&mut registrar, "c@x", TWO, &["<sip:1@a>;expires=0"; 4]), Ok(()));
    assert_eq!(
        register(&mut registrar, "c@x", TWO, &["<sip:1@a>;expires=0"; 5]),
        Err(RegisterError::TooManyContacts)
    );
    let long = format!("<sip:{}@a>", "1".repeat(60));
    assert_eq!(register(&mut registrar, "d@x", TWO, &[&long]), Err(RegisterError::TooLong));

    let others = registrar.config.clone();
    let mut registrar = Registrar::new(Config { max_bindings: 100, ..others });
    for (aor, flow, outcome) in [
        ("a@x", ONE, Ok(())),
        ("b@x", ONE, Ok(())),
        ("c@x", ONE, Err(RegisterError::TooManyContacts)),
        ("c@x", TWO, Ok(())),
    ] {
        assert_eq!(register(&mut registrar, aor, flow, &three[..1]), outcome);
    }
    // Of those without bindings only the latest is remembered.
    registrar.handle_flow_closed(at(1), TWO);
    registrar.handle_flow_closed(at(2), ONE);
    let known =
        ["a@x", "b@x", "c@x"].iter().filter(|aor| registrar.bindings(aor.as_bytes()).is_some()).count();
    assert_eq!(known, 1);
}

/// What a random client may do.
#[derive(Clone, Debug)]
enum Step {
    Register { user: usize, flow: u64, contact: usize, expires: u32 },
    RemoveAll { user: usize },
    Close { flow: u64 },
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0usize..4, 0u64..4, 0usize..4, prop_oneof![Just(0u32), 60u32..400]).prop_map(|(user, flow, contact, expires)| {
            Step::Register { user, flow, contact, expires }
        }),
        1 => (0usize..4).prop_map(|user| Step::RemoveAll { user }),
        1 => (0u64..4).prop_map(|flow| Step::Close { flow }),
        3 => (1u64..200).prop_map(Step::Wait),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// A list of (user, contact, flow, end) is all that a registrar means.
    #[test]
    fn random_registrations_agree_with_a_naive_twin(steps in proptest::collection::vec(step(), 1..80)) {
        let mut registrar = registrar();
        let mut twin: Vec<(usize, usize, u64, u64)> = Vec::new();
        let mut now = 0;
        for (cseq, step) in (1..).zip(steps) {
            let aor = |user: usize| format!("u{user}@x").into_bytes();
            // Each contact of each user is its own, but users 2 and 3 share theirs.
            let uri = |user: usize, contact: usize| format!("sip:c{contact}@{}.invalid", user.min(2));
            let registration = |contacts| Registration { call_id: b"x", cseq, expires: Some(0), contacts, outbound: false, path: b"" };
            match step {
                Step::Register { user, flow, contact, expires } => {
                    let text = format!("<{}>;expires={expires}", uri(user, contact));
                    let contacts = [Contact::parse(text.as_bytes()).unwrap()];
                    registrar.register(at(now), &aor(user), FlowId(flow), &registration(Contacts::Some(&contacts))).unwrap();
                    twin.retain(|&(u, c, _, _)| (u, c) != (user, contact));
                    if expires > 0 {
                        twin.push((user, contact, flow, now + u64::from(expires)));
                    }
                }
                Step::RemoveAll { user } => {
                    registrar.register(at(now), &aor(user), FlowId(0), &registration(Contacts::All)).unwrap();
                    twin.retain(|&(u, _, _, _)| u != user);
                }
                Step::Close { flow } => {
                    registrar.handle_flow_closed(at(now), FlowId(flow));
                    twin.retain(|&(_, _, f, _)| f != flow);
                }
                Step::Wait(seconds) => {
                    now += seconds;
                    registrar.handle_timeout(at(now));
                    twin.retain(|&(_, _, _, end)| end > now);
                }
            }
            prop_assert_eq!(registrar.len(), twin.len());
            for user in 0..4 {
                let mut found: Vec<_> = registrar.bindings(&aor(user)).unwrap_or_default().iter()
                    .map(|binding| (String::from_utf8(binding.contact.to_vec()).unwrap(), binding.flow.0, binding.expires_at)).collect();
                let mut expected: Vec<_> = twin.iter().filter(|entry| entry.0 == user)
                    .map(|&(user, contact, flow, end)| (uri(user, contact), flow, at(end))).collect();
                found.sort();
                expected.sort();
                prop_assert_eq!(found, expected);
                for contact in 0..4 {
                    let text = uri(user, contact);
                    let found = registrar.binding_of_contact(at(now), &SipUri::parse(text.as_bytes()).unwrap());
                    if let Some(found) = found {
                        prop_assert!(twin.iter().any(|&(u, c, f, _)| (u.min(2), c, f) == (user.min(2), contact, found.flow.0)));
                    } else {
                        // Only a shared contact may be lost, when who bound it first takes it back.
                        prop_assert!(user >= 2 || !twin.iter().any(|&(u, c, _, _)| (u, c) == (user, contact)));
                    }
                }
            }
            let next = twin.iter().map(|&(_, _, _, end)| at(end)).min();
            prop_assert!(next.is_none_or(|next| registrar.poll_timeout().is_some_and(|due| due <= next)));
        }
        for flow in 0..4 {
            registrar.handle_flow_closed(at(now), FlowId(flow));
        }
        registrar.handle_timeout(at(now + 3600));
        assert_empty(&registrar);
    }
}
