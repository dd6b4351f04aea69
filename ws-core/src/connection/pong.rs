use alloc::vec::Vec;

/// The Application data of the Pings that are not answered yet: those of one wake-up, in their order.
///
/// Short data of a single Ping, as keepalives send, stay inline: answering those allocates nothing.
#[derive(Debug, Default)]
pub(super) enum PendingPongs {
    #[default]
    None,
    One {
        len: u8,
        bytes: [u8; Self::INLINE],
    },
    /// Each with its length in front of it.
    Many(Vec<u8>),
}

impl PendingPongs {
    const INLINE: usize = 22;
    /// Bytes that are kept. More Pings than that in one wake-up are a flood: the latest is answered. Each byte
    /// may stand for a Pong of 6, so this bounds what a flood costs in the output too.
    const MAX_LEN: usize = 512;

    /// Remembers to answer a Ping with `data`, of at most 125 bytes.
    pub(super) fn push(&mut self, data: &[u8]) {
        let len = u8::try_from(data.len()).unwrap_or(u8::MAX);
        match self {
            Self::None if data.len() <= Self::INLINE => {
                let mut bytes = [0; Self::INLINE];
                bytes[..data.len()].copy_from_slice(data);
                *self = Self::One { len, bytes };
            }
            Self::None => *self = Self::Many(encode(len, data)),
            Self::One { len: first, bytes } => {
                let mut many = encode(*first, &bytes[..usize::from(*first)]);
                many.push(len);
                many.extend_from_slice(data);
                *self = Self::Many(many);
            }
            Self::Many(many) => {
                if many.len() + 1 + data.len() > Self::MAX_LEN {
                    many.clear();
                }
                many.reserve(1 + data.len());
                many.push(len);
                many.extend_from_slice(data);
            }
        }
    }

    pub(super) fn clear(&mut self) {
        *self = Self::None;
    }

    #[inline]
    pub(super) const fn is_empty(&self) -> bool {
        matches!(self, Self::None)
    }

    /// Forgets all but the latest.
    pub(super) fn keep_latest(&mut self) {
        if let Self::Many(_) = self
            && let Some(latest) = self.iter().last()
        {
            let mut only = Self::None;
            only.push(latest);
            *self = only;
        }
    }

    /// Returns the data of each, the earliest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let (one, mut many): (_, &[u8]) = match self {
            Self::None => (None, &[]),
            Self::One { len, bytes } => (Some(&bytes[..usize::from(*len)]), &[]),
            Self::Many(many) => (None, many),
        };
        one.into_iter().chain(core::iter::from_fn(move || {
            let (&len, rest) = many.split_first()?;
            let (data, rest) = rest.split_at_checked(usize::from(len))?;
            many = rest;
            Some(data)
        }))
    }
}

fn encode(len: u8, data: &[u8]) -> Vec<u8> {
    let mut many = Vec::with_capacity(1 + data.len());
    many.push(len);
    many.extend_from_slice(data);
    many
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pings_are_answered_in_order_and_a_flood_by_its_latest() {
        let long = [7; 125];
        let mut pongs = PendingPongs::default();
        for data in [b"".as_slice(), b"short", &long, b"x"] {
            pongs.push(data);
        }
        assert!(pongs.iter().eq([b"".as_slice(), b"short", &long, b"x"]));
        pongs.keep_latest();
        assert!(pongs.iter().eq([b"x"]));
        pongs.keep_latest();
        assert!(pongs.iter().eq([b"x"]));
        for _ in 0..1000 {
            pongs.push(&long);
            assert!(pongs.iter().map(|data| data.len() + 1).sum::<usize>() <= PendingPongs::MAX_LEN);
        }
        assert_eq!(pongs.iter().last(), Some(long.as_slice()));
        pongs.clear();
        assert!(pongs.is_empty() && pongs.iter().next().is_none());
        pongs.push(&long);
        assert!(pongs.iter().eq([&long]));
    }
}
