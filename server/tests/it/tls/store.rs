//! Workers and etcd, each of which asks the other for a certificate.

use anyhow::{Result, ensure};

use super::authority::Authority;
use crate::exit::{failed, troupe};
use crate::support::etcd::Etcd;

#[tokio::test]
async fn a_worker_shows_etcd_its_certificate() -> Result<()> {
    let authority = Authority::new()?;
    let (of_etcd, own) = (authority.issue("etcd")?, authority.issue("worker")?);
    let ca = authority.file();
    let etcd = Etcd::start_secure([&ca, &of_etcd.certificate, &of_etcd.key]).await?;
    let known = [
        ("TROUPE_CLUSTER__ETCD__CA", &*ca),
        ("TROUPE_CLUSTER__ETCD__CERTIFICATE", &*own.certificate),
        ("TROUPE_CLUSTER__ETCD__KEY", &*own.key),
    ];
    let worker = etcd.worker_with(&known).await?;
    let listed = worker.get_viewed("workers").await?;
    assert_eq!(listed["items"].as_array().map(Vec::len), Some(1));

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
    ensure!(line.starts_with("troupe: cluster.etcd: "), "{line}");
    ensure!(line.contains("CertificateRequired"), "{line}");
    let foreign = Authority::new()?.file();
    let (code, line) = told(&[("TROUPE_CLUSTER__ETCD__CA", &*foreign)]);
    assert_eq!(code, Some(69));
    ensure!(line.contains("cluster.etcd.ca") || line.contains("UnknownIssuer"), "{line}");
    Ok(())
}
