//! The task on a control thread that takes a shard's reports to the actors.

use media_contract::{Event, Fact};
use media_types::ShardId;

use super::metrics::Recorder;
use super::ring::{Report, Reports};
use crate::limits::REPORTS_PER_DRAIN;

/// Who wants to know what shards tell. Called on control threads; must not block.
pub trait EventSink: Send + Sync {
    /// Something happened.
    fn deliver(&self, shard: ShardId, event: Event);
    /// The shard failed and runs again, empty.
    fn shard_restarted(&self, shard: ShardId);
    /// The shard failed too often and is gone: the worker must drain and end.
    fn shard_spent(&self, shard: ShardId);
}

/// Hands on what a shard reports until its thread has ended.
pub(crate) async fn pump(shard: ShardId, mut reports: Reports, sink: &dyn EventSink) {
    let mut recorder = Recorder::new(shard);
    loop {
        for _ in 0..REPORTS_PER_DRAIN {
            let Some(report) = reports.next() else { break };
            match report {
                Report::Event(event) => {
                    if let Fact::ShardFigures(figures) = &event.fact {
                        recorder.shard(figures);
                    }
                    sink.deliver(shard, event);
                }
                Report::Figures(figures) => recorder.thread(&figures),
                Report::Restarted => {
                    recorder.restarted();
                    sink.shard_restarted(shard);
                }
                Report::Spent => sink.shard_spent(shard),
            }
        }
        if reports.is_empty() {
            if !reports.more().await {
                return;
            }
        } else {
            tokio::task::yield_now().await;
        }
    }
}
