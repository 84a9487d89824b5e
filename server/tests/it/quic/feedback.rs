//! What the path tells a publisher's encoder: the server's acknowledgements, by way of QUIC's
//! congestion control, are the feedback that MoQ has.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use loadtest::network::Script;
use loadtest::{Shaper, ShaperConfig};
use moq_net::bandwidth;
use tokio::time::{Instant, interval};

use super::client::{endpoint, serve, token};
use super::moq::{Peer, Publishing, new_origin, session};

/// What the encoder is set to, and the least that it makes, in bits a second.
const WANTED: u64 = 4_000_000;
const LEAST: u64 = 100_000;
/// Of the narrow path.
const NARROW_KBPS: u64 = 1_000;
const PICTURES_PER_SECOND: u64 = 25;
/// Far longer than it takes, on a machine that has other work.
const PATIENCE: Duration = Duration::from_secs(30);

/// An encoder that follows what its path is said to carry, 80 % of it, as the one of
/// `@troupe/client/moq` does.
struct Encoder {
    estimate: bandwidth::Consumer,
    publishing: Publishing,
    pictures: u32,
    rate: u64,
    _peer: Peer,
    shaper: Shaper,
}

impl Encoder {
    async fn start(
        server: &crate::support::Server,
        port: u16,
        name: &str,
        kbps: u64,
    ) -> Result<Self> {
        let link = format!("[up]\nrate_kbps = {kbps}\nqueue_ms = 200\ndelay_ms = 10.0\n");
        let shaper = Shaper::start(ShaperConfig {
            listen: "127.0.0.1:0".parse()?,
            upstream: format!("127.0.0.1:{port}").parse()?,
            script: Script::parse(&format!("{link}[down]\ndelay_ms = 10.0\n"))?,
        })?;
        let endpoint = endpoint(server, "moq-lite-06").await?;
        let outbound = new_origin();
        let publishing = Publishing::new(&outbound, name)?;
        let token = token(name, "ingest")?;
        let peer = session(&endpoint, shaper.address.port(), &token, &outbound).await?;
        let estimate = peer.session.send_bandwidth();
        Ok(Self {
            estimate: estimate.context("QUIC has an estimate")?,
            publishing,
            pictures: 0,
            rate: WANTED,
            _peer: peer,
            shaper,
        })
    }

    /// Makes one picture, at the rate of now.
    fn encode(&mut self) -> Result<()> {
        if let Some(path) = self.estimate.peek() {
            self.rate = (path.as_bps() * 8 / 10).clamp(LEAST, WANTED);
        }
        let bytes = usize::try_from(self.rate / 8 / PICTURES_PER_SECOND)?;
        self.publishing.send_padded(self.pictures, bytes)?;
        self.pictures += 1;
        Ok(())
    }
}

#[tokio::test]
async fn a_publishers_encoder_hears_how_much_its_path_carries() -> Result<()> {
    let (server, port) = serve(&[]).await?;
    let mut narrow = Encoder::start(&server, port, "narrow", NARROW_KBPS).await?;
    let mut wide = Encoder::start(&server, port, "wide", 50_000).await?;
    let mut clock = interval(Duration::from_millis(1_000 / PICTURES_PER_SECOND));
    let began = Instant::now();
    // What the narrow path carries and a little more, since the queue is measured along; the other
    // encoder makes what it is set to.
    let settled = |narrow: u64, wide: u64| narrow <= NARROW_KBPS * 1_200 && wide == WANTED;
    while !settled(narrow.rate, wide.rate) {
        let rates = (narrow.rate, wide.rate);
        ensure!(began.elapsed() < PATIENCE, "the encoders make {rates:?}");
        clock.tick().await;
        narrow.encode()?;
        wide.encode()?;
    }
    println!("after {:?}: {} b/s", began.elapsed(), narrow.rate);
    ensure!(
        narrow.rate >= LEAST && narrow.pictures > 1,
        "it fell silent"
    );
    // And pictures go on arriving.
    let frames = || server.metric("troupe_quic_frames_total", "direction=\"in\"");
    let before = frames().await?;
    while frames().await? < before + 10.0 {
        ensure!(began.elapsed() < PATIENCE, "nothing comes any more");
        clock.tick().await;
        narrow.encode()?;
    }
    for encoder in [narrow, wide] {
        (encoder.shaper.stopper())();
        encoder.shaper.join()?;
    }
    Ok(())
}
