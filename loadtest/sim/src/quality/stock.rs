//! Stock str0m on both ends of a link: the estimator of others on the same bottleneck.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use loadtest::network::{Chance, Link, Pipe, Trace};
use str0m::bwe::{Bitrate, BweKind};
use str0m::format::Codec;
use str0m::media::{Direction, Frequency, MediaKind, MediaTime, Mid};
use str0m::net::{Protocol, Receive};
use str0m::{Candidate, Event, Input, Output, Rtc};

use crate::seed::seed_clients;
use crate::world::base;
use crate::{scripted_provider, seed_keys};

const FRAME_TIME: Duration = Duration::from_micros(33_333);
/// What its source can be encoded at, in kb/s: the layers of the other side's camera with their
/// temporal layers.
const LADDER: [u64; 9] = [60, 90, 150, 200, 300, 500, 600, 900, 1_500];
const START: Bitrate = Bitrate::kbps(2_500);

/// What a run gave.
pub(super) struct StockRun {
    pub(super) start: Instant,
    pub(super) estimates: Vec<(Instant, u64)>,
    /// Media that came, in bytes.
    pub(super) frames: Vec<(Instant, u64)>,
    pub(super) pipe: Pipe<Vec<u8>>,
}

struct End {
    rtc: Rtc,
    address: SocketAddr,
    wake: Instant,
}

impl End {
    fn new(now: Instant, port: u16, sends: bool) -> Self {
        let provider = Arc::new(scripted_provider(&str0m::crypto::from_feature_flags()));
        let builder = Rtc::builder().set_crypto_provider(provider);
        let builder = match sends {
            true => builder.enable_bwe(Some(START)),
            false => builder,
        };
        let mut rtc = builder.build(now);
        let address = SocketAddr::new(Ipv4Addr::new(10, 9, 0, 1).into(), port);
        let candidate = Candidate::host(address, "udp").expect("a candidate");
        rtc.add_local_candidate(candidate);
        Self {
            rtc,
            address,
            wake: now,
        }
    }

    fn receive(&mut self, now: Instant, from: SocketAddr, datagram: &[u8]) {
        let receive = Receive::new(Protocol::Udp, from, self.address, datagram);
        if let Ok(receive) = receive {
            let taken = self.rtc.handle_input(Input::Receive(now, receive));
            taken.expect("str0m takes what str0m sent");
        }
    }
}

struct Run {
    ends: [End; 2],
    mid: Mid,
    next: Instant,
    connected: bool,
    estimate: u64,
    back: Pipe<Vec<u8>>,
    told: StockRun,
}

/// Sends for that long over a link; the way back has its delay and nothing else.
pub(super) fn run(seed: u64, down: Trace, time: Duration) -> StockRun {
    let start = base();
    seed_keys(seed);
    seed_clients(&mut Chance::new(seed, 4_000));
    let delay = down.at(Duration::ZERO).delay;
    let back = Link {
        delay,
        ..Link::default()
    };
    let mut ends = [End::new(start, 1, true), End::new(start, 2, false)];
    let mid = negotiate(&mut ends);
    let mut run = Run {
        ends,
        mid,
        next: start,
        connected: false,
        estimate: START.as_u64(),
        back: Pipe::new(start, back, Chance::new(seed, 4_002)),
        told: StockRun {
            start,
            estimates: Vec::new(),
            frames: Vec::new(),
            pipe: Pipe::new(start, down, Chance::new(seed, 4_001)),
        },
    };
    let mut now = start;
    while now < start + time {
        run.step(now);
        now = run.wake().max(now + Duration::from_micros(1));
    }
    run.told
}

fn negotiate(ends: &mut [End; 2]) -> Mid {
    let [sender, receiver] = ends;
    let mut changes = sender.rtc.sdp_api();
    let mid = changes.add_media(MediaKind::Video, Direction::SendOnly, None, None, None);
    let (offer, pending) = changes.apply().expect("an offer");
    let answer = receiver.rtc.sdp_api().accept_offer(offer);
    let answer = answer.expect("an answer");
    let accepted = sender.rtc.sdp_api().accept_answer(pending, answer);
    accepted.expect("str0m takes its own answer");
    sender
        .rtc
        .bwe()
        .set_bitrate(Bitrate::ZERO, Bitrate::kbps(2_500));
    mid
}

impl Run {
    fn wake(&self) -> Instant {
        let pipes = self.told.pipe.next().into_iter().chain(self.back.next());
        let ends = self.ends.iter().map(|end| end.wake);
        let source = self.connected.then_some(self.next);
        let all = pipes.chain(ends).chain(source);
        all.min().unwrap_or(self.next)
    }

    fn step(&mut self, now: Instant) {
        let [sender, receiver] = &self.ends;
        let (from_sender, from_receiver) = (sender.address, receiver.address);
        while let Some(datagram) = self.told.pipe.pop(now) {
            self.ends[1].receive(now, from_sender, &datagram);
            self.drain(now, 1);
        }
        while let Some(datagram) = self.back.pop(now) {
            self.ends[0].receive(now, from_receiver, &datagram);
            self.drain(now, 0);
        }
        for end in 0..2 {
            let input = self.ends[end].rtc.handle_input(Input::Timeout(now));
            input.expect("time may pass");
            self.drain(now, end);
        }
        if self.connected && self.next <= now {
            self.next += FRAME_TIME;
            self.write(now);
            self.drain(now, 0);
        }
    }

    fn write(&mut self, now: Instant) {
        let fits = LADDER
            .iter()
            .rev()
            .find(|kbps| **kbps * 1_000 <= self.estimate);
        let kbps = fits.copied().unwrap_or(LADDER[0]);
        let bytes = kbps * 1_000 / 8 * 33_333 / 1_000_000;
        let frame = vec![1; usize::try_from(bytes).unwrap_or(0)];
        let ticks = now.duration_since(self.told.start).as_micros() * 9 / 100;
        let time = MediaTime::new(u64::try_from(ticks).unwrap_or(0), Frequency::NINETY_KHZ);
        let Some(writer) = self.ends[0].rtc.writer(self.mid) else {
            return;
        };
        let vp8 = writer
            .payload_params()
            .find(|params| params.spec().codec == Codec::Vp8)
            .map(|params| params.pt());
        if let Some(pt) = vp8 {
            let written = writer.write(pt, now, time, frame);
            written.expect("a frame can be written");
        }
    }

    #[allow(
        clippy::wildcard_enum_match_arm,
        reason = "what is not measured is not noted"
    )]
    fn drain(&mut self, now: Instant, end: usize) {
        loop {
            let output = self.ends[end].rtc.poll_output();
            match output.expect("str0m lives") {
                Output::Timeout(at) => {
                    self.ends[end].wake = at;
                    return;
                }
                Output::Transmit(transmit) => {
                    let datagram = transmit.contents.to_vec();
                    let pipe = if end == 0 {
                        &mut self.told.pipe
                    } else {
                        &mut self.back
                    };
                    pipe.push(now, datagram.len(), datagram);
                }
                Output::Event(Event::Connected) if end == 0 => {
                    self.connected = true;
                    self.next = now;
                }
                Output::Event(Event::EgressBitrateEstimate(BweKind::Twcc { estimate, .. })) => {
                    self.estimate = estimate.as_u64();
                    self.told.estimates.push((now, self.estimate));
                }
                Output::Event(Event::MediaData(data)) if end == 1 => {
                    let bytes = u64::try_from(data.data.len()).unwrap_or(0);
                    self.told.frames.push((now, bytes));
                }
                Output::Event(_) => {}
            }
        }
    }
}
