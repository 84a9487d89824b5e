//! How a limit of a room is kept exactly by parts that do not ask each other.
//!
//! The owner hands each part places of the limit, and counts as taken whatever a part may hold by
//! any letter that is still on its way; the part lets nobody in beyond what it holds. So the sum of
//! all never passes the limit, whichever letters are lost. While the limit is far each part holds
//! some places to spare, so that joins wait for nobody; near it they hold none that nobody uses.

use std::collections::BTreeMap;

use media_types::WorkerId;
use serde::{Deserialize, Serialize};

use crate::limits::PART_SPARE_MAX;

/// What becomes of somebody who wants one of a limited number of places.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Seat {
    /// There is one.
    Free,
    /// All are taken.
    Full,
    /// It is not known here: the owner, or another part, is being asked.
    Soon,
}

/// What a part holds, as it tells the owner.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// The last allotment that it heard of; 0: none.
    pub serial: u64,
    /// Places that it may fill.
    pub held: u32,
    /// Those that are filled.
    pub used: u32,
    /// Who waits for one.
    pub wanted: u32,
}

/// What the owner hands a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Allot {
    /// Rises with every one.
    pub serial: u64,
    /// Places that the part may fill, those that it has filled included.
    pub seats: u32,
    /// Whether all places of the room are filled.
    pub full: bool,
}

/// What the owner knows of a part.
#[derive(Debug, Clone, Copy, Default)]
struct Account {
    told: Option<Allot>,
    /// It may hold as many, by whatever was told; `None`: it has not said yet.
    charged: Option<u32>,
    used: u32,
    wanted: u32,
    again: bool,
}

/// The owner's side of one limit.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ledger {
    serial: u64,
    accounts: BTreeMap<WorkerId, Account>,
}

fn sum(values: impl Iterator<Item = u32>) -> u32 {
    values.fold(0, u32::saturating_add)
}

impl Ledger {
    /// Goes on after those of a life before.
    pub(super) fn after(serial: u64) -> Self {
        Self {
            serial,
            accounts: BTreeMap::new(),
        }
    }

    /// The last allotment.
    pub(super) const fn serial(&self) -> u64 {
        self.serial
    }

    /// These parts there are; what others had is free.
    pub(super) fn attend(&mut self, parts: &[WorkerId]) {
        self.accounts.retain(|worker, _| parts.contains(worker));
        for worker in parts {
            self.accounts.entry(*worker).or_default();
        }
    }

    /// A part says what it holds; `again`: it may have missed what it was told.
    pub(super) fn take(&mut self, from: WorkerId, hold: &Hold, again: bool) {
        let Some(account) = self.accounts.get_mut(&from) else {
            return;
        };
        (account.used, account.wanted) = (hold.used, hold.wanted);
        match account.told {
            // What was told since may raise it yet.
            Some(told) if told.serial != hold.serial => {
                account.charged = account.charged.map(|charged| charged.max(hold.used));
                account.again |= again;
            }
            Some(_) => account.charged = Some(hold.held.max(hold.used)),
            None => account.again = true,
        }
    }

    /// What parts may hold; `None`: one of them has not said.
    fn charged(&self) -> Option<u32> {
        let mut charged = 0_u32;
        for account in self.accounts.values() {
            charged = charged.saturating_add(account.charged?);
        }
        Some(charged)
    }

    fn used(&self) -> u32 {
        sum(self.accounts.values().map(|account| account.used))
    }

    /// Whether one more may come in at the owner's, where `own` are.
    pub(super) fn seat(&self, max: u32, own: u32) -> Seat {
        let taken = self.charged().map(|charged| charged.saturating_add(own));
        if taken.is_some_and(|taken| taken < max) {
            Seat::Free
        } else if own.saturating_add(self.used()) >= max {
            Seat::Full
        } else {
            Seat::Soon
        }
    }

    /// What is to be told to whom, where `own` are in at the owner's and `waiting` would be.
    pub(super) fn share_out(&mut self, max: u32, own: u32, waiting: u32) -> Vec<(WorkerId, Allot)> {
        let used = self.used();
        let wanted = sum(self.accounts.values().map(|account| account.wanted));
        let left = [own, waiting, used, wanted]
            .into_iter()
            .fold(max, u32::saturating_sub);
        let shares = u32::try_from(self.accounts.len()).unwrap_or(u32::MAX);
        let shares = shares.saturating_add(1).saturating_mul(2);
        let spare = left.checked_div(shares).unwrap_or(0).min(PART_SPARE_MAX);
        let full = own.saturating_add(used) >= max;
        let free = |charged| {
            [own, waiting, charged]
                .into_iter()
                .fold(max, u32::saturating_sub)
        };
        let mut free = self.charged().map_or(0, free);
        let mut told = Vec::new();
        for (worker, account) in &mut self.accounts {
            let seats = account.goal(spare, &mut free);
            if let Some(allot) = account.tell(seats, full, &mut self.serial) {
                told.push((*worker, allot));
            }
        }
        told
    }
}

impl Account {
    /// How many places the part shall hold; takes what is new of them from `free`.
    fn goal(&self, spare: u32, free: &mut u32) -> u32 {
        let Some(charged) = self.charged else {
            // It is asked what it has.
            return 0;
        };
        let base = self.used.saturating_add(self.wanted);
        let told = self.told.map_or(0, |told| told.seats);
        let most = base.saturating_add(spare.saturating_mul(2));
        let enough = (base.saturating_add(spare / 2)..=most).contains(&told);
        let goal = if enough {
            told
        } else {
            base.saturating_add(spare)
        };
        let more = goal.saturating_sub(charged).min(*free);
        *free -= more;
        goal.min(charged.saturating_add(more))
    }

    fn tell(&mut self, seats: u32, full: bool, serial: &mut u64) -> Option<Allot> {
        let again = std::mem::take(&mut self.again);
        let same = |told: &Allot| (told.seats, told.full) == (seats, full);
        if let Some(told) = self.told.filter(same) {
            return again.then_some(told);
        }
        *serial = serial.saturating_add(1);
        let allot = Allot {
            serial: *serial,
            seats,
            full,
        };
        self.told = Some(allot);
        self.charged = self.charged.map(|charged| charged.max(seats));
        Some(allot)
    }
}

/// A part's side of one limit.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Share {
    serial: u64,
    seats: u32,
    full: bool,
}

impl Share {
    /// The owner has told.
    pub(super) const fn take(&mut self, allot: &Allot) {
        if allot.serial >= self.serial {
            self.serial = allot.serial;
            self.seats = allot.seats;
            self.full = allot.full;
        }
    }

    /// Whether one more may come in, where `used` are.
    pub(super) const fn seat(&self, used: u32) -> Seat {
        if used < self.seats {
            Seat::Free
        } else if self.full {
            Seat::Full
        } else {
            Seat::Soon
        }
    }

    /// What the owner is told.
    pub(super) fn hold(&self, used: u32, wanted: u32) -> Hold {
        Hold {
            serial: self.serial,
            // Nobody who is in goes for want of a place, and none stays that he leaves.
            held: self.seats.max(used),
            used,
            wanted,
        }
    }
}

#[cfg(test)]
mod tests;
