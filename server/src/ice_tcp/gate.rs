//! How many connections there may be, in all and of one address before ICE has proven it.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;

use crate::limits::{STREAMS_MAX, STREAMS_UNPROVEN_PER_ADDRESS_MAX};

#[derive(Debug, Default)]
struct Counts {
    unproven: DashMap<IpAddr, usize>,
    all: AtomicUsize,
}

/// Lets connections in. Clones share their counts.
#[derive(Debug, Clone, Default)]
pub(super) struct Gate(Arc<Counts>);

/// One connection's place; given back when dropped.
#[derive(Debug)]
pub(super) struct Pass {
    counts: Arc<Counts>,
    ip: IpAddr,
    proven: bool,
}

impl Gate {
    /// A place for a connection of this address, if there is one.
    pub(super) fn enter(&self, ip: IpAddr) -> Option<Pass> {
        let counts = &self.0;
        let all = counts.all.fetch_add(1, Ordering::Relaxed);
        // From here on dropping the pass gives the place back.
        let mut pass = Pass {
            counts: Arc::clone(counts),
            ip,
            proven: true,
        };
        if all >= STREAMS_MAX {
            return None;
        }
        let mut unproven = counts.unproven.entry(ip).or_insert(0);
        if *unproven >= STREAMS_UNPROVEN_PER_ADDRESS_MAX {
            return None;
        }
        *unproven += 1;
        pass.proven = false;
        drop(unproven);
        Some(pass)
    }

    /// Connections inside.
    pub(super) fn len(&self) -> usize {
        self.0.all.load(Ordering::Relaxed)
    }
}

impl Pass {
    /// ICE chose this connection: it no longer counts against its address.
    pub(super) fn prove(&mut self) {
        if std::mem::replace(&mut self.proven, true) {
            return;
        }
        if let Entry::Occupied(mut unproven) = self.counts.unproven.entry(self.ip) {
            *unproven.get_mut() -= 1;
            if *unproven.get() == 0 {
                unproven.remove();
            }
        }
    }

    pub(super) const fn is_proven(&self) -> bool {
        self.proven
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        self.prove();
        self.counts.all.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_so_many_places_until_proven() {
        let gate = Gate::default();
        let here: IpAddr = [192, 0, 2, 1].into();
        let mut passes: Vec<Pass> = (0..STREAMS_UNPROVEN_PER_ADDRESS_MAX)
            .map(|_| gate.enter(here).unwrap())
            .collect();
        assert!(gate.enter(here).is_none());
        assert!(gate.enter([192, 0, 2, 2].into()).is_some());
        passes[0].prove();
        let again = gate.enter(here);
        assert!(again.is_some() && gate.enter(here).is_none());
        assert_eq!(gate.len(), STREAMS_UNPROVEN_PER_ADDRESS_MAX + 1);
        drop((passes, again));
        assert_eq!(gate.len(), 0);
        assert!(gate.0.unproven.is_empty());
    }
}
