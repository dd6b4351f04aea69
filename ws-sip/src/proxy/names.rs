//! What the proxy writes into messages to find its way back: Via branches and tags.

use crate::sip::append_number;
use core::fmt;

/// The `branch` of our Via: which transaction and which of its branches a response belongs to, and a digest of what
/// decides the route, by which a loop is told from a spiral (RFC 3261 section 16.6 item 8, RFC 5393 section 4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ViaBranch {
    pub(super) epoch: u32,
    pub(super) transaction: u64,
    pub(super) index: u16,
    pub(super) digest: u64,
}

impl ViaBranch {
    pub(super) fn parse(branch: &[u8]) -> Option<Self> {
        let text = core::str::from_utf8(branch.strip_prefix(b"z9hG4bK")?).ok()?;
        if text.contains('+') {
            return None;
        }
        let mut parts = text.split('.');
        let branch = Self {
            epoch: u32::from_str_radix(parts.next()?, 16).ok()?,
            transaction: u64::from_str_radix(parts.next()?, 16).ok()?,
            index: u16::from_str_radix(parts.next()?, 16).ok()?,
            digest: u64::from_str_radix(parts.next()?, 16).ok()?,
        };
        parts.next().is_none().then_some(branch)
    }
}

impl fmt::Display for ViaBranch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "z9hG4bK{:08x}.{:x}.{:x}.{:016x}", self.epoch, self.transaction, self.index, self.digest)
    }
}

/// The To tags of responses made here. They tell the ACK to such a response from one that is to be forwarded, so
/// that nothing has to be kept for a refused INVITE.
#[derive(Debug)]
pub(super) struct LocalTags {
    /// What all tags start with, and no others: it names the run.
    prefix_len: usize,
    last: Vec<u8>,
    count: u64,
}

impl LocalTags {
    pub(super) fn new(epoch: u32) -> Self {
        let last = format!("ws{epoch:08x}-").into_bytes();
        Self { prefix_len: last.len(), last, count: 0 }
    }

    /// A tag that was not given before.
    pub(super) fn next(&mut self) -> &[u8] {
        self.count += 1;
        self.last.truncate(self.prefix_len);
        append_number(&mut self.last, self.count);
        &self.last
    }

    /// Whether a tag was made in this run.
    pub(super) fn is_own(&self, tag: &[u8]) -> bool {
        tag.starts_with(self.last.get(..self.prefix_len).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_branch_comes_back_as_it_was_written() {
        let branch = ViaBranch { epoch: 1, transaction: u64::MAX, index: 3, digest: 5 };
        assert_eq!(ViaBranch::parse(branch.to_string().as_bytes()), Some(branch));
        for other in
            ["", "z9hG4bK", "z9hG4bK1", "z9hG4bK1.2.3", "z9hG4bK1.2.3.4.5", "z9hG4bK1.+2.3.4", "1.2.3.4"]
        {
            assert_eq!(ViaBranch::parse(other.as_bytes()), None, "{other}");
        }
    }

    #[test]
    fn a_local_tag_is_known_in_its_own_run() {
        let mut tags = LocalTags::new(7);
        let tag = tags.next().to_vec();
        assert_ne!(tags.next(), tag);
        assert!(tags.is_own(&tag));
        assert!(!LocalTags::new(8).is_own(&tag));
        assert!(!tags.is_own(b"as83kd9bs"));
    }
}
