//! What a cluster is operated by: events and webhooks, the audit log, flags and switches, sections
//! of the configuration that change while workers run, limits of coming in, revoked tokens.
//!
//! All of it runs on a thread of its own, so that no call waits for a store or a receiver. What is
//! asked while media flows ([`policy::Policy`]) reads memory alone.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use actors::{Hooks, Revocation, System};
use arc_swap::ArcSwap;
use control_plane::{Entry, Store, keys};
use control_plane_embedded::{EmbeddedStore, OpenError};
use media_contract::Plane;
use media_types::Clock;
use serde_json::{Value, json};
use signaling::{ErrorType, RpcError};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::auth::{Revocations, WorkerSigner};
use crate::config::Config;
use crate::telemetry::traces::Exporter;

pub mod audit;
pub mod breaker;
pub mod events;
pub mod flags;
mod follow;
pub mod limits;
pub mod others;
pub mod policy;
mod revoked;
pub mod sections;
pub mod store;
pub mod webhooks;
mod whereabouts;

use audit::{Audit, Head};
use events::Journal;
use flags::{Flag, Flags};
use follow::{News, follow};
use policy::{Policy, Witness};
use sections::{Refusals, Sections};
use store::Guarded;

/// How often the load is looked at that limits follow.
const LOAD_PERIOD: Duration = Duration::from_millis(250);
/// How often the cluster's store is told how far the audit log is.
const HEAD_PERIOD: Duration = Duration::from_secs(60);
/// Heads are told this often until the store has taken one.
const HEAD_RETRY: Duration = Duration::from_secs(2);
/// How often what is old is forgotten.
const FORGET_PERIOD: Duration = Duration::from_secs(3_600);

/// What it stands on.
pub struct Parts {
    /// The settings.
    pub config: Arc<Config>,
    /// The cluster's store.
    pub store: Arc<dyn Store>,
    /// The worker's own, for its log and its events.
    pub own: Arc<dyn Store>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Tokens that are believed no more.
    pub revoked: Arc<Revocations>,
    /// This worker's id.
    pub worker: String,
    /// Where its admin API is.
    pub url: String,
    /// Asks other workers.
    pub client: reqwest::Client,
    /// Posts to receivers of webhooks and to the collector of traces.
    pub poster: reqwest::Client,
}

/// All of it.
pub struct Ops {
    /// What happens.
    pub journal: Arc<Journal>,
    /// What operators did.
    pub audit: Arc<Audit>,
    /// What is in force.
    pub policy: Arc<Policy>,
    /// The sections in force.
    pub sections: Arc<Sections>,
    /// What is not, and why.
    pub refusals: Arc<Refusals>,
    /// The cluster's store.
    pub store: Guarded,
    /// Asks other workers.
    pub client: reqwest::Client,
    /// This worker's id.
    pub worker: String,
    /// Where its admin API is.
    pub url: String,
    /// Signs what this worker asks others by itself.
    pub signer: WorkerSigner,
    /// Posts to receivers of webhooks and to the collector of traces, whom the authority of the
    /// workers does not vouch for.
    poster: reqwest::Client,
    /// The collector of traces.
    traces: Option<String>,
    own: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    revoked: Arc<Revocations>,
    system: OnceLock<System>,
    /// The other workers, as they were last known.
    known: ArcSwap<Vec<others::Other>>,
    lately: others::Lately,
    turns: webhooks::Turns,
    /// Whom what happens is posted to.
    routes: ArcSwap<Vec<Arc<webhooks::Route>>>,
    whereabouts: whereabouts::Whereabouts,
}

/// Opens the worker's own store.
///
/// # Errors
/// The file cannot be used.
pub fn open_own(file: &Path, clock: &Arc<dyn Clock>) -> Result<Arc<dyn Store>, OpenError> {
    Ok(Arc::new(EmbeddedStore::open(file, Arc::clone(clock))?))
}

impl Ops {
    /// Puts the parts together; nothing runs yet.
    #[must_use]
    pub fn new(parts: Parts) -> Arc<Self> {
        let Parts {
            config,
            store,
            own,
            clock,
            revoked,
            worker,
            url,
            client,
            poster,
        } = parts;
        let sections = Arc::new(Sections::new(&config));
        let policy = Policy::new(Arc::clone(&sections), Arc::clone(&clock));
        let audit = Audit::new(
            Arc::clone(&own),
            Arc::clone(&clock),
            worker.clone(),
            config.admin.audit_retention,
        );
        Arc::new(Self {
            journal: Arc::new(Journal::new(
                worker.clone(),
                Arc::clone(&clock),
                config.admin.events_kept,
            )),
            audit: Arc::new(audit),
            policy: Arc::new(policy),
            sections,
            refusals: Arc::default(),
            store: Guarded::new(store),
            client,
            poster,
            worker,
            url,
            traces: config.traces.endpoint.clone(),
            signer: WorkerSigner::new(&config.auth),
            own,
            clock,
            revoked,
            system: OnceLock::new(),
            known: ArcSwap::default(),
            lately: others::Lately::default(),
            turns: webhooks::Turns::default(),
            routes: ArcSwap::default(),
            whereabouts: whereabouts::Whereabouts::default(),
        })
    }

