//! What the fuzz targets do with their input, and what must hold whatever it is.
#![forbid(unsafe_code)]

pub mod blocking_stream;
pub mod client_options;
pub mod config_file;
pub mod connection;
pub mod deflate;
pub mod differential;
pub mod frame;
pub mod handshake;
pub mod hep;
pub mod management;
pub mod proxy_protocol;
pub mod sip;
mod stream;
pub mod tls_stream;
