//! The wire between the server and a codec process, from both sides.

use media_transcode::wire::{Framer, FromCodec, ToCodec};

/// Whatever comes: what is understood is written as it was read, and nothing is kept that the
/// bounds forbid.
pub(crate) fn wire(input: &[u8]) {
    let mut framer = Framer::default();
    // The first byte says how the rest is cut.
    let (piece, rest) = match input.split_first() {
        Some((first, rest)) => (usize::from(*first).max(1), rest),
        None => return,
    };
    for piece in rest.chunks(piece) {
        framer.feed(piece);
        loop {
            match framer.next() {
                Ok(Some(body)) => {
                    if let Ok(message) = ToCodec::parse(body.clone()) {
                        let mut again = Vec::new();
                        message.write(&mut again);
                        assert_eq!(again.get(4..), Some(&body[..]));
                    }
                    if let Ok(message) = FromCodec::parse(body.clone()) {
                        let mut again = Vec::new();
                        message.write(&mut again);
                        assert_eq!(again.get(4..), Some(&body[..]));
                    }
                }
                Ok(None) => break,
                Err(_) => return,
            }
        }
    }
}
