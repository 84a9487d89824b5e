//! Messages in parts (RFC 6455, section 5.4): browsers split large ones.

use std::string::FromUtf8Error;

use actix_http::ws::Item;
use signaling::limits::FRAME_BYTES_MAX;

/// The parts that have come so far.
#[derive(Debug, Default)]
pub(super) struct Fragments {
    parts: Vec<u8>,
}

impl Fragments {
    /// Takes one part; the whole message with its last one.
    pub(super) fn push(&mut self, item: Item) -> Option<Result<String, FromUtf8Error>> {
        let (part, last) = match item {
            Item::FirstText(part) | Item::FirstBinary(part) => {
                self.parts.clear();
                (part, false)
            }
            Item::Continue(part) => (part, false),
            Item::Last(part) => (part, true),
        };
        // One byte past the limit is enough to be refused as too large.
        let room = (FRAME_BYTES_MAX + 1).saturating_sub(self.parts.len());
        self.parts.extend(part.iter().take(room));
        last.then(|| String::from_utf8(std::mem::take(&mut self.parts)))
    }
}
