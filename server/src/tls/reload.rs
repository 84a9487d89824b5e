//! Certificates that are renewed while the worker runs: read again when their files change, and at
//! SIGHUP. Connections that stand keep what they have; new ones get the new certificate.

use std::sync::{Arc, Weak};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use metrics::counter;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::signal::unix::{SignalKind, signal};

use super::{Pair, TlsError};
use crate::telemetry::TLS_RELOADS;

/// How often the files are looked at: what renews them replaces one after the other, so that a pair
/// that does not go together is tried again.
const LOOK_PERIOD: Duration = Duration::from_secs(2);

/// The certificate of now.
#[derive(Debug)]
struct Renewed {
    files: Pair,
    current: ArcSwap<CertifiedKey>,
}

impl ResolvesServerCert for Renewed {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.load_full())
    }
}

type Stamps = [Option<SystemTime>; 2];

impl Renewed {
    fn stamps(&self) -> Stamps {
        let files = [&self.files.certificate, &self.files.key];
        files.map(|path| std::fs::metadata(path).ok()?.modified().ok())
    }

    /// Takes what the files hold; what cannot be used leaves the last good one.
    fn take(&self) -> bool {
        let (taken, listener) = (self.files.read(), self.files.section);
        let outcome = if taken.is_ok() { "taken" } else { "refused" };
        counter!(TLS_RELOADS, "listener" => listener, "outcome" => outcome).increment(1);
        match taken {
            Ok(certified) => {
                self.current.store(Arc::new(certified));
                tracing::info!(listener, "the certificate was renewed");
                true
            }
            Err(error) => {
                tracing::warn!(listener, %error, "the certificate before stays in use");
                false
            }
        }
    }
}

/// Reads both files, and follows them for as long as the answer is used.
pub(super) fn follow(files: Pair) -> Result<Arc<dyn ResolvesServerCert>, TlsError> {
    let renewed = Arc::new(Renewed {
        current: ArcSwap::from_pointee(files.read()?),
        files,
    });
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(TlsError::Thread)?;
    let seen = renewed.stamps();
    let watched = Arc::downgrade(&renewed);
    std::thread::Builder::new()
        .name("certificates".to_owned())
        .spawn(move || runtime.block_on(look(watched, seen)))
        .map_err(TlsError::Thread)?;
    Ok(renewed)
}

async fn look(watched: Weak<Renewed>, mut seen: Stamps) {
    let mut hangups = match signal(SignalKind::hangup()) {
        Ok(hangups) => hangups,
        Err(error) => {
            tracing::warn!(%error, "certificates are not renewed");
            return;
        }
    };
    loop {
        let told = tokio::time::timeout(LOOK_PERIOD, hangups.recv())
            .await
            .is_ok();
        let Some(renewed) = watched.upgrade() else {
            return;
        };
        let now = renewed.stamps();
        if (told || now != seen) && renewed.take() {
            seen = now;
        }
    }
}
