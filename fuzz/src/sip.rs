//! SIP messages.

use ws_sip::sip::{Editor, Message, Reply};

/// Reads any bytes as a message: each offset lies where it says, and an edit of nothing changes nothing.
///
/// # Panics
/// If that is not so.
pub fn head(bytes: &[u8]) {
    let Ok(message) = Message::parse(bytes) else { return };
    let mut last = message.fields_start();
    for field in message.fields() {
        // A line that is no field leaves a gap.
        assert!(field.start() >= last, "fields follow each other");
        assert!(field.start() <= field.name_end() && field.name_end() <= field.value_start());
        assert!(field.value_start() <= field.value_end() && field.value_end() <= field.end());
        assert_eq!(&bytes[field.value_start()..field.value_end()], message.value_of(field));
        last = field.end();
    }
    assert_eq!(message.body(), &bytes[message.body_start()..]);
    let start = bytes.iter().position(|byte| !matches!(byte, b'\r' | b'\n')).unwrap_or(0);
    assert_eq!(Editor::new(&message).finish(), &bytes[start..]);
    if message.check().is_ok()
        && let Some(reply) = Reply::to(&message, None, 200, "OK", "tag")
    {
        let reply = reply.finish();
        let reply = Message::parse(&reply).expect("what we answer is a message");
        reply.check().expect("and keeps the rules");
    }
}
