//! Parts that come and go over links that lose letters: never one too many, and nobody is kept
//! out of a place that is free.

use proptest::prelude::*;

use super::*;

/// A part: its side of the limit, who is in, who waits, and the letters each way.
#[derive(Default)]
struct Site {
    share: Share,
    used: u32,
    waiting: u32,
    /// To the owner, with whether it is said again.
    up: Vec<(Hold, bool)>,
    down: Vec<Allot>,
    told: Option<Hold>,
    is_there: bool,
}

struct Room {
    max: u32,
    own: u32,
    waiting: u32,
    ledger: Ledger,
    sites: Vec<Site>,
}

#[derive(Debug, Clone)]
enum Step {
    /// Somebody wants in at a site; 0 is the owner's.
    Join(usize),
    Leave(usize),
    /// Letters of a site arrive, so many each way.
    Carry(usize, usize, usize),
    /// Letters of a site are lost, so many each way.
    Lose(usize, usize, usize),
    /// All say again what they last said.
    Repeat,
    /// A site ends, with whoever is in; or begins.
    Toggle(usize),
}

fn worker(site: usize) -> WorkerId {
    WorkerId::new(u64::try_from(site).unwrap())
}

impl Room {
    fn new(max: u32, sites: usize) -> Self {
        let site = || Site {
            is_there: true,
            ..Site::default()
        };
        Self {
            max,
            own: 0,
            waiting: 0,
            ledger: Ledger::default(),
            sites: std::iter::repeat_with(site).take(sites).collect(),
        }
    }

    fn all(&self) -> u32 {
        self.own + self.sites.iter().map(|site| site.used).sum::<u32>()
    }

    /// What both sides do at the end of a turn.
    fn turn(&mut self) {
        let there = self.sites.iter().enumerate().filter(|(_, it)| it.is_there);
        let there: Vec<WorkerId> = there.map(|(n, _)| worker(n + 1)).collect();
        self.ledger.attend(&there);
        let waiting = std::mem::take(&mut self.waiting);
        for _ in 0..waiting {
            self.enter(0);
        }
        for n in 1..=self.sites.len() {
            let waiting = std::mem::take(&mut self.sites[n - 1].waiting);
            for _ in 0..waiting {
                self.enter(n);
            }
        }
        for (to, allot) in self.ledger.share_out(self.max, self.own, self.waiting) {
            let site = usize::try_from(to.get()).unwrap() - 1;
            self.sites[site].down.push(allot);
        }
        for site in self.sites.iter_mut().filter(|it| it.is_there) {
            let hold = site.share.hold(site.used, site.waiting);
            if site.told != Some(hold) {
                site.told = Some(hold);
                site.up.push((hold, false));
            }
        }
    }

    fn enter(&mut self, at: usize) {
        if at == 0 {
            match self.ledger.seat(self.max, self.own) {
                Seat::Free => self.own += 1,
                Seat::Soon => self.waiting += 1,
                Seat::Full => {}
            }
            return;
        }
        let site = &mut self.sites[at - 1];
        if site.is_there {
            match site.share.seat(site.used) {
                Seat::Free => site.used += 1,
                Seat::Soon => site.waiting += 1,
                Seat::Full => {}
            }
        }
    }

    fn carry(&mut self, at: usize, up: usize, down: usize) {
        let site = &mut self.sites[at];
        let up: Vec<_> = site.up.drain(..up.min(site.up.len())).collect();
        let down: Vec<_> = site.down.drain(..down.min(site.down.len())).collect();
        for (hold, again) in up {
            self.ledger.take(worker(at + 1), &hold, again);
        }
        for allot in down {
            site.share.take(&allot);
        }
    }

    fn repeat(&mut self) {
        for site in self.sites.iter_mut().filter(|it| it.is_there) {
            let hold = site.share.hold(site.used, site.waiting);
            site.up.push((hold, true));
        }
    }

    fn step(&mut self, step: &Step) {
        let count = self.sites.len();
        match *step {
            Step::Join(at) => self.enter(at % (count + 1)),
            Step::Leave(at) => match at % (count + 1) {
                0 => self.own = self.own.saturating_sub(1),
                at => self.sites[at - 1].used = self.sites[at - 1].used.saturating_sub(1),
            },
            Step::Carry(at, up, down) => self.carry(at % count, up, down),
            Step::Lose(at, up, down) => {
                let site = &mut self.sites[at % count];
                site.up.drain(..up.min(site.up.len()));
                site.down.drain(..down.min(site.down.len()));
            }
            Step::Repeat => self.repeat(),
            Step::Toggle(at) => {
                let site = &mut self.sites[at % count];
                let is_there = !site.is_there;
                *site = Site {
                    is_there,
                    ..Site::default()
                };
            }
        }
        self.turn();
    }

    /// All arrives from now on.
    fn settle(&mut self) {
        for _ in 0..4 {
            self.repeat();
            for _ in 0..8 {
                for at in 0..self.sites.len() {
                    self.carry(at, usize::MAX, usize::MAX);
                }
                self.turn();
            }
        }
    }
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let few = || 0..4_usize;
    let step = prop_oneof![
        6 => few().prop_map(Step::Join),
        2 => few().prop_map(Step::Leave),
        6 => (few(), few(), few()).prop_map(|(at, up, down)| Step::Carry(at, up, down)),
        1 => (few(), few(), few()).prop_map(|(at, up, down)| Step::Lose(at, up, down)),
        1 => Just(Step::Repeat),
        1 => few().prop_map(Step::Toggle),
    ];
    proptest::collection::vec(step, 0..120)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn never_one_too_many_and_every_free_place_is_found(
        max in 0..20_u32,
        sites in 1..4_usize,
        steps in steps(),
    ) {
        let mut room = Room::new(max, sites);
        room.turn();
        for step in steps {
            room.step(&step);
            prop_assert!(room.all() <= max, "{} of {max} after {step:?}", room.all());
        }
        room.settle();
        prop_assert!(room.all() <= max);
        let waiting = room.waiting + room.sites.iter().map(|it| it.waiting).sum::<u32>();
        prop_assert_eq!(waiting, 0, "nobody is left without an answer");
        // Whichever site is asked, all places are filled and not one more.
        for at in 0..=sites {
            let is_there = at == 0 || room.sites[at - 1].is_there;
            let before = room.all();
            room.enter(at);
            room.settle();
            let expected = if is_there { (before + 1).min(max) } else { before };
            prop_assert_eq!(room.all(), expected, "at {}: {:?}", at, room.ledger);
        }
    }
}

#[test]
fn a_place_that_was_taken_back_while_it_was_filled_is_free_once_it_is_left() {
    let mut room = Room::new(2, 1);
    room.turn();
    room.settle();
    room.enter(1);
    room.settle();
    assert_eq!(room.all(), 1);
    // A lower number than are in, as after a lost letter.
    room.sites[0].share.take(&Allot {
        serial: 1_000,
        seats: 0,
        full: false,
    });
    assert_eq!(room.sites[0].share.hold(1, 0).held, 1);
    assert_eq!(room.sites[0].share.hold(0, 0).held, 0);
}

#[test]
fn far_from_the_limit_nobody_waits() {
    let mut room = Room::new(1_000, 2);
    room.turn();
    room.settle();
    for at in [1, 2, 1, 2, 0] {
        for _ in 0..10 {
            room.enter(at);
        }
    }
    assert_eq!(room.all(), 50, "no letter has gone meanwhile");
    let letters = |room: &Room| {
        let sites = room.sites.iter();
        sites.map(|it| it.up.len() + it.down.len()).sum::<usize>()
    };
    assert_eq!(letters(&room), 0);
}
