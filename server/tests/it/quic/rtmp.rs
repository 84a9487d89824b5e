//! RTMP on a stream of QUIC.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use media_ingest::flv::{Parcel, frame_tag, read_tag};
use media_ingest::rtmp::{Client, ClientEvent, ClientGoal};
use quinn::{Connection, RecvStream, SendStream};
use tokio::time::{interval, timeout};

use super::client::{ROOM, connect, endpoint, number_of, picture, rebind, serve, token};
use crate::support::Server;

/// One RTMP client on one stream.
struct Stream {
    client: Client,
    send: SendStream,
    receive: RecvStream,
}

impl Stream {
    async fn open(connection: &Connection, goal: ClientGoal, key: &str) -> Result<Self> {
        let (send, receive) = connection.open_bi().await?;
        let url = format!("rtmp://localhost/{ROOM}");
        let client = Client::new(goal, &url, key, 1);
        Ok(Self {
            client,
            send,
            receive,
        })
    }

    async fn flush(&mut self) -> Result<()> {
        if let Some(bytes) = self.client.poll_transmit() {
            self.send.write_all(&bytes).await?;
        }
        Ok(())
    }

    /// What happens next; `None` at the end.
    async fn event(&mut self) -> Result<Option<ClientEvent>> {
        loop {
            self.flush().await?;
            if let Some(event) = self.client.poll_event() {
                return Ok(Some(event));
            }
            let Some(chunk) = self.receive.read_chunk(64 * 1024, true).await? else {
                return Ok(None);
            };
            self.client.handle_bytes(&chunk.bytes)?;
        }
    }

    async fn started(&mut self) -> Result<()> {
        let wait = async {
            loop {
                match self.event().await?.context("the end")? {
                    ClientEvent::Started => return Ok(()),
                    ClientEvent::Refused(code) => bail!("refused: {code}"),
                    ClientEvent::Status(_) | ClientEvent::Tag(_) => {}
                }
            }
        };
        timeout(Duration::from_secs(10), wait).await?
    }

    async fn send(&mut self, number: u32) -> Result<()> {
        self.client.send(&frame_tag(0, &picture(number)));
        self.flush().await
    }

    /// The numbers of so many pictures.
    async fn pictures(&mut self, count: usize) -> Result<Vec<u32>> {
        let mut numbers = Vec::with_capacity(count);
        while numbers.len() < count {
            let event = timeout(Duration::from_secs(20), self.event()).await;
            let event = event.with_context(|| format!("{} pictures came", numbers.len()))??;
            if let ClientEvent::Tag(tag) = event.context("the end")? {
                for parcel in read_tag(&tag)? {
                    if let Parcel::Frame { data, .. } = parcel {
                        numbers.push(number_of(&data).context("a number")?);
                    }
                }
            }
        }
        Ok(numbers)
    }
}

async fn path_changes(server: &Server, to: &str) -> Result<f64> {
    let label = format!("to=\"{to}\"");
    server
        .metric("troupe_quic_path_changes_total", &label)
        .await
}

#[tokio::test]
async fn a_publisher_and_a_player_that_move_lose_no_picture() -> Result<()> {
    const PICTURES: u32 = 200;
    let (server, port) = serve(&[]).await?;
    let (publishing, playing) = (
        endpoint(&server, "rtmp").await?,
        endpoint(&server, "rtmp").await?,
    );
    let connection = connect(&publishing, port).await?;
    let key = format!("cam?token={}", token("cam", "ingest")?);
    let mut publisher = Stream::open(&connection, ClientGoal::Publish, &key).await?;
    publisher.started().await?;
    publisher.send(0).await?;

    let connection = connect(&playing, port).await?;
    let key = format!("cam?token={}", token("eve", "play")?);
    let mut player = Stream::open(&connection, ClientGoal::Play, &key).await?;
    player.started().await?;
    let played = tokio::spawn(async move {
        let numbers = player.pictures(usize::try_from(PICTURES)?).await?;
        // It stays: a player that goes takes its path with it.
        anyhow::Ok((player, numbers))
    });

    let mut clock = interval(Duration::from_millis(20));
    for number in 1..PICTURES {
        clock.tick().await;
        if number == 80 {
            rebind(&publishing)?;
        } else if number == 130 {
            rebind(&playing)?;
        }
        publisher.send(number).await?;
    }
    let (_player, numbers) = played.await??;
    ensure!(numbers == (0..PICTURES).collect::<Vec<_>>(), "{numbers:?}");
    for state in ["migrating", "active"] {
        let changes = path_changes(&server, state).await?;
        ensure!(
            (changes - 2.0).abs() < f64::EPSILON,
            "{changes} changes to {state}"
        );
    }
    let active = server
        .metric("troupe_quic_paths", "state=\"active\"")
        .await?;
    ensure!((active - 2.0).abs() < f64::EPSILON, "{active} active paths");
    Ok(())
}

