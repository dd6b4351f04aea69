//! Two peers that both send a lot before they read do not wait for each other for ever.

mod common;

use common::{End, open_pair, pattern, run};
use ws_core::Config;
use ws_smol::{Error, TcpStream, WebSocket};

const TOTAL: usize = 10 << 20;

/// Sends all, then reads all.
async fn send_then_read<S>(ws: &mut WebSocket<S>, message_len: usize) -> Result<(), Error>
where
    S: futures_io::AsyncRead + futures_io::AsyncWrite + Unpin,
{
    let message = pattern(message_len, message_len);
    for _ in 0..TOTAL / message_len {
        ws.send_binary(&message).await?;
    }
    for _ in 0..TOTAL / message_len {
        let equal = ws.read_ref(|received, _| received.as_bytes() == message).await?;
        assert_eq!(equal, Some(true));
    }
    ws.flush().await
}

#[test]
fn over_a_narrow_stream() {
    for message_len in [TOTAL, 64 << 10, 1000] {
        run(async {
            let (mut client, mut server) = open_pair(20_000, &Config::default());
            let both = smol::future::try_zip(
                send_then_read(&mut client, message_len),
                send_then_read(&mut server, message_len),
            );
            both.await.unwrap();
        });
    }
}

#[test]
fn over_tcp_in_two_threads() {
    run(async {
        let listener = ws_smol::Listener::bind("127.0.0.1:0").unwrap();
        let url = format!("ws://{}/", listener.local_addr().unwrap());
        let server = smol::unblock(move || {
            smol::block_on(async {
                let (stream, _) = listener.accept().await.unwrap();
                let mut ws = ws_smol::accept(stream, &Default::default()).await.unwrap();
                send_then_read::<TcpStream>(&mut ws, 256 << 10).await.unwrap();
                assert_eq!(ws.read().await.unwrap(), None);
            });
        });
        let mut ws = ws_smol::connect(&url).await.unwrap();
        send_then_read(&mut ws, 256 << 10).await.unwrap();
        assert!(ws.close(None, "").await.unwrap().is_clean());
        server.await;
    });
}

/// What does not fit waits in the sender, while what comes is received ahead in bounded number.
#[test]
fn a_sender_that_waits_receives_ahead() {
    run(async {
        let mut config = Config::default();
        config.max_output_len = 64 << 10;
        let (mut client, mut server) = open_pair(1000, &config);
        let message = pattern(0, 20 << 10);
        // More than the queue and the stream hold, less than that and what is received ahead.
        let exchange = async |ws: &mut WebSocket<End>| {
            for _ in 0..6 {
                ws.send_binary(&message).await.unwrap();
            }
            for _ in 0..6 {
                assert_eq!(ws.read().await.unwrap(), Some(message.clone().into()));
            }
        };
        smol::future::zip(exchange(&mut client), exchange(&mut server)).await;
    });
}
