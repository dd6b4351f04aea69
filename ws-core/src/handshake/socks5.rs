//! SOCKS 5 (RFC 1928), with user and password (RFC 1929): a client's CONNECT.

use alloc::vec::Vec;
use core::net::IpAddr;

use super::proxy::{Credentials, ProxyError};

const VERSION: u8 = 5;
const NO_LOGIN: u8 = 0;
const USER_AND_PASSWORD: u8 = 2;
const NO_METHOD: u8 = 0xff;
const CONNECT: u8 = 1;
/// The longest reply: a name of 255 bytes.
const MAX_REPLY_LEN: usize = 4 + 1 + 255 + 2;

#[derive(Debug)]
pub(super) struct Socks5 {
    state: State,
    /// The start of a reply.
    input: Vec<u8>,
    /// What is to be sent when the proxy asks for it, or without being asked.
    login: Vec<u8>,
    request: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Method,
    Login,
    Reply,
    Done,
}

impl Socks5 {
    /// Returns it with the first message.
    pub(super) fn new(
        credentials: Option<Credentials>,
        host: &str,
        port: u16,
    ) -> Result<(Self, Vec<u8>), ProxyError> {
        let mut request = alloc::vec![VERSION, CONNECT, 0];
        match host.parse() {
            Ok(IpAddr::V4(address)) => {
                request.push(1);
                request.extend_from_slice(&address.octets());
            }
            Ok(IpAddr::V6(address)) => {
                request.push(4);
                request.extend_from_slice(&address.octets());
            }
            Err(_) => {
                request.extend([3, u8::try_from(host.len()).map_err(|_| ProxyError::Host)?]);
                request.extend_from_slice(host.as_bytes());
            }
        }
        request.extend_from_slice(&port.to_be_bytes());
        let mut login = Vec::new();
        let greeting = match credentials {
            None => alloc::vec![VERSION, 1, NO_LOGIN],
            Some(Credentials { user, password }) => {
                login.push(1);
                for part in [user, password] {
                    // Checked with the URL.
                    login.push(u8::try_from(part.len()).unwrap_or_default());
                    login.extend_from_slice(&part);
                }
                alloc::vec![VERSION, 2, NO_LOGIN, USER_AND_PASSWORD]
            }
        };
        Ok((Self { state: State::Method, input: Vec::new(), login, request }, greeting))
    }

    pub(super) fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Takes in bytes and returns how many; appends to `out` what is to be said then.
    pub(super) fn handle_read(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<usize, ProxyError> {
        let mut used = 0;
        while self.state != State::Done && used < bytes.len() {
            self.input.push(bytes[used]);
            used += 1;
            self.step(out)?;
        }
        Ok(used)
    }

    /// Acts on the reply if it is whole, and on what is wrong with it as soon as that shows.
    fn step(&mut self, out: &mut Vec<u8>) -> Result<(), ProxyError> {
        match (self.state, &self.input[..]) {
            (State::Method | State::Reply, [version, ..]) if *version != VERSION => {
                return Err(ProxyError::NotSocks);
            }
            (State::Login, [version, ..]) if *version != 1 => return Err(ProxyError::NotSocks),
            (State::Method, [_, NO_LOGIN]) => {
                out.extend_from_slice(&self.request);
                self.next(State::Reply);
            }
            (State::Method, [_, USER_AND_PASSWORD]) if !self.login.is_empty() => {
                out.extend_from_slice(&self.login);
                self.next(State::Login);
            }
            (State::Method, [_, NO_METHOD]) => return Err(ProxyError::NoMethod),
            (State::Method, [_, _]) => return Err(ProxyError::NotSocks),
            (State::Login, [_, 0]) => {
                out.extend_from_slice(&self.request);
                self.next(State::Reply);
            }
            (State::Login, [_, _]) => return Err(ProxyError::Unauthorized),
            (State::Reply, &[_, code, ..]) if code != 0 => return Err(ProxyError::Reply(code)),
            (State::Reply, &[_, _, _, kind, ref rest @ ..]) => {
                let address_len = match kind {
                    1 => 4,
                    4 => 16,
                    3 => match rest {
                        [] => return Ok(()),
                        [len, ..] => 1 + usize::from(*len),
                    },
                    _ => return Err(ProxyError::NotSocks),
                };
                debug_assert!(self.input.len() <= MAX_REPLY_LEN);
                if rest.len() == address_len + 2 {
                    self.next(State::Done);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn next(&mut self, state: State) {
        self.state = state;
        self.input.clear();
    }
}
