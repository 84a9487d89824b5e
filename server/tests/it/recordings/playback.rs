//! Players that a load balancer sends to either worker.

use anyhow::{Context, Result, ensure};
use media_types::Clock;
use serde_json::{Value, json};
use signaling::Secret;
use troupe_server::auth::{PlaySigner, SignedQuery};
use troupe_server::clock::SystemClock;
use troupe_server::config::{ApiKey, AuthConfig, DEV_KEY, DEV_SECRET, KeyAlgorithm};

use super::{Answer, Pair, ask, get, granted};
use crate::support::Server;

/// The last address of a playlist that holds this.
fn last<'a>(playlist: &'a str, what: &str) -> Result<&'a str> {
    let mut lines = playlist.lines().rev().filter(|line| !line.starts_with('#'));
    lines.find(|line| line.contains(what)).context("an address")
}

/// The query of a URL that a key of both workers has signed.
fn signed(path: &str) -> Result<String> {
    let signer = PlaySigner::new(&AuthConfig {
        keys: vec![ApiKey {
            name: DEV_KEY.to_owned(),
            algorithm: KeyAlgorithm::Hs256,
            secret: Some(Secret::new(DEV_SECRET)),
            public_key: None,
        }],
        ..AuthConfig::default()
    });
    let query = SignedQuery {
        exp: SystemClock.unix().as_secs(),
        kid: DEV_KEY.to_owned(),
        nonce: "1".to_owned(),
        sig: String::new(),
        prefix: None,
    };
    let sig = signer.sign("GET", path, &query).context("the key")?;
    Ok(format!(
        "?exp={}&kid={DEV_KEY}&nonce=1&sig={sig}",
        query.exp
    ))
}

fn live(server: &Server, file: &str) -> String {
    server.url(&format!("/live/hall/{file}"))
}

/// A player that one worker served goes on by the load balancer, which may choose the other one.
pub(crate) async fn goes_on((one, two): (&Server, &Server), index: &Answer) -> Result<()> {
    let media = last(index.text()?, "video.m3u8")?.to_owned();
    let sent = get(&live(two, &format!("cam/{media}"))).await?;
    assert_eq!(
        (sent.status, sent.location.as_str()),
        (307, live(one, &format!("cam/{media}")).as_str())
    );
    let media = get(&sent.location).await?;
    let segment = last(media.text()?, ".m4s")?;
    let init = media
        .text()?
        .split('"')
        .find(|it| it.starts_with("video_init"));
    for address in [segment, init.context("an initialisation segment")?] {
        let [here, there] = [one, two].map(|server| live(server, &format!("cam/{address}")));
        let sent = get(&there).await?;
        assert_eq!((sent.status, &sent.location), (307, &here));
        let whole = get(&here).await?;
        ensure!(whole.status == 200 && whole.body.len() > 100, "{address}");
    }
    Ok(())
}

/// Whoever is sent to the second worker plays at the first.
pub(crate) async fn played_by_either(pair: &Pair) -> Result<()> {
    let token = granted("viewer", "play")?;
    for file in ["cam/index.m3u8", "cam/manifest.mpd", "cam.flv", "cam.mp4"] {
        let sent = ask("GET", &live(&pair.two, file), &token, Value::Null).await?;
        let there = format!("{}?session=", live(&pair.one, file));
        ensure!(
            sent.status == 307 && sent.location.starts_with(&there),
            "{file}"
        );
    }
    let url = live(
        &pair.two,
        &format!("cam/index.m3u8?access_token={token}&_HLS_skip=YES"),
    );
    let sent = get(&url).await?;
    ensure!(!sent.location.contains(&token) && sent.location.ends_with("&_HLS_skip=YES"));
    let index = get(&sent.location).await?;
    assert_eq!(index.status, 200, "its session lets in: {}", index.text()?);
    let query = signed("/live/hall/cam/index.m3u8")?;
    let sent = get(&live(&pair.two, &format!("cam/index.m3u8{query}"))).await?;
    ensure!(sent.status == 307 && !sent.location.contains("sig="));
    let here = live(&pair.one, &format!("cam/index.m3u8{query}"));
    for url in [&sent.location, &here] {
        assert_eq!(get(url).await?.status, 200, "{url}");
    }
    goes_on((&pair.one, &pair.two), &index).await?;
    let (_, own) = pair.two.act("GET", "egress?local=true").await?;
    assert_eq!(
        own["items"],
        json!([]),
        "nothing is packaged where the room is not"
    );
    let nobody = ask(
        "GET",
        &live(&pair.two, "eve/index.m3u8"),
        &token,
        Value::Null,
    )
    .await?;
    assert_eq!(get(&nobody.location).await?.status, 404);
    let stranger = get(&live(&pair.two, "cam/index.m3u8")).await?;
    assert_eq!(stranger.status, 401);
    Ok(())
}

/// The second worker shows and ends what the first packages.
pub(crate) async fn packaging_ends_from_afar(pair: &Pair) -> Result<()> {
    for server in pair.both() {
        let stream = server.get_viewed("egress/hall/cam").await?;
        assert_eq!(
            (&stream["id"], &stream["worker"]),
            (&json!("hall/cam"), &json!(pair.ids[0]))
        );
    }
    assert_eq!(pair.two.act("DELETE", "egress/hall/cam").await?.0, 204);
    for server in pair.both() {
        assert_eq!(server.act("DELETE", "egress/hall/cam").await?.0, 404);
    }
    Ok(())
}
