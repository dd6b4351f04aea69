//! The connection as a `Sink`.

mod common;

use core::pin::{Pin, pin};
use core::task::{Context, Poll, Waker};

use common::{End, open, pipe};
use futures_sink::Sink as _;
use ws_core::{Config, Role};
use ws_smol::{Message, WebSocket};

/// Half of the output's limit may wait when it is ready, and a message of the other half is not refused.
#[track_caller]
fn takes_half_when_ready(ws: WebSocket<End>) {
    let mut ws = pin!(ws);
    let cx = &mut Context::from_waker(Waker::noop());
    let mut random = 1_u32;
    let mut message = |len| {
        // Does not compress.
        let bytes = core::iter::repeat_with(|| {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            random.to_be_bytes()[0]
        });
        Message::binary(bytes.take(len).collect::<Vec<_>>())
    };
    assert!(matches!(Pin::new(&mut ws).poll_ready(cx), Poll::Ready(Ok(()))));
    ws.as_mut().start_send(message(496)).unwrap();
    assert_eq!(ws.output_len(), 500, "its header has 4 bytes");
    assert!(matches!(ws.as_mut().poll_ready(cx), Poll::Ready(Ok(()))));
    ws.as_mut().start_send(message(500)).unwrap();
    assert!(ws.as_mut().poll_ready(cx).is_pending());
}

fn config() -> Config {
    let mut config = Config::default();
    config.max_output_len = 1000;
    config
}

#[test]
fn ready_means_that_a_message_of_half_the_limit_is_taken() {
    let (_peer, stream) = pipe(0);
    takes_half_when_ready(open(stream, Role::Server, &config()));
}

/// Even if compressing makes it longer.
#[cfg(feature = "deflate")]
#[test]
fn ready_means_the_same_for_a_message_that_is_compressed() {
    use std::sync::Arc;
    use ws_core::{Connection, DeflateConfig, DeflateParams};
    use ws_smol::Parts;
    let mut deflate = DeflateConfig::default();
    deflate.min_len = 500;
    let mut config = config();
    config.deflate = Some(deflate);
    let connection = Connection::new(Role::Server, &Arc::new(config), ws_smol::now(), None);
    let (_peer, stream) = pipe(0);
    let connection = connection.with_deflate(DeflateParams::default());
    takes_half_when_ready(WebSocket::from_parts(Parts::new(stream, connection)));
}
