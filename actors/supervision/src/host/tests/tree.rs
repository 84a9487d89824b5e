//! Parents, children, stopping and arbiters.

use super::*;
use crate::{Children, Outcome, Strategy};

#[derive(Default)]
struct Counts {
    restarted: AtomicU32,
    exited: AtomicU32,
    deepest: AtomicU32,
}

impl Observer for Counts {
    fn restarted(&self, actor: &'static str) {
        assert_eq!(actor, "subject");
        self.restarted.fetch_add(1, Ordering::SeqCst);
    }
    fn exited(&self, _: &'static str, _: &Exit) {
        self.exited.fetch_add(1, Ordering::SeqCst);
    }
    fn depth(&self, _: &'static str, letters: usize) {
        let letters = u32::try_from(letters).unwrap();
        self.deepest.fetch_max(letters, Ordering::SeqCst);
    }
}

/// A supervisor of subjects, as `RoomSupervisor` is one of peers.
struct Parent {
    children: Children<u32>,
    log: Log,
    record: Record,
}

enum ParentMessage {
    Spawn(u32, Reply<Mailbox<Message>>),
    Child(u32, Notice),
    Panic,
}

impl Behaviour for Parent {
    type Message = ParentMessage;

    fn handle(&mut self, message: ParentMessage, scope: &mut Scope<Self>) {
        match message {
            ParentMessage::Spawn(key, reply) => {
                let child = scope.spawn_child(
                    "subject",
                    RestartPolicy::transient(),
                    4,
                    self.record.factory(),
                    move |notice| ParentMessage::Child(key, notice),
                );
                self.children.insert(key, child.stopper);
                reply.send(child.mailbox);
            }
            ParentMessage::Child(key, notice) => {
                let outcome = self.children.handle(&key, &notice);
                self.log.lock().unwrap().push(format!("{key} {outcome:?}"));
                if matches!(outcome, Outcome::Empty(_)) {
                    scope.stop();
                }
            }
            ParentMessage::Panic => panic!("the parent"),
        }
    }

    fn stopping(&mut self, _: &mut Scope<Self>) -> Goodbye {
        if self.children.stop_all() {
            Goodbye::Later
        } else {
            Goodbye::Now
        }
    }
}

type Log = Arc<Mutex<Vec<String>>>;

fn parent(strategy: Strategy, spec: Spec) -> (Child<ParentMessage>, Log) {
    let log = Log::default();
    let sink = Arc::clone(&log);
    let factory = move || Parent {
        children: Children::new(strategy),
        log: Arc::clone(&sink),
        record: Record::default(),
    };
    (Host::spawn(factory, spec), log)
}

async fn spawn(parent: &Child<ParentMessage>, key: u32) -> Mailbox<Message> {
    let spawned = parent
        .mailbox
        .ask(ms(100), |reply| ParentMessage::Spawn(key, reply));
    spawned.await.unwrap()
}

fn take(log: &Log) -> Vec<String> {
    std::mem::take(&mut *log.lock().unwrap())
}

#[test]
fn one_for_one_leaves_siblings_alone() {
    paused(async {
        let (top, log) = parent(Strategy::OneForOne, Spec::new("parent"));
        let (one, two) = (spawn(&top, 1).await, spawn(&top, 2).await);
        one.tell(Message::Add(5)).unwrap();
        two.tell(Message::Stop).unwrap();
        tokio::time::sleep(ms(10)).await;
        assert_eq!(sum(&one).await, Ok(5));
        assert_eq!(sum(&two).await, Err(AskError::Closed));
        assert_eq!(take(&log), ["1 Alive", "2 Alive", "2 Exited(2, Normal)"]);
        assert!(!top.mailbox.is_closed());
    });
}

#[test]
fn all_for_one_takes_all_along_after_a_failure() {
    paused(async {
        let (top, log) = parent(Strategy::AllForOne, Spec::new("parent"));
        let boxes = [
            spawn(&top, 1).await,
            spawn(&top, 2).await,
            spawn(&top, 3).await,
        ];
        for _ in 0..4 {
            boxes[1].tell(Message::Panic).unwrap();
        }
        tokio::time::sleep(ms(1_000)).await;
        assert!(boxes.iter().all(Mailbox::is_closed));
        assert!(top.mailbox.is_closed());
        let failed = r#"Failed { reason: "told to", restarts: 3 }"#;
        let ends = take(&log).split_off(6);
        let expected = [
            format!("2 Exited(2, {failed})"),
            "3 Exited(3, Normal)".to_owned(),
            format!("1 Empty({failed})"),
        ];
        assert_eq!(ends, expected);
    });
}

