//! The peers: published WebSocket libraries, their fast features on, driven over the same wire.
//!
//! Asynchronous ones are polled with a waker that does nothing: the wire is always ready, so no
//! runtime takes part.

use core::future::Future;
use core::pin::pin;
use core::task::{Context, Poll, Waker};

use crate::kernels::{Unmask, Valid};
use crate::suite::{Decode, Encode, Handshake, Line};

pub mod crowd;
pub mod echo;
mod fastwebsockets;
mod sockudo;
mod soketto;
mod tokio_websockets;
mod tungstenite;
mod web_socket;
mod yawc;

/// Contestants of the group `decode`.
pub fn decode() -> Vec<Line<Decode>> {
    vec![
        ("tungstenite", "UTF-8; owned messages", |_, wire| Box::new(tungstenite::Decode::new(wire))),
        (
            "fastwebsockets",
            "UTF-8; FragmentCollector; owned frames; not every control-frame rule",
            |_, wire| Box::new(fastwebsockets::Decode::new(wire)),
        ),
        ("tokio-websockets", "UTF-8; owned messages", |_, wire| {
            Box::new(tokio_websockets::Decode::new(wire))
        }),
        ("yawc", "UTF-8 (option); owned frames; not every control-frame rule", |_, wire| {
            Box::new(yawc::Decode::new(wire))
        }),
        (
            "web-socket",
            "owned events behind a BufReader; UTF-8 (simdutf8) and joining added by us",
            |_, wire| Box::new(web_socket::Decode::new(wire)),
        ),
        ("soketto", "into a Vec of ours; UTF-8 (simdutf8) added by us", |_, wire| {
            Box::new(soketto::Decode::new(wire))
        }),
        ("sockudo-ws", "UTF-8; its `Protocol` without the stream around it; owned messages", |_, wire| {
            Box::new(sockudo::Decode::new(wire))
        }),
    ]
}

/// Contestants of the group `encode`.
pub fn encode() -> Vec<Line<Encode>> {
    vec![
        ("tungstenite", "16 a write; given a reference-counted text; ChaCha12 keys", |w, wire, client| {
            Box::new(tungstenite::Encode::new(w, wire, client))
        }),
        (
            "fastwebsockets",
            "a write for each; masks a buffer of the caller's (restored by a copy); ChaCha12 keys",
            |w, wire, client| Box::new(fastwebsockets::Encode::new(w, wire, client)),
        ),
        (
            "tokio-websockets",
            "16 a write; given a reference-counted text (client: an owned one); ChaCha12 keys",
            |w, wire, client| Box::new(tokio_websockets::Encode::new(w, wire, client)),
        ),
        ("yawc", "16 a write; given a reference-counted text; ChaCha12 keys", |w, wire, client| {
            Box::new(yawc::Encode::new(w, wire, client))
        }),
        ("web-socket", "a write for each; a borrowed text; ChaCha12 keys", |w, wire, client| {
            Box::new(web_socket::Encode::new(w, wire, client))
        }),
        (
            "soketto",
            "a write for each header and payload; a borrowed text; ChaCha12 keys",
            |w, wire, client| Box::new(soketto::Encode::new(w, wire, client)),
        ),
        (
            "sockudo-ws",
            "16 a write; given a reference-counted text; keys of a weak generator",
            |w, wire, client| Box::new(sockudo::Encode::new(w, wire, client)),
        ),
    ]
}

/// Contestants that send compressed.
#[cfg(feature = "deflate")]
pub fn deflate_send() -> Vec<Line<crate::deflate::Start>> {
    vec![
        ("yawc", "16 a write; given a reference-counted text; memory level 8", |w, wire, takeover| {
            Box::new(yawc::Encode::deflating(w, wire, takeover))
        }),
        ("sockudo-ws", "16 a write; given a reference-counted text; memory level 8", |w, wire, takeover| {
            Box::new(sockudo::Deflate::new(w, wire, takeover))
        }),
    ]
}

/// Contestants that receive what is compressed.
#[cfg(feature = "deflate")]
pub fn deflate_receive() -> Vec<Line<crate::deflate::Start>> {
    vec![
        ("yawc", "UTF-8 (option); owned frames", |_, wire, takeover| {
            Box::new(yawc::Decode::inflating(wire, takeover))
        }),
        (
            "sockudo-ws",
            "UTF-8; its `CompressedProtocol` without the stream around it; owned messages",
            |_, wire, takeover| Box::new(sockudo::Inflate::new(wire, takeover)),
        ),
    ]
}

/// Contestants of the server's opening handshake. fastwebsockets and yawc leave it to hyper, web-socket to the caller.
pub fn accept() -> Vec<Line<Handshake>> {
    vec![
        ("tungstenite", "", tungstenite::accept),
        ("tokio-websockets", "", tokio_websockets::accept),
        ("soketto", "", soketto::accept),
        ("sockudo-ws", "without the stream", sockudo::accept),
    ]
}

/// Contestants of the client's opening handshake.
pub fn connect() -> Vec<Line<Handshake>> {
    vec![
        ("tungstenite", "", tungstenite::connect),
        ("tokio-websockets", "", tokio_websockets::connect),
        ("soketto", "", soketto::connect),
        ("sockudo-ws", "without the stream; key of a weak generator", sockudo::connect),
    ]
}

/// Contestants of the group `mask`.
pub fn mask() -> Vec<Line<Unmask>> {
    vec![
        (
            "XOR in place, pulp",
            "the same loop, compiled for AVX2 too and chosen at run time by a dispatcher crate",
            wide_xor,
        ),
        ("fastwebsockets", "", ::fastwebsockets::unmask),
        ("sockudo-ws", "hand-written vectors, chosen at run time", ::sockudo_ws::mask::apply_mask),
    ]
}

fn wide_xor(data: &mut [u8], key: [u8; 4]) {
    struct Xor<'d>(&'d mut [u8], [u8; 4]);
    impl pulp::WithSimd for Xor<'_> {
        type Output = ();

        #[inline(always)]
        fn with_simd<S: pulp::Simd>(self, _: S) {
            crate::floor::xor(self.0, self.1, 0);
        }
    }
    pulp::Arch::new().dispatch(Xor(data, key));
}

/// Contestants of the group `utf8`.
pub fn utf8() -> Vec<Line<Valid>> {
    vec![("sockudo-ws", "", ::sockudo_ws::utf8::validate_utf8)]
}

/// Polls a future that never waits.
fn ready<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => unreachable!("the wire is always ready"),
    }
}