#[tokio::test]
async fn a_client_that_comes_back_begins_in_its_first_flight() -> Result<()> {
    let (server, port) = serve(&[]).await?;
    let endpoint = endpoint(&server, "rtmp").await?;
    let key = format!("cam?token={}", token("cam", "ingest")?);
    let connection = connect(&endpoint, port).await?;
    let mut first = Stream::open(&connection, ClientGoal::Publish, &key).await?;
    first.started().await?;
    connection.close(0_u32.into(), b"");

    let address = format!("127.0.0.1:{port}").parse()?;
    let connecting = endpoint.connect(address, "localhost")?;
    let Ok((connection, accepted)) = connecting.into_0rtt() else {
        bail!("no ticket");
    };
    let mut again = Stream::open(&connection, ClientGoal::Publish, &key).await?;
    again.started().await?;
    ensure!(accepted.await, "the first flight was not taken");
    let early = server.metric("troupe_quic_early_data_total", "").await?;
    ensure!((early - 1.0).abs() < f64::EPSILON, "{early} began early");
    Ok(())
}

#[tokio::test]
async fn in_a_crowd_clients_show_their_address_first() -> Result<()> {
    let (server, port) = serve(&[("TROUPE_QUIC__RETRY_ABOVE", "1")]).await?;
    let endpoint = endpoint(&server, "rtmp").await?;
    // A handshake that never ends: a client that sends its first packet and no more.
    let silent = quiet_client(port).await?;
    server
        .wait_metric("troupe_quic_handshakes", "", 1.0)
        .await?;
    let connection = connect(&endpoint, port).await?;
    let retries = server.metric("troupe_quic_retries_total", "").await?;
    ensure!(retries >= 1.0, "nobody was asked");
    drop((connection, silent));
    Ok(())
}

/// Begins a handshake, through a socket that hears no answer.
async fn quiet_client(port: u16) -> Result<std::net::UdpSocket> {
    let relay = tokio::net::UdpSocket::bind("127.0.0.1:0").await?;
    let out = std::net::UdpSocket::bind("127.0.0.1:0")?;
    let mut tls = quinn::rustls::ClientConfig::builder_with_provider(
        quinn::rustls::crypto::aws_lc_rs::default_provider().into(),
    )
    .with_protocol_versions(&[&quinn::rustls::version::TLS13])?
    .with_root_certificates(quinn::rustls::RootCertStore::empty())
    .with_no_client_auth();
    tls.alpn_protocols = vec![b"rtmp".to_vec()];
    let crypto = quinn::crypto::rustls::QuicClientConfig::try_from(tls)?;
    let mut endpoint = quinn::Endpoint::client("127.0.0.1:0".parse()?)?;
    endpoint.set_default_client_config(quinn::ClientConfig::new(std::sync::Arc::new(crypto)));
    let connecting = endpoint.connect(relay.local_addr()?, "localhost")?;
    let mut first = [0; 2_048];
    let (length, _) = relay.recv_from(&mut first).await?;
    out.send_to(&first[..length], ("127.0.0.1", port))?;
    drop(connecting);
    Ok(out)
}

#[tokio::test]
async fn tokens_decide() -> Result<()> {
    let (server, port) = serve(&[]).await?;
    let endpoint = endpoint(&server, "rtmp").await?;
    let (play, other) = (token("cam", "play")?, token("eve", "ingest")?);
    let asks = [
        (
            ClientGoal::Publish,
            "cam".to_owned(),
            "NetStream.Publish.Unauthorized",
        ),
        (
            ClientGoal::Publish,
            format!("cam?token={play}"),
            "NetStream.Publish.Unauthorized",
        ),
        (
            ClientGoal::Publish,
            format!("cam?token={other}"),
            "NetStream.Publish.Unauthorized",
        ),
        (
            ClientGoal::Play,
            format!("cam?token={play}"),
            "NetStream.Play.StreamNotFound",
        ),
    ];
    for (goal, key, expected) in asks {
        let connection = connect(&endpoint, port).await?;
        let mut stream = Stream::open(&connection, goal, &key).await?;
        let refused = stream.started().await;
        let told = refused.err().context("it was let in")?.to_string();
        ensure!(told == format!("refused: {expected}"), "{told}");
    }
    Ok(())
}
