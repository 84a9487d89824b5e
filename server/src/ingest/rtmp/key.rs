//! Stream keys: `IDENTITY?token=JWT`.

use media_types::{Identity, RoomName};

/// What a publisher or player asks for, not judged yet.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct StreamKey {
    pub(crate) room: RoomName,
    pub(crate) identity: Identity,
    /// Secret: never logged.
    pub(crate) token: String,
}

impl StreamKey {
    /// Reads the application and the key. The token may also stand behind the application, where
    /// an encoder has but one field; `access_token` is understood as well.
    pub(super) fn read(app: &str, app_query: Option<&str>, key: &str) -> Option<Self> {
        let (name, query) = match key.split_once('?') {
            Some((name, query)) => (name, Some(query)),
            None => (key, None),
        };
        let token = query
            .and_then(token_of)
            .or_else(|| app_query.and_then(token_of));
        Some(Self {
            room: app.parse().ok()?,
            identity: name.parse().ok()?,
            token: token.unwrap_or_default().to_owned(),
        })
    }
}

/// The token that a query carries.
pub(crate) fn token_of(query: &str) -> Option<&str> {
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let token = pairs.find(|(name, _)| matches!(*name, "token" | "access_token"));
    token.map(|(_, token)| token)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(app: &str, query: Option<&str>, key: &str) -> Option<(String, String, String)> {
        let key = StreamKey::read(app, query, key)?;
        Some((key.room.to_string(), key.identity.to_string(), key.token))
    }

    #[test]
    fn keys_carry_name_and_token() {
        let expected = |token: &str| Some(("r".to_owned(), "ann".to_owned(), token.to_owned()));
        assert_eq!(read("r", None, "ann?token=a.b-c"), expected("a.b-c"));
        assert_eq!(read("r", None, "ann?x=1&access_token=t"), expected("t"));
        assert_eq!(read("r", Some("token=t"), "ann"), expected("t"));
        assert_eq!(read("r", Some("token=u"), "ann?token=t"), expected("t"));
        assert_eq!(read("r", None, "ann"), expected(""));
    }

    #[test]
    fn names_have_to_be_legal() {
        assert_eq!(read("", None, "ann?token=t"), None);
        assert_eq!(read("r/instance", None, "ann?token=t"), None);
        assert_eq!(read("r", None, "?token=t"), None);
        assert_eq!(read("r", None, "a b?token=t"), None);
    }
}
