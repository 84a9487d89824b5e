//! One connection, by the protocol that its handshake agreed on.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use quinn::crypto::rustls::HandshakeData;
use quinn::{Connecting, Connection, Incoming, VarInt};

use super::early::{Confirmed, Early};
use super::endpoint::{Handshaking, QuicServer};
use super::{ALPN_RTMP, metrics, moq, watch};
use crate::ingest::rtmp;

/// Closed without an error (RFC 9000, section 20.2 leaves the codes of applications to them).
const DONE: VarInt = VarInt::from_u32(0);
/// The client asked for nothing in time.
const LATE: VarInt = VarInt::from_u32(1);
/// How long the end of a stream may take to reach the client.
const LINGER: Duration = Duration::from_secs(1);

/// Serves a client until it or we have enough; says in a word why it ended.
pub(super) async fn run(
    server: &Arc<QuicServer>,
    incoming: Incoming,
    handshaking: Handshaking,
) -> &'static str {
    let limit = server.config.setup_timeout;
    let started = server.rtmp.clock.now();
    let Ok(mut connecting) = incoming.accept() else {
        return "handshake";
    };
    let protocol = match agree(&mut connecting, limit).await {
        Ok(protocol) => protocol,
        Err(reason) => return reason,
    };
    // A server's connection can always be used before the handshake is done: what comes until then
    // may be a copy of an earlier flight.
    let Ok((connection, accepted)) = connecting.into_0rtt() else {
        return "handshake";
    };
    let clock = Arc::clone(&server.rtmp.clock);
    let confirmed = async move {
        let _always = accepted.await;
        metrics::handshake_took(clock.now().saturating_duration_since(started));
        drop(handshaking);
    };
    let ended = serve(server, connection, &protocol, confirmed.boxed()).await;
    if ended == "setup" {
        metrics::refused("setup");
    }
    ended
}

/// Waits for the protocol that both speak.
async fn agree(connecting: &mut Connecting, limit: Duration) -> Result<String, &'static str> {
    let data = tokio::time::timeout(limit, connecting.handshake_data()).await;
    let data = data.map_err(|_| "timeout")?.map_err(|_| "handshake")?;
    let data: Option<&HandshakeData> = data.downcast_ref();
    let name = data.and_then(|data| data.protocol.as_deref());
    Ok(String::from_utf8_lossy(name.unwrap_or_default()).into_owned())
}

async fn serve(
    server: &Arc<QuicServer>,
    connection: Connection,
    protocol: &str,
    confirmed: Confirmed,
) -> &'static str {
    let word = match protocol {
        ALPN_RTMP => "rtmp",
        web_transport_quinn::ALPN => "webtransport",
        _ => "moq",
    };
    let _open = metrics::One::connection(word);
    let clock = Arc::clone(&server.rtmp.clock);
    let watched = connection.clone();
    let listed = server.roster.enter(connection.clone(), word, clock.now());
    let watching = tokio::spawn(async move { watch::watch(watched, listed, &*clock).await });
    let ended = match word {
        "rtmp" => serve_rtmp(server, &connection, confirmed).await,
        _ => moq::serve(server, &connection, word == "webtransport", confirmed).await,
    };
    connection.close(if ended == "setup" { LATE } else { DONE }, ended.as_bytes());
    watching.abort();
    ended
}

/// RTMP on the first stream that the client opens.
async fn serve_rtmp(
    server: &QuicServer,
    connection: &Connection,
    confirmed: Confirmed,
) -> &'static str {
    let asked = tokio::time::timeout(server.config.setup_timeout, connection.accept_bi()).await;
    let Ok(Ok((mut send, receive))) = asked else {
        return "setup";
    };
    if receive.is_0rtt() {
        metrics::early();
    }
    let stream = tokio::io::join(Early::new(receive, confirmed), &mut send);
    rtmp::serve_stream(&server.rtmp, stream).await;
    // What was written last has to reach the client before the connection is closed.
    let _gone = tokio::time::timeout(LINGER, send.stopped()).await;
    "done"
}
