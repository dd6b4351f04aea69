//! The load generator: many connections on one thread, messages in flight on all of them, every echo checked.

use core::net::SocketAddr;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::time::Instant;

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use crate::accept::SHORT_REQUEST;
use crate::floor::xor;
use crate::workload::Random;

/// Connections that were opened together.
pub struct Crowd {
    poll: Poll,
    clients: Vec<Client>,
    input: Vec<u8>,
}

struct Client {
    stream: TcpStream,
    random: Random,
    /// What was sent and not echoed: the frames as they come back.
    expected: Vec<u8>,
    /// Of these, how many bytes came.
    got: usize,
    /// What the socket did not take yet.
    unsent: Vec<u8>,
    sent_at: Instant,
    left: usize,
}

/// One measurement.
pub struct Run {
    /// Bytes of a message.
    pub len: usize,
    /// Messages in flight on each connection: a batch, sent when the one before came back.
    pub depth: usize,
    /// Batches of each connection.
    pub batches: usize,
}

impl Crowd {
    /// Opens `count` connections, one after another.
    ///
    /// # Errors
    /// If the server does not answer with a 101 and nothing else.
    pub fn open(address: SocketAddr, count: usize) -> io::Result<Self> {
        let poll = Poll::new()?;
        let mut clients = Vec::with_capacity(count);
        for index in 0..count {
            let mut stream = std::net::TcpStream::connect(address)?;
            stream.set_nodelay(true)?;
            stream.write_all(SHORT_REQUEST)?;
            let mut head = Vec::new();
            let mut buffer = [0; 1024];
            while !head.ends_with(b"\r\n\r\n") {
                let n = stream.read(&mut buffer)?;
                if n == 0 {
                    return Err(ErrorKind::UnexpectedEof.into());
                }
                head.extend_from_slice(&buffer[..n]);
            }
            if !head.starts_with(b"HTTP/1.1 101 ") {
                return Err(io::Error::other("the server does not answer with a 101"));
            }
            stream.set_nonblocking(true)?;
            let mut stream = TcpStream::from_std(stream);
            let interest = Interest::READABLE | Interest::WRITABLE;
            poll.registry().register(&mut stream, Token(index), interest)?;
            clients.push(Client {
                stream,
                random: Random::new(index as u64 + 1),
                expected: Vec::new(),
                got: 0,
                unsent: Vec::new(),
                sent_at: Instant::now(),
                left: 0,
            });
        }
        Ok(Self { poll, clients, input: vec![0; 1 << 16] })
    }

    /// Sends what `run` says on all connections at once; returns how long each batch took, in nanoseconds.
    ///
    /// # Errors
    /// If a connection ends or an echo differs.
    pub fn run(&mut self, run: &Run) -> io::Result<Vec<u64>> {
        let mut times = Vec::with_capacity(run.batches * self.clients.len());
        let mut busy = self.clients.len();
        for client in &mut self.clients {
            client.left = run.batches;
            client.send(run)?;
        }
        let mut events = Events::with_capacity(1024);
        while busy > 0 {
            self.poll.poll(&mut events, None)?;
            for event in &events {
                let client = &mut self.clients[event.token().0];
                if event.is_writable() && !client.unsent.is_empty() {
                    client.flush()?;
                }
                if event.is_readable() && client.receive(&mut self.input, run, &mut times)? {
                    busy -= 1;
                }
            }
        }
        Ok(times)
    }
}

impl Client {
    /// Sends the next batch, with keys and contents of its own.
    fn send(&mut self, run: &Run) -> io::Result<()> {
        self.expected.clear();
        self.got = 0;
        for _ in 0..run.depth {
            let content = self.random.next().to_le_bytes();
            let key: [u8; 4] = *self.random.next().to_le_bytes().first_chunk().expect("8 bytes have 4");
            for (out, mask) in [(&mut self.unsent, 0x80), (&mut self.expected, 0)] {
                out.push(0x81);
                match (u8::try_from(run.len), u16::try_from(run.len)) {
                    (Ok(len @ 0..126), _) => out.push(mask | len),
                    (_, Ok(len)) => {
                        out.push(mask | 126);
                        out.extend_from_slice(&len.to_be_bytes());
                    }
                    _ => {
                        out.push(mask | 127);
                        out.extend_from_slice(&(run.len as u64).to_be_bytes());
                    }
                }
                if mask != 0 {
                    out.extend_from_slice(&key);
                }
                let at = out.len();
                out.extend(content.iter().cycle().take(run.len).map(|byte| b'a' + byte % 26));
                if mask != 0 {
                    xor(&mut out[at..], key, 0);
                }
            }
        }
        self.left -= 1;
        self.sent_at = Instant::now();
        self.flush()
    }

    fn flush(&mut self) -> io::Result<()> {
        let mut done = 0;
        while done < self.unsent.len() {
            match self.stream.write(&self.unsent[done..]) {
                Ok(n) => done += n,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        self.unsent.drain(..done);
        Ok(())
    }

    /// Takes in echoes; returns whether the last batch came back.
    fn receive(&mut self, input: &mut [u8], run: &Run, times: &mut Vec<u64>) -> io::Result<bool> {
        loop {
            let n = match self.stream.read(input) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(n) => n,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            };
            if self.expected.get(self.got..self.got + n) != Some(&input[..n]) {
                return Err(io::Error::other("an echo differs from what was sent"));
            }
            self.got += n;
            if self.got == self.expected.len() {
                times.push(u64::try_from(self.sent_at.elapsed().as_nanos()).unwrap_or(u64::MAX));
                if self.left == 0 {
                    return Ok(true);
                }
                self.send(run)?;
            }
        }
    }
}
