//! Whether a cluster answers, and takes us.

use serde_json::Value;

use super::{RayExecutor, api::Fault, nodes};
use crate::executor::{Launch, QueryError, Trial};

/// Bytes read of what the cluster says of itself.
const LIMIT: usize = 16 * 1024 * 1024;

/// A job that nobody has.
const NOBODY: &str = "jobs/trainhook-check";

impl RayExecutor {
    /// In words, for people: version, and what the cluster has.
    pub(super) async fn look_around(&self) -> Result<String, QueryError> {
        let version = self.ask("version").await?;
        let version = version["ray_version"].as_str().unwrap_or_default();
        if version.is_empty() {
            let address = &self.settings.address;
            return Err(QueryError(format!("{address} is not a dashboard of Ray's")));
        }
        match self.api.get(NOBODY, LIMIT).await {
            Ok(_) => {}
            Err(fault) if fault.is_absence() => {}
            Err(fault) => return Err(fault.into()),
        }
        // Only some versions tell, and each in its own way.
        let status = self.ask("cluster_status").await.unwrap_or_default();
        let has = self.program_is_there().await?;
        Ok(format!("Ray {version}{}{has}", resources(&status)))
    }

    /// Whether some node has what a launch asks for. More may come, so to have none is no mistake.
    pub(super) async fn try_out(&self, launch: &Launch) -> Result<Trial, QueryError> {
        let submission = self.settings.submission(launch, None);
        let submission = submission.map_err(|error| QueryError(error.to_string()))?;
        let largest = nodes::ask(&self.api).await?;
        Ok(match largest.lacks(&submission.needs) {
            Some(lack) => Trial::Doubtful(format!("it asks for {lack}")),
            None => Trial::Fine("a node has what it asks for, as far as Ray tells".to_owned()),
        })
    }

    async fn ask(&self, path: &str) -> Result<Value, Fault> {
        let bytes = self.api.get(path, LIMIT).await?;
        serde_json::from_slice(&bytes).map_err(|error| Fault::Lost(error.to_string()))
    }

    async fn program_is_there(&self) -> Result<String, QueryError> {
        let Some(program) = self.settings.program.clone() else {
            return Ok(String::new());
        };
        match self.packages.name(&program).await {
            Ok(sent) => Ok(format!("; supervisors run {}", sent.file)),
            Err(error) => Err(QueryError(error.to_string())),
        }
    }
}

/// `, 4 CPUs, 2 GPUs`.
fn resources(status: &Value) -> String {
    let usage = &status["data"]["clusterStatus"]["loadMetricsReport"]["usage"];
    let total = |name: &str| Some((usage[name][1].as_f64()?, name.to_owned()));
    let there = ["CPU", "GPU"].into_iter().filter_map(total);
    there
        .filter(|(count, _)| *count > 0.0)
        .map(|(count, name)| format!(", {count} {name}s"))
        .collect()
}
