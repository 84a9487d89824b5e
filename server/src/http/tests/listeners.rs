use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use rustls_pki_types::{CertificateDer, ServerName};
use socket2::SockRef;

use super::fake::world;
use crate::config::HttpConfig;
use crate::http::routes::{UNSENT_MAX, listen};
use crate::http::{ListenersTls, run};
use crate::tls::{install_provider, of_clients};

#[test]
fn accepted_connections_give_up_on_clients_that_do_not_read() {
    let listener = listen(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let _client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (accepted, _) = listener.accept().unwrap();
    let timeout = SockRef::from(&accepted).tcp_user_timeout().unwrap();
    assert_eq!(timeout, Some(UNSENT_MAX));
}

/// A certificate and its key as files, and the certificate to trust.
fn certificate(directory: &std::path::Path) -> (HttpConfig, CertificateDer<'static>) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let [certificate, key] = ["cert.pem", "key.pem"].map(|name| directory.join(name));
    std::fs::write(&certificate, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let config = HttpConfig {
        tls_certificate: Some(certificate),
        tls_key: Some(key),
        ..HttpConfig::default()
    };
    (config, made.cert.into())
}

fn ask(address: SocketAddr, trusted: CertificateDer<'static>, path: &str) -> String {
    let mut roots = RootCertStore::empty();
    roots.add(trusted).unwrap();
    let config = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").unwrap();
    let connection = ClientConnection::new(Arc::new(config), name).unwrap();
    let socket = TcpStream::connect(address).unwrap();
    let mut stream = StreamOwned::new(connection, socket);
    let request =
        format!("OPTIONS {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut response = String::new();
    // The server may close without a TLS goodbye; what it said is what counts.
    let _ = stream.read_to_string(&mut response);
    response
}

#[actix_web::test]
async fn tls_is_spoken_where_a_certificate_is_given() {
    install_provider();
    let directory = tempfile::tempdir().unwrap();
    let (files, trusted) = certificate(directory.path());
    let tls = ListenersTls {
        clients: of_clients(&files).unwrap(),
        operators: None,
    };
    let world = world(|config| config.http.require_tls = true);
    let listeners = run(world.state.clone(), tls).unwrap();
    let address = listeners.client_address;
    let handle = listeners.clients.handle();
    actix_web::rt::spawn(listeners.clients);
    let asked = tokio::task::spawn_blocking(move || ask(address, trusted, "/whip/r"));
    let response = asked.await.unwrap();
    assert!(response.starts_with("HTTP/1.1 204"), "{response}");
    assert!(
        response.contains("accept-post: application/sdp"),
        "{response}"
    );
    handle.stop(false).await;
}
