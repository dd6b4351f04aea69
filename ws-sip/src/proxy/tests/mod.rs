//! Scenarios in virtual time: user agents that write what browsers' stacks write, and a proxy between them.

mod authenticating;
mod calls;
mod failing_over;
mod faults;
mod forking;
mod network;
mod random;
mod registering;
mod revoking;
mod routing;
mod texts;
mod ua;

use network::{Net, Text};
use ua::{Dialog, Stack, Ua};