#[test]
fn a_parent_stops_its_leaves_first_and_the_youngest_before_the_elder() {
    paused(async {
        let (hook, heard) = notices();
        let policy = RestartPolicy::permanent();
        let spec = Spec::new("parent").policy(policy).notices(hook);
        let (top, log) = parent(Strategy::OneForOne, spec);
        for key in 1..=3 {
            let child = spawn(&top, key).await;
            child.tell(Message::StopLater).unwrap();
        }
        tokio::time::sleep(ms(10)).await;
        take(&log);
        top.stopper.stop();
        top.stopper.stop();
        tokio::time::sleep(ms(160)).await;
        assert_eq!(take(&log), ["3 Exited(3, Normal)", "2 Exited(2, Normal)"]);
        assert!(!top.mailbox.is_closed());
        tokio::time::sleep(ms(100)).await;
        assert_eq!(take(&log), ["1 Empty(Normal)"]);
        let heard = heard.lock().unwrap().clone();
        assert_eq!(heard, [Notice::Started, Notice::Exited(Exit::Normal)]);
    });
}

#[test]
fn children_outlive_a_restart_of_the_parent_but_not_its_end() {
    paused(async {
        let (top, _) = parent(Strategy::OneForOne, Spec::new("parent"));
        let child = spawn(&top, 1).await;
        child.tell(Message::Add(3)).unwrap();
        top.mailbox.tell(ParentMessage::Panic).unwrap();
        tokio::time::sleep(ms(100)).await;
        assert_eq!(sum(&child).await, Ok(3));
        for _ in 0..3 {
            top.mailbox.tell(ParentMessage::Panic).unwrap();
        }
        tokio::time::sleep(ms(1_000)).await;
        assert!(top.mailbox.is_closed());
        assert!(child.is_closed());
    });
}

#[test]
fn a_full_parent_still_hears_of_an_exit() {
    paused(async {
        let (top, log) = parent(Strategy::OneForOne, Spec::new("parent").capacity(1));
        let child = spawn(&top, 1).await;
        child.tell(Message::Stop).unwrap();
        let panic = top.mailbox.tell(ParentMessage::Panic);
        assert!(panic.is_ok());
        let refused = top.mailbox.tell(ParentMessage::Panic);
        assert!(matches!(refused, Err(TellError::Full(_))));
        tokio::time::sleep(ms(100)).await;
        assert!(take(&log).contains(&"1 Empty(Normal)".to_owned()));
    });
}

#[test]
fn an_actor_between_two_lives_can_be_stopped() {
    paused(async {
        let record = Record::default();
        let (hook, heard) = notices();
        let actor = Host::spawn(record.factory(), Spec::new("subject").notices(hook));
        actor.mailbox.tell(Message::Panic).unwrap();
        tokio::time::sleep(ms(10)).await;
        actor.stopper.stop();
        tokio::time::sleep(ms(100)).await;
        let heard = heard.lock().unwrap().clone();
        assert_eq!(heard, [Notice::Started, Notice::Exited(Exit::Normal)]);
        assert_eq!(record.born.lock().unwrap().len(), 1);
    });
}

#[test]
fn observers_count_restarts_exits_and_depth_of_a_whole_tree() {
    paused(async {
        let counts = Arc::new(Counts::default());
        let spec = Spec::new("parent").observer(Arc::clone(&counts) as Arc<dyn Observer>);
        let (top, _) = parent(Strategy::OneForOne, spec);
        let child = spawn(&top, 1).await;
        for _ in 0..3 {
            child.tell(Message::Panic).unwrap();
        }
        tokio::time::sleep(ms(1_000)).await;
        child.tell(Message::Stop).unwrap();
        tokio::time::sleep(ms(10)).await;
        assert_eq!(counts.restarted.load(Ordering::SeqCst), 3);
        assert_eq!(counts.deepest.load(Ordering::SeqCst), 3);
        // The child and, with its last child gone, the parent.
        assert_eq!(counts.exited.load(Ordering::SeqCst), 2);
    });
}

#[test]
fn an_arbiter_that_ends_aborts_its_actors() {
    actix_rt::System::new().block_on(async {
        let arbiter = actix_rt::Arbiter::new();
        let record = Record::default();
        let (hook, heard) = notices();
        let spec = Spec::new("subject").notices(hook);
        let actor = Host::spawn_on(&arbiter.handle(), record.factory(), spec);
        assert_eq!(sum(&actor.mailbox).await, Ok(0));
        let handle = arbiter.handle();
        arbiter.stop();
        arbiter.join().unwrap();
        assert!(actor.mailbox.is_closed());
        assert_eq!(record.dropped.load(Ordering::SeqCst), 1);
        let aborted = Notice::Exited(Exit::Aborted);
        assert_eq!(*heard.lock().unwrap(), [Notice::Started, aborted.clone()]);

        let (hook, heard) = notices();
        let spec = Spec::new("subject").notices(hook);
        let late = Host::spawn_on(&handle, record.factory(), spec);
        assert_eq!(*heard.lock().unwrap(), [aborted]);
        assert_eq!(sum(&late.mailbox).await, Err(AskError::Closed));
    });
}
