//! How many reads and writes it takes to answer messages that come together.

use core::time::Duration;
use std::io;
use std::sync::{Arc, Mutex};

use ws_std::{Interest, Transport};

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
const LEN: usize = 700;
const BATCH: usize = 16;

/// A peer that sends the next batch when the last was answered whole.
#[derive(Debug)]
struct Batches(Mutex<State>);

#[derive(Debug)]
struct State {
    /// What was sent and not read.
    sent: Vec<u8>,
    /// How many messages each of the batches to come has.
    batches: Vec<usize>,
    unanswered: usize,
    /// Reads, writes and the longest buffer to read into, of each batch that was answered.
    counted: Vec<[usize; 3]>,
    counts: [usize; 3],
}

fn masked(payload: &[u8]) -> Vec<u8> {
    let len = u16::try_from(payload.len()).unwrap().to_be_bytes();
    [&[0x82, 0xFE, len[0], len[1], 0, 0, 0, 0], payload].concat()
}

impl Transport for Batches {
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut state = self.0.lock().unwrap();
        if state.sent.is_empty() && state.unanswered == 0 {
            let batch = state.batches.pop().unwrap_or_default();
            state.unanswered = batch * (4 + LEN);
            state.sent = masked(&[7; LEN]).repeat(batch);
        }
        let n = buffer.len().min(state.sent.len());
        buffer[..n].copy_from_slice(&state.sent[..n]);
        state.sent.drain(..n);
        state.counts[0] += 1;
        state.counts[2] = state.counts[2].max(buffer.len());
        Ok(n)
    }

    fn set_read_timeout(&self, _: Option<Duration>) -> io::Result<()> {
        Ok(())
    }

    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut state = self.0.lock().unwrap();
        if bytes.starts_with(b"HTTP") {
            return Ok(bytes.len());
        }
        state.counts[1] += 1;
        state.unanswered -= bytes.len();
        if state.unanswered == 0 {
            let counts = core::mem::take(&mut state.counts);
            state.counted.push(counts);
        }
        Ok(bytes.len())
    }

    fn wait(&self, interest: Interest, _: Option<Duration>) -> io::Result<Interest> {
        Ok(interest)
    }

    fn shutdown_write(&self) -> io::Result<()> {
        Ok(())
    }

    fn shutdown(&self) {}
}

#[test]
fn a_batch_comes_in_one_read_and_leaves_in_one_write_once_batches_are_known_to_come() {
    let peer = Batches(Mutex::new(State {
        sent: REQUEST.to_vec(),
        batches: vec![1, 1, BATCH, BATCH, BATCH],
        unanswered: 0,
        counted: Vec::new(),
        counts: [0; 3],
    }));
    let mut ws = ws_std::accept(peer, &Arc::default()).unwrap();
    ws.get_ref().0.lock().unwrap().counts = [0; 3];
    while let Ok(Some(queued)) = ws.read_ref(|message, replies| replies.send(&message)) {
        queued.unwrap();
    }
    let counted = ws.get_ref().0.lock().unwrap().counted.clone();
    assert_eq!(counted.len(), 5);
    assert!(counted[0][0] > 1, "nothing was known");
    assert_eq!(counted[1][..2], [1, 1]);
    assert_eq!(counted[2][..2], [1, 1]);
    assert_eq!(counted[3][..2], [1, 1]);
    assert_eq!(counted[4], [1, 1, 4 << 10], "one message came last time, so who waits holds little");
}
