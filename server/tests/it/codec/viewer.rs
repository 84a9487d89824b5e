//! A browser's protocol: what comes to a viewer, and when.

use std::net::{SocketAddr, UdpSocket as StdUdpSocket};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use loadtest::Signalling;
use serde_json::json;
use str0m::change::SdpAnswer;
use str0m::format::CodecExtra;
use str0m::media::{Direction, KeyframeRequestKind, MediaData, MediaKind, Mid};
use str0m::net::{Protocol, Receive};
use str0m::{Candidate, Event, Input, Output, Rtc};
use tokio::net::UdpSocket;
use tokio::time::{Instant, sleep_until};

use super::LONG;
use crate::support::Server;

/// A picture that came.
pub(crate) struct Seen {
    pub(crate) keyframe: bool,
    /// When its last packet was there.
    pub(crate) at: Instant,
    /// Its RTP timestamp, from where the stream began, at 90 kHz.
    pub(crate) time: u64,
    /// Annex B.
    pub(crate) data: Arc<[u8]>,
}

pub(crate) struct Viewer {
    pub(crate) seen: Vec<Seen>,
    rtc: Rtc,
    socket: UdpSocket,
    address: SocketAddr,
    video: Option<Mid>,
    _signalling: Signalling,
}

impl Viewer {
    /// Joins a room and offers to take pictures.
    pub(crate) async fn join(server: &Server, room: &str) -> Result<Self> {
        let socket = StdUdpSocket::bind("127.0.0.1:0")?;
        socket.set_nonblocking(true)?;
        let socket = UdpSocket::from_std(socket)?;
        let address = socket.local_addr()?;
        let mut rtc = Rtc::builder().build(Instant::now().into_std());
        rtc.add_local_candidate(Candidate::host(address, "udp")?);
        let mut changes = rtc.sdp_api();
        let video = changes.add_media(MediaKind::Video, Direction::RecvOnly, None, None, None);
        let (offer, pending) = changes.apply().context("an offer")?;
        let mut signalling = Signalling::connect(&server.signalling()).await?;
        signalling
            .request(
                "join",
                json!({ "token": server.token(room, "viewer").await? }),
            )
            .await?;
        let offer = json!({ "sdp": offer.to_sdp_string(), "tracks": [] });
        let answer = signalling.request("offer", offer).await?;
        let answer = answer["sdp"].as_str().context("an answer")?;
        rtc.sdp_api()
            .accept_answer(pending, SdpAnswer::from_sdp_string(answer)?)?;
        Ok(Self {
            seen: Vec::new(),
            rtc,
            socket,
            address,
            video: Some(video),
            _signalling: signalling,
        })
    }

    /// Watches until that is so, or the time has come.
    pub(crate) async fn watch(
        &mut self,
        end: Instant,
        done: impl Fn(&[Seen]) -> bool,
    ) -> Result<()> {
        let mut buffer = vec![0; 2_048];
        loop {
            let wake = self.drain().await?;
            if done(&self.seen) || Instant::now() >= end {
                return Ok(());
            }
            tokio::select! {
                received = self.socket.recv_from(&mut buffer) => {
                    let (count, source) = received?;
                    let bytes = buffer.get(..count).unwrap_or_default();
                    let receive = Receive::new(Protocol::Udp, source, self.address, bytes)?;
                    let now = Instant::now().into_std();
                    self.rtc.handle_input(Input::Receive(now, receive))?;
                }
                () = sleep_until(wake.min(end)) => {
                    self.rtc.handle_input(Input::Timeout(Instant::now().into_std()))?;
                }
            }
        }
    }

    async fn drain(&mut self) -> Result<Instant> {
        loop {
            match self.rtc.poll_output()? {
                Output::Timeout(at) => return Ok(at.into()),
                Output::Transmit(transmit) => {
                    let to = transmit.destination;
                    self.socket.send_to(&transmit.contents, to).await?;
                }
                Output::Event(Event::MediaData(data)) => self.seen.push(seen(&data)),
                Output::Event(_) => {}
            }
        }
    }

    /// Asks for a keyframe; how long it takes to come.
    pub(crate) async fn keyframe(&mut self) -> Result<Duration> {
        let mid = self.video.context("a picture")?;
        let mut api = self.rtc.direct_api();
        let stream = api.stream_rx_by_mid(mid, None).context("a stream")?;
        stream.request_keyframe(KeyframeRequestKind::Pli);
        let (asked, before) = (Instant::now(), self.seen.len());
        let came = |seen: &[Seen]| seen.iter().skip(before).any(|picture| picture.keyframe);
        self.watch(asked + LONG, came).await?;
        ensure!(came(&self.seen), "no keyframe came");
        Ok(asked.elapsed())
    }

    /// Bits a second that came of the last so many pictures of 30 a second.
    pub(crate) fn rate(&self, pictures: usize) -> usize {
        let last = self.seen.iter().rev().take(pictures);
        8 * 30 * last.map(|picture| picture.data.len()).sum::<usize>() / pictures
    }
}

fn seen(data: &MediaData) -> Seen {
    let keyframe = matches!(&data.codec_extra, CodecExtra::H264(extra) if extra.is_keyframe);
    Seen {
        keyframe,
        at: Instant::now(),
        time: data.time.numer(),
        data: data.data.clone(),
    }
}
