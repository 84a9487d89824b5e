//! What a run does, as a TOML file; docs/loadtest.md has every key.

mod check;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use media_types::Codec;
use serde::{Deserialize, Serialize};

use crate::light::{Behaviour, ClientPlan};
use crate::pattern::record::recorded;
use crate::pattern::{Pattern, Shape};

pub use check::ScenarioError;

/// How members reach the server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Via {
    /// Troupe's WebSocket.
    #[default]
    Signalling,
    /// Publishers by WHIP, subscribers by WHEP: any server that has them.
    Whip,
    /// The `VideoRoom` of Janus.
    Janus,
}

/// Where the payloads come from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// Sizes of a real encoder, filler inside, and stamps of the time of sending.
    #[default]
    BuiltIn,
    /// The bytes of real encoders, made with ffmpeg where they are not there yet.
    Recorded,
}

/// Who comes and goes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Who {
    /// Those who publish.
    Publishers,
    /// Those who only watch.
    #[default]
    Subscribers,
    /// Everybody.
    All,
}

/// One layer of a camera.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Layer {
    /// Pixels across.
    pub width: u16,
    /// Pixels down.
    pub height: u16,
    /// Kilobits a second.
    pub kbps: u32,
}

/// Those of a room who publish.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Publishers {
    /// How many, of each room.
    pub count: u32,
    /// Whether they have a microphone.
    pub audio: bool,
    /// Its rate in kilobits a second.
    pub audio_kbps: u32,
    /// What their cameras are encoded with: `vp8`, `vp9`, `h264`, `av1`, or `none`.
    pub video: String,
    /// Pictures a second.
    pub fps: u16,
    /// The camera's layers, lowest first; one: no simulcast. With `vp9` they are spatial layers of
    /// one stream.
    pub layers: Vec<Layer>,
    /// Where the payloads come from.
    pub pattern: Source,
    /// Sounds of others that they play.
    pub audio_slots: usize,
    /// Pictures of others that they show.
    pub video_slots: usize,
    /// Whether they stop sending layers that nobody watches, as the server asks.
    pub obey_layers: bool,
}

impl Default for Publishers {
    fn default() -> Self {
        Self {
            count: 0,
            audio: true,
            audio_kbps: 32,
            video: "vp8".to_owned(),
            fps: 30,
            layers: vec![Layer {
                width: 1_280,
                height: 720,
                kbps: 1_500,
            }],
            pattern: Source::BuiltIn,
            audio_slots: 0,
            video_slots: 0,
            obey_layers: true,
        }
    }
}

/// Those of a room who only watch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Subscribers {
    /// How many, of each room.
    pub count: u32,
    /// Sounds that they play at one time.
    pub audio_slots: usize,
    /// Pictures that they show at one time.
    pub video_slots: usize,
}

impl Default for Subscribers {
    fn default() -> Self {
        Self {
            count: 0,
            audio_slots: 1,
            video_slots: 1,
        }
    }
}

/// How clients behave as receivers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Receive {
    /// Milliseconds between two transport-wide feedbacks.
    pub feedback_ms: u64,
    /// Milliseconds between two receiver reports.
    pub report_ms: u64,
    /// Whether lost packets of pictures are asked for again.
    pub nack: bool,
    /// Beside frame starts, one packet of so many is decrypted.
    pub open_every: u32,
}

impl Default for Receive {
    fn default() -> Self {
        Self {
            feedback_ms: 50,
            report_ms: 1_000,
            nack: true,
            open_every: 50,
        }
    }
}

/// Members who leave and come back as others.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Churn {
    /// Seconds that one stays: at least, at most.
    pub stay_s: [f64; 2],
    /// Seconds until another takes the place.
    #[serde(default)]
    pub rest_s: f64,
    /// Who does so.
    #[serde(default)]
    pub who: Who,
}

/// Messages of members to their room.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Talk {
    /// Messages a second of each member.
    pub rate: f64,
    /// Bytes of each.
    pub bytes: usize,
}

/// What has to hold; what is absent may be anything.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Expect {
    /// Members that failed, at most.
    pub failed_max: Option<u64>,
    /// Packets that never came, at most.
    pub lost_max: Option<u64>,
    /// The same as a share of all.
    pub loss_max: Option<f64>,
    /// Every member with slots has seen a keyframe, where there is video.
    pub keyframes: bool,
    /// Milliseconds from the first word to the answer to `join`, of 99 %.
    pub join_p99_ms: Option<f64>,
    /// Milliseconds from the first word to the first packet, of 99 %.
    pub first_media_p99_ms: Option<f64>,
    /// Milliseconds from the first word to the first keyframe, of 99 %.
    pub first_keyframe_p99_ms: Option<f64>,
    /// Milliseconds that packets took, of 99 %.
    pub latency_p99_ms: Option<f64>,
    /// The server's processors in use while all are there.
    pub server_cores_max: Option<f64>,
    /// Kilobytes (1,000) that the server grew by for each member.
    pub server_kb_each_max: Option<f64>,
    /// How much more memory the server may have at the end than after a quarter of the time, as a
    /// share.
    pub server_growth_max: Option<f64>,
    /// How many more of its seconds are late in the second half than in the first, warm-up apart,
    /// as a share; a second is late where one packet of a hundred took more than 50 ms.
    pub late_growth_max: Option<f64>,
    /// Chat and data messages all came.
    pub messages: bool,
}

