//! Any future of the adapter can be dropped at any await: here each is dropped at every poll, over a stream that is
//! not ready at every second one, and nothing is lost, torn or sent twice.

mod common;

use core::pin::{Pin, pin};
use core::task::{Context, Poll};
use std::io;

use common::{End, open, pattern, pipe, run};
use core::future::poll_fn;
use futures_io::{AsyncRead, AsyncWrite};
use ws_core::{Config, Kind, Outcome, Role, Side, StatusCode};
use ws_smol::{Message, WebSocket};

/// A stream that is not ready at every second poll, and moves a few bytes at a time.
struct Stutter {
    end: End,
    ready: [bool; 2],
    most: usize,
}

impl Stutter {
    fn is_ready(&mut self, direction: usize, cx: &Context<'_>) -> bool {
        self.ready[direction] = !self.ready[direction];
        if !self.ready[direction] {
            cx.waker().wake_by_ref();
        }
        self.ready[direction]
    }
}

impl AsyncRead for Stutter {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        if !self.is_ready(0, cx) {
            return Poll::Pending;
        }
        let most = self.most.min(buf.len());
        Pin::new(&mut self.end).poll_read(cx, &mut buf[..most])
    }
}

impl AsyncWrite for Stutter {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if !self.is_ready(1, cx) {
            return Poll::Pending;
        }
        let most = self.most.min(buf.len());
        Pin::new(&mut self.end).poll_write(cx, &buf[..most])
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.end).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.end).poll_close(cx)
    }
}

fn open_stuttering(most: usize, config: &Config) -> (WebSocket<Stutter>, WebSocket<Stutter>) {
    let (ours, theirs) = pipe(300);
    let stutter = |end| Stutter { end, ready: [false; 2], most };
    (open(stutter(ours), Role::Client, config), open(stutter(theirs), Role::Server, config))
}

/// Makes a future anew for each poll, and drops it after.
macro_rules! dropped_at_every_poll {
    ($future:expr) => {
        poll_fn(|cx| pin!($future).poll(cx)).await
    };
}

fn messages() -> Vec<Message> {
    [0, 1, 5, 125, 126, 300, 1000, 7, 2, 5000]
        .iter()
        .enumerate()
        .map(|(seed, &len)| match seed % 2 {
            0 => Message::binary(pattern(seed, len)),
            _ => Message::text("grüße ".repeat(len / 8)),
        })
        .collect()
}

#[test]
fn a_read_that_is_dropped_has_taken_nothing() {
    for most in [1, 7, 4096] {
        run(async {
            let (mut client, mut server) = open_stuttering(most, &Config::default());
            let sends = async {
                for message in messages() {
                    client.send(message).await.unwrap();
                }
                client.send_part(Kind::Text, b"in ", false).await.unwrap();
                client.ping(b"between").await.unwrap();
                client.send_part(Kind::Text, b"parts", true).await.unwrap();
                client.close(StatusCode::NORMAL, "done").await.unwrap()
            };
            let reads = async {
                for message in messages() {
                    assert_eq!(dropped_at_every_poll!(server.read()).unwrap(), Some(message));
                }
                let read = dropped_at_every_poll!(server.read_ref(|message, _| message.as_bytes().to_vec()));
                assert_eq!(read.unwrap().unwrap(), b"in parts");
                assert_eq!(dropped_at_every_poll!(server.read()).unwrap(), None);
                server.outcome().cloned()
            };
            let (sent, read) = smol::future::zip(sends, reads).await;
            let normal = Some(StatusCode::NORMAL);
            assert_eq!(sent, Outcome::Clean { initiator: Side::Us, code: normal });
            assert_eq!(read, Some(Outcome::Clean { initiator: Side::Peer, code: normal }));
        });
    }
}

#[test]
fn a_send_that_is_dropped_has_sent_nothing() {
    // Room for one long message, so that nearly each send waits, and is dropped, many times.
    let mut config = Config::default();
    config.max_output_len = 6000;
    for most in [1, 7, 4096] {
        run(async {
            let (mut client, mut server) = open_stuttering(most, &config);
            let sends = async {
                for message in messages() {
                    dropped_at_every_poll!(client.send(message.clone())).unwrap();
                }
                dropped_at_every_poll!(client.send_part(Kind::Binary, b"in ", false)).unwrap();
                dropped_at_every_poll!(client.ping(b"between")).unwrap();
                dropped_at_every_poll!(client.send_part(Kind::Binary, b"parts", true)).unwrap();
                dropped_at_every_poll!(client.flush()).unwrap();
                assert_eq!(client.output_len(), 0);
                dropped_at_every_poll!(client.close(StatusCode::NORMAL, "done")).unwrap()
            };
            let reads = async {
                for message in messages() {
                    assert_eq!(server.read().await.unwrap(), Some(message));
                }
                assert_eq!(server.read().await.unwrap(), Some(b"in parts"[..].into()));
                assert_eq!(server.read().await.unwrap(), None);
            };
            let (outcome, ()) = smol::future::zip(sends, reads).await;
            assert!(outcome.is_clean(), "{outcome}");
        });
    }
}

#[test]
fn halves_are_as_safe() {
    let mut config = Config::default();
    config.max_output_len = 6000;
    for most in [1, 7, 4096] {
        run(async {
            let (client, server) = open_stuttering(most, &config);
            let (mut client_reader, mut client_writer) = client.split();
            let (mut server_reader, mut server_writer) = server.split();
            let echoes = async {
                for message in messages() {
                    let read = dropped_at_every_poll!(server_reader.read()).unwrap();
                    assert_eq!(read, Some(message));
                    dropped_at_every_poll!(server_writer.send(read.clone().unwrap())).unwrap();
                }
                while dropped_at_every_poll!(server_reader.read()).unwrap().is_some() {}
            };
            let finish = async {
                let sends = async {
                    for message in messages() {
                        dropped_at_every_poll!(client_writer.send(message.clone())).unwrap();
                    }
                    dropped_at_every_poll!(client_writer.flush()).unwrap();
                };
                let reads = async {
                    for message in messages() {
                        let read = dropped_at_every_poll!(client_reader.read_ref(|message| message.into()));
                        assert_eq!(read.unwrap(), Some(message));
                    }
                };
                smol::future::zip(sends, reads).await;
                dropped_at_every_poll!(client_writer.close(StatusCode::NORMAL, "")).unwrap()
            };
            let (outcome, ()) = smol::future::zip(finish, echoes).await;
            assert!(outcome.is_clean(), "{outcome}");
        });
    }
}
