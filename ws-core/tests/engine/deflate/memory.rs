use allocation_counter::measure;
use ws_core::{DeflateParams, Kind, Role};

use super::{by_another, compressed, eager, no_takeover};
use crate::common::{Frame, ROLES, Subject};

/// What stays allocated after a message each way.
fn held_after_a_message(role: Role, params: DeflateParams, sends: bool, receives: bool) -> i64 {
    let data = b"some text, some text, some text".repeat(30);
    let payload = by_another(&data);
    let mut subject = Subject::deflating(role, eager(), params);
    let bytes = subject.encode(&[compressed(Frame::text(payload))]);
    let mut pass = || {
        if receives {
            assert_eq!(subject.receive_bytes(&bytes).len(), 1);
        }
        if sends {
            subject.conn.send_part(Kind::Binary, &data, true, &mut subject.out).unwrap();
            assert!(!subject.sent_bytes(usize::MAX).is_empty());
            subject.out.release();
        }
    };
    let first = measure(&mut pass).bytes_current;
    // More messages hold no more.
    assert_eq!(measure(&mut pass).bytes_current, 0);
    first
}

/// An idle connection holds no buffer where messages are compressed each for itself.
#[test]
fn nothing_without_context_takeover() {
    for role in ROLES {
        // The first one leaves a state for the next with the thread.
        held_after_a_message(role, no_takeover(), true, true);
        assert_eq!(held_after_a_message(role, no_takeover(), true, true), 0);
    }
}

/// What the documentation says of [`ws_core::DeflateConfig`].
#[test]
fn with_context_takeover() {
    // The thread's buffers are no connection's.
    held_after_a_message(Role::Server, no_takeover(), true, true);
    for bits in 9..=15 {
        let mut params = DeflateParams::default();
        params.server_max_window_bits = bits;
        params.client_max_window_bits = bits;
        for role in ROLES {
            let sent = held_after_a_message(role, params, true, false);
            let told = (160 << 10) + (4 << bits);
            assert!(sent <= told && sent > told / 2, "{bits}: {sent} bytes to send");
            let received = held_after_a_message(role, params, false, true);
            assert!(received <= 48 << 10, "{bits}: {received} bytes to receive");
        }
    }
}

/// Nothing is allocated by agreeing alone, but for the few words of state.
#[test]
fn lazily() {
    let params = DeflateParams::default();
    let info = measure(|| drop(Subject::deflating(Role::Server, eager(), params)));
    let without = measure(|| drop(Subject::new(Role::Server, eager())));
    assert!(info.bytes_max - without.bytes_max <= 300, "{} bytes", info.bytes_max - without.bytes_max);
}
