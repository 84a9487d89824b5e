//! What is known everywhere of those who are in at one part of a room.

use std::time::Duration;

use media_contract::{Fact, TransportFigures};
use media_types::{Codec, WorkerId};

use crate::parts::Cluster;
use crate::world::{Client, run};

/// Seconds pass, each with so much of Ana's media lost on its way to the first worker.
async fn pass(cluster: &Cluster, clients: [&Client; 2], seconds: u32, loss_in: f32) {
    for _ in 0..seconds {
        let figures = TransportFigures {
            rtt: Some(Duration::from_millis(40)),
            loss_in,
            ..TransportFigures::default()
        };
        let plane = &cluster.at(1).plane;
        plane.happen(&clients[0].identity, Fact::Figures(figures));
        cluster.pass_pinged(&clients, 1).await;
    }
}

/// Of Ana: reason and tenths of the score.
fn told(client: &Client) -> Vec<(String, u32)> {
    let all = client.inbox.take_only(&["quality"]).into_iter();
    let of_ana = all.filter(|(_, params)| params["peerId"] == "ana");
    let told = of_ana.map(|(_, params)| {
        let score = params["score"].as_f64().unwrap();
        let reason = params["reason"].as_str().unwrap();
        (reason.to_owned(), (score * 10.0).round() as u32)
    });
    told.collect()
}

fn notice(reason: &str, tenths: u32) -> (String, u32) {
    (reason.to_owned(), tenths)
}

#[test]
fn how_somebody_fares_and_who_is_in_is_known_at_all_parts() {
    run(async {
        let cluster = Cluster::new(2, 1).await;
        let (_, ana) = cluster.join(1, "ana").await;
        let (_, bob) = cluster.join(1, "bob").await;
        ana.offer(1, "send a audio");
        bob.offer(1, "slot a audio");
        cluster.pass_pinged(&[&ana, &bob], 1).await;
        cluster.at(1).plane.flow(&ana.identity, Codec::Vp8);
        let both = [&ana, &bob];
        pass(&cluster, both, 4, 0.0).await;
        assert_eq!(told(&bob), [notice("none", 10)]);
        pass(&cluster, both, 4, 0.1).await;
        assert_eq!(told(&bob), [notice("loss", 5)]);
        // Said again and again, and told once.
        pass(&cluster, both, 12, 0.1).await;
        assert_eq!(told(&bob), []);
        pass(&cluster, both, 6, 0.0).await;
        assert_eq!(told(&bob), [notice("none", 10)]);

        for id in [1, 2] {
            let status = cluster.at(id).system.room(&ana.room).await.unwrap();
            assert_eq!((status.peers, status.publishers, status.tracks), (2, 1, 1));
            assert_eq!(status.worker, WorkerId::new(1).to_string());
            let here = cluster.at(id).system.peers(&ana.room).await.unwrap();
            assert_eq!(here.len(), 1);
        }
    });
}
