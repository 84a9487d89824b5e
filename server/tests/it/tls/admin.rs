//! Admin listeners that speak HTTPS: to operators, to each other, and to the command line.

use std::process::{Command, Output};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use reqwest::{Client, Method};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::authority::{Authority, Issued};
use super::shown;
use crate::support::etcd::Etcd;
use crate::support::{Server, get};

const PATIENCE: Duration = Duration::from_secs(20);

/// A worker whose admin listener speaks HTTPS, and a client that believes its authority.
struct Worker {
    server: Server,
    client: Client,
    issued: Issued,
}

impl Worker {
    /// Starts one; it trusts `ca` to vouch for others.
    fn launch(etcd: &Etcd, authority: &Authority, name: &str, ca: Option<&str>) -> Result<Self> {
        let issued = authority.issue(name)?;
        let endpoints = etcd.endpoints();
        let mut settings = vec![
            ("TROUPE_CLUSTER__STORE", "etcd"),
            ("TROUPE_CLUSTER__ETCD__ENDPOINTS", &*endpoints),
            ("TROUPE_ADMIN__TLS_CERTIFICATE", &issued.certificate),
            ("TROUPE_ADMIN__TLS_KEY", &issued.key),
        ];
        settings.extend(ca.map(|ca| ("TROUPE_ADMIN__TLS_CA", ca)));
        let server = Server::launch(&settings)?;
        let client = Client::builder().tls_certs_only([authority.trusted()?]);
        Ok(Self {
            server,
            client: client.build()?,
            issued,
        })
    }

    fn url(&self, path: &str) -> String {
        self.server.admin_url(path).replacen("http:", "https:", 1)
    }

    async fn page(&self, path: &str) -> Result<String> {
        let answer = self.client.get(self.url(path)).send().await?;
        Ok(answer.error_for_status()?.text().await?)
    }

