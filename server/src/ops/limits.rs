//! How often one address, one key, one room and everybody may come in.
//!
//! Buckets refill at the rates of `[limits]`, and more slowly the busier the worker is: calls that
//! run come before calls that begin.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use media_types::RoomName;
use metrics::{counter, gauge};
use signaling::{ErrorType, RpcError};

use crate::config::{LimitsConfig, Rate};
use crate::telemetry::{RATELIMIT_REJECTED, RATELIMIT_SHARE};

/// Buckets of one kind. Full buckets are dropped first; past it strangers share one.
const BUCKETS_MAX: usize = 100_000;
/// Below this load, in thousandths, nothing is slowed.
const LOAD_EASY: u32 = 600;
/// At this load and above, buckets refill at [`SHARE_MIN`] of their rate.
const LOAD_FULL: u32 = 900;
/// What is left of every rate under full load, in thousandths: some always come in.
const SHARE_MIN: u32 = 50;
/// The longest wait that anybody is told: by then load has changed.
const WAIT_MAX: Duration = Duration::from_secs(30);
/// An IPv6 client has 64 bits of addresses to itself (RFC 6177).
const V6_PREFIX_BITS: u32 = 64;

#[derive(Debug)]
struct Bucket {
    level: f64,
    at: Instant,
}

impl Bucket {
    fn take(&mut self, rate: Rate, share: f64, now: Instant) -> Result<(), Duration> {
        let per_second = (f64::from(rate.per_second) * share).max(f64::MIN_POSITIVE);
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.at = self.at.max(now);
        self.level = (self.level + passed * per_second).min(f64::from(rate.burst));
        if self.level >= 1.0 {
            self.level -= 1.0;
            return Ok(());
        }
        let wait = (1.0 - self.level) / per_second;
        Err(Duration::try_from_secs_f64(wait)
            .unwrap_or(WAIT_MAX)
            .min(WAIT_MAX))
    }

    fn is_full(&self, rate: Rate, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.level + passed * f64::from(rate.per_second) >= f64::from(rate.burst)
    }
}

/// Buckets of one kind, by what they are for.
#[derive(Debug)]
struct Buckets<K> {
    name: &'static str,
    held: Mutex<HashMap<K, Bucket>>,
}

impl<K: std::hash::Hash + Eq + Clone> Buckets<K> {
    fn new(name: &'static str) -> Self {
        Self {
            name,
            held: Mutex::new(HashMap::new()),
        }
    }

    fn take(&self, key: &K, rate: Rate, share: f64, now: Instant) -> Result<(), RpcError> {
        if rate.per_second == 0 {
            return Ok(());
        }
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if held.len() >= BUCKETS_MAX && !held.contains_key(key) {
            held.retain(|_, bucket| !bucket.is_full(rate, now));
        }
        if held.len() >= BUCKETS_MAX && !held.contains_key(key) {
            return Err(refused(self.name, WAIT_MAX));
        }
        let fresh = || Bucket {
            level: f64::from(rate.burst),
            at: now,
        };
        let bucket = held.entry(key.clone()).or_insert_with(fresh);
        bucket
            .take(rate, share, now)
            .map_err(|wait| refused(self.name, wait))
    }
}

fn refused(limit: &'static str, wait: Duration) -> RpcError {
    counter!(RATELIMIT_REJECTED, "limit" => limit).increment(1);
    // Clients count whole milliseconds: none would be at once.
    RpcError::from(ErrorType::RateLimited).retry_after(wait.max(Duration::from_millis(1)))
}

/// All limits of coming in.
#[derive(Debug)]
pub struct Gates {
    addresses: Buckets<IpAddr>,
    keys: Buckets<String>,
    rooms: Buckets<RoomName>,
    all: Buckets<()>,
    /// What is left of every rate, in thousandths.
    share: AtomicU32,
}

impl Default for Gates {
    fn default() -> Self {
        Self {
            addresses: Buckets::new("address"),
            keys: Buckets::new("key"),
            rooms: Buckets::new("room"),
            all: Buckets::new("joins"),
            share: AtomicU32::new(1_000),
        }
    }
}

impl Gates {
    fn share(&self) -> f64 {
        f64::from(self.share.load(Ordering::Relaxed)) / 1_000.0
    }

    /// Notes how busy the worker is, in thousandths.
    pub fn set_load(&self, permille: u32) {
        let over = permille
            .saturating_sub(LOAD_EASY)
            .min(LOAD_FULL - LOAD_EASY);
        let share = 1_000 - over * (1_000 - SHARE_MIN) / (LOAD_FULL - LOAD_EASY);
        self.share.store(share, Ordering::Relaxed);
        gauge!(RATELIMIT_SHARE).set(f64::from(share) / 1_000.0);
    }

