use std::borrow::Cow;

use bytes::Bytes;
use bytestring::ByteString;
use ws_core::Kind;

use crate::MessageRef;

/// A whole message, owned and cheap to clone: clones share the data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// UTF-8 text.
    Text(ByteString),
    /// Arbitrary bytes.
    Binary(Bytes),
}

impl Message {
    /// Returns a text message. A `String` is taken over without a copy.
    pub fn text(text: impl Into<ByteString>) -> Self {
        Self::Text(text.into())
    }

    /// Returns a binary message. A `Vec<u8>` or `Bytes` is taken over without a copy.
    pub fn binary(data: impl Into<Bytes>) -> Self {
        Self::Binary(data.into())
    }

    /// Returns which kind of message this is.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Text(_) => Kind::Text,
            Self::Binary(_) => Kind::Binary,
        }
    }

    /// Returns the data as bytes, whichever kind it is.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Binary(data) => data,
        }
    }

    pub(crate) fn lend(&self) -> MessageRef<'_> {
        match self {
            Self::Text(text) => MessageRef::Text(Cow::Borrowed(text)),
            Self::Binary(data) => MessageRef::Binary(Cow::Borrowed(data)),
        }
    }

    /// Returns the text, if this is one.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Binary(_) => None,
        }
    }

    /// Returns the length of the data in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.as_bytes().len()
    }

    /// Returns whether there are no data.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.as_bytes().is_empty()
    }
}

impl From<&str> for Message {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

impl From<String> for Message {
    fn from(text: String) -> Self {
        Self::Text(text.into())
    }
}

impl From<&[u8]> for Message {
    fn from(data: &[u8]) -> Self {
        Self::Binary(Bytes::copy_from_slice(data))
    }
}

impl From<Vec<u8>> for Message {
    fn from(data: Vec<u8>) -> Self {
        Self::Binary(data.into())
    }
}

/// Copies what is borrowed, takes over what is owned.
impl From<MessageRef<'_>> for Message {
    fn from(message: MessageRef<'_>) -> Self {
        match message {
            MessageRef::Text(text) => Self::Text(text.into_owned().into()),
            MessageRef::Binary(data) => Self::Binary(data.into_owned().into()),
        }
    }
}
