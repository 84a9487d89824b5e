//! The suite of every store, on a real etcd.
#![allow(missing_docs, reason = "a test has no readers of its documentation")]

mod support;

use std::time::Duration;

use control_plane::{StoreFuture, conformance};
use support::Etcd;

#[tokio::test]
async fn etcd_conforms() {
    let etcd = Etcd::start().await;
    let store = etcd.store().await;
    let empty = async || {
        etcd.ctl(&["del", "", "--from-key"]).await;
        &store
    };
    conformance::swaps_are_conditional(empty().await).await;
    conformance::deletes_are_conditional(empty().await).await;
    conformance::lists_are_sorted_and_bounded(empty().await).await;
    conformance::watches_continue_a_listing(empty().await).await;
    conformance::a_revoked_lease_is_gone(empty().await).await;
    let wait = |time: Duration| -> StoreFuture<'_, ()> {
        Box::pin(async move {
            tokio::time::sleep(time).await;
            Ok(())
        })
    };
    conformance::leases_end(empty().await, &wait).await;
}
