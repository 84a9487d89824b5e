//! Keeping a shard's thread on one core.

use media_types::ShardId;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// Moves this thread to the shard's own among the cores that the process may use.
pub(super) fn to_core_of(shard: ShardId) {
    let pinned = sched_getaffinity(None).and_then(|allowed| {
        let cores: Vec<usize> = (0..CpuSet::MAX_CPU)
            .filter(|&c| allowed.is_set(c))
            .collect();
        let core = cores.get(usize::from(shard.0) % cores.len().max(1));
        let mut own = CpuSet::new();
        own.set(core.copied().unwrap_or(0));
        sched_setaffinity(None, &own)
    });
    if let Err(error) = pinned {
        tracing::warn!(%shard, %error, "the shard's thread is not pinned");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shard_has_one_core() {
        let pinned = std::thread::spawn(|| {
            to_core_of(ShardId(7));
            sched_getaffinity(None).map(|set| set.count())
        });
        assert_eq!(pinned.join().unwrap(), Ok(1));
    }
}
