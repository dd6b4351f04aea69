use core::mem;

use ws_core::{Delivery, Kind, Outcome, Part, PreparedMessage};
use ws_std::{Duplex, Error, Message, Reader, WebSocket, Writer};

/// A connection, whole or in halves, both of which one thread uses.
#[derive(Debug)]
pub(super) enum Socket<S: Duplex> {
    Whole(WebSocket<S>),
    Halves(Reader<S>, Writer<S>),
    /// While it changes from one to another.
    Changing,
}

/// Calls what is the same in a whole and in a half.
macro_rules! either {
    ($self:ident, $half:ident, $ws:ident => $call:expr) => {
        match $self {
            Socket::Whole($ws) => $call,
            Socket::Halves(reader, writer) => {
                let $ws = either!(@$half reader writer);
                $call
            }
            Socket::Changing => unreachable!("only while it changes"),
        }
    };
    (@reader $reader:ident $writer:ident) => {{ let _ = &$writer; $reader }};
    (@writer $reader:ident $writer:ident) => {{ let _ = &$reader; $writer }};
}

impl<S: Duplex> Socket<S> {
    /// Splits it, or joins it again.
    pub(super) fn turn_over(&mut self) {
        *self = match mem::replace(self, Self::Changing) {
            Self::Whole(ws) => {
                let (reader, writer) = ws.split();
                Self::Halves(reader, writer)
            }
            halves => Self::Whole(halves.into_whole()),
        };
    }

    /// Takes it apart, and puts it together again.
    pub(super) fn reassemble(&mut self) {
        let ws = mem::replace(self, Self::Changing).into_whole();
        *self = Self::Whole(WebSocket::from_parts(ws.into_parts()));
    }

    fn into_whole(self) -> WebSocket<S> {
        match self {
            Self::Whole(ws) => ws,
            Self::Halves(reader, writer) => match reader.join(writer) {
                Ok(ws) => ws,
                Err(_) => panic!("both are of one connection"),
            },
            Self::Changing => unreachable!("only while it changes"),
        }
    }

    /// The whole of it.
    pub(super) fn whole(&mut self) -> &mut WebSocket<S> {
        if let Self::Halves(..) = self {
            self.turn_over();
        }
        match self {
            Self::Whole(ws) => ws,
            _ => unreachable!("it is whole now"),
        }
    }

    /// Closes it; its messages are dropped.
    pub(super) fn close(&mut self) -> Result<Outcome, Error> {
        match self {
            Self::Whole(ws) => ws.close(None, ""),
            halves => {
                let Self::Halves(reader, mut writer) = mem::replace(halves, Self::Changing) else {
                    unreachable!("it has two states");
                };
                drop(reader);
                let outcome = writer.close(None, "");
                assert_eq!(writer.outcome().as_ref(), outcome.as_ref().ok());
                assert!(matches!(writer.send_text("late"), Err(Error::Ended(_))));
                outcome
            }
        }
    }

    /// Whether it is still there: a half alone that was closed is not.
    pub(super) const fn is_there(&self) -> bool {
        !matches!(self, Self::Changing)
    }

    pub(super) fn outcome(&self) -> Option<Outcome> {
        either!(self, reader, ws => ws.outcome())
    }

    /// Reads a message, or the parts of one until the last.
    pub(super) fn read(&mut self, delivery: Delivery) -> Result<Option<Message>, Error> {
        if delivery == Delivery::Messages {
            return either!(self, reader, ws => ws.read());
        }
        let (mut data, mut kind, mut is_first) = (Vec::new(), Kind::Text, true);
        loop {
            let mut take = |part: Part<'_>| {
                assert_eq!(part.first, mem::take(&mut is_first), "one message after the other");
                data.extend_from_slice(part.data.as_bytes());
                kind = part.data.kind();
                part.last
            };
            match either!(self, reader, ws => ws.read_part(&mut take))? {
                None => return Ok(None),
                Some(false) => {}
                Some(true) => break,
            }
        }
        Ok(Some(match kind {
            Kind::Text => Message::from(String::from_utf8(data).expect("checked")),
            Kind::Binary => Message::from(data),
        }))
    }

    pub(super) fn send(&mut self, message: Message) -> Result<(), Error> {
        either!(self, writer, ws => ws.send(message))
    }

    pub(super) fn send_uncompressed(&mut self, message: Message) -> Result<(), Error> {
        either!(self, writer, ws => ws.send_uncompressed(message))
    }

    pub(super) fn send_prepared(&mut self, message: &PreparedMessage) -> Result<(), Error> {
        either!(self, writer, ws => ws.send_prepared(message))
    }

    pub(super) fn send_part(&mut self, kind: Kind, data: &[u8], last: bool) -> Result<(), Error> {
        either!(self, writer, ws => ws.send_part(kind, data, last))
    }

    pub(super) fn ping(&mut self, data: &[u8]) -> Result<(), Error> {
        either!(self, writer, ws => ws.ping(data))
    }

    pub(super) fn feed(&mut self, message: &Message) -> Result<(), Error> {
        either!(self, writer, ws => ws.feed(message))
    }

    pub(super) fn flush(&mut self) -> Result<(), Error> {
        either!(self, writer, ws => ws.flush())
    }
}