    /// What the actors ask and tell.
    #[must_use]
    pub fn hooks(&self) -> Hooks {
        Hooks {
            policy: Arc::clone(&self.policy) as Arc<dyn actors::Policy>,
            observer: Arc::new(Witness(Arc::clone(&self.journal))),
        }
    }

    /// Runs on a thread of its own until the process ends.
    ///
    /// # Errors
    /// The thread cannot be had.
    pub fn start(
        self: &Arc<Self>,
        system: System,
        plane: Arc<dyn Plane>,
        spans: Option<mpsc::Receiver<Value>>,
    ) -> io::Result<()> {
        // The first wins; there is one tree a worker.
        let _ = self.system.set(system);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let ops = Arc::clone(self);
        let exporter = spans.map(|spans| self.exporter(spans));
        let run = move || runtime.block_on(ops.run(plane, exporter));
        std::thread::Builder::new()
            .name("ops".to_owned())
            .spawn(run)?;
        Ok(())
    }

    fn exporter(&self, spans: mpsc::Receiver<Value>) -> Exporter {
        Exporter {
            endpoint: self.traces.clone().unwrap_or_default(),
            worker: self.worker.clone(),
            client: self.poster.clone(),
            spans,
        }
    }

    async fn run(self: Arc<Self>, plane: Arc<dyn Plane>, exporter: Option<Exporter>) {
        self.audit.check().await;
        let mut tasks = JoinSet::new();
        if let Some(exporter) = exporter {
            tasks.spawn(exporter.run());
        }
        tasks.spawn(events::keep(
            Arc::clone(&self.journal),
            Arc::clone(&self.own),
        ));
        tasks.spawn(Arc::clone(&self).follow_flags());
        tasks.spawn(Arc::clone(&self).follow_sections());
        tasks.spawn(Arc::clone(&self).follow_revoked());
        tasks.spawn(Arc::clone(&self).tell_head());
        tasks.spawn(Arc::clone(&self).forget());
        tasks.spawn(Arc::clone(&self).post());
        let gates = Arc::clone(&self.policy);
        tasks.spawn(async move {
            loop {
                let busiest = plane.loads().iter().map(|load| load.busy_ppm).max();
                gates.gates.set_load(busiest.unwrap_or(0) / 1_000);
                tokio::time::sleep(LOAD_PERIOD).await;
            }
        });
        while let Some(ended) = tasks.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "a task of operations ended");
            }
        }
    }

    async fn follow_flags(self: Arc<Self>) {
        let ops = Arc::clone(&self);
        let prefix = keys::flags();
        let mut flags = Flags::new();
        follow(self.store.inner(), prefix.clone(), move |news| {
            match news {
                News::All(entries) => {
                    let before = std::mem::take(&mut flags);
                    for entry in entries {
                        ops.hear_flag(&prefix, &entry, &mut flags, &before);
                    }
                }
                News::Put(entry) => {
                    let before = flags.clone();
                    ops.hear_flag(&prefix, &entry, &mut flags, &before);
                }
                News::Gone(key) => {
                    let name = key.strip_prefix(&prefix).unwrap_or(&key);
                    ops.refusals.note(&format!("flags/{name}"), Ok(()));
                    flags.remove(name);
                }
            }
            let switched = ops.policy.set(flags.clone());
            if let (true, Some(system)) = (switched, ops.system.get()) {
                system.policy_changed();
            }
        })
        .await;
    }

    /// A flag that cannot be read stays as it was.
    fn hear_flag(&self, prefix: &str, entry: &Entry, flags: &mut Flags, before: &Flags) {
        let name = entry.key.strip_prefix(prefix).unwrap_or(&entry.key);
        let read = Flag::decode(name, &entry.value);
        let kept = match &read {
            Ok(flag) => Some(flag.clone()),
            Err(_) => before.get(name).cloned(),
        };
        self.refusals
            .note(&format!("flags/{name}"), read.map(|_| ()));
        if let Some(flag) = kept {
            self.journal
                .emit("flag.changed", None, json!({"name": name, "flag": flag}));
            flags.insert(name.to_owned(), flag);
        }
    }

    async fn follow_sections(self: Arc<Self>) {
        let ops = Arc::clone(&self);
        let prefix = keys::configs();
        follow(self.store.inner(), prefix.clone(), move |news| match news {
            News::All(entries) => {
                let named = |name: &str| entries.iter().any(|it| it.key == keys::config(name));
                for gone in ops
                    .sections
                    .stored()
                    .into_keys()
                    .filter(|name| !named(name))
                {
                    ops.apply(&gone, Ok(None));
                }
                for entry in &entries {
                    ops.hear_section(&prefix, entry);
                }
            }
            News::Put(entry) => ops.hear_section(&prefix, &entry),
            News::Gone(key) => {
                ops.apply(key.strip_prefix(&prefix).unwrap_or(&key), Ok(None));
            }
        })
        .await;
    }

    fn hear_section(&self, prefix: &str, entry: &Entry) {
        let name = entry.key.strip_prefix(prefix).unwrap_or(&entry.key);
        self.apply(name, sections::decode(&entry.value).map(Some));
    }

    fn apply(&self, name: &str, section: Result<Option<Value>, String>) {
        let applied = section.and_then(|section| self.sections.apply(name, section.as_ref()));
        if applied.is_ok() {
            self.journal
                .emit("config.changed", None, json!({"section": name}));
        }
        self.refusals.note(name, applied);
    }

    async fn follow_revoked(self: Arc<Self>) {
        let ops = Arc::clone(&self);
        follow(self.store.inner(), keys::revocations(), move |news| {
            let entries = match news {
                News::All(entries) => entries,
                News::Put(entry) => vec![entry],
                News::Gone(_) => Vec::new(),
            };
            for entry in &entries {
                ops.hear_revoked(entry);
            }
        })
        .await;
    }

    fn hear_revoked(&self, entry: &Entry) {
        match revoked::hear(entry, &self.revoked, self.clock.unix()) {
            Ok(Some(named)) => {
                if let Some(system) = self.system.get().cloned() {
                    tokio::spawn(async move { system.revoke(&named).await });
                }
            }
            Ok(None) => {}
            Err(problem) => tracing::warn!(key = entry.key, problem, "a revocation is not heeded"),
        }
    }

    /// Whether an address may ask for a session, or connect to publish or play.
    ///
    /// # Errors
    /// `rate_limited`, with how long to wait.
    pub fn knock(&self, address: IpAddr) -> Result<(), RpcError> {
        let limits = &self.sections.live().limits;
        self.policy.gates.knock(limits, address, self.clock.now())
    }

    /// Has tokens believed no more, here at once and on all workers as soon as they hear.
    ///
    /// # Errors
    /// `unavailable`: they are refused here alone, since the store does not answer.
    pub async fn revoke(&self, what: &Revocation, end: bool) -> Result<(), RpcError> {
        let now = self.clock.unix();
        self.revoked.add(what.clone(), now)?;
        revoked::publish(&self.store, &self.revoked, what, end, now).await
    }

    /// Writes a flag, or deletes it; whether it was there before.
    ///
    /// # Errors
    /// `invalid_params`, `unavailable`.
    pub async fn put_flag(&self, name: &str, flag: Option<&Flag>) -> Result<bool, RpcError> {
        let wrong = |text: String| RpcError::with_message(ErrorType::InvalidParams, text);
        if !flags::is_name(name) {
            return Err(wrong(
                "a flag's name has 64 letters, digits, dots or dashes".to_owned(),
            ));
        }
        if let Some(flag) = flag {
            flag.check(name).map_err(wrong)?;
        }
        self.store
            .put(&keys::flag(name), flag.map(Flag::encode))
            .await
    }

    /// Changes sections; `null` takes one out of the store. All are checked before one is written.
    ///
    /// # Errors
    /// `invalid_params`, `unavailable`.
    pub async fn patch_config(&self, changes: &BTreeMap<String, Value>) -> Result<(), RpcError> {
        for (name, section) in changes {
            let section = Some(section).filter(|section| !section.is_null());
            let checked = self.sections.check(name, section);
            checked.map_err(|problem| {
                RpcError::with_message(ErrorType::InvalidParams, format!("{name}: {problem}"))
            })?;
        }
        for (name, section) in changes {
            let value = (!section.is_null()).then(|| sections::encode(section));
            self.store.put(&keys::config(name), value).await?;
        }
        Ok(())
    }

    /// How far the audit log of every worker is, as the store knows it.
    ///
    /// # Errors
    /// `unavailable`.
    pub async fn heads(&self) -> Result<Vec<Head>, RpcError> {
        let listing = self.store.list(&keys::audit_heads()).await?;
        let heads = listing.entries.iter();
        Ok(heads
            .filter_map(|it| serde_json::from_slice(&it.value).ok())
            .collect())
    }

    async fn tell_head(self: Arc<Self>) {
        loop {
            let told = match self.audit.head(&self.url).await {
                Ok(head) => {
                    let value = serde_json::to_vec(&head).unwrap_or_default();
                    let key = keys::audit_head(&head.chain);
                    self.store.put(&key, Some(value)).await.is_ok()
                }
                Err(_) => false,
            };
            tokio::time::sleep(if told { HEAD_PERIOD } else { HEAD_RETRY }).await;
        }
    }

    async fn forget(self: Arc<Self>) {
        loop {
            if let Err(error) = self.audit.forget().await {
                tracing::warn!(%error, "old entries of the audit log stay");
            }
            if let Err(error) = revoked::forget(&self.store, self.clock.unix()).await {
                tracing::debug!(%error, "old revocations stay");
            }
            tokio::time::sleep(FORGET_PERIOD).await;
        }
    }
}
