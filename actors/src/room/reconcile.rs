//! What should be, against what a shard has.

use std::collections::BTreeSet;

use media_contract::{Action, Snapshot};
use media_types::{ShardId, TransportId};

use super::state::{Effect, RoomState};

impl RoomState {
    /// Closes what nobody knows, opens what is missing, and learns what flows.
    pub(crate) fn reconcile(&mut self, shard: ShardId, snapshot: &Snapshot) {
        let transports: BTreeSet<TransportId> = self
            .members
            .values()
            .map(|member| member.record.transport)
            .collect();
        for orphan in &snapshot.transports {
            if !transports.contains(&orphan.transport) {
                let transport = orphan.transport;
                let close = Action::CloseTransport { transport };
                self.effects.push(Effect::Command(shard, close));
            }
        }
        let known = self.known_tracks();
        let mut changed = false;
        for found in &snapshot.tracks {
            let track = found.track;
            if !known.contains(&track) {
                self.effects
                    .push(Effect::Command(shard, Action::Unpublish { track }));
            } else if let Some(codec) = found.codec
                && found.origin.is_home()
            {
                changed |= self.track_flows(track, codec);
            }
        }
        self.link_shard(shard);
        self.reopen_relays(shard);
        if changed {
            self.push_view();
        }
    }
}
