//! etcd that asks for certificates, as it should where it is not alone on its machine.
#![allow(missing_docs, reason = "a test has no readers of its documentation")]

mod support;

use std::path::PathBuf;

use control_plane::Store;
use control_plane_etcd::{EtcdOptions, EtcdStore, EtcdTls};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use support::{Etcd, connect};

struct Certificates {
    authority: String,
    certificate: String,
    key: String,
}

/// One authority, and one certificate that serves etcd and its client alike.
fn certificates() -> Certificates {
    let mut params = CertificateParams::new(Vec::new()).expect("no names");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("a key");
    let issuer = CertifiedIssuer::self_signed(params, key).expect("signs itself");
    let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
    let key = KeyPair::generate().expect("a key");
    let leaf = CertificateParams::new(names).expect("names");
    let leaf = leaf.signed_by(&key, &issuer).expect("signs");
    Certificates {
        authority: issuer.pem(),
        certificate: leaf.pem(),
        key: key.serialize_pem(),
    }
}

#[tokio::test]
async fn a_client_needs_the_authority_and_a_certificate() {
    let made = certificates();
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| -> PathBuf {
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("writes");
        path
    };
    let files = [
        write("ca.pem", &made.authority),
        write("cert.pem", &made.certificate),
        write("key.pem", &made.key),
    ];
    let etcd = Etcd::start_with(Some(files)).await;
    let options = |authority: &str, identity| EtcdOptions {
        tls: Some(EtcdTls {
            authority: authority.to_owned(),
            identity,
            server_name: None,
        }),
        ..EtcdOptions::new([format!("https://{}", etcd.address())])
    };
    let identity = Some((made.certificate.clone(), made.key.clone()));
    let store = connect(&options(&made.authority, identity.clone())).await;
    assert_eq!(store.get("/a").await.expect("answers"), None);
    let unknown = EtcdStore::connect(&options(&made.authority, None)).await;
    assert!(unknown.is_err(), "without a certificate of its own");
    let foreign = certificates().authority;
    let misled = EtcdStore::connect(&options(&foreign, identity)).await;
    assert!(misled.is_err(), "with another authority");
}
