//! One transcoding job: a codec process, started, watched, started again, and at last given up.
//!
//! [`state`] decides, [`actor`] carries out. Frames never come here: a task of the server moves
//! them between the source and the process, and tells this actor how the process is.

mod actor;
mod state;

pub use actor::{CodecProcess, Transcoder, TranscoderMessage, spawn_transcoder};
pub use state::{TranscoderAction, TranscoderPhase, TranscoderState};
