//! What the cluster's nodes have: a job is one process of one of them, so what no node has it waits for in vain.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use serde_json::Value;

use super::api::{Api, Fault};
use crate::config::format_size;

/// Bytes read of what the cluster says of itself.
const LIMIT: usize = 16 * 1024 * 1024;

/// What nodes have is asked for no more often.
const PAUSE: Duration = Duration::from_secs(30);

/// The most that one node has, by Ray's names of resources; nothing where it does not tell.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Largest(BTreeMap<String, f64>);

impl Largest {
    /// Reads `GET /api/cluster_status`, as far as this version tells it.
    fn of(status: &Value) -> Self {
        let report = &status["data"]["clusterStatus"]["loadMetricsReport"];
        let mut largest = BTreeMap::new();
        for node in report["usageByNode"]
            .as_object()
            .into_iter()
            .flat_map(|nodes| nodes.values())
        {
            for (name, usage) in node.as_object().into_iter().flatten() {
                let total = usage[1].as_f64().unwrap_or_default();
                let most = largest.entry(name.clone()).or_insert(0.0_f64);
                *most = most.max(total);
            }
        }
        Self(largest)
    }

    /// What of these needs no node has, for people: "9 GPUs on one node, and none has more than 2".
    pub(super) fn lacks(&self, needs: &BTreeMap<String, f64>) -> Option<String> {
        if self.0.is_empty() {
            return None;
        }
        let there = |name: &str| self.0.get(name).copied().unwrap_or_default();
        let (name, needed) = needs.iter().find(|(name, needed)| **needed > there(name))?;
        let none = match there(name) {
            most if most > 0.0 => format!("none has more than {}", amount(name, most)),
            _ => "none has any".to_owned(),
        };
        Some(format!(
            "{} on one node, and {none}",
            counted(name, *needed)
        ))
    }
}

fn amount(name: &str, amount: f64) -> String {
    match name {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it is for people"
        )]
        "memory" => format_size(amount as u64),
        _ => amount.to_string(),
    }
}

fn counted(name: &str, needed: f64) -> String {
    let number = amount(name, needed);
    match name {
        "memory" => format!("{number} of memory"),
        "CPU" | "GPU" if needed > 1.0 => format!("{number} {name}s"),
        _ => format!("{number} {}", name.escape_debug()),
    }
}

/// Keeps for a while what was told.
#[derive(Debug, Default)]
pub(super) struct Nodes {
    told: Mutex<Option<(Instant, Largest)>>,
}

impl Nodes {
    /// What nodes had lately; nothing where that cannot be told.
    pub(super) async fn largest(&self, api: &Api) -> Largest {
        let kept = self
            .told
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        if let Some((at, largest)) = kept
            && at.elapsed() < PAUSE
        {
            return largest;
        }
        let largest = ask(api).await.unwrap_or_default();
        let told = Some((Instant::now(), largest.clone()));
        *self.told.lock().unwrap_or_else(PoisonError::into_inner) = told;
        largest
    }
}

/// What nodes have now.
pub(super) async fn ask(api: &Api) -> Result<Largest, Fault> {
    let bytes = api.get("cluster_status", LIMIT).await?;
    let status = serde_json::from_slice(&bytes).map_err(|error| Fault::Lost(error.to_string()))?;
    Ok(Largest::of(&status))
}
