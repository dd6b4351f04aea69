//! One message that is prepared goes to many: as it is, and compressed to those that agreed on it.

mod common;

use common::{run, server_config};
use ws_core::{Config, PreparedMessage, StatusCode};
use ws_smol::{ClientBuilder, Listener, Message};

#[test]
fn prepared_messages() {
    run(async {
        let text = "to all of you, to all of you, to all of you ".repeat(20);
        let lent = ws_core::Message::Text(text.as_str().into());
        let plain = PreparedMessage::new(&lent);
        #[cfg(feature = "deflate")]
        let prepared = [plain, PreparedMessage::deflated(&lent, 6)];
        #[cfg(not(feature = "deflate"))]
        let prepared = [plain];
        #[cfg(feature = "deflate")]
        let configs = {
            let mut configs: [Config; 3] = Default::default();
            configs[1].deflate = Some(ws_core::DeflateConfig::default());
            configs[2].deflate = Some(ws_core::DeflateConfig::with_context_takeover());
            configs
        };
        #[cfg(not(feature = "deflate"))]
        let configs = [Config::default()];
        for config in configs {
            let listener = Listener::bind("127.0.0.1:0").unwrap();
            let url = format!("ws://{}/", listener.local_addr().unwrap());
            let config_of_server = server_config(config.clone());
            let serve = async {
                let (stream, _) = listener.accept().await.unwrap();
                let mut server = ws_smol::accept(stream, &config_of_server).await.unwrap();
                for message in prepared.iter().chain(&prepared) {
                    server.send_prepared(message).await.unwrap();
                    // Those that are not prepared still follow them.
                    server.send_text(&text).await.unwrap();
                }
                server.close(StatusCode::NORMAL, "").await.unwrap();
            };
            let read = async {
                let mut client = ClientBuilder::new(&url).config(config).connect().await.unwrap();
                let mut got = Vec::new();
                while let Some(message) = client.read().await.unwrap() {
                    got.push(message);
                }
                got
            };
            let ((), got) = smol::future::zip(serve, read).await;
            assert_eq!(got, vec![Message::from(text.clone()); 4 * prepared.len()]);
        }
    });
}
