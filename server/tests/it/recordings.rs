//! Recordings and packaged streams of two workers on one etcd, as operators and players of either
//! see them: real processes, a real encoder, real files.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use loadtest::Signalling;
use serde_json::{Value, json};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep};

mod onward;
mod parts;
mod playback;

use crate::support::etcd::Etcd;
use crate::support::{self, Server};

/// Never reached where all is well.
const LONG: Duration = Duration::from_secs(30);
/// Of the encoder, each second with a keyframe.
const PICTURES_A_SECOND: u64 = 15;

/// What was answered.
struct Answer {
    status: u16,
    location: String,
    body: Vec<u8>,
}

impl Answer {
    fn text(&self) -> Result<&str> {
        Ok(std::str::from_utf8(&self.body)?)
    }
}

/// Asks once, and follows nothing.
async fn ask(method: &'static str, url: &str, token: &str, body: Value) -> Result<Answer> {
    let (url, token) = (url.to_owned(), token.to_owned());
    let asked = spawn_blocking(move || -> Result<Answer> {
        let request = ureq::http::Request::builder().method(method).uri(url);
        let request = if token.is_empty() {
            request
        } else {
            request.header("authorization", format!("Bearer {token}"))
        };
        let request =
            request
                .header("content-type", "application/json")
                .body(if body.is_null() {
                    String::new()
                } else {
                    body.to_string()
                })?;
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false);
        let mut response = ureq::Agent::from(agent.build()).run(request)?;
        let location = response.headers().get("location");
        let location = location.map(|it| it.to_str().map(str::to_owned));
        Ok(Answer {
            status: response.status().as_u16(),
            location: location.transpose()?.unwrap_or_default(),
            body: response.body_mut().read_to_vec()?,
        })
    });
    asked.await?
}

async fn get(url: &str) -> Result<Answer> {
    ask("GET", url, "", Value::Null).await
}

