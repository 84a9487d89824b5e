//! What operators do to peers.

use actors::{PeerChange, Revocation};
use serde_json::json;
use signaling::view::CloseReason;

use crate::world::{World, claims, config, request, run};

#[test]
fn a_peer_gets_another_name() {
    run(async {
        let world = World::new(1, config());
        let (ana, bob) = (world.join("r", "ana").await, world.join("r", "bob").await);
        ana.inbox.take();
        let change = PeerChange {
            name: Some("Bob".into()),
            ..PeerChange::default()
        };
        let changed = world.system.change_peer(&ana.room, &bob.identity, change);
        assert_eq!(changed.await, Ok(()));
        world.settle().await;
        let told = ana.inbox.take();
        let expected = json!({"peerId": "bob", "name": "Bob"});
        assert_eq!(told, [("peerUpdated".into(), expected)]);
        let change = PeerChange::default();
        let nobody = "nobody".parse().unwrap();
        let changed = world.system.change_peer(&ana.room, &nobody, change);
        assert!(changed.await.is_err());
    });
}

#[test]
fn sessions_of_revoked_tokens_end() {
    run(async {
        let world = World::new(1, config());
        let ana = world.join("r", "ana").await;
        let mut wish = request("s", "bob");
        let mut once = claims("bob");
        once.jti = Some("j".into());
        once.iss = "other".into();
        wish.credentials = actors::Credentials::Token(Box::new(once));
        let bob = world.try_join(wish).await.unwrap();
        let revoke = async |revocation| {
            let ended = world.system.revoke(&revocation).await;
            world.settle().await;
            ended
        };
        assert_eq!(revoke(Revocation::Token("k".into())).await, 0);
        assert_eq!(revoke(Revocation::Token("j".into())).await, 1);
        assert_eq!(bob.inbox.closed(), Some(CloseReason::Revoked));
        assert_eq!(revoke(Revocation::Key("other".into())).await, 0);
        assert_eq!(ana.inbox.closed(), None);
        assert_eq!(revoke(Revocation::Key("devkey".into())).await, 1);
        assert_eq!(ana.inbox.closed(), Some(CloseReason::Revoked));
        let again = world.join("r", "ana").await;
        let ana = Revocation::Identity(again.identity.clone());
        assert_eq!(revoke(ana).await, 1);
        assert_eq!(again.inbox.closed(), Some(CloseReason::Revoked));
    });
}
