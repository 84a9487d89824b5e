//! Conditional writes as etcd's transactions.

use control_plane::{Condition, LeaseId, Revision, Swap};
use etcd_client::{
    Compare, CompareOp, Error, GetOptions, KvClient, PutOptions, Txn, TxnOp, TxnOpResponse,
};

use crate::client::{entry, number, revision_of};

/// Writes `value` if the condition holds, else reads what is there.
pub(crate) fn put(key: &str, condition: Condition, value: Vec<u8>, lease: Option<LeaseId>) -> Txn {
    let options = lease.map(|lease| PutOptions::new().with_lease(lease.0));
    conditional(key, condition, TxnOp::put(key, value, options))
}

/// Deletes the key if it was last written then, else reads what is there.
pub(crate) fn delete(key: &str, revision: Revision) -> Txn {
    conditional(key, Condition::At(revision), TxnOp::delete(key, None))
}

fn conditional(key: &str, condition: Condition, write: TxnOp) -> Txn {
    let holds = match condition {
        Condition::Absent => Compare::create_revision(key, CompareOp::Equal, 0),
        Condition::At(revision) => Compare::mod_revision(key, CompareOp::Equal, number(revision)),
    };
    let read = TxnOp::get(key, None::<GetOptions>);
    Txn::new().when([holds]).and_then([write]).or_else([read])
}

/// Carries one out.
pub(crate) async fn run(mut client: KvClient, txn: Txn) -> Result<Swap, Error> {
    let answer = client.txn(txn).await?;
    if answer.succeeded() {
        return Ok(Swap::Done(revision_of(answer.header())));
    }
    let read = answer.op_responses().into_iter().find_map(|response| {
        let TxnOpResponse::Get(found) = response else {
            return None;
        };
        found.kvs().first().map(entry)
    });
    Ok(Swap::Conflict(read))
}
