//! What operators hear of recordings, among the events of the worker (docs/admin.md).

use std::sync::Arc;

use serde_json::{Value, json};

use super::RecordingView;
use crate::ops::events::Journal;

/// Where news of one worker's recordings go. Cheap to clone.
#[derive(Clone)]
pub struct News(Arc<Journal>);

impl News {
    /// Into these events.
    #[must_use]
    pub const fn new(journal: Arc<Journal>) -> Self {
        Self(journal)
    }

    /// It is being written.
    pub(super) fn started(&self, view: &RecordingView) {
        let more = json!({
            "stream": view.stream, "tracks": view.tracks, "continues": view.continues,
        });
        self.tell("recording.started", view, more);
    }

    /// It suffers from something else than before, or from nothing any more.
    pub(super) fn fault(&self, view: &RecordingView) {
        self.tell("recording.fault", view, json!({"fault": view.fault}));
    }

    /// Nothing more is written.
    pub(super) fn ended(&self, view: &RecordingView) {
        let bytes: u64 = view.files.iter().map(|it| it.file.bytes).sum();
        let more = json!({
            "state": view.state,
            "fault": view.fault,
            "files": view.files.len(),
            "bytes": bytes,
            "lostFragments": view.lost_fragments,
        });
        self.tell("recording.ended", view, more);
    }

    /// The room's own numbers are its owner's to give: the room is named in what is told.
    fn tell(&self, kind: &str, view: &RecordingView, more: Value) {
        let mut data = json!({"id": view.id, "room": view.room});
        if let (Some(data), Value::Object(more)) = (data.as_object_mut(), more) {
            data.extend(more);
        }
        self.0.emit(kind, None, data);
    }
}
