//! What workers tell of rooms that move by themselves.

use std::io::{BufRead, BufReader};

use anyhow::{Context, Result};
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::LONG;
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
