//! Tracing: what is told of each connection, as HEP records to a collector.
//!
//! A [`Tracer`] that was given to a [`Transport`](crate::Transport) tells of each opening handshake that was done or
//! failed, in both directions, of each flow that closed, and, if asked, of each SIP message. [`Tracing`](crate::Tracing)
//! turns it on and off at run time, from any thread.
//!
//! | what happened | `Event` | `Status` | `Message` |
//! | --- | --- | --- | --- |
//! | a flow was accepted | `ACCEPTED` | `SUCCESS` | `Connection accepted...` |
//! | an opening handshake was refused, or came to nothing | `ACCEPTED` | `FAILURE` | `Failed to accept connection...` |
//! | a flow that we opened is there | `CONNECTED` | `SUCCESS` | `Successfully connected...` |
//! | it cannot be had | `CONNECTED` | `FAILURE` | `Failed to connect...` |
//! | a flow closed with a whole closing handshake | `CLOSED` | `SUCCESS` | one of the original's reasons |
//! | it ended otherwise | `CLOSED` | `FAILURE` | the same |
//! | the peer ended a connection without a word | `CLOSED` | `SUCCESS` | `EOF received` |
//! | such a connection was reset or cut off, or we ended it | `CLOSED` | `FAILURE` | one of the original's reasons |
//!
//! After these, which are OpenSIPS's own words and in its order, follow members that OpenSIPS does not have: `Reason`
//! and `Destination` of what failed; `Close-Code`, `Close-Reason`, `Closed-By` (`peer`, `us`, `network`), `Outcome`,
//! `Duration` (seconds), `Messages-In`, `Messages-Out`, `Bytes-In` and `Bytes-Out` of what closed, and `Reason` if the
//! transport was lost. Plain HTTP requests are not traced.
//!
//! All records of a connection have one number as their correlation id. Records of events have the peer as their source
//! and our socket as their destination, whoever opened the connection; records of SIP messages have where the message
//! came from and where it went.

mod message;
mod record;
mod secrets;
mod tracer;

pub use record::{CUT_MARK, Happened, Record};
pub use tracer::{Tracer, TracerError, TracerOptions};

pub(crate) use tracer::{Direction, Verdict};
