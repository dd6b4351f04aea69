//! The switch of tracing.

use core::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;

/// Whether connections are traced: one switch for all that hold a clone of it, whatever their threads.
///
/// ```
/// let tracing = ws_sip::Tracing::new(false);
/// let seen_elsewhere = tracing.clone();
/// tracing.set(true);
/// assert!(seen_elsewhere.is_on());
/// ```
#[derive(Clone, Debug, Default)]
pub struct Tracing(Arc<AtomicBool>);

impl Tracing {
    /// Returns a switch of its own.
    #[must_use]
    pub fn new(on: bool) -> Self {
        Self(Arc::new(AtomicBool::new(on)))
    }

    /// Returns whether tracing is on.
    #[must_use]
    pub fn is_on(&self) -> bool {
        // Nothing else is published with it.
        self.0.load(Ordering::Relaxed)
    }

    /// Turns tracing on or off, for all clones.
    pub fn set(&self, on: bool) {
        self.0.store(on, Ordering::Relaxed);
    }
}
