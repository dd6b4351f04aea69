//! The FIFO, and the FIFOs that responses go to.

use core::time::Duration;
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::path::PathBuf;
use std::time::Instant;

use mio::unix::SourceFd;
use mio::{Interest, Registry};
use rustix::fs::OFlags;

use super::files::{Made, make_fifo, open_fifo};
use super::{FIFO, MAX_WAITING, READS_A_TURN, Service};
use crate::mi::fifo::{FifoFault, FifoReader, FifoRequest};
use crate::mi::rpc::{MAX_RESPONSE_LEN, answer, refuse_too_long};

/// How long the rest of a request may take.
const REST_TIMEOUT: Duration = Duration::from_secs(1);
/// How long a client may take to open its reply FIFO and read it.
const REPLY_TIMEOUT: Duration = Duration::from_secs(5);
/// Responses that may wait for their readers.
const MAX_REPLIES: usize = 64;
/// Between looks at a reply FIFO: it cannot be waited for until it is read.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const MAX_PAUSE: Duration = Duration::from_millis(50);

pub(super) struct Fifo {
    reader: File,
    /// Without a writer of our own, each client that closes its end would be the end of the file.
    _writer: File,
    _made: Made,
    reply_dir: PathBuf,
    input: FifoReader,
    is_readable: bool,
    /// When the rest of a request must be there.
    rest_at: Option<Instant>,
    replies: VecDeque<Reply>,
}

/// A response on its way.
struct Reply {
    path: PathBuf,
    fifo: Option<File>,
    response: Vec<u8>,
    written: usize,
    pause: Duration,
    next: Instant,
    deadline: Instant,
}

impl Fifo {
    pub(super) fn make(
        path: PathBuf,
        mode: u32,
        reply_dir: PathBuf,
        registry: &Registry,
    ) -> io::Result<Self> {
        let (reader, writer, made) = make_fifo(&path, mode)?;
        registry.register(&mut SourceFd(&reader.as_raw_fd()), FIFO, Interest::READABLE)?;
        Ok(Self {
            reader,
            _writer: writer,
            _made: made,
            reply_dir,
            input: FifoReader::default(),
            is_readable: true,
            rest_at: None,
            replies: VecDeque::new(),
        })
    }

    pub(super) const fn ready(&mut self) {
        self.is_readable = true;
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        if self.is_readable {
            return Some(Instant::now());
        }
        self.replies.iter().map(|reply| reply.next).chain(self.rest_at).min()
    }

    pub(super) fn turn(&mut self, now: Instant, scratch: &mut [u8], service: &mut Service) {
        let mut turns = READS_A_TURN;
        while self.is_readable && turns > 0 {
            turns -= 1;
            match self.reader.read(scratch) {
                Ok(n) if n > 0 => {
                    self.input.push(&scratch[..n]);
                    while let Some(request) = self.input.next() {
                        self.serve(request, now, service);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                _ => self.is_readable = false,
            }
        }
        if !self.input.is_partial() {
            self.rest_at = None;
        } else if *self.rest_at.get_or_insert(now + REST_TIMEOUT) <= now {
            self.rest_at = None;
            if let Some(request) = self.input.give_up() {
                self.serve(request, now, service);
            }
        }
        self.replies.retain_mut(|reply| {
            if reply.next > now {
                return true;
            }
            match reply.advance() {
                Ok(true) => return false,
                Ok(false) if reply.deadline > now => {
                    reply.next = now + reply.pause;
                    reply.pause = (reply.pause * 2).min(MAX_PAUSE);
                    return true;
                }
                Ok(false) | Err(_) => {}
            }
            service.counts.lost_responses += 1;
            false
        });
    }

    /// Returns how many bytes wait for their readers.
    fn waiting(&self) -> usize {
        self.replies.iter().map(|reply| reply.response.len()).sum()
    }

    fn serve(&mut self, request: FifoRequest, now: Instant, service: &mut Service) {
        service.counts.requests += 1;
        if request.json.is_err() {
            service.counts.refused += 1;
        }
        let response = match request.json {
            Ok(json) => answer(service, &json, MAX_RESPONSE_LEN),
            Err(FifoFault::NotJson) => answer(service, b"", MAX_RESPONSE_LEN),
            Err(FifoFault::TooLong) => Some(refuse_too_long()),
            Err(FifoFault::ReplyName) => None,
        };
        let (Some(response), Some(name)) = (response, request.reply) else { return };
        // Whoever asked last is the likeliest to read: those that nobody read so far make room.
        while self.replies.len() >= MAX_REPLIES || self.waiting() > MAX_WAITING {
            self.replies.pop_front();
            service.counts.lost_responses += 1;
        }
        self.replies.push_back(Reply {
            path: self.reply_dir.join(name),
            fifo: None,
            response: response.into(),
            written: 0,
            pause: FIRST_PAUSE,
            next: now,
            deadline: now + REPLY_TIMEOUT,
        });
    }
}

impl Reply {
    /// Writes what can be written now. Returns whether it is all.
    fn advance(&mut self) -> io::Result<bool> {
        let fifo = match &mut self.fifo {
            Some(fifo) => fifo,
            None => match open_fifo(&self.path, OFlags::WRONLY) {
                Ok(fifo) => self.fifo.insert(fifo),
                // Nobody has it open for reading yet: the client does that after its request.
                Err(error) if error.raw_os_error() == Some(rustix::io::Errno::NXIO.raw_os_error()) => {
                    return Ok(false);
                }
                Err(error) => return Err(error),
            },
        };
        while self.written < self.response.len() {
            match fifo.write(&self.response[self.written..]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => {
                    self.written += n;
                    self.pause = FIRST_PAUSE;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }
}
