//! What to write to a disk, and when, so that a recording survives a crash.
//!
//! A recording is a row of fragmented MP4 files, each of which plays by itself, and a manifest that
//! says when each began by the wall clock. A fragment is handed over whole and synced by the clock,
//! so that a kill loses no more than the fragments since. A new file begins at a keyframe when the
//! last is long enough or a track came late, and at once when one changes its configuration. Sound
//! that came late and waited for that keyframe stands at the head of the new file.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use media_types::MediaKind;
use serde::{Deserialize, Serialize};

use crate::hls::playlist::date_time;
use crate::limits::{RECORDING_FILES_MAX, RUN_FRAMES_MAX};
use crate::mux::{Chunk, Kinds, Muxer};
use crate::{EgressError, Frame, TrackConfig};

/// How a recording is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecorderSettings {
    /// The length of a fragment: what a crash may take.
    pub fragment: Duration,
    /// The length of a file; zero for one file however long.
    pub rotation: Duration,
    /// Between two syncs, by media time; zero syncs every fragment.
    pub sync: Duration,
}

impl Default for RecorderSettings {
    fn default() -> Self {
        Self {
            fragment: Duration::from_secs(1),
            rotation: Duration::from_secs(3_600),
            sync: Duration::from_secs(1),
        }
    }
}

/// What is to be done, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Create a file of this name.
    Create(String),
    /// Append to the file that was created last.
    Append(Bytes),
    /// Make what was appended durable.
    Sync,
    /// No more is appended to this file.
    Finish(String),
    /// The manifest changed; write it whole, in place of the one before.
    Manifest(Manifest),
}

/// The manifest of one recorded stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// The version of this form.
    pub version: u32,
    /// What was recorded, as the caller names it.
    pub name: String,
    /// Oldest first.
    pub files: Vec<RecordedFile>,
}

/// One file of a recording.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RecordedFile {
    /// Its name beside the manifest.
    pub name: String,
    /// When its first frame was captured, as far as we know; RFC 3339.
    pub started_at: String,
    /// The same as milliseconds since the Unix epoch.
    pub started_ms: u64,
    /// How long it is, as far as it is written.
    pub duration_ms: u64,
    /// Bytes written.
    pub bytes: u64,
    /// Whether it was ended in order.
    pub complete: bool,
    /// What is in it.
    pub tracks: Vec<RecordedTrack>,
}

/// One track of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RecordedTrack {
    /// `video` or `audio`.
    pub kind: MediaKind,
    /// As RFC 6381 names it.
    pub codecs: String,
    /// In pixels; 0 for sound.
    pub width: u16,
    /// In pixels; 0 for sound.
    pub height: u16,
}

impl From<&TrackConfig> for RecordedTrack {
    fn from(config: &TrackConfig) -> Self {
        Self {
            kind: config.kind(),
            codecs: config.codecs.clone(),
            width: config.width,
            height: config.height,
        }
    }
}

/// Records one stream, or one track of it.
#[derive(Debug)]
pub struct Recorder {
    settings: RecorderSettings,
    wants: Kinds,
    muxer: Muxer,
    open: bool,
    /// Sound that the open file has no track for.
    late: VecDeque<Frame>,
    /// The wall clock at time 0.
    epoch: Duration,
    files: u64,
    unsynced: Duration,
    manifest: Manifest,
    actions: VecDeque<Action>,
}

impl Recorder {
    /// Records what is called `name`, expecting these kinds of tracks.
    #[must_use]
    pub const fn new(name: String, wants: Kinds, settings: RecorderSettings) -> Self {
        Self {
            muxer: Muxer::new(wants, settings.fragment, true),
            settings,
            wants,
            open: false,
            late: VecDeque::new(),
            epoch: Duration::ZERO,
            files: 0,
            unsynced: Duration::ZERO,
            manifest: Manifest {
                version: 1,
                name,
                files: Vec::new(),
            },
            actions: VecDeque::new(),
        }
    }

    /// Expects these kinds of tracks from now on.
    pub const fn expect(&mut self, wants: Kinds) {
        self.wants = wants;
        self.muxer.expect(wants);
    }

