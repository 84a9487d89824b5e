//! Every bound of this crate.

/// Writes that wait for the disk. A worker makes a handful a second; where thousands wait, the
/// disk has stopped, and who asks hears that the store does not answer.
pub(crate) const WRITES_WAITING_MAX: usize = 1_024;
/// Bytes of the file that are kept in memory besides the entries themselves: they are all there
/// already, so the file is read at start alone.
pub(crate) const CACHE_BYTES: usize = 1 << 20;
