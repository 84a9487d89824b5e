//! Bounds, fences, restarts, questions and timers of one actor.

use super::*;

fn spawn(record: &Record, spec: Spec) -> Child<Message> {
    Host::spawn(record.factory(), spec)
}

#[test]
fn five_hundred_clones_cannot_overfill_a_box() {
    paused(async {
        let actor = spawn(&Record::default(), Spec::new("subject").capacity(16));
        let clones: Vec<_> = (0..500).map(|_| actor.mailbox.clone()).collect();
        let (taken, refused): (Vec<_>, Vec<_>) = clones
            .iter()
            .map(|clone| clone.tell(Message::Add(1)))
            .partition(Result::is_ok);
        assert_eq!((taken.len(), refused.len()), (16, 484));
        let back = refused.into_iter().filter_map(Result::err);
        let full = back.filter(|error| matches!(error, TellError::Full(Message::Add(1))));
        assert_eq!(full.count(), 484);
        assert_eq!(actor.mailbox.depth(), 16);
        tokio::time::sleep(ms(1)).await;
        assert_eq!(actor.mailbox.depth(), 0);
        assert_eq!(sum(&actor.mailbox).await, Ok(16));
    });
}

#[test]
fn the_bound_holds_from_many_threads() {
    actix_rt::System::new().block_on(async {
        let arbiter = actix_rt::Arbiter::new();
        let spec = Spec::new("subject").capacity(16);
        let actor = Host::spawn_on(&arbiter.handle(), Record::default().factory(), spec);
        assert_eq!(sum(&actor.mailbox).await, Ok(0));
        let (unblock, blocked) = mpsc::channel();
        actor.mailbox.tell(Message::Block(blocked)).unwrap();
        // The blocking letter has left the box as soon as its handler runs.
        while actor.mailbox.depth() > 0 {
            std::thread::yield_now();
        }
        let tell_many = |mailbox: Mailbox<Message>| {
            move || {
                (0..100)
                    .filter(|_| mailbox.tell(Message::Add(1)).is_ok())
                    .count()
            }
        };
        let threads: Vec<_> = (0..8)
            .map(|_| std::thread::spawn(tell_many(actor.mailbox.clone())))
            .collect();
        let taken: usize = threads.into_iter().map(|t| t.join().unwrap()).sum();
        assert_eq!(taken, 16);
        unblock.send(()).unwrap();
        // A box that has just been full may refuse the question too.
        let answer = loop {
            match sum(&actor.mailbox).await {
                Err(AskError::Full) => std::thread::yield_now(),
                answer => break answer,
            }
        };
        assert_eq!(answer, Ok(16));
        arbiter.stop();
    });
}

#[test]
fn a_panic_costs_one_letter_and_the_state() {
    paused(async {
        let record = Record::default();
        let (hook, heard) = notices();
        let actor = spawn(&record, Spec::new("subject").notices(hook));
        for letter in [
            Message::Add(1),
            Message::Panic,
            Message::Add(2),
            Message::Add(3),
        ] {
            actor.mailbox.tell(letter).unwrap();
        }
        assert_eq!(sum(&actor.mailbox).await, Ok(5));
        assert_eq!(record.dropped.load(Ordering::SeqCst), 1);
        let heard = heard.lock().unwrap().clone();
        assert_eq!(heard, [Notice::Started, Notice::Restarted(1)]);
    });
}

#[test]
fn panics_in_factory_start_and_drop_are_fenced() {
    paused(async {
        let record = Record::default();
        record.factory_panics.store(1, Ordering::SeqCst);
        record.start_panics.store(1, Ordering::SeqCst);
        record.drop_panics.store(2, Ordering::SeqCst);
        let (hook, heard) = notices();
        let actor = spawn(&record, Spec::new("subject").notices(hook));
        actor.mailbox.tell(Message::Add(4)).unwrap();
        assert_eq!(sum(&actor.mailbox).await, Ok(4));
        actor.mailbox.tell(Message::Panic).unwrap();
        assert_eq!(sum(&actor.mailbox).await, Ok(0));
        assert_eq!(record.dropped.load(Ordering::SeqCst), 2);
        let heard = heard.lock().unwrap().clone();
        assert_eq!(heard, [Notice::Restarted(2), Notice::Restarted(3)]);
    });
}

#[test]
fn pauses_double_and_the_fourth_failure_is_the_end() {
    paused(async {
        let (hook, heard) = notices();
        let actor = spawn(&Record::default(), Spec::new("subject").notices(hook));
        for _ in 0..3 {
            actor.mailbox.tell(Message::Panic).unwrap();
        }
        let lives = actor.mailbox.ask(ms(5_000), Message::Lives).await.unwrap();
        // Tokio's timers round up to the next millisecond, each.
        for (life, after) in lives.iter().zip([0, 50, 150, 350]) {
            assert!((ms(after)..ms(after + 4)).contains(life), "{lives:?}");
        }
        assert_eq!(lives.len(), 4);
        actor.mailbox.tell(Message::Panic).unwrap();
        assert_eq!(sum(&actor.mailbox).await, Err(AskError::Lost));
        assert_eq!(sum(&actor.mailbox).await, Err(AskError::Closed));
        let told = actor.mailbox.tell(Message::Add(1));
        assert!(matches!(told, Err(TellError::Closed(Message::Add(1)))));
        let exit = Exit::Failed {
            reason: "told to".into(),
            restarts: 3,
        };
        let heard = heard.lock().unwrap().clone();
        assert_eq!(heard[1..4], [1, 2, 3].map(Notice::Restarted));
        assert_eq!(heard[4..], [Notice::Exited(exit)]);
        assert!(actor.stopper.is_gone());
    });
}

