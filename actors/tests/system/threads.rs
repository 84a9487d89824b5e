//! The same on real threads and a real clock: rooms spread over control threads.

use crate::world::{World, config, request};

#[test]
fn rooms_spread_over_threads_and_stop_with_them() {
    actix_rt::System::new().block_on(async {
        let threads = [actix_rt::Arbiter::new(), actix_rt::Arbiter::new()];
        let handles = threads.each_ref().map(actix_rt::Arbiter::handle);
        let world = World::on(2, config(), &handles);
        let mut sessions = Vec::new();
        for n in 0..40 {
            let room = format!("r{}", n % 8);
            let wish = request(&room, &format!("p{n}"));
            sessions.push(world.system.join(wish).await.unwrap().session);
        }
        let rooms = world.system.rooms().await;
        assert_eq!(rooms.len(), 8);
        assert!(rooms.iter().all(|room| room.peers == 5));
        assert_eq!(world.system.population(), (8, 40));
        // Many at once, from several threads, into one room.
        let joins: Vec<_> = (0..4)
            .map(|thread| {
                let system = world.system.clone();
                std::thread::spawn(move || {
                    actix_rt::Runtime::new().unwrap().block_on(async move {
                        let mut joined = 0;
                        for n in 0..25 {
                            let wish = request("crowd", &format!("t{thread}-{n}"));
                            joined += usize::from(system.join(wish).await.is_ok());
                        }
                        joined
                    })
                })
            })
            .collect();
        let joined: usize = joins.into_iter().map(|join| join.join().unwrap()).sum();
        assert_eq!(joined, 100);
        let crowd = world.system.room(&"crowd".parse().unwrap()).await.unwrap();
        assert_eq!(crowd.peers, 100);
        world.system.drain().await;
        assert_eq!(world.system.population().0, 0);
        assert!(sessions.iter().all(actors::Session::is_over));
        for thread in threads {
            thread.stop();
            thread.join().unwrap();
        }
        assert!(world.system.is_stopped());
    });
}
