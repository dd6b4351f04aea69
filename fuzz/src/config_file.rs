//! The configuration file, its filter routes included.

use ws_sip::transport::Ends;
use ws_sip::{ConfigFile, Settings};

/// Reads any text; what is read can be used, what is refused is refused at a place in the text.
pub fn read(bytes: &[u8]) {
    let Ok(text) = core::str::from_utf8(bytes) else { return };
    match ConfigFile::parse(text) {
        Ok(file) => {
            let mut settings = Settings::default();
            file.apply(&mut settings).expect("each value was set once, when the file was read");
            let _ = settings.hep_destination();
            if let Ok(Some(filter)) = file.trace_filter(&settings) {
                let (peer, local) = (([192, 0, 2, 1], 5060).into(), ([0; 16], 80).into());
                let _ = filter.traces(&Ends { peer, local, is_incoming: true, is_secure: false });
            }
            let other_ends = text.replace("\r\n", "\n").replace('\n', "\r\n");
            assert!(ConfigFile::parse(&other_ends).is_ok(), "line ends make no difference");
        }
        Err(error) => {
            let line = text.split('\n').nth(error.at.line as usize - 1).expect("a line of the text");
            assert!(error.at.column as usize <= line.chars().count() + 1, "{error}");
            assert!(!error.to_string().contains('\n'), "an error is one line: {error}");
        }
    }
}
