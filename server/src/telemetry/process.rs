//! What the process takes of the machine (proc(5)).

use metrics::{Unit, describe_gauge, gauge};

use super::metrics::{PROCESS_CPU, PROCESS_RESIDENT};

/// Of `stat` and `VmRSS` in proc(5): Linux counts in hundredths of a second for everybody.
const TICKS_PER_SECOND: f64 = 100.0;

pub(super) fn describe() {
    describe_gauge!(
        PROCESS_CPU,
        Unit::Seconds,
        "Processor time, user and system"
    );
    describe_gauge!(PROCESS_RESIDENT, Unit::Bytes, "Memory in RAM");
}

/// Looks, and notes what it sees; where there is no proc(5), nothing.
pub(super) fn look() {
    if let Some(ticks) = std::fs::read_to_string("/proc/self/stat")
        .ok()
        .and_then(|it| ticks(&it))
    {
        let ticks = u32::try_from(ticks).unwrap_or(u32::MAX);
        gauge!(PROCESS_CPU).set(f64::from(ticks) / TICKS_PER_SECOND);
    }
    if let Some(kib) = std::fs::read_to_string("/proc/self/status")
        .ok()
        .and_then(|it| resident(&it))
    {
        let kib = u32::try_from(kib).unwrap_or(u32::MAX);
        gauge!(PROCESS_RESIDENT).set(f64::from(kib) * 1_024.0);
    }
}

/// User and system time. The name before them may hold anything, but ends with the last `)`.
fn ticks(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut times = fields.split(' ').skip(11);
    let (user, system): (u64, u64) = (times.next()?.parse().ok()?, times.next()?.parse().ok()?);
    Some(user + system)
}

fn resident(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().trim_end_matches(" kB").trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_found_behind_any_name() {
        let stat = "7 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 120 34 0 0 20 0 9 0 1 2";
        assert_eq!(ticks(stat), Some(154));
        assert_eq!(ticks("7"), None);
        assert_eq!(resident("Name:\ttroupe\nVmRSS:\t   5120 kB\n"), Some(5_120));
    }
}
