//! How a light client reaches its server: checks, handshake, and where its datagrams go.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use media_rtp::header::PacketKind;

use super::answer::Answer;
use super::handshake::{Handshake, Identity, Keys};
use super::stun::{self, Message, Transaction};

/// Checks before the server's first answer, the first of them sooner.
const CHECK_FIRST: Duration = Duration::from_millis(50);
const CHECK_FAST: Duration = Duration::from_millis(250);
/// Consent (RFC 7675, section 5.1).
const CHECK_SLOW: Duration = Duration::from_secs(5);
/// Candidates that are tried; more are of interfaces that we share.
const CANDIDATES_MAX: usize = 8;
const UFRAG_LETTERS: usize = 8;
const PASSWORD_LETTERS: usize = 24;

/// Datagrams to send.
pub(super) type Outbox = Vec<(SocketAddr, Vec<u8>)>;

/// What a datagram is to the client.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Incoming {
    Rtp,
    Rtcp,
    /// It was ours alone.
    Taken,
}

enum Phase {
    /// No answer yet.
    Offering,
    /// Checks are out.
    Checking {
        answer: Box<Answer>,
    },
    /// A path stands; the handshake may be done.
    Joined(Box<Handshake>),
    Ended,
}

/// One client's connection.
pub(super) struct Wire {
    phase: Phase,
    pub(super) ufrag: String,
    pub(super) password: String,
    username: String,
    remote_password: String,
    /// Where everything goes once a check was answered.
    pub(super) remote: Option<SocketAddr>,
    candidates: Vec<SocketAddr>,
    tie_breaker: u64,
    transaction: Transaction,
    check_at: Option<Instant>,
    checks: u32,
}

fn letters(count: usize) -> String {
    std::iter::repeat_with(fastrand::alphanumeric)
        .take(count)
        .collect()
}

impl Wire {
    pub(super) fn new() -> Self {
        Self {
            phase: Phase::Offering,
            ufrag: letters(UFRAG_LETTERS),
            password: letters(PASSWORD_LETTERS),
            username: String::new(),
            remote_password: String::new(),
            remote: None,
            candidates: Vec::new(),
            tie_breaker: fastrand::u64(..),
            transaction: [0; 12],
            check_at: None,
            checks: 0,
        }
    }

    pub(super) fn start(&mut self, now: Instant, answer: Answer, out: &mut Outbox) {
        self.username = format!("{}:{}", answer.ufrag, self.ufrag);
        self.remote_password.clone_from(&answer.password);
        self.candidates.clone_from(&answer.candidates);
        self.candidates.truncate(CANDIDATES_MAX);
        self.phase = Phase::Checking {
            answer: Box::new(answer),
        };
        self.check(now, out);
    }

    pub(super) fn keys(&mut self) -> Option<&mut Keys> {
        match &mut self.phase {
            Phase::Joined(handshake) => handshake.keys.as_mut(),
            Phase::Offering | Phase::Checking { .. } | Phase::Ended => None,
        }
    }

    pub(super) fn has_ended(&self) -> bool {
        match &self.phase {
            Phase::Joined(handshake) => handshake.ended,
            Phase::Ended => true,
            Phase::Offering | Phase::Checking { .. } => false,
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let handshake = match &self.phase {
            Phase::Joined(handshake) => handshake.timeout,
            Phase::Offering | Phase::Checking { .. } | Phase::Ended => None,
        };
        self.check_at.into_iter().chain(handshake).min()
    }

    pub(super) fn handle_timeout(&mut self, now: Instant, out: &mut Outbox) {
        if self.check_at.is_some_and(|at| at <= now) {
            self.check(now, out);
        }
        if let (Phase::Joined(handshake), Some(to)) = (&mut self.phase, self.remote)
            && handshake.timeout.is_some_and(|at| at <= now)
        {
            let mut records = Vec::new();
            handshake.handle_timeout(now, &mut records);
            out.extend(records.into_iter().map(|record| (to, record)));
        }
    }

    pub(super) fn handle_datagram(
        &mut self,
        now: Instant,
        identity: &Identity,
        from: SocketAddr,
        datagram: &[u8],
        out: &mut Outbox,
    ) -> Incoming {
        match PacketKind::of(datagram) {
            PacketKind::Stun => self.handle_stun(now, identity, from, datagram, out),
            PacketKind::Dtls => {
                if let Phase::Joined(handshake) = &mut self.phase {
                    let mut records = Vec::new();
                    handshake.handle_datagram(now, datagram, &mut records);
                    out.extend(records.into_iter().map(|record| (from, record)));
                }
            }
            PacketKind::Rtp => return Incoming::Rtp,
            PacketKind::Rtcp => return Incoming::Rtcp,
            _ => {}
        }
        Incoming::Taken
    }

    /// Says goodbye, so that the server need not wait for silence.
    pub(super) fn close(&mut self, now: Instant, out: &mut Outbox) {
        if let (Phase::Joined(handshake), Some(to)) = (&mut self.phase, self.remote) {
            let mut records = Vec::new();
            handshake.close(now, &mut records);
            out.extend(records.into_iter().map(|record| (to, record)));
        }
        self.phase = Phase::Ended;
        self.check_at = None;
    }

    fn handle_stun(
        &mut self,
        now: Instant,
        identity: &Identity,
        from: SocketAddr,
        datagram: &[u8],
        out: &mut Outbox,
    ) {
        match stun::parse(datagram) {
            Some(Message::Request(transaction)) => {
                out.push((from, stun::success(transaction, from, &self.password)));
            }
            Some(Message::Success(transaction)) if transaction == self.transaction => {
                let phase = std::mem::replace(&mut self.phase, Phase::Ended);
                self.phase = match phase {
                    Phase::Checking { answer } => {
                        self.remote = Some(from);
                        self.check_at = Some(now + CHECK_SLOW);
                        greet(now, identity, &answer, from, out)
                    }
                    other @ (Phase::Offering | Phase::Joined(_) | Phase::Ended) => other,
                };
            }
            _ => {}
        }
    }

    fn check(&mut self, now: Instant, out: &mut Outbox) {
        self.checks += 1;
        // One for all candidates of a round: whichever answers first is taken.
        fastrand::fill(&mut self.transaction);
        let wait = match (self.remote, self.checks) {
            (Some(_), _) => CHECK_SLOW,
            (None, 1) => CHECK_FIRST,
            (None, _) => CHECK_FAST,
        };
        self.check_at = Some(now + wait);
        let (username, password) = (&self.username, &self.remote_password);
        let check = stun::request(self.transaction, username, password, self.tie_breaker);
        match self.remote {
            Some(to) => out.push((to, check)),
            None => {
                // What the server prefers has a head start.
                let tried = if self.checks == 1 { 1 } else { CANDIDATES_MAX };
                let candidates = self.candidates.iter().take(tried);
                out.extend(candidates.map(|to| (*to, check.clone())));
            }
        }
    }
}

fn greet(
    now: Instant,
    identity: &Identity,
    answer: &Answer,
    to: SocketAddr,
    out: &mut Outbox,
) -> Phase {
    let mut records = Vec::new();
    let active = !answer.active;
    let handshake = Handshake::begin(identity, now, active, &answer.fingerprint, &mut records);
    out.extend(records.into_iter().map(|record| (to, record)));
    Phase::Joined(Box::new(handshake))
}
