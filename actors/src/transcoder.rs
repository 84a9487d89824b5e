//! One transcoding job: a codec process, started, watched, started again, and at last given up.
//!
//! It lives under the supervisor of its room, and ends with the room. [`state`] decides, [`actor`]
//! carries out. Frames never come here: a task of the server moves them between the source and the
//! process, and tells this actor how the process is.

mod actor;
mod state;

pub use actor::{CodecProcess, Transcoder, TranscoderMessage};
pub use state::{TranscoderAction, TranscoderPhase, TranscoderState};
