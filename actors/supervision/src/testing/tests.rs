use super::*;
use crate::{Children, Exit, Notice, Outcome, Restart, RestartPolicy, Strategy, TellError};

#[derive(Default)]
struct Echo {
    heard: Vec<&'static str>,
    child: Option<Mailbox<u8>>,
}

impl Behaviour for Echo {
    type Message = &'static str;

    fn handle(&mut self, message: &'static str, scope: &mut Scope<Self>) {
        self.heard.push(message);
        match message {
            "late" => {
                scope.after(Duration::from_secs(2), "two");
                let one = scope.after(Duration::from_secs(1), "one");
                scope.after(Duration::from_secs(1), "uno");
                scope.cancel(one);
            }
            "work" => scope.run(async { "done" }, |output| output),
            "child" => {
                let policy = RestartPolicy::temporary();
                assert_eq!(policy.restart, Restart::Temporary);
                let child = scope.spawn_child("nurse", policy, 2, Echoes::default, |_| "notice");
                self.child = Some(child.mailbox);
            }
            "end" => scope.stop(),
            _ => (),
        }
    }
}

#[derive(Default)]
struct Echoes;
impl Behaviour for Echoes {
    type Message = u8;
    fn handle(&mut self, _: u8, _: &mut Scope<Self>) {}
}

#[test]
fn a_driver_carries_out_what_a_host_would() {
    let mut echo = Driver::new(Echo::default());
    echo.tell("late");
    echo.tell("work");
    echo.advance(Duration::from_secs(3));
    assert_eq!(
        echo.behaviour().heard,
        ["late", "work", "done", "uno", "two"]
    );
    echo.mailbox().tell("boxed").unwrap();
    echo.tell("end");
    assert!(echo.stopped());
    assert_eq!(echo.behaviour().heard.last(), Some(&"end"));
}

#[test]
fn a_child_becomes_a_probe_with_its_bound() {
    let mut echo = Driver::new(Echo::default());
    echo.tell("child");
    let probe = echo.child::<u8>("nurse").unwrap();
    assert!(echo.child::<u8>("nurse").is_none());
    let child = echo.behaviour().child.clone().unwrap();
    child.tell(1).unwrap();
    child.tell(2).unwrap();
    assert!(matches!(child.tell(3), Err(TellError::Full(3))));
    assert_eq!(probe.take(), [1, 2]);
    child.tell(4).unwrap();
    probe.close();
    assert!(matches!(child.tell(5), Err(TellError::Closed(5))));
}

#[test]
fn a_book_stops_the_youngest_first() {
    let mut book = Children::new(Strategy::OneForOne);
    let probes: Vec<_> = (0..3).map(|_| probe::<u8>(1)).collect();
    for (key, probe) in probes.iter().enumerate() {
        book.insert(key, probe.child().stopper);
    }
    let asked = || probes.iter().map(Probe::stop_asked).collect::<Vec<_>>();
    assert_eq!(book.handle(&0, &Notice::Restarted(1)), Outcome::Alive);
    assert!(book.stop_all());
    assert_eq!(asked(), [false, false, true]);
    let gone = Notice::Exited(Exit::Normal);
    // One that ends out of turn is struck off; the queue goes on.
    assert_eq!(book.handle(&1, &gone), Outcome::Exited(1, Exit::Normal));
    assert_eq!(book.handle(&2, &gone), Outcome::Exited(2, Exit::Normal));
    assert_eq!(asked(), [true, false, true]);
    assert_eq!(book.handle(&0, &gone), Outcome::Empty(Exit::Normal));
    assert!(book.is_empty() && !book.stop_all());
}
