//! MoQ in QUIC itself, as its project's own clients speak it.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use media_ingest::moq::{CATALOG_TRACK, Catalog, Container, Rendition, pack};
use media_types::Codec;
use moq_net::{Client, Session, Timestamp, broadcast, origin, track};
use quinn::Endpoint;
use tokio::time::{interval, timeout};

use super::client::{
    ROOM, connect, endpoint, is_keyframe, number_of, picture, rebind, serve, token,
};

/// One session, with what it brings of the other side.
pub(crate) struct Peer {
    pub(crate) session: Session,
    inbound: origin::Consumer,
}

#[allow(clippy::disallowed_methods, reason = "a test may read the clock")]
fn now() -> Instant {
    Instant::now()
}

/// Connects with what it publishes.
pub(crate) async fn session(
    endpoint: &Endpoint,
    port: u16,
    token: &str,
    outbound: &origin::Producer,
) -> Result<Peer> {
    let connection = connect(endpoint, port).await?;
    let transport = web_transport_quinn::Session::raw(connection);
    let inbound = new_origin();
    let client = Client::new()
        .with_path(format!("/{ROOM}?token={token}"))
        .with_publisher(outbound)
        .with_subscriber(inbound.clone());
    let (session, driver) = client.connect(now(), transport).await?;
    tokio::spawn(moq_net::time::run(driver));
    Ok(Peer {
        session,
        inbound: inbound.consume(),
    })
}

pub(crate) fn new_origin() -> origin::Producer {
    let (origin, driver) = origin::Producer::new(origin::Config::default());
    tokio::spawn(moq_net::time::run(driver));
    origin
}

fn catalog() -> Catalog {
    let rendition = Rendition {
        track: "camera".to_owned(),
        codec: Codec::Vp8.into(),
        codecs: "vp8".to_owned(),
        container: Container::Legacy,
        description: Vec::new().into(),
        width: 64,
        height: 64,
        sample_rate: 0,
        channels: 0,
    };
    Catalog {
        renditions: vec![rendition],
        unsupported: 0,
    }
}

/// A broadcast with a catalog and a track.
pub(crate) struct Publishing {
    _broadcast: broadcast::Producer,
    _catalog: track::Producer,
    camera: track::Producer,
    group: Option<moq_net::group::Producer>,
}

impl Publishing {
    pub(crate) fn new(origin: &origin::Producer, name: &str) -> Result<Self> {
        let broadcast = origin.publish(name, origin::Route::default())?;
        let mut tracks = broadcast.create_track(CATALOG_TRACK, None)?;
        tracks.write_frame(Timestamp::now(), catalog().write())?;
        Ok(Self {
            camera: broadcast.create_track("camera", None)?,
            _catalog: tracks,
            _broadcast: broadcast,
            group: None,
        })
    }

    fn send(&mut self, number: u32) -> Result<()> {
        self.send_padded(number, 0)
    }

    /// Sends a picture of at least so many bytes.
    pub(crate) fn send_padded(&mut self, number: u32, bytes: usize) -> Result<()> {
        if is_keyframe(number) {
            if let Some(group) = self.group.take() {
                group.finish()?;
            }
            self.group = Some(self.camera.append_group()?);
        }
        let frame = picture(number);
        let micros = frame.decoded.ticks;
        let mut data = frame.data.to_vec();
        data.resize(bytes.max(data.len()), 0);
        let group = self.group.as_mut().context("a group")?;
        group.write_frame(Timestamp::from_micros(micros)?, pack(micros, &data))?;
        Ok(())
    }
}

