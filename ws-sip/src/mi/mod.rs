//! Management: the commands, and what carries them.

mod address;

pub use address::{DatagramAddress, DatagramAddressError};