/// A token of the command line.
fn granted(identity: &str, grant: &str) -> Result<String> {
    let output = Command::new(env!("CARGO_BIN_EXE_troupe"))
        .args(["token", "--dev", "--room", "hall", "--identity", identity])
        .args(["--grant", grant])
        .output()?;
    ensure!(output.status.success(), "no token");
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

/// An encoder in the room `hall` until it is dropped.
struct Encoder(Child);

impl Encoder {
    fn start(port: u16) -> Result<Self> {
        let words = "-nostdin -v error -re -f lavfi -i testsrc2=s=320x180:r=15 -c:v libx264 \
                     -preset ultrafast -tune zerolatency -g 15 -pix_fmt yuv420p -f flv";
        let key = granted("cam", "ingest")?;
        let encoder = Command::new("ffmpeg")
            .args(words.split_whitespace())
            .arg(format!("rtmp://127.0.0.1:{port}/hall/cam?token={key}"))
            .stderr(Stdio::null())
            .spawn()?;
        Ok(Self(encoder))
    }
}

impl Drop for Encoder {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Somebody in a room of a worker.
async fn member(server: &Server, room: &str) -> Result<Signalling> {
    let token = server.token(room, "bob").await?;
    let mut signalling = Signalling::connect(&server.signalling()).await?;
    let params = json!({ "token": token });
    signalling.request("join", params).await?;
    Ok(signalling)
}

/// What a list says of its items.
fn all(page: &Value, field: &str) -> Vec<String> {
    let items = page["items"].as_array().into_iter().flatten();
    let texts = items.filter_map(|it| it[field].as_str().map(str::to_owned));
    texts.collect()
}

/// Asks until it is as wanted.
async fn until(server: &Server, path: &str, wanted: impl Fn(&Value) -> bool) -> Result<Value> {
    let end = Instant::now() + LONG;
    loop {
        let (_, answer) = server.act("GET", path).await?;
        if wanted(&answer) {
            return Ok(answer);
        }
        ensure!(Instant::now() < end, "{path}: {answer}");
        sleep(Duration::from_millis(50)).await;
    }
}

async fn id_of(server: &Server) -> Result<String> {
    let workers = server.get_viewed("workers").await?;
    let items = workers["items"].as_array().context("items")?;
    let own = items.iter().find(|it| it["here"] == true);
    Ok(own.context("itself")?["id"].to_string().replace('"', ""))
}

/// Entries of a worker's audit log that hold this, of what was answered so.
async fn logged(server: &Server, what: &str, status: u16) -> Result<usize> {
    let (_, log) = server.act("GET", "audit?local=true").await?;
    let records = log["records"].as_array().context("records")?;
    let bodies = records.iter().filter_map(|it| it["body"].as_str());
    let status = format!("\"status\":{status}");
    let found = bodies.filter(|body| body.contains(what) && body.contains(&status));
    Ok(found.count())
}

/// Two workers that know each other; the first takes RTMP, and has the room `hall`.
struct Pair {
    _etcd: Etcd,
    one: Server,
    two: Server,
    ids: [String; 2],
    _encoder: Encoder,
}

impl Pair {
    /// With these settings.
    async fn start(more: &[(&str, &str)]) -> Result<Self> {
        let etcd = Etcd::start().await?;
        let port = support::free_port()?;
        let listen = format!("127.0.0.1:{port}");
        // Nobody's lease ends within the test, not that of who is killed either.
        let both = [more, &[("TROUPE_CLUSTER__LEASE_TTL", "60s")]].concat();
        let with_rtmp = [&both[..], &[("TROUPE_RTMP__LISTEN", &listen)]].concat();
        let one = etcd.worker_with(&with_rtmp);
        let (one, two) = tokio::join!(one, etcd.worker_with(&both));
        let (one, two) = (one?, two?);
        let encoder = Encoder::start(port)?;
        // A worker is known to others once it has told how far its log is.
        for server in [&one, &two] {
            until(server, "ingests", |page| all(page, "identity") == ["cam"]).await?;
        }
        let ids = [id_of(&one).await?, id_of(&two).await?];
        Ok(Self {
            _etcd: etcd,
            one,
            two,
            ids,
            _encoder: encoder,
        })
    }

    const fn both(&self) -> [&Server; 2] {
        [&self.one, &self.two]
    }
}

/// The one file of a recording.
fn file_of(server: &Server, recording: &Value) -> Result<PathBuf> {
    let id = recording["id"].as_str().context("an id")?;
    let files = recording["files"].as_array().context("files")?;
    ensure!(files.len() == 1, "{recording}");
    let name = files[0]["name"].as_str().context("a name")?;
    Ok(server.folder().join("data/recordings").join(id).join(name))
}

/// How many pictures of a file can be decoded.
fn pictures(file: &std::path::Path) -> Result<u64> {
    let words = "-v error -count_frames -select_streams v:0 -show_entries stream=nb_read_frames \
                 -of csv=p=0";
    let output = Command::new("ffprobe")
        .args(words.split_whitespace())
        .arg(file)
        .output()?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(complaint.is_empty(), "{}: {complaint}", file.display());
    Ok(String::from_utf8(output.stdout)?.trim().parse()?)
}

/// Begins a recording at one worker; its id.
async fn record(at: &Server, room: &str) -> Result<Value> {
    let token = Server::operator_token()?;
    let url = at.admin_url("/admin/v1/recordings");
    let begun = ask("POST", &url, &token, json!({ "room": room })).await?;
    assert_eq!(begun.status, 201, "{}", begun.text()?);
    let view: Value = serde_json::from_slice(&begun.body)?;
    let id = view["id"].as_str().context("an id")?;
    assert_eq!(begun.location, format!("/admin/v1/recordings/{id}"));
    Ok(view)
}

/// Recordings that each of two workers began at the other, as both see them.
async fn seen_by_both(pair: &Pair, hall: &Value, attic: &Value) -> Result<()> {
    assert_eq!(
        [&hall["worker"], &attic["worker"]],
        [&pair.ids[0], &pair.ids[1]]
    );
    let ids = [hall, attic].map(|it| it["id"].as_str().unwrap_or_default());
    for server in pair.both() {
        let list = server.get_viewed("recordings").await?;
        assert_eq!(all(&list, "id"), ids, "in the order in which they began");
        assert_eq!(all(&list, "worker"), pair.ids);
        assert_eq!(list["missing"], json!([]));
        let page = server.get_viewed("recordings?limit=1").await?;
        assert_eq!(
            (all(&page, "id"), &page["cursor"]),
            (vec![ids[0].to_owned()], &json!(ids[0]))
        );
        let rest = format!("recordings?limit=1&cursor={}", ids[0]);
        assert_eq!(all(&server.get_viewed(&rest).await?, "id"), [ids[1]]);
        for (id, worker) in ids.iter().zip(&pair.ids) {
            let one = server.get_viewed(&format!("recordings/{id}")).await?;
            assert_eq!((&one["id"], &one["worker"]), (&json!(id), &json!(worker)));
        }
        let (status, _) = server.act("GET", "recordings/nobody").await?;
        assert_eq!(status, 404, "unknown to both");
    }
    for (server, id) in pair.both().into_iter().zip(ids) {
        let own = server.get_viewed("recordings?local=true").await?;
        assert_eq!(all(&own, "id"), [id]);
    }
    Ok(())
}

/// Ends and deletes the recording of the first worker by the second.
async fn ended_from_afar(pair: &Pair, id: &str) -> Result<()> {
    let (status, _) = pair
        .two
        .act("POST", &format!("recordings/{id}/stop"))
        .await?;
    assert_eq!(status, 200);
    let path = format!("recordings/{id}");
    let done = until(&pair.two, &path, |it| it["state"] == "done").await?;
    let file = file_of(&pair.one, &done)?;
    ensure!(!file_of(&pair.two, &done)?.exists(), "on one disk alone");
    let length = done["files"][0]["durationMs"]
        .as_u64()
        .context("a length")?;
    let (count, due) = (pictures(&file)?, (length * PICTURES_A_SECOND + 500) / 1_000);
    println!("a recording of {length} ms has {count} pictures");
    ensure!(
        count >= PICTURES_A_SECOND && count.abs_diff(due) <= 1,
        "{count} of {due}"
    );
    let url = pair.two.admin_url(&format!("/admin/v1/{path}"));
    let refused = ask("DELETE", &url, &Server::operator_token()?, Value::Null).await?;
    assert_eq!(
        refused.status, 403,
        "the worker that has it judges the role"
    );
    assert_eq!(pair.two.act("DELETE", &path).await?.0, 204);
    ensure!(!file.exists(), "its files are gone");
    assert_eq!(pair.one.act("GET", &path).await?.0, 404);
    // Written down where it was done, once; what was refused, too.
    for (what, status) in [
        ("recordings\"", 201),
        ("/stop\"", 200),
        (id, 403),
        (id, 204),
    ] {
        assert_eq!(logged(&pair.one, what, status).await?, 1, "{what}");
        assert_eq!(logged(&pair.two, id, status).await?, 0, "{what}");
    }
    Ok(())
}

#[tokio::test]
async fn either_worker_answers_for_recordings_and_streams_of_both() -> Result<()> {
    let mut pair = Pair::start(&[]).await?;
    let _bob = member(&pair.two, "attic").await?;
    let (hall, began) = (record(&pair.two, "hall").await?, Instant::now());
    let attic = record(&pair.one, "attic").await?;
    let nobody = r#"{"room": "cellar"}"#;
    for server in pair.both() {
        assert_eq!(server.act_with("POST", "recordings", nobody).await?.0, 404);
        assert_eq!(server.act_with("POST", "recordings", "{}").await?.0, 400);
    }
    seen_by_both(&pair, &hall, &attic).await?;
    playback::played_by_either(&pair).await?;
    playback::packaging_ends_from_afar(&pair).await?;
    // Long enough for pictures after the second that a recorder waits for sound.
    sleep((Duration::from_secs(4)).saturating_sub(began.elapsed())).await;
    ended_from_afar(&pair, hall["id"].as_str().context("an id")?).await?;

    // `kill -9` of one: what the other has is listed, and nobody says that the rest is not there.
    let lost = record(&pair.two, "hall").await?["id"].clone();
    let lost = format!("recordings/{}", lost.as_str().context("an id")?);
    pair.one.kill()?;
    let (_, list) = pair.two.act("GET", "recordings").await?;
    assert_eq!(all(&list, "id"), [attic["id"].as_str().context("an id")?]);
    assert_eq!(list["missing"], json!([pair.ids[0]]));
    for (method, path) in [
        ("GET", lost.clone()),
        ("POST", format!("{lost}/stop")),
        ("DELETE", lost),
    ] {
        let (status, problem) = pair.two.act(method, &path).await?;
        assert_eq!(status, 503, "{problem}");
        let detail = problem["detail"].as_str().context("a detail")?;
        ensure!(detail.contains(&pair.ids[0]), "{detail}");
    }
    Ok(())
}
