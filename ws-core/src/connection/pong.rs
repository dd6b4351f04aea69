use alloc::boxed::Box;

/// The Application data of the latest Ping that is not answered yet.
///
/// Short data, as keepalives send, stay inline: answering those allocates nothing.
#[derive(Debug, Default)]
pub(super) enum PendingPong {
    #[default]
    Nothing,
    Short {
        len: u8,
        bytes: [u8; Self::INLINE],
    },
    Long(Box<[u8]>),
}

impl PendingPong {
    const INLINE: usize = 22;

    /// Remembers to answer a Ping with `data`; forgets the one before.
    pub(super) fn set(&mut self, data: &[u8]) {
        *self = match u8::try_from(data.len()) {
            Ok(len) if data.len() <= Self::INLINE => {
                let mut bytes = [0; Self::INLINE];
                bytes[..data.len()].copy_from_slice(data);
                Self::Short { len, bytes }
            }
            _ => Self::Long(data.into()),
        };
    }

    pub(super) fn clear(&mut self) {
        *self = Self::Nothing;
    }

    #[inline]
    pub(super) const fn is_pending(&self) -> bool {
        !matches!(self, Self::Nothing)
    }

    pub(super) fn data(&self) -> Option<&[u8]> {
        match self {
            Self::Nothing => None,
            Self::Short { len, bytes } => Some(&bytes[..usize::from(*len)]),
            Self::Long(data) => Some(data),
        }
    }
}
