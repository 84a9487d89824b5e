//! The host under real actix, most of it on a paused clock.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, mpsc};

use super::*;
use crate::{AskError, Reply, TellError};

mod life;
mod tree;

/// Everything that a test wants an actor to do.
enum Message {
    Add(u32),
    Sum(Reply<u32>),
    Lives(Reply<Vec<Duration>>),
    Panic,
    Drop(Reply<u32>),
    Keep(Reply<u32>),
    Block(mpsc::Receiver<()>),
    After(Duration, u32),
    AfterTwoOneCancels(Duration),
    Every(Duration),
    Run(Duration, u32),
    RunPanic,
    Stop,
    StopLater,
}

/// What outlives the lives of one actor.
#[derive(Clone, Default)]
struct Record {
    born: Arc<Mutex<Vec<Instant>>>,
    dropped: Arc<AtomicU32>,
    factory_panics: Arc<AtomicU32>,
    start_panics: Arc<AtomicU32>,
    drop_panics: Arc<AtomicU32>,
}

fn take_one(counter: &AtomicU32) -> bool {
    let less = |left: u32| left.checked_sub(1);
    let taken = counter.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less);
    taken.is_ok()
}

struct Subject {
    sum: u32,
    kept: Vec<Reply<u32>>,
    pair: Vec<TimerId>,
    stop_later: bool,
    record: Record,
}

impl Record {
    fn factory(&self) -> impl FnMut() -> Subject + Send + 'static {
        let record = self.clone();
        move || {
            assert!(!take_one(&record.factory_panics), "in factory");
            Subject {
                sum: 0,
                kept: Vec::new(),
                pair: Vec::new(),
                stop_later: false,
                record: record.clone(),
            }
        }
    }
}

impl Drop for Subject {
    fn drop(&mut self) {
        self.record.dropped.fetch_add(1, Ordering::SeqCst);
        assert!(!take_one(&self.record.drop_panics), "in drop");
    }
}

impl Behaviour for Subject {
    type Message = Message;

    fn started(&mut self, scope: &mut Scope<Self>) {
        self.record.born.lock().unwrap().push(scope.now());
        assert!(!take_one(&self.record.start_panics), "in started");
    }

    fn handle(&mut self, message: Message, scope: &mut Scope<Self>) {
        match message {
            Message::Add(more) => {
                self.sum += more;
                if self.pair.len() == 2 {
                    scope.cancel(self.pair[1]);
                }
            }
            Message::Sum(reply) => reply.send(self.sum),
            Message::Lives(reply) => {
                let born = self.record.born.lock().unwrap();
                reply.send(born.iter().map(|at| *at - born[0]).collect());
            }
            Message::Panic => panic!("told to"),
            Message::Drop(reply) => drop(reply),
            Message::Keep(reply) => self.kept.push(reply),
            Message::Block(until) => until.recv().unwrap(),
            Message::After(delay, more) => {
                scope.after(delay, Message::Add(more));
            }
            Message::AfterTwoOneCancels(delay) => {
                self.pair = vec![
                    scope.after(delay, Message::Add(1)),
                    scope.after(delay, Message::Add(10)),
                ];
            }
            Message::Every(period) => {
                scope.every(period, || Message::Add(1));
            }
            Message::Run(time, more) => {
                scope.run(async move { tokio::time::sleep(time).await }, move |()| {
                    Message::Add(more)
                });
            }
            Message::RunPanic => scope.run(async { panic!("in future") }, |()| Message::Add(99)),
            Message::Stop => scope.stop(),
            Message::StopLater => self.stop_later = true,
        }
    }

    fn stopping(&mut self, scope: &mut Scope<Self>) -> Goodbye {
        if !self.stop_later {
            return Goodbye::Now;
        }
        scope.after(ms(70), Message::Stop);
        Goodbye::Later
    }
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Runs a test in an actix system on a paused clock.
fn paused(test: impl Future<Output = ()>) {
    let runtime = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap()
    };
    actix_rt::System::with_tokio_rt(runtime).block_on(test);
}

fn notices() -> (NoticeHook, Arc<Mutex<Vec<Notice>>>) {
    let list = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&list);
    let hook = Box::new(move |notice| sink.lock().unwrap().push(notice));
    (hook, list)
}

async fn sum(mailbox: &Mailbox<Message>) -> Result<u32, AskError> {
    mailbox.ask(ms(5_000), Message::Sum).await
}
