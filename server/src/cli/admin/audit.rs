//! `troupe admin audit verify`: checks every chain of the audit log, here and not at the worker.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Call, Worker};
use crate::cli::CliError;
use crate::ops::audit::{Head, Record, verify};

/// Reads all pages, and checks each chain against the head that the cluster's store remembers.
pub(super) fn check(worker: &Worker) -> Result<String, CliError> {
    let mut chains: BTreeMap<String, Vec<Record>> = BTreeMap::new();
    let mut path = "audit?limit=1000".to_owned();
    let last = loop {
        let page = worker.ask(&Call("GET", path, None))?;
        let page: Value =
            serde_json::from_str(&page).map_err(|error| CliError::Ask(error.to_string()))?;
        for item in page["items"].as_array().into_iter().flatten() {
            let chain = item["chain"].as_str().unwrap_or_default().to_owned();
            let record = serde_json::from_value(item.clone());
            let record = record.map_err(|error| CliError::Ask(error.to_string()))?;
            chains.entry(chain).or_default().push(record);
        }
        match page["cursor"].as_str() {
            Some(cursor) => path = format!("audit?limit=1000&cursor={cursor}"),
            None => break page,
        }
    };
    let heads: Vec<Head> = serde_json::from_value(last["heads"].clone()).unwrap_or_default();
    let mut lines = Vec::new();
    for (chain, records) in &mut chains {
        // The list is sorted by time; a chain is checked in its own order.
        records.sort_by_key(|record| record.seq);
        let head = heads.iter().find(|head| head.chain == *chain);
        let head = head.map(|head| (head.seq, head.hash.as_str()));
        let checked = verify(records, head);
        checked.map_err(|broken| CliError::Ask(format!("audit log {chain}: {broken}")))?;
        lines.push(format!("{chain}: {} entries, good", records.len()));
    }
    // A log that is gone altogether is no good log.
    for head in heads.iter().filter(|head| head.seq > 0) {
        if !chains.contains_key(&head.chain) {
            lines.push(format!(
                "{}: not read, {} does not answer",
                head.chain, head.url
            ));
        }
    }
    Ok(lines.join("\n"))
}
