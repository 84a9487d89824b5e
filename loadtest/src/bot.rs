//! A member of a room: signalling and media together.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use str0m::media::MediaKind;

use crate::{Media, Plan, Received, Signalling};

/// How long ICE and DTLS may take on a healthy path.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(10);

/// One member of a room.
pub struct Bot {
    /// Its signalling connection, for requests of the test's own.
    pub signalling: Signalling,
    /// What `join` returned.
    pub joined: Value,
    media: Option<Media>,
}

impl Bot {
    /// Connects and joins.
    ///
    /// # Errors
    /// When the server is away or refuses.
    pub async fn join(url: &str, token: &str) -> Result<Self> {
        Self::enter(url, json!({ "token": token })).await
    }

    /// Connects and goes on with a session, by its resume token or by a `migrate`'s.
    ///
    /// # Errors
    /// As [`Self::join`].
    pub async fn resume(url: &str, token: &str) -> Result<Self> {
        Self::enter(url, json!({ "resume": token })).await
    }

    async fn enter(url: &str, params: Value) -> Result<Self> {
        let mut signalling = Signalling::connect(url).await?;
        let joined = signalling.request("join", params).await?;
        Ok(Self {
            signalling,
            joined,
            media: None,
        })
    }

    /// Offers media by the plan and waits until it is connected.
    ///
    /// # Errors
    /// When the offer is refused or ICE and DTLS do not come through.
    pub async fn open_media(&mut self, plan: Plan) -> Result<()> {
        let (mut media, sdp, pending) = Media::offer(plan).await?;
        let source = |kind| match kind {
            MediaKind::Audio => "microphone",
            MediaKind::Video => "camera",
        };
        let tracks: Vec<Value> = media
            .published()
            .map(|(mid, kind)| json!({ "mid": mid, "source": source(kind) }))
            .collect();
        let offer = json!({ "sdp": sdp, "tracks": tracks });
        let answer = self.signalling.request("offer", offer).await?;
        media.answer(pending, answer["sdp"].as_str().context("an answer")?)?;
        media
            .run_until(CONNECT_TIME_MAX, Media::is_connected)
            .await?;
        self.media = Some(media);
        Ok(())
    }

    /// Its media connection.
    ///
    /// # Errors
    /// Before [`Self::open_media`].
    pub fn media(&mut self) -> Result<&mut Media> {
        self.media.as_mut().context("no media yet")
    }

    /// Sends and receives media for that long; signalling waits meanwhile.
    ///
    /// # Errors
    /// When the media connection breaks.
    pub async fn run_for(&mut self, time: Duration) -> Result<()> {
        self.media()?.run_for(time).await
    }

    /// What its slots got so far.
    #[must_use]
    pub fn received(&self) -> BTreeMap<String, Received> {
        self.media
            .as_ref()
            .map(|media| media.received().clone())
            .unwrap_or_default()
    }

    /// Leaves and closes.
    ///
    /// # Errors
    /// When the connection is already gone.
    pub async fn leave(mut self) -> Result<()> {
        self.signalling.request("leave", json!({})).await?;
        self.signalling.close().await
    }
}
