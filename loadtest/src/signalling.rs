//! The client end of the signalling protocol: JSON-RPC 2.0 over a WebSocket.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use futures_util::{SinkExt, StreamExt};
use rustls::ClientConfig;
use serde_json::{Value, json};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;

use crate::websocket::{self, Socket, Trust};

/// How long an answer may take before it counts as missing.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(20);
/// Notifications kept for a later look; older ones are forgotten.
const NOTIFICATIONS_MAX: usize = 1_024;

/// What the server answered instead of a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestError {
    /// The JSON-RPC code.
    pub code: i64,
    /// The stable word in `data.type`, if any.
    pub kind: String,
    /// Where to go instead, where it says so.
    pub url: Option<String>,
    /// The text.
    pub message: String,
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.code, self.kind, self.message)
    }
}

impl std::error::Error for RequestError {}

/// One signalling connection.
pub struct Signalling {
    socket: Socket,
    next_id: u64,
    notifications: VecDeque<Value>,
}

impl Signalling {
    /// Connects with the subprotocol `troupe.v1` and believes any certificate.
    ///
    /// # Errors
    /// When the TCP or WebSocket handshake fails.
    pub async fn connect(url: &str) -> Result<Self> {
        Self::connect_with(url, &Trust::All.client()?).await
    }

    /// Connects to a `ws://` or `wss://` URL with the subprotocol `troupe.v1`.
    ///
    /// # Errors
    /// As [`Self::connect`].
    pub async fn connect_with(url: &str, tls: &Arc<ClientConfig>) -> Result<Self> {
        let socket = websocket::connect(url, "troupe.v1", tls).await?;
        Ok(Self {
            socket,
            next_id: 1,
            notifications: VecDeque::new(),
        })
    }

    /// Sends a request and waits for its answer; notifications that come first are kept.
    ///
    /// # Errors
    /// [`RequestError`] when the server answers with an error, otherwise what broke.
    pub async fn request(&mut self, method: &str, params: Value) -> Result<Value> {
        let id = self.next_id;
        self.next_id += 1;
        let request = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
        self.send_text(request.to_string()).await?;
        loop {
            let mut message = self.receive().await.with_context(|| method.to_owned())?;
            if message["id"] != json!(id) {
                self.keep(message);
                continue;
            }
            if let Some(error) = message.get("error") {
                return Err(anyhow!(request_error(error)));
            }
            return Ok(message["result"].take());
        }
    }

    /// Sends any text frame.
    ///
    /// # Errors
    /// When the socket is gone.
    pub async fn send_text(&mut self, text: String) -> Result<()> {
        Ok(self.socket.send(Message::text(text)).await?)
    }

    /// The next message of any kind, straight from the socket.
    ///
    /// # Errors
    /// When the socket closes, or nothing comes in time.
    pub async fn receive(&mut self) -> Result<Value> {
        let next = timeout(ANSWER_TIME_MAX, self.listen());
        next.await.context("an answer")?
    }

    /// The next message of any kind, however long that takes.
    ///
    /// # Errors
    /// When the socket closes.
    pub async fn listen(&mut self) -> Result<Value> {
        loop {
            match self.socket.next().await {
                Some(Ok(Message::Text(text))) => return Ok(serde_json::from_str(&text)?),
                Some(Ok(Message::Close(frame))) => bail!("closed: {frame:?}"),
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error.into()),
                None => bail!("closed without a word"),
            }
        }
    }

    /// The next notification of that name, kept or still to come; its `params`.
    ///
    /// # Errors
    /// As [`Self::receive`].
    pub async fn notification(&mut self, method: &str) -> Result<Value> {
        let named = |message: &Value| message["method"] == method;
        if let Some(found) = self.notifications.iter().position(named) {
            let mut message = self.notifications.remove(found).unwrap_or_default();
            return Ok(message["params"].take());
        }
        loop {
            let mut message = self.receive().await.with_context(|| method.to_owned())?;
            if named(&message) {
                return Ok(message["params"].take());
            }
            self.keep(message);
        }
    }

    /// Every notification of that name that has come so far; their `params`.
    #[must_use]
    pub fn kept(&self, method: &str) -> Vec<Value> {
        let named = self
            .notifications
            .iter()
            .filter(|message| message["method"] == method);
        named.map(|message| message["params"].clone()).collect()
    }

    /// Takes out every notification that has come so far, whole.
    pub fn take_kept(&mut self) -> Vec<Value> {
        std::mem::take(&mut self.notifications).into()
    }

    /// Waits for the server to close; the close code, if it gave one.
    ///
    /// # Errors
    /// When it does not within the time for an answer.
    pub async fn closed(&mut self) -> Result<Option<u16>> {
        loop {
            match timeout(ANSWER_TIME_MAX, self.socket.next())
                .await
                .context("a close")?
            {
                Some(Ok(Message::Close(frame))) => return Ok(frame.map(|f| f.code.into())),
                Some(Ok(Message::Text(text))) => self.keep(serde_json::from_str(&text)?),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Ok(None),
            }
        }
    }

    /// Closes properly.
    ///
    /// # Errors
    /// When the socket is already gone.
    pub async fn close(mut self) -> Result<()> {
        Ok(self.socket.close(None).await?)
    }

    fn keep(&mut self, message: Value) {
        if self.notifications.len() == NOTIFICATIONS_MAX {
            self.notifications.pop_front();
        }
        self.notifications.push_back(message);
    }
}

fn request_error(error: &Value) -> RequestError {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    RequestError {
        code: error["code"].as_i64().unwrap_or_default(),
        kind: text(&error["data"]["type"]),
        url: error["data"]["url"].as_str().map(str::to_owned),
        message: text(&error["message"]),
    }
}
