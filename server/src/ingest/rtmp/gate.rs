//! How many connections there may be, in all and of one address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

#[derive(Debug, Default)]
struct Counts {
    all: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// Lets connections in. Clones share their counts.
#[derive(Debug, Clone)]
pub(crate) struct Gate {
    counts: Arc<Mutex<Counts>>,
    all_max: usize,
    address_max: usize,
}

/// One connection's place; given back when dropped.
#[derive(Debug)]
pub(crate) struct Pass {
    gate: Gate,
    ip: IpAddr,
}

impl Gate {
    pub(crate) fn new(all_max: u32, address_max: u32) -> Self {
        let most = |count: u32| usize::try_from(count).unwrap_or(usize::MAX);
        Self {
            counts: Arc::default(),
            all_max: most(all_max),
            address_max: most(address_max),
        }
    }

    /// A place for a connection of this address, if there is one.
    pub(crate) fn enter(&self, ip: IpAddr) -> Option<Pass> {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let of_address = counts.by_address.get(&ip).copied().unwrap_or_default();
        if counts.all >= self.all_max || of_address >= self.address_max {
            return None;
        }
        counts.all += 1;
        counts.by_address.insert(ip, of_address + 1);
        Some(Pass {
            gate: self.clone(),
            ip,
        })
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let counts = self.gate.counts.lock();
        let mut counts = counts.unwrap_or_else(PoisonError::into_inner);
        counts.all -= 1;
        if let Some(of_address) = counts.by_address.get_mut(&self.ip) {
            *of_address -= 1;
            if *of_address == 0 {
                counts.by_address.remove(&self.ip);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_bounds_hold_and_places_come_back() {
        let gate = Gate::new(3, 2);
        let [a, b] = ["192.0.2.1", "192.0.2.2"].map(|ip| ip.parse().unwrap());
        let first = gate.enter(a).unwrap();
        let _second = gate.enter(a).unwrap();
        assert!(gate.enter(a).is_none());
        let _third = gate.enter(b).unwrap();
        assert!(gate.enter(b).is_none());
        drop(first);
        assert!(gate.enter(b).is_some());
        assert_eq!(gate.counts.lock().unwrap().by_address.len(), 2);
    }
}
