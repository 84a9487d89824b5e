//! Parameter sets and sequence headers: sizes, profiles, and the configuration records they make.

pub(crate) mod av1;
pub(crate) mod h264;
pub(crate) mod h265;
pub(crate) mod vp9;
