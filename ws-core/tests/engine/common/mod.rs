//! What the tests share: a naive frame codec, a seeded generator, one endpoint driven by hand.

mod frame;
mod rng;
mod subject;
mod wire;

pub(crate) use frame::{Frame, decode, parse};
pub(crate) use rng::Rng;
pub(crate) use subject::{Subject, encode_for};
pub(crate) use wire::{End, Read, Wire};

use core::time::Duration;

use ws_core::{Config, Event, Message, Role};

pub(crate) const ROLES: [Role; 2] = [Role::Client, Role::Server];

pub(crate) const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// The default with some of it changed.
pub(crate) fn config(change: impl FnOnce(&mut Config)) -> Config {
    let mut config = Config::default();
    change(&mut config);
    config
}

pub(crate) fn text(data: &str) -> Event<'static> {
    Event::Message(Message::Text(data.to_owned().into()))
}

pub(crate) fn binary(data: impl Into<Vec<u8>>) -> Event<'static> {
    Event::Message(Message::Binary(data.into().into()))
}