    async fn ready(&self) -> Result<()> {
        let end = Instant::now() + PATIENCE;
        while self.page("/readyz").await.is_err() {
            ensure!(Instant::now() < end, "the worker is not ready");
            sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    /// Asks its admin API, and has it done.
    async fn act(&self, method: Method, path: &str) -> Result<Value> {
        let asked = self
            .client
            .request(method, self.url(&format!("/admin/v1/{path}")));
        let asked = asked.header("content-type", "application/json").body("{}");
        let answer = asked.bearer_auth(Server::operator_token()?).send().await?;
        Ok(serde_json::from_str(
            &answer.error_for_status()?.text().await?,
        )?)
    }

    /// Its id, once it knows where the admin listeners of so many workers are.
    async fn id(&self, workers: usize) -> Result<String> {
        let end = Instant::now() + PATIENCE;
        loop {
            let listed = self.act(Method::GET, "workers").await?;
            let items = listed["items"].as_array().context("items")?;
            let known = items.iter().filter(|it| it["admin"].is_string());
            if known.count() == workers {
                let own = items.iter().find(|it| it["here"] == true);
                let own = own.context("itself")?;
                assert_eq!(own["admin"], self.url(""));
                return Ok(own["id"].as_str().context("an id")?.to_owned());
            }
            ensure!(Instant::now() < end, "not all are there: {listed}");
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// The rooms of all workers, as this one answers, and the workers that did not answer it.
    async fn rooms(&self) -> Result<(Vec<String>, Vec<String>)> {
        let listed = self.act(Method::GET, "rooms").await?;
        let texts = |list: &Value, field: Option<&str>| {
            let items = list.as_array().into_iter().flatten();
            let item = |it: &Value| {
                let text = field.map_or(it, |field| &it[field]);
                text.as_str().map(str::to_owned)
            };
            items.map(item).collect::<Option<Vec<String>>>()
        };
        let rooms = texts(&listed["items"], Some("name")).context("names")?;
        let mut missing = texts(&listed["missing"], None).context("ids")?;
        missing.sort();
        Ok((rooms, missing))
    }
}

#[tokio::test]
async fn workers_ask_each_other_by_https() -> Result<()> {
    let (etcd, authority) = (Etcd::start().await?, Authority::new()?);
    let ca = authority.file();
    let one = Worker::launch(&etcd, &authority, "one", Some(&ca))?;
    let two = Worker::launch(&etcd, &authority, "two", Some(&ca))?;
    // It believes whom the machine believes, which is not this authority.
    let wary = Worker::launch(&etcd, &authority, "wary", None)?;
    for worker in [&one, &two, &wary] {
        worker.ready().await?;
    }
    assert_eq!(one.page("/healthz").await?, "ok\n");
    let plain = get(one.server.admin_url("/healthz")).await;
    ensure!(plain.is_err(), "plain HTTP is answered");

    two.act(Method::PUT, "rooms/hall").await?;
    let mut unseen = vec![one.id(3).await?, two.id(3).await?];
    wary.id(3).await?;
    unseen.sort();
    let hall = vec!["hall".to_owned()];
    assert_eq!(one.rooms().await?, (hall.clone(), Vec::new()));
    assert_eq!(wary.rooms().await?, (Vec::new(), unseen));

    let renewed = authority.issue("two")?.shown;
    assert_ne!(renewed, two.issued.shown);
    two.server.signal("HUP")?;
    let end = Instant::now() + PATIENCE;
    while shown(&two.url("")).await?.0 != renewed {
        ensure!(Instant::now() < end, "the new certificate is not shown");
        sleep(Duration::from_millis(100)).await;
    }
    let figures = two.page("/metrics").await?;
    let taken = "troupe_http_certificate_reloads_total{listener=\"admin\",outcome=\"taken\"} ";
    ensure!(figures.contains(taken), "{figures}");
    assert_eq!(one.rooms().await?, (hall, Vec::new()));
    Ok(())
}

/// `troupe admin --dev`, with these words and settings.
fn admin(words: &[&str], settings: &[(&str, &str)]) -> Result<(Option<i32>, String)> {
    let done = Command::new(env!("CARGO_BIN_EXE_troupe"))
        .args(["admin", "--dev"])
        .args(words)
        .envs(settings.iter().copied())
        .output()?;
    let Output { stdout, stderr, .. } = done;
    Ok((
        done.status.code(),
        String::from_utf8([stdout, stderr].concat())?,
    ))
}

#[tokio::test]
async fn the_command_line_believes_the_authority_that_is_named() -> Result<()> {
    let (etcd, authority) = (Etcd::start().await?, Authority::new()?);
    let ca = authority.file();
    let worker = Worker::launch(&etcd, &authority, "one", Some(&ca))?;
    worker.ready().await?;
    let id = worker.id(1).await?;
    let url = worker.url("");
    let listed = |(code, text): (Option<i32>, String)| -> Result<Value> {
        assert_eq!(code, Some(0), "{text}");
        Ok(serde_json::from_str::<Value>(&text)?["items"][0]["id"].take())
    };
    let named = ["--url", &url, "--ca", &ca, "workers"];
    assert_eq!(listed(admin(&named, &[])?)?, json!(id));
    // The same settings as the worker's.
    let settings = [
        ("TROUPE_ADMIN__LISTEN", url.trim_start_matches("https://")),
        ("TROUPE_ADMIN__TLS_CERTIFICATE", &*worker.issued.certificate),
        ("TROUPE_ADMIN__TLS_KEY", &*worker.issued.key),
        ("TROUPE_ADMIN__TLS_CA", &*ca),
    ];
    assert_eq!(listed(admin(&["workers"], &settings)?)?, json!(id));

    let (code, told) = admin(&["--url", &url, "workers"], &[])?;
    assert_eq!(code, Some(1));
    let expected = "invalid peer certificate: UnknownIssuer (--ca or admin.tls_ca names the \
                    authority of its certificate)\n";
    ensure!(told.ends_with(expected), "{told}");
    let (code, told) = admin(&["--url", &url, "--ca", "/nowhere/ca.pem", "workers"], &[])?;
    assert_eq!(code, Some(78));
    ensure!(
        told.starts_with("troupe: --ca: /nowhere/ca.pem cannot be used: "),
        "{told}"
    );
    Ok(())
}
