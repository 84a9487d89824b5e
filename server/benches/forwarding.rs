//! What forwarding costs, as a share of what no forwarder can do without.
//!
//! One run measures, in turns, the floor (header, cipher, system call), our whole way through a
//! shard and its socket, and stock str0m; all on this thread, in CPU time, with virtual time for
//! everything else. Clients are light, but their sockets, keys and feedback are real.
//!
//! Words choose what is measured: `fan`, `stock`, `rooms`, `latency`, `shards`, `memory`, `bare`;
//! none: everything but the last, and the table is kept for `loadtest/bench-table.sh`.
#![allow(
    missing_docs,
    unsafe_code,
    clippy::disallowed_methods,
    clippy::wildcard_enum_match_arm,
    reason = "a benchmark has no readers of its documentation, and counts memory"
)]

#[path = "forwarding/client.rs"]
mod client;
#[path = "forwarding/engine.rs"]
mod engine;
#[path = "forwarding/floor.rs"]
mod floor;
#[path = "forwarding/memory.rs"]
mod memory;
#[path = "forwarding/real.rs"]
mod real;
#[path = "forwarding/report.rs"]
mod report;
#[path = "forwarding/rows.rs"]
mod rows;
#[path = "forwarding/shards.rs"]
mod shards;
#[path = "forwarding/stock.rs"]
mod stock;
#[path = "forwarding/world.rs"]
mod world;

use std::sync::Arc;

use str0m::crypto::CryptoProvider;
use world::Plan;

#[global_allocator]
static ALLOCATOR: memory::Counted = memory::Counted;

/// A provider whose handshake takes no time and whose keys are known.
fn scripted() -> Arc<CryptoProvider> {
    sim::seed_keys(u64::from(client::KEY));
    let usual = str0m::crypto::from_feature_flags();
    Arc::new(sim::scripted_provider(&usual))
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if words.iter().any(|word| word == shards::TWIN) {
        shards::twin();
    }
    let named = words.iter().any(|word| !word.starts_with("--"));
    let has = |word: &str| words.iter().any(|it| it == word) || (!named && word != "bare");
    let provider = scripted();
    let mut rows = Vec::new();
    if has("fan") {
        rows.extend(rows::fan_out(
            &provider,
            &[10, 100, 500, 1_000].map(Plan::fan),
        ));
    }
    if has("rooms") {
        rows.extend(rows::fan_out(&provider, &[1, 500].map(Plan::rooms)));
    }
    if has("stock") {
        rows.extend(rows::stock(&provider, 500));
    }
    if has("latency") {
        rows.extend(rows::latency(&provider));
    }
    if has("shards") {
        rows.extend(shards::shards());
    }
    if has("memory") {
        rows.extend(rows::memory());
    }
    if has("bare") {
        rows.extend(rows::bare(&provider));
    }
    println!("{}\n\n{}", report::machine(), report::table(&rows));
    if !named {
        report::save(&rows);
    }
}
