//! What bounds the process, each with its reason.

/// Address space: libav and its libraries map 160 MiB; forty 4K pictures and the encoder's fit in
/// the rest. The server may set another.
pub(crate) const MEMORY_BYTES: u64 = 1_536 * 1_024 * 1_024;
/// Processor time between two pings, which come each second, before the process is taken for one
/// that spins: four threads at once for as long as the server waits for an answer, and more.
pub(crate) const CPU_SECONDS: u64 = 30;
/// The same for one job: lower than the server, whose packets must not wait for an encoder.
pub(crate) const NICENESS: i32 = 5;
/// Bytes read from the socket at once.
pub(crate) const READ_BYTES: usize = 64 * 1_024;
/// Frames in a row that cannot be decoded before the job is: ten seconds of pictures.
pub(crate) const REFUSED_MAX: u64 = 300;
/// Threads of the picture encoder, each with a slice: two halve the time a picture takes, and more
/// would cost more bits than time is left to win.
pub(crate) const ENCODER_THREADS: usize = 2;
/// Decoded samples that may wait for a packet to be full: a second, ten times what the longest
/// frame of any codec brings.
pub(crate) const SAMPLES_MAX: usize = 48_000;
