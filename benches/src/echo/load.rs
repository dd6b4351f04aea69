//! The load generator: sends batches of masked frames over one connection and checks every echo.

use core::net::SocketAddr;
use std::io;
use std::net::TcpStream;

use crate::accept::REQUEST;
use crate::floor::xor;
use crate::workload::Random;

/// Sends `messages` text messages of `len` bytes, `depth` at a time, and waits for each batch to come back.
///
/// # Errors
/// What the connection or the server's answer was wrong in.
pub fn run(address: SocketAddr, secure: bool, len: usize, depth: usize, messages: usize) -> io::Result<()> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    if !secure {
        return run_over(stream, len, depth, messages);
    }
    #[cfg(feature = "tls")]
    return run_over(super::tls::connect(stream)?, len, depth, messages);
    #[cfg(not(feature = "tls"))]
    Err(io::Error::other("TLS is not built in"))
}

fn run_over(
    mut stream: impl io::Read + io::Write,
    len: usize,
    depth: usize,
    messages: usize,
) -> io::Result<()> {
    stream.write_all(REQUEST)?;
    let mut input = vec![0; 1 << 16];
    let mut have = 0;
    let head = loop {
        let n = stream.read(&mut input[have..])?;
        if n == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        have += n;
        if let Some(at) = input[..have].windows(4).position(|end| end == b"\r\n\r\n") {
            break at + 4;
        }
    };
    if !input.starts_with(b"HTTP/1.1 101 ") || head != have {
        return Err(io::Error::other("the server does not answer with a 101 and nothing else"));
    }
    let mut batch = Batch::new(len, depth);
    let mut left = messages;
    while left > 0 {
        let count = left.min(depth);
        batch.build(count);
        stream.write_all(&batch.frames)?;
        input.resize(batch.echoes.len(), 0);
        stream.read_exact(&mut input)?;
        if input != batch.echoes {
            return Err(io::Error::other("an echo differs from what was sent"));
        }
        left -= count;
    }
    // 1000, masked with zeros. The server's own Close, or its end, ends the measurement.
    stream.write_all(&[0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8])?;
    while !matches!(stream.read(&mut input), Ok(0) | Err(_)) {}
    Ok(())
}

/// The frames of one batch, and the frames that come back.
struct Batch {
    len: usize,
    random: Random,
    payload: Vec<u8>,
    frames: Vec<u8>,
    echoes: Vec<u8>,
}

impl Batch {
    fn new(len: usize, depth: usize) -> Self {
        assert!(len < 1 << 16 && depth > 0, "the generator writes short frames");
        Self { len, random: Random::new(4), payload: vec![0; len], frames: Vec::new(), echoes: Vec::new() }
    }

    fn build(&mut self, count: usize) {
        self.frames.clear();
        self.echoes.clear();
        for _ in 0..count {
            let content = self.random.next();
            for (byte, letter) in self.payload.iter_mut().zip(content.to_le_bytes().iter().cycle()) {
                *byte = b'a' + letter % 26;
            }
            for (out, mask) in [(&mut self.frames, 0x80), (&mut self.echoes, 0)] {
                out.push(0x81);
                match u8::try_from(self.len) {
                    Ok(len @ 0..126) => out.push(mask | len),
                    _ => {
                        out.push(mask | 126);
                        out.extend_from_slice(&u16::try_from(self.len).expect("checked").to_be_bytes());
                    }
                }
            }
            let key = *self.random.next().to_le_bytes().first_chunk().expect("8 bytes have 4");
            self.frames.extend_from_slice(&key);
            let at = self.frames.len();
            self.frames.extend_from_slice(&self.payload);
            xor(&mut self.frames[at..], key, 0);
            self.echoes.extend_from_slice(&self.payload);
        }
    }
}
