//! What the server says of itself, and what the kernel says of its process.

use std::time::Duration;

use serde::Serialize;

/// A page of metrics is read within this, or not at all.
const READ_TIME_MAX: Duration = Duration::from_millis(800);
/// Clock ticks a second in `/proc` (proc(5)): 100 on every Linux that we know.
const TICKS_A_SECOND: f64 = 100.0;

/// One reading.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ServerFigures {
    /// Seconds of processor time since its start.
    pub cpu_s: Option<f64>,
    /// Bytes resident.
    pub resident_bytes: Option<u64>,
    /// Media packets that it sent, from its metrics.
    pub packets_out: Option<f64>,
    /// Media packets that it received.
    pub packets_in: Option<f64>,
    /// The busiest shard's share of its time.
    pub busy: Option<f64>,
    /// Signalling connections.
    pub connections: Option<f64>,
}

/// Where to read.
#[derive(Debug, Clone)]
pub(super) struct Probe {
    pub(super) metrics: Option<String>,
    pub(super) pid: Option<u32>,
}

impl Probe {
    /// Reads what can be read; `None` where there is nowhere to look.
    pub(super) fn read(&self) -> Option<ServerFigures> {
        if self.metrics.is_none() && self.pid.is_none() {
            return None;
        }
        let mut figures = ServerFigures::default();
        if let Some(pid) = self.pid {
            figures.cpu_s = std::fs::read_to_string(format!("/proc/{pid}/stat"))
                .ok()
                .and_then(|stat| cpu_seconds(&stat));
            figures.resident_bytes = std::fs::read_to_string(format!("/proc/{pid}/status"))
                .ok()
                .and_then(|status| resident_bytes(&status));
        }
        if let Some(page) = self.metrics.as_deref().and_then(get) {
            let packets = |direction: &str| {
                let label = format!("direction=\"{direction}\"");
                sum(&page, "troupe_rtp_packets_total", &label)
            };
            figures.packets_out = packets("out");
            figures.packets_in = packets("in");
            figures.busy = most(&page, "troupe_shard_busy_ratio");
            figures.connections = sum(&page, "troupe_signaling_connections", "");
        }
        Some(figures)
    }
}

fn get(url: &str) -> Option<String> {
    let config = ureq::Agent::config_builder().timeout_global(Some(READ_TIME_MAX));
    let agent = config.build().new_agent();
    agent.get(url).call().ok()?.body_mut().read_to_string().ok()
}

/// User and system time, the 14th and 15th field; the name before them may have spaces.
fn cpu_seconds(stat: &str) -> Option<f64> {
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut fields = fields.split(' ').skip(11).map(str::parse::<f64>);
    let (user, system) = (fields.next()?.ok()?, fields.next()?.ok()?);
    Some((user + system) / TICKS_A_SECOND)
}

fn resident_bytes(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    Some(kib * 1_024)
}

/// The values of a metric's series whose labels contain `label`.
fn series<'a>(page: &'a str, name: &'a str, label: &'a str) -> impl Iterator<Item = f64> + 'a {
    page.lines().filter_map(move |line| {
        let rest = line.strip_prefix(name)?;
        let named = rest.starts_with(['{', ' ']) && rest.contains(label);
        named.then(|| rest.rsplit(' ').next()?.parse().ok())?
    })
}

fn sum(page: &str, name: &str, label: &str) -> Option<f64> {
    let mut found = series(page, name, label).peekable();
    found.peek()?;
    Some(found.sum())
}

fn most(page: &str, name: &str) -> Option<f64> {
    series(page, name, "").reduce(f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_files_are_read() {
        let stat = "7 (a b) c) S 1 7 7 0 -1 4194560 9 0 0 0 250 50 0 0 20 0 8 0 99 1 2";
        assert_eq!(cpu_seconds(stat), Some(3.0));
        assert_eq!(cpu_seconds("7 (x"), None);
        assert_eq!(
            resident_bytes("Name:\tx\nVmRSS:\t    2048 kB\n"),
            Some(2_097_152)
        );
        let own = Probe {
            metrics: None,
            pid: Some(std::process::id()),
        };
        assert!(own.read().unwrap().resident_bytes.unwrap() > 1_000_000);
        assert_eq!(
            Probe {
                metrics: None,
                pid: None
            }
            .read(),
            None
        );
    }

    #[test]
    fn metrics_are_summed_over_their_series() {
        let page = "# TYPE a counter\na{shard=\"0\",direction=\"out\"} 5\n\
                    a{shard=\"1\",direction=\"out\"} 7\na{shard=\"0\",direction=\"in\"} 1\nab 9\n";
        assert_eq!(sum(page, "a", "direction=\"out\""), Some(12.0));
        assert_eq!((most(page, "a"), sum(page, "c", "")), (Some(7.0), None));
    }
}
