//! Signalling: requests, WHIP fragments, data messages.

use signaling::{DataChannel, SdpFragment, data as envelope, parse};

/// A request: what was understood can be written and is understood the same again.
pub(crate) fn message(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    let Ok(incoming) = parse(text) else { return };
    let again = incoming.message.to_text(incoming.id.as_ref());
    let reparsed = parse(&again).expect("what we write we understand");
    assert_eq!(reparsed.message, incoming.message);
}

/// A trickled fragment (RFC 8840).
pub(crate) fn sdpfrag(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    let Ok(fragment) = SdpFragment::parse(text) else {
        return;
    };
    assert!(fragment.candidates().count() <= text.len());
    let _ = fragment.credentials();
}

/// A data message: the payload lies inside the message.
pub(crate) fn data(input: &[u8]) {
    for channel in [DataChannel::Reliable, DataChannel::Lossy] {
        if let Ok((_, payload)) = envelope::parse(input, channel) {
            assert!(payload.len() < input.len());
        }
    }
}
