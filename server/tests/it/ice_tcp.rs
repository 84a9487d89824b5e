//! A client whose network lets no UDP out meets one that has it: media over ICE-TCP.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use loadtest::{Bot, Plan, Signalling};
use serde_json::json;
use str0m::change::SdpAnswer;
use str0m::media::{Direction, MediaKind};
use str0m::net::{Protocol, Receive, TcpType};
use str0m::{Candidate, Event, Input, Output, Rtc};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::Instant;
use troupe_server::ice_tcp::Deframer;

use crate::support::Server;

const LIMIT: Duration = Duration::from_secs(15);

/// A viewer that has one TCP connection and nothing else.
struct Viewer {
    rtc: Rtc,
    stream: TcpStream,
    deframer: Deframer,
    frames: u64,
    gaps: u64,
}

impl Viewer {
    async fn join(server: &Server, token: &str) -> Result<(Self, Signalling)> {
        let stream = TcpStream::connect(("127.0.0.1", server.media)).await?;
        let mut rtc = Rtc::builder().build(Instant::now().into_std());
        let candidate = Candidate::builder().tcp().host(stream.local_addr()?);
        rtc.add_local_candidate(candidate.tcptype(TcpType::Active).build()?);
        let mut changes = rtc.sdp_api();
        for kind in [MediaKind::Audio, MediaKind::Video] {
            changes.add_media(kind, Direction::RecvOnly, None, None, None);
        }
        let (offer, pending) = changes.apply().context("an offer")?;
        let mut signalling = Signalling::connect(&server.signalling()).await?;
        signalling
            .request("join", json!({ "token": token }))
            .await?;
        let offer = json!({ "sdp": offer.to_sdp_string(), "tracks": [] });
        let answer = signalling.request("offer", offer).await?;
        let answer = answer["sdp"].as_str().context("an answer")?;
        // Only the TCP candidates, as if UDP were filtered.
        let is_udp = |line: &&str| line.starts_with("a=candidate:") && line.contains(" udp ");
        let lines = answer.lines().filter(|line| !is_udp(line));
        let answer: String = lines.flat_map(|line| [line, "\r\n"]).collect();
        rtc.sdp_api()
            .accept_answer(pending, SdpAnswer::from_sdp_string(&answer)?)?;
        let viewer = Self {
            rtc,
            stream,
            deframer: Deframer::default(),
            frames: 0,
            gaps: 0,
        };
        Ok((viewer, signalling))
    }

    /// Runs until that many frames have come.
    async fn watch(&mut self, frames: u64) -> Result<()> {
        let end = Instant::now() + LIMIT;
        while self.frames < frames {
            if Instant::now() > end {
                bail!("{} of {frames} frames came over TCP", self.frames);
            }
            let wake = self.drain().await?;
            tokio::select! {
                readable = self.stream.readable() => readable?,
                () = tokio::time::sleep_until(wake.min(end)) => {}
            }
            self.read()?;
        }
        Ok(())
    }

    async fn drain(&mut self) -> Result<Instant> {
        loop {
            match self.rtc.poll_output()? {
                Output::Timeout(at) => return Ok(at.into()),
                Output::Transmit(transmit) => {
                    anyhow::ensure!(transmit.proto == Protocol::Tcp, "only TCP is left");
                    let length = u16::try_from(transmit.contents.len())?;
                    self.stream.write_all(&length.to_be_bytes()).await?;
                    self.stream.write_all(&transmit.contents).await?;
                }
                Output::Event(Event::MediaData(data)) => {
                    self.frames += 1;
                    self.gaps += u64::from(!data.contiguous);
                }
                Output::Event(_) => {}
            }
        }
    }

    fn read(&mut self) -> Result<()> {
        let now = Instant::now().into_std();
        let (source, destination) = (self.stream.peer_addr()?, self.stream.local_addr()?);
        match self.stream.try_read(self.deframer.space()) {
            Ok(0) => bail!("the server closed"),
            Ok(count) => self.deframer.filled(count),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error.into()),
        }
        while let Some(frame) = self.deframer.next_frame()? {
            let receive = Receive::new(Protocol::Tcp, source, destination, frame)?;
            self.rtc.handle_input(Input::Receive(now, receive))?;
        }
        Ok(self.rtc.handle_input(Input::Timeout(now))?)
    }
}

#[tokio::test]
async fn media_flows_over_tcp_alone() -> Result<()> {
    let server = Server::start(&[]).await?;
    let mut sender = Bot::join(&server.signalling(), &server.token("tcp", "sender").await?).await?;
    sender
        .open_media(Plan {
            publish: true,
            slots: 0,
        })
        .await?;
    let sending = tokio::spawn(async move { sender.run_for(LIMIT).await });

    let token = server.token("tcp", "viewer").await?;
    let (mut viewer, mut signalling) = Viewer::join(&server, &token).await?;
    // A keyframe that comes late makes the first picture start anew.
    viewer.watch(40).await?;
    let gaps = viewer.gaps;
    viewer.watch(160).await?;
    assert_eq!(viewer.gaps, gaps, "nothing is lost on loopback");
    server
        .wait_metric("troupe_shard_ice_tcp_connections", "", 1.0)
        .await?;

    signalling.request("leave", json!({})).await?;
    drop(viewer);
    server
        .wait_metric("troupe_shard_ice_tcp_connections", "", 0.0)
        .await?;
    sending.abort();
    Ok(())
}