/// A whole run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// Names rooms and reports.
    pub name: String,
    /// What it is for.
    #[serde(default)]
    pub about: String,
    /// How members reach the server.
    #[serde(default)]
    pub via: Via,
    /// How many rooms.
    #[serde(default = "one")]
    pub rooms: u32,
    /// Members who come each second.
    #[serde(default = "fifty")]
    pub join_rate: f64,
    /// Seconds between the last publisher's and the first subscriber's coming.
    #[serde(default = "two")]
    pub settle_s: f64,
    /// Seconds that all stay when the last has come.
    #[serde(default = "ten")]
    pub duration_s: f64,
    /// Those who publish.
    #[serde(default)]
    pub publishers: Publishers,
    /// Those who only watch.
    #[serde(default)]
    pub subscribers: Subscribers,
    /// How all receive.
    #[serde(default)]
    pub receive: Receive,
    /// Coming and going.
    pub churn: Option<Churn>,
    /// Chat messages.
    pub chat: Option<Talk>,
    /// Data messages.
    pub data: Option<Talk>,
    /// What has to hold.
    #[serde(default)]
    pub expect: Expect,
}

const fn one() -> u32 {
    1
}
const fn fifty() -> f64 {
    50.0
}
const fn two() -> f64 {
    2.0
}
const fn ten() -> f64 {
    10.0
}

impl Scenario {
    /// Reads a file.
    ///
    /// # Errors
    /// [`ScenarioError`] names file, line and key.
    pub fn load(path: &Path) -> Result<Self, ScenarioError> {
        let file = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|source| ScenarioError::File {
            file: file.clone(),
            source,
        })?;
        Self::parse(&file, &text)
    }

    /// Reads the text of a file of that name.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn parse(file: &str, text: &str) -> Result<Self, ScenarioError> {
        check::parse(file, text)
    }

    /// Members of all rooms at one time.
    #[must_use]
    pub fn members(&self) -> u64 {
        u64::from(self.rooms) * u64::from(self.publishers.count + self.subscribers.count)
    }

    /// Whether there is media at all.
    #[must_use]
    pub fn has_video(&self) -> bool {
        self.publishers.count > 0 && self.codec().is_some()
    }

    /// What cameras are encoded with.
    #[must_use]
    pub fn codec(&self) -> Option<Codec> {
        match self.publishers.video.as_str() {
            "vp8" => Some(Codec::Vp8),
            "h264" => Some(Codec::H264),
            "vp9" => Some(Codec::Vp9),
            "av1" => Some(Codec::Av1),
            _ => None,
        }
    }

    /// How light clients behave.
    #[must_use]
    pub fn behaviour(&self) -> Behaviour {
        use std::time::Duration;
        Behaviour {
            feedback: Duration::from_millis(self.receive.feedback_ms),
            report: Duration::from_millis(self.receive.report_ms),
            nack: self.receive.nack,
            open_every: self.receive.open_every,
        }
    }

    /// What publishers and subscribers send and receive. Recordings are looked for in `folder`.
    ///
    /// # Errors
    /// When a recording cannot be made.
    pub fn plans(&self, folder: &Path) -> Result<(ClientPlan, ClientPlan)> {
        let Publishers {
            pattern,
            fps,
            audio,
            audio_kbps,
            ..
        } = self.publishers;
        let load = |shape: Shape| -> Result<Arc<Pattern>> {
            Ok(Arc::new(match pattern {
                Source::BuiltIn => Pattern::built_in(shape),
                Source::Recorded => recorded(folder, shape).context("a recorded pattern")?,
            }))
        };
        let codecs: Vec<Codec> = self.codec().into_iter().collect();
        let layers = self.publishers.layers.iter();
        let shapes = layers.flat_map(|layer| {
            codecs.iter().map(|codec| Shape {
                codec: *codec,
                width: layer.width,
                height: layer.height,
                fps,
                kbps: layer.kbps,
            })
        });
        let sound = Shape {
            codec: Codec::Opus,
            width: 0,
            height: 0,
            fps: 50,
            kbps: audio_kbps,
        };
        let publishes = self.publishers.count > 0;
        let publisher = ClientPlan {
            audio: (audio && publishes).then(|| load(sound)).transpose()?,
            video: match codecs.first() {
                _ if !publishes => Vec::new(),
                Some(Codec::Vp9) => {
                    let shapes: Vec<Shape> = shapes.collect();
                    Pattern::scalable(&shapes)
                        .map(Arc::new)
                        .into_iter()
                        .collect()
                }
                _ => shapes.map(load).collect::<Result<_>>()?,
            },
            audio_slots: self.publishers.audio_slots,
            video_slots: if codecs.is_empty() {
                0
            } else {
                self.publishers.video_slots
            },
            codecs: codecs.clone(),
        };
        Ok((publisher, self.subscriber(codecs)))
    }

    fn subscriber(&self, codecs: Vec<Codec>) -> ClientPlan {
        ClientPlan {
            audio_slots: self.subscribers.audio_slots,
            video_slots: if codecs.is_empty() {
                0
            } else {
                self.subscribers.video_slots
            },
            codecs,
            ..ClientPlan::default()
        }
    }
}
