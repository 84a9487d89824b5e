//! Pings: nearly all that an idle client sends, so they are read and answered without a tree of
//! values, and no other thread is woken for them.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::IgnoredAny;

/// The longest ping that is looked at here: a name, a number and nothing else.
const PING_BYTES_MAX: usize = 96;

/// Exactly a ping; whatever has more to it goes the long way.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Ping<'a> {
    jsonrpc: &'a str,
    id: i64,
    method: &'a str,
    /// An object with nothing in it; a map takes no array for one, as a structure would.
    #[serde(default)]
    params: Option<BTreeMap<&'a str, IgnoredAny>>,
}

/// The answer to a plain ping; nothing for any other text.
pub(super) fn answer(text: &str) -> Option<String> {
    if text.len() > PING_BYTES_MAX || !text.contains(r#""ping""#) {
        return None;
    }
    let ping: Ping<'_> = serde_json::from_str(text).ok()?;
    if ping.jsonrpc != "2.0" || ping.method != "ping" {
        return None;
    }
    // `params` that are null are an error, which the long way tells.
    let nothing = match &ping.params {
        Some(params) => params.is_empty(),
        None => !text.contains("params"),
    };
    if !nothing {
        return None;
    }
    Some(format!(
        r#"{{"jsonrpc":"2.0","id":{},"result":{{}}}}"#,
        ping.id
    ))
}

#[cfg(test)]
mod tests {
    use signaling::{Outgoing, Reply};

    use super::*;

    #[test]
    fn a_ping_is_answered_as_the_long_way_would() {
        for text in [
            r#"{"jsonrpc":"2.0","id":7,"method":"ping","params":{}}"#,
            r#"{"id":-3,"jsonrpc":"2.0","method":"ping"}"#,
            r#" { "method" : "ping" , "id" : 9007199254740991 , "jsonrpc" : "2.0" } "#,
        ] {
            let incoming = signaling::parse(text).unwrap();
            let long = Outgoing::answer(incoming.id.unwrap(), Ok(Reply::EMPTY)).to_text();
            assert_eq!(answer(text), Some(long));
        }
    }

    #[test]
    fn whatever_is_not_exactly_a_ping_is_left_alone() {
        for text in [
            r#"{"jsonrpc":"2.0","method":"ping"}"#,
            r#"{"jsonrpc":"2.0","id":"a","method":"ping"}"#,
            r#"{"jsonrpc":"1.0","id":1,"method":"ping"}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":null}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":[]}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":{"traceparent":"x"}}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"time","params":{"t0":"ping"}}"#,
            r#"{"jsonrpc":"2.0","id":1.5,"method":"ping"}"#,
            r#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#,
            "\"ping\"",
        ] {
            assert_eq!(answer(text), None, "{text}");
        }
    }
}
