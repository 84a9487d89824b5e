//! What workers tell of rooms that move by themselves.

use std::io::{BufRead, BufReader};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};

use super::LONG;
use crate::support::Server;

/// The stream of events of all workers, as one of them gives it.
pub(crate) struct News(mpsc::UnboundedReceiver<Value>);

impl News {
    /// All there are and will be of `room.moving`.
    pub(crate) fn of(server: &Server) -> Result<Self> {
        let url = server.admin_url("/admin/v1/events?after=1");
        let bearer = format!("Bearer {}", Server::operator_token()?);
        let request = ureq::get(&url).header("authorization", &bearer);
        let request = request.header("accept", "text/event-stream");
        let mut body = request.call()?.into_body();
        let (told, news) = mpsc::unbounded_channel();
        // The thread ends with the worker, whose stream ends then.
        std::thread::spawn(move || {
            let lines = BufReader::new(body.as_reader()).lines();
            for line in lines.map_while(Result::ok) {
                let data = line
                    .strip_prefix("data:")
                    .map(serde_json::from_str::<Value>);
                let Some(Ok(event)) = data else {
                    continue;
                };
                if event["type"] == "room.moving" && told.send(event).is_err() {
                    return;
                }
            }
        });
        Ok(Self(news))
    }

    /// The next one.
    pub(crate) async fn next(&mut self) -> Result<Value> {
        let next = timeout(LONG, self.0.recv()).await;
        next.context("no room moves")?
            .context("the stream has ended")
    }

    /// How many more have come.
    pub(crate) fn more(&self) -> usize {
        self.0.len()
    }
}

/// Whether a room moves for that cause from a worker to another, by their ids.
pub(crate) fn says(event: &Value, room: &str, cause: &str, from: &str, to: &str) -> bool {
    let data = &event["data"];
    (&event["room"], &event["worker"]) == (&room.into(), &from.into())
        && (&data["cause"], &data["to"]) == (&cause.into(), &to.into())
}

/// A worker's id, once its record is in the store.
pub(crate) async fn id(server: &Server) -> Result<String> {
    let end = Instant::now() + LONG;
    loop {
        let workers = server.get_viewed("workers").await?;
        let items = workers["items"].as_array().context("workers")?;
        if let Some(own) = items.iter().find(|it| it["here"] == true) {
            return Ok(own["id"].as_str().context("an id")?.to_owned());
        }
        ensure!(Instant::now() < end, "not listed: {workers}");
        sleep(Duration::from_millis(50)).await;
    }
}
