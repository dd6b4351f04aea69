//! How many connections there may be, of all the transports that share a limit.

use core::net::IpAddr;
use core::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::addresses::Addresses;

/// Counts connections. Touched when one comes and when it goes, never by a message.
#[derive(Debug, Default)]
struct Limits {
    connections: AtomicUsize,
    /// Where the accepted WebSocket connections come from.
    addresses: Mutex<Addresses>,
}

/// One transport's part in the limits.
#[derive(Debug, Default)]
pub(super) struct Share {
    limits: Arc<Limits>,
    own: usize,
}

impl Share {
    /// Returns the part of another transport in the same limits.
    pub(super) fn another(&self) -> Self {
        Self { limits: Arc::clone(&self.limits), own: 0 }
    }

    /// Returns how many connections there are, in all transports.
    pub(super) fn len(&self) -> usize {
        // A limit may be passed by as many as come at the very same time.
        self.limits.connections.load(Ordering::Relaxed)
    }

    pub(super) fn add(&mut self) {
        self.own += 1;
        self.limits.connections.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn remove(&mut self) {
        self.own -= 1;
        self.limits.connections.fetch_sub(1, Ordering::Relaxed);
    }

    /// Counts a connection from an address; returns how many there are now.
    pub(super) fn add_address(&self, address: IpAddr) -> usize {
        self.limits.addresses.lock().unwrap_or_else(PoisonError::into_inner).add(address)
    }

    pub(super) fn remove_address(&self, address: IpAddr) {
        self.limits.addresses.lock().unwrap_or_else(PoisonError::into_inner).remove(address);
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.limits.connections.fetch_sub(self.own, Ordering::Relaxed);
    }
}
