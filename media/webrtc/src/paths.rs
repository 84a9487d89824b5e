//! Which of a client's paths carries what we send.

use std::time::{Duration, Instant};

use arrayvec::ArrayVec;

use crate::limits::PATHS_MAX;
use crate::path::Path;

/// Media from another proven path moves us there when the current one was silent for this long.
const SILENCE: Duration = Duration::from_millis(500);

/// Paths by which the client proved to be reachable: it knew our ICE password.
#[derive(Debug, Default)]
pub(crate) struct Paths {
    current: Option<Path>,
    /// With the last time that something authentic came that way.
    proven: ArrayVec<(Path, Instant), PATHS_MAX>,
}

impl Paths {
    pub(crate) const fn current(&self) -> Option<Path> {
        self.current
    }

    /// A check was answered. The path that the client nominates, or the first, becomes the current
    /// one; `true` if that is a change.
    pub(crate) fn on_check(&mut self, now: Instant, path: Path, nominated: bool) -> bool {
        if !self.touch(now, path) {
            if self.proven.is_full() {
                self.drop_oldest();
            }
            self.proven.push((path, now));
        }
        (nominated || self.current.is_none()) && self.change_to(path)
    }

    /// Something authentic came by `path`. `true` if it is the current path from now on.
    pub(crate) fn on_authentic(&mut self, now: Instant, path: Path) -> bool {
        let proven = self.touch(now, path);
        if !proven || self.current == Some(path) {
            return false;
        }
        let current = self.proven.iter().find(|(p, _)| Some(*p) == self.current);
        let silent = current.is_none_or(|(_, at)| now.saturating_duration_since(*at) >= SILENCE);
        silent && self.change_to(path)
    }

    /// A path is gone for good. `true` if another one takes its place.
    pub(crate) fn on_closed(&mut self, path: Path) -> bool {
        self.proven.retain(|(proven, _)| *proven != path);
        if self.current != Some(path) {
            return false;
        }
        let latest = self.proven.iter().max_by_key(|(_, at)| *at);
        self.current = latest.map(|(path, _)| *path);
        self.current.is_some()
    }

    fn touch(&mut self, now: Instant, path: Path) -> bool {
        let known = self.proven.iter_mut().find(|(proven, _)| *proven == path);
        known.map(|(_, at)| *at = now).is_some()
    }

    fn drop_oldest(&mut self) {
        let others = self.proven.iter().enumerate();
        let others = others.filter(|(_, (path, _))| Some(*path) != self.current);
        let oldest = others.min_by_key(|(_, (_, at))| *at).map(|(at, _)| at);
        if let Some(at) = oldest {
            self.proven.remove(at);
        }
    }

    fn change_to(&mut self, path: Path) -> bool {
        self.current.replace(path) != Some(path)
    }
}

#[cfg(test)]
#[allow(
    clippy::disallowed_methods,
    reason = "tests take one instant as their base"
)]
mod tests {
    use super::*;
    use crate::path::Protocol;

    fn path(port: u16) -> Path {
        Path {
            local: ([10, 0, 0, 1], 7_800).into(),
            remote: ([10, 0, 0, 2], port).into(),
            protocol: Protocol::Udp,
        }
    }

    #[test]
    fn nomination_moves_and_media_moves_after_silence() {
        let base = Instant::now();
        let mut paths = Paths::default();
        assert!(!paths.on_authentic(base, path(1)));
        assert!(paths.on_check(base, path(1), false));
        assert!(!paths.on_check(base, path(2), false));
        assert!(paths.on_check(base, path(2), true));
        assert_eq!(paths.current(), Some(path(2)));
        let soon = base + Duration::from_millis(100);
        assert!(!paths.on_authentic(soon, path(1)));
        assert!(!paths.on_authentic(soon, path(3)));
        let later = base + Duration::from_millis(600);
        assert!(paths.on_authentic(later, path(1)));
        assert_eq!(paths.current(), Some(path(1)));
        assert!(paths.on_closed(path(1)));
        assert_eq!(paths.current(), Some(path(2)));
        assert!(!paths.on_closed(path(2)));
        assert_eq!(paths.current(), None);
    }

    #[test]
    fn proven_paths_are_bounded_and_the_current_stays() {
        let base = Instant::now();
        let mut paths = Paths::default();
        paths.on_check(base, path(1), true);
        for port in 2..100 {
            let now = base + Duration::from_millis(port.into());
            assert!(!paths.on_check(now, path(port), false));
        }
        assert_eq!(paths.proven.len(), PATHS_MAX);
        assert_eq!(paths.current(), Some(path(1)));
        assert!(paths.proven.iter().any(|(proven, _)| *proven == path(1)));
    }
}