    /// A connection or request of an address that is going to ask for a session.
    ///
    /// # Errors
    /// `rate_limited`, with how long to wait.
    pub fn knock(&self, limits: &LimitsConfig, from: IpAddr, now: Instant) -> Result<(), RpcError> {
        self.addresses
            .take(&shared(from), limits.per_address, 1.0, now)
    }

    /// A join with a token of this key into this room.
    ///
    /// # Errors
    /// `rate_limited`, with how long to wait.
    pub fn join(
        &self,
        limits: &LimitsConfig,
        key: &str,
        room: &RoomName,
        now: Instant,
    ) -> Result<(), RpcError> {
        let share = self.share();
        self.rooms.take(room, limits.per_room, share, now)?;
        self.keys
            .take(&key.to_owned(), limits.per_key, share, now)?;
        self.all.take(&(), limits.joins, share, now)
    }
}

/// What one client may have many of.
fn shared(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let mask = u128::MAX << (128 - V6_PREFIX_BITS);
            IpAddr::V6((u128::from(v6) & mask).into())
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[allow(clippy::disallowed_methods, reason = "a base to count from")]
    fn base() -> Instant {
        Instant::now()
    }

    fn limits() -> LimitsConfig {
        let rate = |per_second, burst| Rate { per_second, burst };
        LimitsConfig {
            per_address: rate(10, 2),
            per_key: rate(0, 0),
            per_room: rate(10, 3),
            joins: rate(100, 5),
        }
    }

    fn wait(refused: Result<(), RpcError>) -> Option<u64> {
        refused.err().and_then(|error| error.data.retry_after_ms)
    }

    #[test]
    fn who_comes_too_often_is_told_when_to_come_back() {
        let (gates, limits, now) = (Gates::default(), limits(), base());
        let address: IpAddr = "192.0.2.1".parse().unwrap();
        let knock = |at| gates.knock(&limits, address, at);
        assert_eq!([knock(now), knock(now)], [Ok(()), Ok(())]);
        let refused = knock(now).unwrap_err();
        assert_eq!(refused.kind(), ErrorType::RateLimited);
        assert_eq!(wait(knock(now)), Some(100));
        assert_eq!(knock(now + Duration::from_millis(100)), Ok(()));
        assert!(
            gates
                .knock(&limits, "192.0.2.2".parse().unwrap(), now)
                .is_ok()
        );
        let [a, b, c] = ["2001:db8::1", "2001:db8::2", "2001:db8::3"].map(|ip| ip.parse().unwrap());
        let six = |ip| gates.knock(&limits, ip, now);
        assert!(six(a).is_ok() && six(b).is_ok() && six(c).is_err());
    }

    #[test]
    fn a_room_a_key_and_all_together_have_their_rates() {
        let (gates, limits, now) = (Gates::default(), limits(), base());
        let room = |name: &str| -> RoomName { name.parse().unwrap() };
        let join = |name: &str| gates.join(&limits, "k", &room(name), now);
        assert!((0..3).all(|_| join("a").is_ok()));
        assert_eq!(wait(join("a")), Some(100));
        assert!(join("b").is_ok() && join("c").is_ok());
        assert_eq!(wait(join("d")), Some(10));
    }

    #[test]
    fn a_key_that_signs_for_too_many_is_slowed_down_alone() {
        let (gates, now) = (Gates::default(), base());
        let limits = LimitsConfig {
            per_key: Rate {
                per_second: 20,
                burst: 2,
            },
            ..limits()
        };
        let join = |key: &str, room: &str| {
            let room: RoomName = room.parse().unwrap();
            gates.join(&limits, key, &room, now)
        };
        assert!(join("k", "a").is_ok() && join("k", "b").is_ok());
        let refused = join("k", "c").unwrap_err();
        assert_eq!(refused.kind(), ErrorType::RateLimited);
        assert_eq!(refused.data.retry_after_ms, Some(50));
        assert_eq!(join("other", "d"), Ok(()));
    }

    #[test]
    fn the_busier_the_worker_the_longer_the_wait() {
        let (gates, limits, now) = (Gates::default(), limits(), base());
        let room: RoomName = "a".parse().unwrap();
        let join = || gates.join(&limits, "k", &room, now);
        while join().is_ok() {}
        gates.set_load(900);
        assert_eq!(wait(join()), Some(2_000));
        gates.set_load(750);
        assert!(wait(join()).is_some_and(|ms| (150..250).contains(&ms)));
        gates.set_load(100);
        assert_eq!(wait(join()), Some(100));
    }
}
