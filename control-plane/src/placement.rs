//! Where a room that moves goes, where another part of one is opened, and where a new one opens: at
//! the worker that its first peer comes to, unless that one is full or being emptied and another is
//! neither.

use media_types::WorkerId;

use crate::model::WorkerRecord;

/// Packets a second, both ways, of a worker that is full: what a core forwards
/// (`docs/performance.md`) times the cores of a middling machine.
const PACKETS_FULL: u64 = 4_000_000;
/// Bits a second of a worker that is full: a link of 10 Gb/s.
const EGRESS_FULL_BPS: u64 = 10_000_000_000;
/// What is in another region costs more than the busiest worker of this one: a way around the world
/// is heard by everybody, load by nobody until it is too much.
const FAR: u64 = 2_000;
/// A room that is there already, in part, needs no relay.
const AFFINITY: u64 = 300;
/// A worker this full takes nothing more while others can, in thousandths.
const FULL: u64 = 900;

/// What is to be placed.
#[derive(Debug, Clone, Copy, Default)]
pub struct Demand<'a> {
    /// Where its peers are; empty where nobody knows.
    pub region: &'a str,
    /// Workers that hold a part of the room.
    pub holders: &'a [WorkerId],
    /// Who must not get it: whoever has it and wants to be rid of it.
    pub except: Option<WorkerId>,
}

/// How busy a worker is in what it has least of, in thousandths: CPU, packets or bits out.
#[must_use]
pub fn pressure(worker: &WorkerRecord) -> u64 {
    let part = |used: u64, full: u64| used.saturating_mul(1_000) / full;
    let cpu = u64::from(worker.load_permille);
    let packets = part(worker.packets_per_s, PACKETS_FULL);
    let egress = part(worker.egress_bps, EGRESS_FULL_BPS);
    cpu.max(packets).max(egress)
}

/// How ill a worker suits; lower is better. `None`: it takes nothing.
#[must_use]
pub fn score(worker: &WorkerRecord, demand: &Demand<'_>) -> Option<u64> {
    if !worker.ready || worker.draining || demand.except == Some(worker.id) {
        return None;
    }
    let pressure = pressure(worker);
    // Full ones come last, the fullest at the very end, wherever they are.
    let full = if pressure >= FULL { 10 * FAR } else { 0 };
    let far = if worker.region == demand.region {
        0
    } else {
        FAR
    };
    let near = if demand.holders.contains(&worker.id) {
        0
    } else {
        AFFINITY
    };
    Some(pressure + full + far + near)
}

/// The worker for a room: the one that suits best, and among equals the one with fewer rooms, then
/// the lower id, so that all workers choose alike.
#[must_use]
pub fn choose<'a>(workers: &'a [WorkerRecord], demand: &Demand<'_>) -> Option<&'a WorkerRecord> {
    let able = workers
        .iter()
        .filter_map(|worker| score(worker, demand).map(|score| (score, worker)));
    able.min_by_key(|(score, worker)| (*score, worker.rooms, worker.id))
        .map(|(_, worker)| worker)
}

/// Whether a worker is to take nothing more while others can.
#[must_use]
pub fn is_full(worker: &WorkerRecord) -> bool {
    pressure(worker) >= FULL
}

