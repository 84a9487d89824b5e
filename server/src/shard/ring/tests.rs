use media_contract::{Action, CommandId};
use media_types::{Epoch, RoomId};

use super::*;

fn inbox(id: u16) -> (mio::Poll, Arc<Inbox>) {
    let poll = mio::Poll::new().unwrap();
    let wake = Wake::new(poll.registry(), mio::Token(1)).unwrap();
    (poll, Arc::new(Inbox::new(ShardId(id), wake)))
}

fn command(id: u64) -> Command {
    Command {
        id: CommandId(id),
        room: RoomId::new(1),
        epoch: Epoch::default(),
        action: Action::OpenRoom,
    }
}

#[test]
fn commands_are_bounded_and_keep_their_order() {
    let (_poll, inbox) = inbox(0);
    for id in 0..COMMANDS_MAX as u64 {
        assert_eq!(inbox.command(command(id)), Ok(()));
    }
    assert_eq!(inbox.command(command(0)), Err(PlaneError::Busy));
    for id in 0..COMMANDS_MAX as u64 {
        assert_eq!(inbox.next_command().unwrap().id, CommandId(id));
    }
    assert!(inbox.is_idle());
    inbox.set_gone();
    assert_eq!(inbox.command(command(0)), Err(PlaneError::Gone));
}

#[test]
fn a_load_is_of_one_moment() {
    let (_poll, inbox) = inbox(3);
    inbox.set_load(70_000, 999_999);
    let load = inbox.load();
    let figures = (load.shard, load.transports, load.busy_ppm);
    assert_eq!(figures, (ShardId(3), 70_000, 999_999));
}

#[test]
fn lanes_connect_every_two_shards_and_drop_when_full() {
    let (_a, first) = inbox(0);
    let (_b, second) = inbox(1);
    let (_c, third) = inbox(2);
    let mut lanes = lanes::<u32>(&[first, second, third]);
    for number in 0..RELAY_MAX {
        assert!(lanes[0].send(ShardId(2).into(), number as u32));
    }
    assert!(!lanes[0].send(ShardId(2).into(), 0), "full");
    assert!(
        !lanes[0].send(ShardId(0).into(), 0),
        "nobody sends to itself"
    );
    assert!(!lanes[0].send(ShardId(9).into(), 0), "no such shard");
    assert!(lanes[1].send(ShardId(2).into(), 77));
    let mut seen = Vec::new();
    assert!(lanes[2].receive(4, |from, number| {
        seen.push((from.here().unwrap().0, number))
    }));
    assert_eq!(seen, [(0, 0), (0, 1), (1, 77)]);
    assert!(!lanes[2].is_idle() && lanes[1].is_idle());
    while lanes[2].receive(4, |_, _| ()) {}
    assert!(lanes[2].is_idle());
}

#[test]
fn a_reader_waits_until_there_is_something_or_nobody_left() {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let (mut reporter, mut reading) = reports();
    let writer = std::thread::spawn(move || {
        assert!(reporter.tell(Report::Restarted));
        reporter.flush();
        assert!(reporter.tell(Report::Spent));
    });
    let seen = runtime.unwrap().block_on(async {
        let mut seen = Vec::new();
        while reading.more().await {
            while let Some(report) = reading.next() {
                seen.push(report);
            }
        }
        seen
    });
    writer.join().unwrap();
    assert!(matches!(seen[..], [Report::Restarted, Report::Spent]));
}
