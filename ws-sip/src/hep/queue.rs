//! The queue between those who trace and the thread that sends.

use core::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use mio::Waker;

use super::packet::Packet;

/// Bytes that wait at most, whatever their number: 8 MiB.
const MAX_BYTES: usize = 8 << 20;

/// Encoded packets, one after the other, bounded. Adding never waits for the network.
#[derive(Debug)]
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    waker: Waker,
    max_packets: usize,
    pub(super) max_packet_len: usize,
    sent: AtomicU64,
    dropped: AtomicU64,
    reconnects: AtomicU64,
}

#[derive(Debug, Default)]
struct Waiting {
    bytes: Vec<u8>,
    packets: usize,
    /// Packets and bytes that the thread took and did not get rid of: they count as waiting.
    in_hand: (usize, usize),
    /// The thread waits to be woken for a packet.
    is_asleep: bool,
    /// Something was dropped and the thread was not told yet.
    is_dropping: bool,
    /// The senders are gone: what waits may be sent until then.
    closing: Option<Instant>,
}

impl Queue {
    pub(super) fn new(waker: Waker, max_packets: usize, max_packet_len: usize) -> Self {
        Self {
            waiting: Mutex::default(),
            waker,
            max_packets,
            max_packet_len,
            sent: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            reconnects: AtomicU64::new(0),
        }
    }

    /// Adds a packet; `false`: it was dropped and counted.
    pub(super) fn push(&self, packet: &Packet<'_>) -> bool {
        let mut waiting = self.lock();
        let held = waiting.packets + waiting.in_hand.0;
        let len = packet.overhead().saturating_add(packet.payload.len());
        let held_bytes = (waiting.bytes.len() + waiting.in_hand.1).saturating_add(len);
        let fits = held < self.max_packets && held_bytes <= MAX_BYTES && len <= self.max_packet_len;
        let queued = fits && packet.encode_into(&mut waiting.bytes).is_ok();
        let wake = if queued {
            waiting.packets += 1;
            core::mem::take(&mut waiting.is_asleep)
        } else {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            !core::mem::replace(&mut waiting.is_dropping, true)
        };
        drop(waiting);
        if wake {
            self.wake();
        }
        queued
    }

    /// Ends the thread: by `deadline` at the latest, or when all is sent.
    pub(super) fn close(&self, deadline: Instant) {
        self.lock().closing = Some(deadline);
        self.wake();
    }

    pub(super) fn closing(&self) -> Option<Instant> {
        self.lock().closing
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lock().packets == 0
    }

    /// Takes all that waits into `batch`, which is empty; returns how many packets they are.
    pub(super) fn take(&self, batch: &mut Vec<u8>) -> usize {
        let mut waiting = self.lock();
        core::mem::swap(&mut waiting.bytes, batch);
        let packets = core::mem::take(&mut waiting.packets);
        waiting.in_hand = (packets, batch.len());
        packets
    }

    /// Some of what was taken was sent.
    pub(super) fn confirm(&self, packets: usize, bytes: usize) {
        self.sent.fetch_add(packets as u64, Ordering::Relaxed);
        self.let_go(packets, bytes);
    }

    /// Some of what was taken cannot be sent.
    pub(super) fn discard(&self, packets: usize, bytes: usize) {
        self.dropped.fetch_add(packets as u64, Ordering::Relaxed);
        self.let_go(packets, bytes);
    }

    fn let_go(&self, packets: usize, bytes: usize) {
        let mut waiting = self.lock();
        let (held, held_bytes) = waiting.in_hand;
        waiting.in_hand = (held.saturating_sub(packets), held_bytes.saturating_sub(bytes));
    }

    /// From now on a packet wakes the thread; `false` if one is there already.
    pub(super) fn fall_asleep(&self) -> bool {
        let mut waiting = self.lock();
        waiting.is_asleep = waiting.packets == 0 && waiting.closing.is_none();
        waiting.is_asleep
    }

    /// Asks to be woken for the next packet that is dropped.
    pub(super) fn watch_drops(&self) {
        self.lock().is_dropping = false;
    }

    pub(super) fn note_reconnect(&self) {
        self.reconnects.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    pub(super) fn counters(&self) -> SenderCounters {
        SenderCounters {
            sent: self.sent.load(Ordering::Relaxed),
            dropped: self.dropped(),
            reconnects: self.reconnects.load(Ordering::Relaxed),
        }
    }

    fn wake(&self) {
        // It fails only when the thread's poll is gone, and the thread with it.
        let _ = self.waker.wake();
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a [`Sender`](super::Sender) counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SenderCounters {
    /// Packets given to the network.
    pub sent: u64,
    /// Packets that were not sent: the queue was full, or they are too long for the destination.
    pub dropped: u64,
    /// Connections after the first; sockets, over UDP.
    pub reconnects: u64,
}
