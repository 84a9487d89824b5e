//! The shards as actors see them: who gets which event, how loaded they are, and what follows when
//! one is restarted.

#[allow(
    clippy::module_inception,
    reason = "the tree names it so: Plane over its Shards"
)]
pub(crate) mod plane;
pub(crate) mod route;
pub(crate) mod shard;