/// Waits for a stream of the room, and plays the pictures it has.
async fn play(peer: &Peer, name: &str, count: usize) -> Result<Vec<u32>> {
    let broadcast = timeout(Duration::from_secs(10), peer.inbound.routed_broadcast(name)).await;
    let broadcast = broadcast.context("no broadcast")??;
    let mut tracks = broadcast
        .track(CATALOG_TRACK)?
        .subscribe(None)
        .await?
        .ordered();
    let mut group = tracks.next_group().await?.context("a catalog")?;
    let frame = group.read_frame().await?.context("a catalog")?;
    let catalog = Catalog::read(&frame.payload)?;
    let [rendition] = &catalog.renditions[..] else {
        anyhow::bail!("{catalog:?}");
    };
    ensure!(
        rendition.codecs == "vp8" && rendition.width == 64,
        "{rendition:?}"
    );
    let patient = track::Subscription::default().with_max_age(Duration::from_secs(3));
    let mut groups = broadcast
        .track(&rendition.track)?
        .subscribe(patient)
        .await?
        .ordered();
    let mut numbers = Vec::with_capacity(count);
    while let Some(mut group) = groups.next_group().await? {
        while let Some(frame) = group.read_frame().await? {
            let (_micros, data) = rendition.container.unpack(&frame.payload)?;
            numbers.push(number_of(&data).context("a number")?);
            if numbers.len() >= count {
                return Ok(numbers);
            }
        }
    }
    Ok(numbers)
}

/// Publishes that many pictures, at 50 a second; the client moves at two of them.
async fn publish(
    endpoint: &Endpoint,
    publishing: &mut Publishing,
    (pictures, moves): (u32, [u32; 2]),
) -> Result<()> {
    let mut clock = interval(Duration::from_millis(20));
    for number in 0..pictures {
        clock.tick().await;
        if moves.contains(&number) {
            rebind(endpoint)?;
        }
        publishing.send(number)?;
    }
    Ok(())
}

#[tokio::test]
async fn a_publisher_that_moves_twice_loses_no_group() -> Result<()> {
    const PICTURES: u32 = 250;
    let (server, port) = serve(&[]).await?;
    let publisher = endpoint(&server, "moq-lite-06").await?;
    let outbound = new_origin();
    let mut publishing = Publishing::new(&outbound, "cam")?;
    let sending = session(&publisher, port, &token("cam", "ingest")?, &outbound).await?;
    ensure!(
        sending.session.version().as_str() == "moq-lite-06",
        "another draft"
    );

    // An earlier draft of the IETF's for the player.
    let player = endpoint(&server, "moqt-18").await?;
    let playing = session(&player, port, &token("eve", "play")?, &new_origin()).await?;
    let played = tokio::spawn(async move {
        // The first group may have passed before the room shows the stream.
        play(&playing, "cam", 150).await
    });
    publish(&publisher, &mut publishing, (PICTURES, [90, 160])).await?;
    let numbers = timeout(Duration::from_secs(20), played).await???;
    let first = *numbers.first().context("no picture")?;
    ensure!(is_keyframe(first), "it begins with {first}");
    let expected: Vec<u32> = (first..).take(150).collect();
    ensure!(numbers == expected, "{numbers:?}");
    let lost = server.metric("troupe_quic_groups_lost_total", "").await?;
    ensure!(lost.abs() < f64::EPSILON, "{lost} groups were lost");
    let frames = server
        .metric("troupe_quic_frames_total", "direction=\"in\"")
        .await?;
    ensure!(
        (frames - f64::from(PICTURES)).abs() < f64::EPSILON,
        "{frames} frames came"
    );
    let moved = server
        .metric("troupe_quic_path_changes_total", "to=\"migrating\"")
        .await?;
    ensure!((moved - 2.0).abs() < f64::EPSILON, "{moved} moves");
    Ok(())
}

#[tokio::test]
async fn tokens_decide_who_publishes_what() -> Result<()> {
    let (server, port) = serve(&[]).await?;
    let endpoint = endpoint(&server, "moq-lite-06").await?;
    // The token's identity is another one than the broadcast's.
    let outbound = new_origin();
    let _publishing = Publishing::new(&outbound, "cam")?;
    let token = token("eve", "ingest")?;
    let peer = session(&endpoint, port, &token, &outbound).await?;
    timeout(Duration::from_secs(10), peer.session.closed()).await?;
    // No token at all.
    let peer = session(&endpoint, port, "", &outbound).await;
    if let Ok(peer) = peer {
        timeout(Duration::from_secs(10), peer.session.closed()).await?;
    }
    let refused = server
        .metric("troupe_quic_refused_total", "reason=\"unauthorized\"")
        .await?;
    ensure!(
        (refused - 1.0).abs() < f64::EPSILON,
        "{refused} were refused"
    );
    Ok(())
}
