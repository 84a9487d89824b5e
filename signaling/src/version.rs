//! The version of the protocol, as the WebSocket subprotocol names it (RFC 6455, section 1.9).

/// The one version that this server speaks.
pub const SUBPROTOCOL: &str = "troupe.v1";

/// Chooses among the subprotocols that a client offers in `Sec-WebSocket-Protocol`.
///
/// `None` when none of them is spoken; a client that offers nothing is taken for the current
/// version by the caller.
#[must_use]
pub fn negotiate(offered: &str) -> Option<&'static str> {
    let mut names = offered.split(',').map(str::trim);
    names.any(|name| name == SUBPROTOCOL).then_some(SUBPROTOCOL)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spoken_version_is_chosen_among_others() {
        assert_eq!(negotiate("troupe.v9, troupe.v1"), Some("troupe.v1"));
        assert_eq!(negotiate("troupe.v1"), Some("troupe.v1"));
        assert_eq!(negotiate("troupe.v11"), None);
        assert_eq!(negotiate(""), None);
    }
}
