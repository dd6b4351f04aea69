//! UTF-8 checked as it arrives (RFC 6455, section 8.1): the first bad byte is reported in the call that
//! brings it, and a code point that a cut left incomplete waits.

/// Texts up to this length are mostly words of ASCII.
const SHORT_LEN: usize = 128;

/// The text is not UTF-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidUtf8;

/// The first bytes of a code point whose others have not arrived: 0 to 3 bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Incomplete {
    /// Invariant: `bytes[..len]` is empty or the start of a well-formed sequence, not the whole of it.
    bytes: [u8; 3],
    len: u8,
}

impl Incomplete {
    /// Returns whether nothing waits: the text could end here.
    #[inline]
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Completes the waiting code point with the first bytes of `bytes`.
    ///
    /// Returns it, if it is complete now, and how many bytes were used. If nothing waits, none are.
    ///
    /// # Errors
    /// [`InvalidUtf8`] if a byte does not fit.
    pub fn complete(&mut self, bytes: &[u8]) -> Result<(Option<char>, usize), InvalidUtf8> {
        if self.is_empty() {
            return Ok((None, 0));
        }
        let mut point = [0; 4];
        let had = usize::from(self.len);
        point[..had].copy_from_slice(&self.bytes[..had]);
        for (used, &byte) in bytes.iter().enumerate() {
            let len = had + used + 1;
            point[len - 1] = byte;
            match core::str::from_utf8(&point[..len]) {
                Ok(text) => {
                    self.len = 0;
                    return Ok((text.chars().next(), used + 1));
                }
                Err(error) if error.error_len().is_some() => return Err(InvalidUtf8),
                // Four bytes are a whole code point or wrong, so fewer than four fit `bytes`.
                Err(_) => {
                    self.bytes[len - 1] = byte;
                    self.len += 1;
                }
            }
        }
        Ok((None, bytes.len()))
    }

    /// Checks `bytes`, which follow complete text, and keeps an incomplete code point at their end.
    ///
    /// # Errors
    /// [`InvalidUtf8`] if they are not text.
    #[inline]
    pub fn split<'b>(&mut self, bytes: &'b [u8]) -> Result<&'b str, InvalidUtf8> {
        debug_assert!(self.is_empty(), "complete first");
        // Most chunks end behind a code point, and most of these in ASCII.
        if bytes.last().is_none_or(u8::is_ascii) {
            return validate(bytes);
        }
        self.split_cut(bytes)
    }

    /// The same where the end may be inside a code point.
    fn split_cut<'b>(&mut self, bytes: &'b [u8]) -> Result<&'b str, InvalidUtf8> {
        let (whole, cut) = bytes.split_at(bytes.len() - incomplete_len(bytes));
        let text = validate(whole)?;
        if !cut.is_empty() {
            // The lead byte promises more than there is; what is there must be able to go on.
            match core::str::from_utf8(cut) {
                Err(error) if error.error_len().is_none() => {}
                _ => return Err(InvalidUtf8),
            }
            self.bytes[..cut.len()].copy_from_slice(cut);
            #[expect(clippy::cast_possible_truncation, reason = "at most 3")]
            {
                self.len = cut.len() as u8;
            }
        }
        Ok(text)
    }
}

/// Checks that `bytes` are UTF-8 and returns them as text.
///
/// # Errors
/// [`InvalidUtf8`] if they are not.
#[inline]
pub fn validate(bytes: &[u8]) -> Result<&str, InvalidUtf8> {
    // Below this, looking for a non-ASCII byte first costs less than the validator, which steps to a word boundary.
    if bytes.len() <= SHORT_LEN
        && let Ok(text) = ascii::AsciiStr::from_ascii(bytes)
    {
        return Ok(text.as_str());
    }
    simdutf8::basic::from_utf8(bytes).map_err(|_| InvalidUtf8)
}

/// Returns how many bytes at the end belong to a code point whose end is missing: 0 to 3.
#[inline]
fn incomplete_len(bytes: &[u8]) -> usize {
    for (behind, &byte) in bytes.iter().rev().take(3).enumerate() {
        let need = match byte {
            0b1000_0000..=0b1011_1111 => continue,
            0b1100_0000..=0b1101_1111 => 2,
            0b1110_0000..=0b1110_1111 => 3,
            0b1111_0000..=0b1111_0111 => 4,
            _ => return 0,
        };
        return if behind + 1 < need { behind + 1 } else { 0 };
    }
    0
}
