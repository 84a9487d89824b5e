//! What operators switch of video acts at once on who is in, and on who comes.

use std::sync::{Arc, Mutex};

use actors::{Hooks, Policy, VideoLimit};
use media_contract::Wish;
use media_types::{Codec, Identity, RoomName};
use serde_json::json;

use crate::world::{Client, World, config, run};

struct Switch(Mutex<VideoLimit>);

impl Policy for Switch {
    fn video(&self, room: &RoomName, identity: &Identity) -> VideoLimit {
        let is_exempt = room.as_str() != "hall" || identity.as_str() == "guard";
        match is_exempt {
            true => VideoLimit::Free,
            false => *self.0.lock().unwrap(),
        }
    }
}

async fn viewer(world: &World, name: &str) -> Client {
    let client = world.join("hall", name).await;
    client.offer(1, "slot a1 audio, slot v1 video");
    world.settle().await;
    client
}

fn wishes(world: &World, client: &Client) -> [Wish; 2] {
    ["a1", "v1"].map(|mid| world.plane.wish(&client.identity, mid).unwrap())
}

#[test]
fn video_is_capped_and_switched_off_and_comes_back() {
    run(async {
        let switch = Arc::new(Switch(Mutex::new(VideoLimit::Free)));
        let mut settings = config();
        settings.hooks = Hooks {
            policy: switch.clone(),
            observer: settings.hooks.observer,
        };
        let world = World::new(1, settings);
        let ana = world.join("hall", "ana").await;
        ana.offer(1, "send a0 audio, send v0 video");
        world.settle().await;
        world.plane.flow(&ana.identity, Codec::Vp8);
        world.settle().await;
        let bob = viewer(&world, "bob").await;
        let guard = viewer(&world, "guard").await;
        let [sound, free] = wishes(&world, &bob);
        assert!(!free.paused && free.height_max > 180);
        let turn = async |limit| {
            *switch.0.lock().unwrap() = limit;
            world.system.policy_changed();
            world.settle().await;
        };

        turn(VideoLimit::Height(180)).await;
        let capped = Wish {
            height_max: 180,
            ..free
        };
        assert_eq!(wishes(&world, &bob), [sound, capped]);
        // Who asks for more gets no more, and who asks for less gets that.
        let track = world.plane.slots_of(&bob.identity)["v1"];
        for (lines, gets) in [(720, 180), (90, 90)] {
            let slots = json!({"slots": [{"mid": "v1", "trackId": track, "maxHeight": lines}]});
            bob.tell(2, "subscribe", slots);
            world.settle().await;
            assert_eq!(wishes(&world, &bob)[1].height_max, gets, "of {lines}");
        }

        turn(VideoLimit::Off).await;
        let [own_sound, own] = wishes(&world, &bob);
        assert!(own.paused);
        assert_eq!(own_sound, sound, "sound goes on");
        let late = viewer(&world, "late").await;
        assert!(wishes(&world, &late)[1].paused);
        assert_eq!(wishes(&world, &guard), [sound, free], "he is not meant");

        turn(VideoLimit::Free).await;
        assert!(!wishes(&world, &bob)[1].paused);
        assert_eq!(wishes(&world, &late), [sound, free]);
    });
}