#[test]
fn a_quiet_window_restores_the_intensity() {
    paused(async {
        let actor = spawn(&Record::default(), Spec::new("subject"));
        for _ in 0..8 {
            actor.mailbox.tell(Message::Panic).unwrap();
            tokio::time::sleep(ms(4_000)).await;
        }
        assert_eq!(sum(&actor.mailbox).await, Ok(0));
    });
}

#[test]
fn ends_are_answered_by_policy() {
    paused(async {
        let cases = [
            (RestartPolicy::permanent(), Message::Stop, None),
            (RestartPolicy::permanent(), Message::Panic, None),
            (RestartPolicy::transient(), Message::Stop, Some(false)),
            (RestartPolicy::transient(), Message::Panic, None),
            (RestartPolicy::temporary(), Message::Stop, Some(false)),
            (RestartPolicy::temporary(), Message::Panic, Some(true)),
        ];
        for (policy, end, failed) in cases {
            let (hook, heard) = notices();
            let spec = Spec::new("subject").policy(policy).notices(hook);
            let actor = spawn(&Record::default(), spec);
            actor.mailbox.tell(end).unwrap();
            tokio::time::sleep(ms(100)).await;
            let last = heard.lock().unwrap().last().cloned();
            match (last, failed) {
                (Some(Notice::Restarted(1)), None) => (),
                (Some(Notice::Exited(exit)), Some(failed)) => {
                    assert_eq!(exit.is_failure(), failed);
                }
                other => panic!("{other:?}"),
            }
            assert_eq!(actor.mailbox.is_closed(), failed.is_some());
        }
    });
}

#[test]
fn a_permanent_actor_that_ends_again_and_again_is_given_up() {
    paused(async {
        let (hook, heard) = notices();
        let spec = Spec::new("subject")
            .policy(RestartPolicy::permanent())
            .notices(hook);
        let actor = spawn(&Record::default(), spec);
        for _ in 0..4 {
            actor.mailbox.tell(Message::Stop).unwrap();
        }
        tokio::time::sleep(ms(1_000)).await;
        let last = heard.lock().unwrap().last().cloned();
        assert!(matches!(
            last,
            Some(Notice::Exited(Exit::Failed { restarts: 3, .. }))
        ));
    });
}

#[test]
fn questions_end_in_five_ways() {
    paused(async {
        let actor = spawn(&Record::default(), Spec::new("subject").capacity(1));
        assert_eq!(sum(&actor.mailbox).await, Ok(0));
        let dropped = actor.mailbox.ask(ms(100), Message::Drop).await;
        assert_eq!(dropped, Err(AskError::Lost));
        let start = tokio::time::Instant::now();
        let kept = actor.mailbox.ask(ms(100), Message::Keep).await;
        assert_eq!(kept, Err(AskError::TimedOut));
        assert!(start.elapsed() >= ms(100));
        actor.mailbox.tell(Message::Add(1)).unwrap();
        assert_eq!(sum(&actor.mailbox).await, Err(AskError::Full));
        tokio::time::sleep(ms(1)).await;
        let kept = actor.mailbox.ask(ms(9_000), Message::Keep);
        tokio::time::sleep(ms(1)).await;
        actor.mailbox.tell(Message::Panic).unwrap();
        assert_eq!(kept.await, Err(AskError::Lost));
        actor.stopper.stop();
        tokio::time::sleep(ms(100)).await;
        assert_eq!(sum(&actor.mailbox).await, Err(AskError::Closed));
    });
}

#[test]
fn timers_ring_are_cancelled_and_end_with_the_life() {
    paused(async {
        let actor = spawn(&Record::default(), Spec::new("subject"));
        let tell = |message| actor.mailbox.tell(message).unwrap();
        tell(Message::After(ms(100), 7));
        tokio::time::sleep(ms(90)).await;
        assert_eq!(sum(&actor.mailbox).await, Ok(0));
        tokio::time::sleep(ms(20)).await;
        assert_eq!(sum(&actor.mailbox).await, Ok(7));
        // Both expire in one turn, and the first cancels the second.
        tell(Message::AfterTwoOneCancels(ms(50)));
        tokio::time::sleep(ms(60)).await;
        assert_eq!(sum(&actor.mailbox).await, Ok(8));
        tell(Message::Every(ms(100)));
        tokio::time::sleep(ms(1_050)).await;
        let rung = sum(&actor.mailbox).await.unwrap();
        assert!((17..=18).contains(&rung), "{rung}");
        tell(Message::Panic);
        tokio::time::sleep(ms(1_000)).await;
        assert_eq!(sum(&actor.mailbox).await, Ok(0));
    });
}

#[test]
fn futures_run_beside_and_end_with_the_life() {
    paused(async {
        let actor = spawn(&Record::default(), Spec::new("subject"));
        let tell = |message| actor.mailbox.tell(message).unwrap();
        tell(Message::Run(ms(200), 3));
        assert_eq!(sum(&actor.mailbox).await, Ok(0));
        tokio::time::sleep(ms(210)).await;
        assert_eq!(sum(&actor.mailbox).await, Ok(3));
        tell(Message::Run(ms(200), 5));
        tell(Message::RunPanic);
        tokio::time::sleep(ms(500)).await;
        assert_eq!(sum(&actor.mailbox).await, Ok(0));
        let lives = actor.mailbox.ask(ms(100), Message::Lives).await;
        assert_eq!(lives.map(|lives| lives.len()), Ok(2));
    });
}
