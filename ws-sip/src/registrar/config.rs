//! The limits of the registrar.

use core::time::Duration;

/// The limits of a [`Registrar`](super::Registrar).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// How long a binding lasts that asks for no time; 3600 s by default, the value of RFC 3261 section 10.2.
    pub default_expires: u32,
    /// The shortest time in seconds that may be asked for; less is answered 423. 60 by default: a browser refreshes
    /// some seconds before the end, and a dead flow ends its bindings anyway.
    pub min_expires: u32,
    /// The longest time in seconds that is given; whoever asks for more gets this. 3600 by default.
    pub max_expires: u32,
    /// The most bindings of one address-of-record; 10 by default: a call to it forks to all of them.
    pub max_bindings_per_aor: usize,
    /// The most addresses-of-record that one flow may have bindings for; 1,000 by default, so that one client
    /// cannot use up the registrar.
    pub max_aors_per_flow: usize,
    /// The most bindings in all; 100,000 by default.
    pub max_bindings: usize,
    /// The most bytes of a binding: address-of-record, contact, parameters, Path and Call-ID together; 2 KiB by
    /// default.
    pub max_binding_len: usize,
    /// How long an address-of-record is remembered after its last binding ended, to be told from an unknown one;
    /// one hour by default.
    pub remember: Duration,
    /// The most addresses-of-record that are remembered so; 10,000 by default. The oldest is forgotten first.
    pub max_remembered: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            default_expires: 3600,
            min_expires: 60,
            max_expires: 3600,
            max_bindings_per_aor: 10,
            max_aors_per_flow: 1_000,
            max_bindings: 100_000,
            max_binding_len: 2048,
            remember: Duration::from_secs(3600),
            max_remembered: 10_000,
        }
    }
}
