//! The audit log: what operators did, each entry bound to the one before by its hash.
//!
//! An entry is kept as the text that was hashed, so that anybody can check the chain:
//! `hash = SHA-256(prev ‖ "\n" ‖ body)`, in lower-case hex.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use control_plane::{Condition, ControlPlaneError, Entry, Store, Swap};
use media_types::Clock;
use metrics::{counter, gauge};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::Mutex;

use crate::auth::random_id;
use crate::telemetry::{AUDIT_BROKEN, AUDIT_ENTRIES, AUDIT_LOST};

const PREFIX: &str = "audit/entry/";
const CHAIN: &str = "audit/chain";
const ANCHOR: &str = "audit/anchor";
/// The hash before the first entry.
const GENESIS: &str = "0000000000000000000000000000000000000000000000000000000000000000";
/// Bytes of what an entry says beside who and when: more is cut.
const DETAIL_BYTES_MAX: usize = 4 * 1024;

/// What an operator did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Deed {
    /// `sub` of the operator's token.
    pub actor: String,
    /// The key that signed it.
    pub key: String,
    /// Method and path, or what else was done.
    pub action: String,
    /// The status that answered it.
    pub status: u16,
    /// What was changed.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub detail: Value,
}

/// The text of an entry, read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    seq: u64,
    /// Milliseconds since the Unix epoch.
    at: u64,
    worker: String,
    #[serde(flatten)]
    deed: Deed,
}

/// An entry as it is kept and shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Its place in the chain, from 1.
    pub seq: u64,
    /// The text that was hashed: JSON.
    pub body: String,
    /// The hash of the entry before.
    pub prev: String,
    /// SHA-256 of `prev`, a line break and `body`.
    pub hash: String,
}

impl Record {
    /// When it was written, in milliseconds since the Unix epoch.
    #[must_use]
    pub fn at(&self) -> u64 {
        serde_json::from_str::<Body>(&self.body).map_or(0, |body| body.at)
    }
}

/// How far a chain is; lies in the cluster's store, where who changes a log's file cannot reach.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// The chain.
    pub chain: String,
    /// The worker that writes it.
    pub worker: String,
    /// Where that worker's admin API is.
    pub url: String,
    /// The newest entry.
    pub seq: u64,
    /// Its hash.
    pub hash: String,
    /// When this was written, in milliseconds since the Unix epoch.
    pub at: u64,
}

/// Where a chain is broken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// The entry's text or hash was changed.
    #[error("entry {0} was changed")]
    Changed(u64),
    /// The entry does not follow the one before it.
    #[error("entry {0} does not follow the one before it")]
    Gap(u64),
    /// The chain does not hold the head that the cluster's store remembers.
    #[error("entry {0} is not the one that the store remembers")]
    Head(u64),
}

