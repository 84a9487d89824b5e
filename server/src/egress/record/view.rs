//! A recording as the admin API and its manifest on the disk show it.

use std::io;
use std::time::Duration;

use media_egress::recorder::RecordedFile;
use media_types::{Identity, RoomName, TrackId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Where a recording stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RecordingState {
    /// It is being written.
    Active,
    /// It was told to end and finishes its files.
    Stopping,
    /// It ended in order.
    Done,
    /// The process ended while it was being written; what lies on the disk plays.
    Interrupted,
}

impl RecordingState {
    pub(super) const ALL: [Self; 4] = [Self::Active, Self::Stopping, Self::Done, Self::Interrupted];

    /// Whether something may still be written.
    #[must_use]
    pub const fn is_running(self) -> bool {
        matches!(self, Self::Active | Self::Stopping)
    }

    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Stopping => "stopping",
            Self::Done => "done",
            Self::Interrupted => "interrupted",
        }
    }
}

/// What a recording suffers from at present.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// No space is left; fragments are lost until there is.
    DiskFull,
    /// The disk refuses for another reason.
    DiskError,
    /// The disk takes less than comes.
    DiskSlow,
    /// Finished files cannot be stored; they wait here.
    StorageUnreachable,
    /// Storage answers and does not take a finished file; it waits here, the others go.
    StorageRefuses,
    /// A finished file cannot be read here; it waits, the others go.
    FileUnreadable,
    /// A finished file went away before it was stored. This stays.
    FileLost,
}

impl Fault {
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::DiskFull => "disk_full",
            Self::DiskError => "disk_error",
            Self::DiskSlow => "disk_slow",
            Self::StorageUnreachable => "storage_unreachable",
            Self::StorageRefuses => "storage_refuses",
            Self::FileUnreadable => "file_unreadable",
            Self::FileLost => "file_lost",
        }
    }

    pub(super) fn of(error: &io::Error) -> Self {
        use io::ErrorKind::{QuotaExceeded, StorageFull};
        if matches!(error.kind(), StorageFull | QuotaExceeded) {
            Self::DiskFull
        } else {
            Self::DiskError
        }
    }
}

/// What shall be recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RecordingBody {
    /// The room.
    #[schemars(with = "String")]
    pub room: RoomName,
    /// One publisher of it; all of them where it is not given.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub stream: Option<Identity>,
    /// Single tracks, each in files of its own.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub tracks: Vec<TrackId>,
    /// The length of a file in seconds; the settings' where it is not given, no end where it is 0.
    #[serde(default)]
    pub rotation_s: Option<u64>,
    /// The recording of another worker that this one carries on; workers alone may name it.
    #[serde(default)]
    pub continues: Option<String>,
}

impl RecordingBody {
    /// The rest of a recording whose room goes elsewhere.
    pub(super) fn onward(view: &RecordingView) -> Self {
        Self {
            room: view.room.clone(),
            stream: view.stream.clone(),
            tracks: view.tracks.clone(),
            rotation_s: view.rotation_s,
            continues: Some(view.id.clone()),
        }
    }

    /// The length of a file, where it is given.
    #[must_use]
    pub fn rotation(&self) -> Option<Duration> {
        self.rotation_s.map(Duration::from_secs)
    }

    /// What is sent of it, and signed, from worker to worker.
    #[must_use]
    pub fn text(&self) -> String {
        // Names and numbers alone, which always can be written.
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// One file, and whether it is stored elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FileView {
    /// The file.
    #[serde(flatten)]
    pub file: RecordedFile,
    /// Stored elsewhere.
    #[serde(default)]
    pub stored: bool,
    /// Gone from here before it was stored.
    #[serde(default)]
    pub lost: bool,
}

impl FileView {
    /// Whether nothing is left to do for it.
    pub(super) const fn is_settled(&self) -> bool {
        self.stored || self.lost
    }
}

/// A recording.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RecordingView {
    /// Its name, and that of its folder.
    pub id: String,
    /// The worker that has it; in a manifest the one that recorded it, where it says so.
    #[serde(default)]
    pub worker: String,
    /// The room.
    #[schemars(with = "String")]
    pub room: RoomName,
    /// The publisher, where it is one alone.
    #[schemars(with = "Option<String>")]
    pub stream: Option<Identity>,
    /// The tracks, where they are single ones.
    #[schemars(with = "Vec<String>")]
    pub tracks: Vec<TrackId>,
    /// The length of its files in seconds, where it was asked for.
    #[serde(default)]
    pub rotation_s: Option<u64>,
    /// The recording that this one carries on, begun where the room was before.
    #[serde(default)]
    pub continues: Option<String>,
    /// Where it stands.
    pub state: RecordingState,
    /// What it suffers from at present.
    pub fault: Option<Fault>,
    /// When it was begun; RFC 3339.
    pub started_at: String,
    /// When it ended; RFC 3339.
    pub ended_at: Option<String>,
    /// Fragments that could not be written.
    pub lost_fragments: u64,
    /// Its files, oldest first.
    #[schemars(with = "Vec<Value>")]
    pub files: Vec<FileView>,
}

impl RecordingView {
    /// What it goes on suffering from when all else is mended.
    pub(super) fn lasting_fault(&self) -> Option<Fault> {
        let lost = self.files.iter().any(|it| it.lost);
        lost.then_some(Fault::FileLost)
    }
}
