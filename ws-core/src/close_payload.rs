//! The payload of Close frames (RFC 6455, section 5.5.1).

use alloc::string::String;

use crate::frame::MAX_CONTROL_LEN;
use crate::{CloseFrame, ProtocolError, StatusCode, utf8};

/// Writes a Close payload; `None` if the reason is too long, or given without a code.
pub(crate) fn encode_close(code: Option<StatusCode>, reason: &str) -> Option<([u8; MAX_CONTROL_LEN], usize)> {
    let mut payload = [0; MAX_CONTROL_LEN];
    let Some(code) = code else {
        return reason.is_empty().then_some((payload, 0));
    };
    let len = 2 + reason.len();
    payload[..2].copy_from_slice(&code.get().to_be_bytes());
    payload.get_mut(2..len)?.copy_from_slice(reason.as_bytes());
    Some((payload, len))
}

/// Reads the payload of a Close frame that the peer sent.
pub(crate) fn parse_close(payload: &[u8]) -> Result<Option<CloseFrame>, ProtocolError> {
    match payload {
        [] => Ok(None),
        [_] => Err(ProtocolError::CloseTooShort),
        [high, low, reason @ ..] => {
            let number = u16::from_be_bytes([*high, *low]);
            let code = StatusCode::new(number).ok_or(ProtocolError::InvalidCloseCode(number))?;
            let reason = utf8::validate(reason).map_err(|_| ProtocolError::InvalidCloseReason)?;
            Ok(Some(CloseFrame { code, reason: String::from(reason) }))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_parses() {
        let longest = "x".repeat(123);
        for (code, reason) in [
            (None, ""),
            (Some(StatusCode::NORMAL), ""),
            (Some(StatusCode::GOING_AWAY), "bye"),
            (Some(StatusCode::GOING_AWAY), longest.as_str()),
        ] {
            let (payload, len) = encode_close(code, reason).unwrap();
            let frame = code.map(|code| CloseFrame { code, reason: reason.into() });
            assert_eq!(parse_close(&payload[..len]), Ok(frame));
        }
        assert_eq!(encode_close(Some(StatusCode::NORMAL), &"x".repeat(124)), None);
        assert_eq!(encode_close(None, "x"), None);
    }

    /// Section 5.5.1 and 7.4.
    #[test]
    fn what_must_not_be_sent_is_refused() {
        assert_eq!(parse_close(&[3]), Err(ProtocolError::CloseTooShort));
        assert_eq!(parse_close(&[3, 237]), Err(ProtocolError::InvalidCloseCode(1005)));
        assert_eq!(parse_close(&[3, 232, 0xff]), Err(ProtocolError::InvalidCloseReason));
        assert_eq!(parse_close(&[3, 232, 0xe2, 0x82]), Err(ProtocolError::InvalidCloseReason));
    }
}