/// The hash of an entry.
#[must_use]
pub fn hash_of(prev: &str, body: &str) -> String {
    let text = format!("{prev}\n{body}");
    let hash = digest(&SHA256, text.as_bytes());
    hash.as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// Checks entries that follow each other, and the head that the store remembers where it is among
/// them or should be.
///
/// # Errors
/// The first place where the chain is broken.
pub fn verify(records: &[Record], head: Option<(u64, &str)>) -> Result<(), Broken> {
    let mut before: Option<&Record> = None;
    for record in records {
        let said = serde_json::from_str::<Body>(&record.body).map(|body| body.seq);
        let whole = hash_of(&record.prev, &record.body) == record.hash;
        if !whole || said.ok() != Some(record.seq) {
            return Err(Broken::Changed(record.seq));
        }
        let follows = |before: &Record| {
            before.hash == record.prev && before.seq.saturating_add(1) == record.seq
        };
        if !before.is_none_or(follows) {
            return Err(Broken::Gap(record.seq));
        }
        before = Some(record);
    }
    let Some((seq, hash)) = head else {
        return Ok(());
    };
    let oldest = records.first().map_or(u64::MAX, |record| record.seq);
    let found = records.iter().find(|record| record.seq == seq);
    let forgotten = seq < oldest && before.is_some();
    if seq == 0 || forgotten || found.is_some_and(|record| record.hash == hash) {
        Ok(())
    } else {
        Err(Broken::Head(seq))
    }
}

/// One worker's log.
pub struct Audit {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    worker: String,
    retention: Duration,
    chain: Mutex<Option<Chain>>,
}

struct Chain {
    id: String,
    seq: u64,
    hash: String,
}

impl Audit {
    pub(super) fn new(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        worker: String,
        retention: Duration,
    ) -> Self {
        Self {
            store,
            clock,
            worker,
            retention,
            chain: Mutex::new(None),
        }
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.clock.unix().as_millis()).unwrap_or(u64::MAX)
    }

    /// Writes an entry; once this is answered, it is on the disk.
    ///
    /// # Errors
    /// The disk does not take it.
    pub async fn write(&self, mut deed: Deed) -> Result<(), ControlPlaneError> {
        if deed.detail.to_string().len() > DETAIL_BYTES_MAX {
            deed.detail = Value::String("too long to be kept".to_owned());
        }
        let mut held = self.chain.lock().await;
        let written = self.append(&mut held, deed).await;
        match &written {
            Ok(()) => counter!(AUDIT_ENTRIES).increment(1),
            Err(error) => {
                counter!(AUDIT_LOST).increment(1);
                tracing::error!(%error, "a deed of an operator is not in the audit log");
            }
        }
        written
    }

    async fn append(&self, held: &mut Option<Chain>, deed: Deed) -> Result<(), ControlPlaneError> {
        let chain = match held {
            Some(chain) => chain,
            None => held.insert(self.open().await?),
        };
        let body = Body {
            seq: chain.seq.saturating_add(1),
            at: self.now_ms(),
            worker: self.worker.clone(),
            deed,
        };
        let text = serde_json::to_string(&body).unwrap_or_default();
        let record = Record {
            seq: body.seq,
            hash: hash_of(&chain.hash, &text),
            prev: chain.hash.clone(),
            body: text,
        };
        let key = format!("{PREFIX}{:020}", record.seq);
        let value = serde_json::to_vec(&record).unwrap_or_default();
        match self
            .store
            .swap(&key, Condition::Absent, value, None)
            .await?
        {
            Swap::Done(_) => {
                (chain.seq, chain.hash) = (record.seq, record.hash);
                Ok(())
            }
            Swap::Conflict(_) => Err(ControlPlaneError::Contended),
        }
    }

    /// Finds the chain, or begins one.
    async fn open(&self) -> Result<Chain, ControlPlaneError> {
        let id = match self.store.get(CHAIN).await? {
            Some(entry) => String::from_utf8_lossy(&entry.value).into_owned(),
            None => {
                let id = random_id();
                let value = id.clone().into_bytes();
                self.store
                    .swap(CHAIN, Condition::Absent, value, None)
                    .await?;
                id
            }
        };
        let listing = self.store.list(PREFIX).await?;
        let last = listing.entries.last().and_then(read);
        let (seq, hash) = match last {
            Some(record) => (record.seq, record.hash),
            None => match self.store.get(ANCHOR).await? {
                Some(entry) => {
                    serde_json::from_slice(&entry.value).unwrap_or_else(|_| (0, GENESIS.to_owned()))
                }
                None => (0, GENESIS.to_owned()),
            },
        };
        Ok(Chain { id, seq, hash })
    }

    /// All entries that are kept, oldest first.
    ///
    /// # Errors
    /// The disk does not give them.
    pub async fn records(&self) -> Result<Vec<Record>, ControlPlaneError> {
        let listing = self.store.list(PREFIX).await?;
        // What cannot be read any more was changed; it must not look as if it had not been.
        let records = listing.entries.iter().map(|entry| {
            read(entry).unwrap_or_else(|| Record {
                seq: seq_of(&entry.key),
                body: String::new(),
                prev: String::new(),
                hash: String::new(),
            })
        });
        Ok(records.collect())
    }

    /// How far the chain is, as the cluster's store is told.
    ///
    /// # Errors
    /// The disk does not answer.
    pub async fn head(&self, url: &str) -> Result<Head, ControlPlaneError> {
        let mut held = self.chain.lock().await;
        let chain = match &mut *held {
            Some(chain) => chain,
            none => none.insert(self.open().await?),
        };
        Ok(Head {
            chain: chain.id.clone(),
            worker: self.worker.clone(),
            url: url.to_owned(),
            seq: chain.seq,
            hash: chain.hash.clone(),
            at: self.now_ms(),
        })
    }

    /// Checks the whole chain once; what is broken is said aloud.
    pub(super) async fn check(&self) {
        let checked = match self.records().await {
            Ok(records) => verify(&records, None),
            Err(error) => {
                tracing::error!(%error, "the audit log cannot be read");
                return;
            }
        };
        gauge!(AUDIT_BROKEN).set(if checked.is_ok() { 0.0 } else { 1.0 });
        if let Err(broken) = checked {
            tracing::error!(%broken, "the audit log was changed");
        }
    }

    /// Forgets entries that are older than they need be; the hash of the last of them stays.
    pub(super) async fn forget(&self) -> Result<(), ControlPlaneError> {
        let retention = u64::try_from(self.retention.as_millis()).unwrap_or(u64::MAX);
        let oldest = self.now_ms().saturating_sub(retention);
        let held = self.chain.lock().await;
        for entry in self.store.list(PREFIX).await?.entries {
            let Some(record) = read(&entry).filter(|record| record.at() < oldest) else {
                break;
            };
            let anchor = serde_json::to_vec(&(record.seq, record.hash)).unwrap_or_default();
            let condition = match self.store.get(ANCHOR).await? {
                Some(entry) => Condition::At(entry.revision),
                None => Condition::Absent,
            };
            self.store.swap(ANCHOR, condition, anchor, None).await?;
            self.store.delete(&entry.key, entry.revision).await?;
        }
        drop(held);
        Ok(())
    }
}

fn read(entry: &Entry) -> Option<Record> {
    serde_json::from_slice(&entry.value).ok()
}

fn seq_of(key: &str) -> u64 {
    let number = key.strip_prefix(PREFIX).and_then(|text| text.parse().ok());
    number.unwrap_or_default()
}

#[cfg(test)]
mod tests;
