//! Transcoding jobs of a room: who decides on their failures, and what ends them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use actors::{CodecProcess, TranscoderMessage, TranscoderPhase};
use signaling::ErrorType;
use supervision::Child;

use crate::world::{World, config, run};

/// A codec process that notes what is asked of it.
#[derive(Default)]
struct Process {
    asked: Mutex<Vec<&'static str>>,
    /// The actor fails wherever it starts one.
    broken: AtomicBool,
}

impl Process {
    fn ask(&self, what: &'static str) {
        self.asked.lock().unwrap().push(what);
    }

    fn take(&self) -> Vec<&'static str> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

impl CodecProcess for Process {
    fn launch(&self) {
        self.ask("launch");
        assert!(!self.broken.load(Ordering::Relaxed), "injected");
    }
    fn kill(&self) {
        self.ask("kill");
    }
    fn give_up(&self) {
        self.ask("give up");
    }
    fn end(&self) {
        self.ask("end");
    }
    fn report(&self, _: TranscoderPhase, _: u32, _: Option<&str>) {}
}

async fn open(world: &World, process: &Arc<Process>) -> Child<TranscoderMessage> {
    let process: Arc<dyn CodecProcess> = process.clone();
    let room = "r".parse().unwrap();
    let opened = world.system.open_transcoder(&room, process);
    opened.await.unwrap()
}

#[test]
fn a_transcoder_that_fails_for_good_is_buried_by_its_supervisor() {
    run(async {
        let world = World::new(1, config());
        let ana = world.join("r", "ana").await;
        let (bad, good) = (Arc::<Process>::default(), Arc::<Process>::default());
        let (child, _other) = (open(&world, &bad).await, open(&world, &good).await);
        world.settle().await;
        assert_eq!(bad.take(), ["kill", "launch"]);
        assert_eq!(good.take(), ["kill", "launch"]);
        // Its process fails; the actor starts another, and fails itself: three lives follow, each
        // with a process of its own, and then its supervisor ends the job.
        bad.broken.store(true, Ordering::Relaxed);
        let failed = TranscoderMessage::Failed {
            reason: "killed".to_owned(),
            last: false,
        };
        child.mailbox.tell(failed).unwrap();
        world.pass(Duration::from_secs(5)).await;
        let life = ["kill", "launch"];
        let expected = [&["launch"][..], &life, &life, &life, &["give up"]].concat();
        assert_eq!(bad.take(), expected);
        assert!(child.mailbox.tell(TranscoderMessage::Healthy).is_err());
        // Nobody else notices.
        assert_eq!(good.take(), [""; 0]);
        let status = world.system.room(&"r".parse().unwrap()).await.unwrap();
        assert_eq!(status.peers, 1);
        assert!(ana.inbox.take().is_empty());
    });
}

#[test]
fn transcoders_end_with_their_job_and_with_their_room() {
    run(async {
        let world = World::new(1, config());
        let room = "r".parse().unwrap();
        let lost: Arc<dyn CodecProcess> = Arc::new(Process::default());
        let nowhere = world.system.open_transcoder(&room, lost).await;
        assert_eq!(nowhere.unwrap_err().kind(), ErrorType::NotFound);
        let _ana = world.join("r", "ana").await;
        let jobs: [Arc<Process>; 3] = Default::default();
        let mut children = Vec::new();
        for job in &jobs {
            children.push(open(&world, job).await);
        }
        world.settle().await;
        jobs.iter().for_each(|job| drop(job.take()));
        // The source of one goes.
        children[1].stopper.stop();
        world.settle().await;
        let asked = jobs.each_ref().map(|job| job.take());
        assert_eq!(asked, [vec![], vec!["end"], vec![]]);
        world.system.close_room(&room).await.unwrap();
        world.pass(Duration::from_secs(5)).await;
        let asked = jobs.each_ref().map(|job| job.take());
        assert_eq!(asked, [vec!["end"], vec![], vec!["end"]]);
        let status = world.system.room(&room).await;
        assert_eq!(status.unwrap_err().kind(), ErrorType::NotFound);
    });
}