/// Where a room that nobody has opens instead of at `own`, the worker that is asked for it; `None`:
/// it opens there. Whoever is chosen opens it itself, if it is asked with the same records.
#[must_use]
pub fn opens_at<'a>(own: &WorkerRecord, workers: &'a [WorkerRecord]) -> Option<&'a WorkerRecord> {
    if !own.draining && !is_full(own) {
        return None;
    }
    let demand = Demand {
        region: &own.region,
        holders: &[],
        except: Some(own.id),
    };
    choose(workers, &demand).filter(|worker| !is_full(worker))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn worker(id: u64, region: &str, load_permille: u16) -> WorkerRecord {
        WorkerRecord {
            id: WorkerId::new(id),
            region: region.to_owned(),
            ready: true,
            load_permille,
            ..WorkerRecord::default()
        }
    }

    fn chosen(workers: &[WorkerRecord], demand: &Demand<'_>) -> Option<u64> {
        choose(workers, demand).map(|worker| worker.id.get())
    }

    #[test]
    fn the_near_and_idle_worker_is_chosen() {
        let mut workers = [
            worker(1, "eu", 700),
            worker(2, "eu", 300),
            worker(3, "us", 0),
        ];
        let eu = Demand {
            region: "eu",
            ..Demand::default()
        };
        assert_eq!(chosen(&workers, &eu), Some(2));
        workers[1].draining = true;
        assert_eq!(chosen(&workers, &eu), Some(1));
        workers[0].ready = false;
        assert_eq!(chosen(&workers, &eu), Some(3));
        assert_eq!(chosen(&[], &eu), None);
    }

    #[test]
    fn whatever_is_scarcest_decides() {
        let mut workers = [worker(1, "", 100), worker(2, "", 200)];
        let any = Demand::default();
        assert_eq!(chosen(&workers, &any), Some(1));
        workers[0].egress_bps = EGRESS_FULL_BPS / 2;
        assert_eq!(
            (pressure(&workers[0]), chosen(&workers, &any)),
            (500, Some(2))
        );
        workers[1].packets_per_s = PACKETS_FULL;
        assert_eq!(
            (pressure(&workers[1]), chosen(&workers, &any)),
            (1_000, Some(1))
        );
    }

    #[test]
    fn a_part_of_the_room_draws_the_rest_and_a_full_worker_repels() {
        let workers = [
            worker(1, "eu", 100),
            worker(2, "eu", 300),
            worker(3, "us", 0),
        ];
        let holders = [WorkerId::new(2)];
        let demand = Demand {
            region: "eu",
            holders: &holders,
            except: None,
        };
        assert_eq!(chosen(&workers, &demand), Some(2));
        let full = [worker(1, "eu", 950), worker(3, "us", 100)];
        assert_eq!(chosen(&full, &demand), Some(3));
        let leaving = Demand {
            except: Some(WorkerId::new(2)),
            ..demand
        };
        assert_eq!(chosen(&workers, &leaving), Some(1));
    }

    fn opened(own: &WorkerRecord, workers: &[WorkerRecord]) -> Option<u64> {
        opens_at(own, workers).map(|worker| worker.id.get())
    }

    #[test]
    fn a_new_room_opens_where_it_is_asked_for_while_there_is_room() {
        let mut workers = [
            worker(1, "eu", 899),
            worker(2, "eu", 100),
            worker(3, "us", 0),
        ];
        assert_eq!(opened(&workers[0], &workers), None);
        workers[0].load_permille = 900;
        assert_eq!(opened(&workers[0], &workers), Some(2));
        workers[0].load_permille = 0;
        workers[0].egress_bps = EGRESS_FULL_BPS;
        assert_eq!(opened(&workers[0], &workers), Some(2));
        workers[0].egress_bps = 0;
        workers[0].draining = true;
        assert_eq!(opened(&workers[0], &workers), Some(2));
        // One of another region before a full one of this; none before it goes back and forth.
        workers[1].packets_per_s = PACKETS_FULL;
        assert_eq!(opened(&workers[0], &workers), Some(3));
        workers[2].ready = false;
        assert_eq!(opened(&workers[0], &workers), None);
        assert_eq!(opened(&workers[1], &workers), None);
    }

    proptest! {
        #[test]
        fn a_new_room_is_sent_on_once_at_most_and_to_a_worker_that_takes_it(
            states in prop::collection::vec(
                (0..1_200_u16, any::<bool>(), any::<bool>(), any::<bool>(), 0..4_u32), 1..8,
            ),
        ) {
            let all = states.iter().enumerate().map(|(id, (load, ready, draining, near, rooms))| {
                let region = if *near { "eu" } else { "us" };
                WorkerRecord {
                    rooms: *rooms,
                    ready: *ready,
                    draining: *draining,
                    ..worker(id as u64 + 1, region, *load)
                }
            });
            let workers: Vec<_> = all.collect();
            let takes = |it: &WorkerRecord| it.ready && !it.draining && !is_full(it);
            for own in &workers {
                match opens_at(own, &workers) {
                    Some(chosen) => {
                        prop_assert!(own.draining || is_full(own));
                        prop_assert!(takes(chosen) && chosen.id != own.id);
                        prop_assert_eq!(opens_at(chosen, &workers), None);
                    }
                    None => {
                        let nobody = !workers.iter().any(takes);
                        prop_assert!(nobody || !(own.draining || is_full(own)));
                    }
                }
            }
        }

        #[test]
        fn the_choice_does_not_depend_on_the_order(
            loads in prop::collection::vec((0..1_000_u16, 0..2_u8, 0..4_u32), 1..8),
        ) {
            let all = loads.iter().enumerate().map(|(id, (load, region, rooms))| {
                let region = if *region == 0 { "eu" } else { "us" };
                WorkerRecord { rooms: *rooms, ..worker(id as u64 + 1, region, *load) }
            });
            let mut workers: Vec<_> = all.collect();
            let demand = Demand { region: "eu", ..Demand::default() };
            let first = chosen(&workers, &demand);
            workers.reverse();
            prop_assert_eq!(chosen(&workers, &demand), first);
        }
    }
}
