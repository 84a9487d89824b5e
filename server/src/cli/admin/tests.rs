use std::collections::BTreeSet;

use clap::Parser;

use super::*;

#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    args: AdminArgs,
}

fn call(words: &str) -> Call {
    let line = Line::try_parse_from(format!("admin --dev {words}").split_whitespace());
    line.unwrap().args.act.call()
}

#[test]
fn words_become_calls() {
    let rooms = "rooms?limit=1000".to_owned();
    assert_eq!(call("rooms"), Call("GET", rooms, None));
    let Call(method, path, body) = call("mute r bob --unmute");
    assert_eq!((method, path.as_str()), ("POST", "rooms/r/peers/bob/mute"));
    assert_eq!(body, Some(json!({"trackId": null, "muted": false})));
    let Call(_, path, body) = call("send r --topic t {\"n\":1}");
    assert_eq!(path, "rooms/r/send");
    let expected = json!({"to": "room", "topic": "t", "payload": {"n": 1}});
    assert_eq!(body, Some(expected));
    let Call(.., body) = call("send r --topic t hello");
    assert_eq!(body.unwrap()["payload"], "hello");
    let Call(method, path, body) = call("kick r bob");
    assert_eq!(
        (method, path.as_str(), body),
        ("DELETE", "rooms/r/peers/bob", None)
    );
    let Call(method, path, body) = call("migrate r --to wk_0000000000007");
    assert_eq!((method, path.as_str()), ("POST", "rooms/r/migrate"));
    assert_eq!(body, Some(json!({"to": "wk_0000000000007"})));
    let Call(.., body) = call("migrate r");
    assert_eq!(body, Some(json!({})));
    let Call(method, path, body) = call("shard r --to 1");
    assert_eq!((method, path.as_str()), ("POST", "rooms/r/shard"));
    assert_eq!(body, Some(json!({"to": 1})));
    let path = "workers/wk_0000000000007/drain".to_owned();
    assert_eq!(call("drain wk_0000000000007"), Call("POST", path, None));
    let Call(.., body) = call("revoke --sub bob --end");
    let expected = json!({"jti": null, "sub": "bob", "kid": null, "end": true});
    assert_eq!(body, Some(expected));
}

#[test]
fn one_of_three_is_revoked() {
    let parse = |words: &str| Line::try_parse_from(format!("admin {words}").split_whitespace());
    assert!(parse("revoke").is_err());
    assert!(parse("revoke --jti a --kid b").is_err());
    assert!(parse("kick r").is_err());
}

/// A line for each word.
const LINES: &[&str] = &[
    "rooms",
    "room show r",
    "room put r",
    "room patch r {}",
    "room close r",
    "room peer r bob {}",
    "peers r",
    "send r --topic t hello",
    "mute r bob",
    "kick r bob",
    "revoke --jti a",
    "workers",
    "topology",
    "migrate r",
    "shard r",
    "migrations",
    "drain wk_0000000000007",
    "metrics wk_0000000000007",
    "ingests",
    "close-ingest pe_0000000000007",
    "transcoders",
    "bitrate job --kbps 300",
    "quic",
    "egress list",
    "egress show r bob",
    "egress stop r bob",
    "recording list",
    "recording show id",
    "recording start r",
    "recording stop id",
    "recording delete id",
    "events",
    "webhooks",
    "flag list",
    "flag show f",
    "flag set f",
    "flag delete f",
    "config show",
    "config set limits {}",
    "audit list",
];
/// Routes without a word: the description of the others, and what fails parts on purpose.
const WORDLESS: [(&str, &str); 2] = [("get", "/openapi.json"), ("post", "/rooms/{room}/faults")];

fn matches(route: &str, path: &str) -> bool {
    let path = path.split('?').next().unwrap_or_default();
    let (route, path): (Vec<_>, Vec<_>) = (
        route.trim_start_matches('/').split('/').collect(),
        path.split('/').collect(),
    );
    let fits = |(part, word): (&&str, &&str)| part.starts_with('{') || part == word;
    route.len() == path.len() && route.iter().zip(&path).all(fits)
}

#[test]
fn there_is_a_word_for_every_route_and_a_route_for_every_word() {
    let calls: Vec<Call> = LINES.iter().map(|line| call(line)).collect();
    let mut wordless = BTreeSet::new();
    for (method, route) in crate::http::admin_routes() {
        let asked = calls
            .iter()
            .any(|Call(by, path, _)| by.eq_ignore_ascii_case(method) && matches(route, path));
        if !asked {
            wordless.insert((method, route));
        }
    }
    assert_eq!(wordless, BTreeSet::from(WORDLESS));
    for Call(method, path, _) in &calls {
        let mut routes = crate::http::admin_routes();
        let found =
            routes.any(|(by, route)| by.eq_ignore_ascii_case(method) && matches(route, path));
        assert!(found, "{method} {path}");
    }
    let Call(.., body) = call("bitrate job --kbps 300");
    assert_eq!(body, Some(json!({"bitrateKbps": 300})));
}
