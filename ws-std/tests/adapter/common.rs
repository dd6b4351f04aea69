//! Pairs of connections over loopback, and peers that speak raw frames.

use core::time::Duration;
use std::io::{self, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, mpsc};
use std::thread;

use ws_core::frame::{Header, Opcode};
use ws_core::{Config, ServerConfig, mask};
use ws_std::{ClientBuilder, WebSocket};

/// How long a test may take until it counts as hanging: far more than any needs on a busy machine.
const HANGS: Duration = Duration::from_secs(120);

/// Runs `test` and fails if it hangs, or panics as it does.
#[track_caller]
pub(crate) fn within<R: Send + 'static>(test: impl FnOnce() -> R + Send + 'static) -> R {
    let (done, result) = mpsc::channel();
    let thread = thread::spawn(move || done.send(test()));
    match result.recv_timeout(HANGS) {
        Ok(result) => result,
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("hangs"),
        Err(mpsc::RecvTimeoutError::Disconnected) => {
            std::panic::resume_unwind(thread.join().expect_err("it ended without a result"))
        }
    }
}

pub(crate) const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(crate) fn config(edit: impl FnOnce(&mut Config)) -> Config {
    let mut config = Config::default();
    edit(&mut config);
    config
}

pub(crate) fn server_config(connection: Config) -> Arc<ServerConfig> {
    let mut config = ServerConfig::default();
    config.connection = Arc::new(connection);
    Arc::new(config)
}

/// Two ends of one TCP connection: accepted and connected.
pub(crate) fn streams() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let connected = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (listener.accept().unwrap().0, connected)
}

/// Two ends of one WebSocket connection: server and client.
pub(crate) fn pair(server: Config, client: Config) -> (WebSocket, WebSocket) {
    let (accepted, connected) = streams();
    let client = thread::spawn(move || {
        ClientBuilder::new("ws://localhost/").config(client).connect_over(connected).unwrap()
    });
    let server = ws_std::accept(accepted, &server_config(server)).unwrap();
    (server, client.join().unwrap())
}

pub(crate) fn default_pair() -> (WebSocket, WebSocket) {
    pair(Config::default(), Config::default())
}

/// A server, and a client that speaks raw frames.
pub(crate) fn server_and_raw(server: Config) -> (WebSocket, Raw) {
    let (server, client) = pair(server, Config::default());
    (server, Raw { stream: client.into_parts().stream, masks: true })
}

/// A client, and a server that speaks raw frames.
pub(crate) fn client_and_raw(client: Config) -> (WebSocket, Raw) {
    let (server, client) = pair(Config::default(), client);
    (client, Raw { stream: server.into_parts().stream, masks: false })
}

/// A peer that sends and receives single frames, and does nothing by itself.
pub(crate) struct Raw {
    pub(crate) stream: TcpStream,
    masks: bool,
}

impl Raw {
    /// Returns a frame as bytes.
    pub(crate) fn frame(&self, opcode: Opcode, fin: bool, payload: &[u8]) -> Vec<u8> {
        let key = self.masks.then_some([1, 2, 3, 4]);
        let (header, len) = Header { fin, rsv: 0, opcode, key, len: payload.len() as u64 }.write();
        let mut bytes = header[..len].to_vec();
        bytes.extend_from_slice(payload);
        if let Some(key) = key {
            mask::apply(&mut bytes[len..], key);
        }
        bytes
    }

    pub(crate) fn send(&mut self, opcode: Opcode, payload: &[u8]) {
        let frame = self.frame(opcode, true, payload);
        self.stream.write_all(&frame).unwrap();
    }

    /// Receives the header of a frame and leaves its payload; `None` at the end of the stream.
    pub(crate) fn receive_header(&mut self) -> Option<Header> {
        let mut head = Vec::new();
        loop {
            let mut byte = [0];
            match self.stream.read(&mut byte) {
                Ok(0) => {
                    assert!(head.is_empty(), "a torn header");
                    return None;
                }
                Ok(_) => head.push(byte[0]),
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("{error}"),
            }
            if let Some((header, _)) = Header::parse(&head).unwrap() {
                return Some(header);
            }
        }
    }

    /// Receives the payload of a frame.
    pub(crate) fn receive_payload(&mut self, header: Header) -> Vec<u8> {
        let mut payload = vec![0; usize::try_from(header.len).unwrap()];
        self.stream.read_exact(&mut payload).unwrap();
        if let Some(key) = header.key {
            mask::apply(&mut payload, key);
        }
        payload
    }

    /// Receives a frame; `None` at the end of the stream.
    pub(crate) fn receive(&mut self) -> Option<(Opcode, Vec<u8>)> {
        let header = self.receive_header()?;
        Some((header.opcode, self.receive_payload(header)))
    }

    /// Sees to it that the other side reads, and waits for more by now or very soon.
    pub(crate) fn assert_is_read_from(&mut self) {
        self.send(Opcode::Ping, b"");
        assert_eq!(self.receive(), Some((Opcode::Pong, vec![])));
    }

    /// Receives a Close frame and returns its status code.
    #[track_caller]
    pub(crate) fn receive_close(&mut self) -> u16 {
        let (opcode, payload) = self.receive().expect("a Close frame");
        assert_eq!(opcode, Opcode::Close);
        u16::from_be_bytes([payload[0], payload[1]])
    }
}

/// Makes a close of the stream a reset.
pub(crate) fn reset_on_close(stream: &TcpStream) {
    #[cfg(unix)]
    rustix::net::sockopt::set_socket_linger(stream, Some(Duration::ZERO)).unwrap();
}

/// Makes the system hold little of what is sent and not read.
pub(crate) fn small_buffers(ends: [&TcpStream; 2]) {
    for end in ends {
        rustix::net::sockopt::set_socket_send_buffer_size(end, 64 << 10).unwrap();
        rustix::net::sockopt::set_socket_recv_buffer_size(end, 64 << 10).unwrap();
    }
}
