//! Workers and etcd, each of which asks the other for a certificate.

use std::time::Duration;

use anyhow::{Result, ensure};
use tokio::time::{Instant, sleep};

use super::authority::Authority;
use crate::exit::{failed, troupe};
use crate::support::etcd::Etcd;

const PATIENCE: Duration = Duration::from_secs(20);

#[tokio::test]
async fn a_worker_shows_etcd_its_certificate() -> Result<()> {
    let authority = Authority::new()?;
    let (of_etcd, own) = (authority.issue("etcd")?, authority.issue("worker")?);
    let ca = authority.file();
    let etcd = Etcd::start_secure([ca.clone(), of_etcd.certificate, of_etcd.key]).await?;
    let known = [
        ("TROUPE_CLUSTER__ETCD__CA", &*ca),
        ("TROUPE_CLUSTER__ETCD__CERTIFICATE", &*own.certificate),
        ("TROUPE_CLUSTER__ETCD__KEY", &*own.key),
    ];
    let worker = etcd.worker_with(&known).await?;
    let end = Instant::now() + PATIENCE;
    while worker.get_viewed("workers").await?["items"][0]["here"] != true {
        ensure!(Instant::now() < end, "etcd does not know of the worker");
        sleep(Duration::from_millis(50)).await;
    }

    let endpoints = etcd.endpoints();
    let told = |settings: &[(&str, &str)]| {
        let own = [
            ("TROUPE_CLUSTER__STORE", "etcd"),
            ("TROUPE_CLUSTER__ETCD__ENDPOINTS", &*endpoints),
        ];
        failed(&troupe(&["serve", "--dev"], &[&own, settings].concat()))
    };
    let (code, line) = told(&known[..1]);
    assert_eq!(code, Some(69));
    let expected = "troupe: cluster.etcd: etcd refuses the connection (where it asks for a \
                    certificate, cluster.etcd.certificate and cluster.etcd.key name ours): ";
    ensure!(line.starts_with(expected), "{line}");
    let foreign = Authority::new()?;
    let (code, line) = told(&[
        ("TROUPE_CLUSTER__ETCD__CA", &*foreign.file()),
        known[1],
        known[2],
    ]);
    assert_eq!(code, Some(69));
    let expected = "troupe: cluster.etcd: etcd refuses the connection: ";
    ensure!(line.starts_with(expected), "{line}");
    ensure!(
        line.contains("invalid peer certificate: UnknownIssuer"),
        "{line}"
    );
    Ok(())
}
