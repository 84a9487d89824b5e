//! Where a new room goes.

use crate::model::WorkerRecord;

/// The worker for a new room: ready, not draining, in the region where there is one, the least
/// busy, and among equals the one with fewer rooms, then the lower id, so that all workers choose
/// alike.
#[must_use]
pub fn choose<'a>(workers: &'a [WorkerRecord], region: &str) -> Option<&'a WorkerRecord> {
    let able = workers
        .iter()
        .filter(|worker| worker.ready && !worker.draining);
    able.min_by_key(|worker| {
        (
            worker.region != region,
            worker.load_permille,
            worker.rooms,
            worker.id,
        )
    })
}

#[cfg(test)]
mod tests {
    use media_types::WorkerId;

    use super::*;

    fn worker(id: u64, region: &str, load_permille: u16) -> WorkerRecord {
        WorkerRecord {
            id: WorkerId::new(id),
            url: String::new(),
            region: region.to_owned(),
            ready: true,
            draining: false,
            rooms: 0,
            load_permille,
        }
    }

    #[test]
    fn the_near_and_idle_worker_is_chosen() {
        let mut workers = [
            worker(1, "eu", 700),
            worker(2, "eu", 300),
            worker(3, "us", 0),
        ];
        let chosen = |workers: &[WorkerRecord]| choose(workers, "eu").map(|worker| worker.id.get());
        assert_eq!(chosen(&workers), Some(2));
        workers[1].draining = true;
        assert_eq!(chosen(&workers), Some(1));
        workers[0].ready = false;
        assert_eq!(chosen(&workers), Some(3));
        assert_eq!(chosen(&[]), None);
    }
}