    /// Takes a frame; `epoch` is the wall clock at time 0 of its timeline.
    ///
    /// # Errors
    /// A configuration that cannot be written.
    pub fn push(&mut self, epoch: Duration, frame: Frame) -> Result<(), EgressError> {
        self.epoch = epoch;
        let is_video = frame.config.kind() == MediaKind::Video;
        let has = |kind| self.muxer.configs().any(|it| it.kind() == kind);
        let missing = self.muxer.init().is_some() && !has(frame.config.kind());
        if missing && !(is_video && frame.keyframe) {
            self.keep(frame);
            return Ok(());
        }
        let starts = frame.keyframe && (is_video || !has(MediaKind::Video));
        let long = !self.settings.rotation.is_zero() && self.length() >= self.settings.rotation;
        let short = missing || !self.late.is_empty();
        let mut late = VecDeque::new();
        if self.muxer.would_change(&frame) || starts && (long || short) {
            if short {
                self.wants = Kinds {
                    video: true,
                    audio: true,
                };
            }
            self.close()?;
            late = std::mem::take(&mut self.late);
            if !late.is_empty() {
                self.muxer.lead_with_sound();
            }
        }
        self.mux(frame)?;
        late.into_iter().try_for_each(|frame| self.mux(frame))
    }

    /// Keeps sound until a file can take it.
    fn keep(&mut self, frame: Frame) {
        if frame.config.kind() == MediaKind::Video {
            return;
        }
        let another = |last: &Frame| last.config != frame.config;
        if self.late.back().is_some_and(another) {
            self.late.clear();
        }
        if self.late.len() >= RUN_FRAMES_MAX {
            self.late.pop_front();
        }
        self.late.push_back(frame);
    }

    fn mux(&mut self, frame: Frame) -> Result<(), EgressError> {
        for chunk in self.muxer.push(frame)? {
            self.write(chunk);
        }
        Ok(())
    }

    /// Ends the file that is open; another frame begins a new one.
    ///
    /// # Errors
    /// What was pending cannot be written.
    pub fn finish(&mut self) -> Result<(), EgressError> {
        self.close()?;
        let late = std::mem::take(&mut self.late);
        if late.is_empty() {
            return Ok(());
        }
        // No keyframe came that it could have waited for.
        let sound = Kinds {
            video: false,
            audio: true,
        };
        self.muxer = Muxer::new(sound, self.settings.fragment, true);
        late.into_iter().try_for_each(|frame| self.mux(frame))?;
        self.close()
    }

    fn close(&mut self) -> Result<(), EgressError> {
        let rest = self.muxer.finish()?;
        if let Some(chunk) = rest.filter(|_| self.open || self.muxer.init().is_some()) {
            self.write(chunk);
        }
        self.muxer = Muxer::new(self.wants, self.settings.fragment, true);
        if !std::mem::take(&mut self.open) {
            return Ok(());
        }
        if let Some(file) = self.manifest.files.last_mut() {
            file.complete = true;
            let name = file.name.clone();
            self.actions.push_back(Action::Sync);
            self.actions.push_back(Action::Finish(name));
        }
        self.actions
            .push_back(Action::Manifest(self.manifest.clone()));
        Ok(())
    }

    /// What to do next.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// The manifest as it stands.
    #[must_use]
    pub const fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    fn length(&self) -> Duration {
        let open = self.manifest.files.last().filter(|_| self.open);
        Duration::from_millis(open.map_or(0, |file| file.duration_ms))
    }

    fn write(&mut self, chunk: Chunk) {
        if !self.open {
            self.open_file();
        }
        if let Some(file) = self.manifest.files.last_mut() {
            let length = u64::try_from(chunk.length.as_millis()).unwrap_or(0);
            file.duration_ms = file.duration_ms.saturating_add(length);
            let bytes = u64::try_from(chunk.bytes.len()).unwrap_or(0);
            file.bytes = file.bytes.saturating_add(bytes);
        }
        self.unsynced = self.unsynced.saturating_add(chunk.length);
        self.actions.push_back(Action::Append(chunk.bytes));
        if self.unsynced >= self.settings.sync {
            self.unsynced = Duration::ZERO;
            self.actions.push_back(Action::Sync);
        }
    }

    fn open_file(&mut self) {
        self.open = true;
        let started = self.epoch.saturating_add(self.muxer.start());
        let name = format!("{}-{:05}.mp4", self.manifest.name, self.files);
        self.files += 1;
        let init = self.muxer.init().cloned().unwrap_or_default();
        if self.manifest.files.len() >= RECORDING_FILES_MAX {
            self.manifest.files.remove(0);
        }
        self.manifest.files.push(RecordedFile {
            name: name.clone(),
            started_at: date_time(started),
            started_ms: u64::try_from(started.as_millis()).unwrap_or(0),
            duration_ms: 0,
            bytes: u64::try_from(init.len()).unwrap_or(0),
            complete: false,
            tracks: self
                .muxer
                .configs()
                .map(|config| (&**config).into())
                .collect(),
        });
        self.actions.push_back(Action::Create(name));
        self.actions.push_back(Action::Append(init));
        self.actions
            .push_back(Action::Manifest(self.manifest.clone()));
    }
}

#[cfg(test)]
mod tests;
