//! `[workspaces.…]` and `[reporting]`: the organisations at Labelbox, and how they are kept truthful.

use std::time::Duration;

use super::SecretRef;

/// `[reporting]`: how Labelbox is kept truthful.
#[derive(Debug, Clone)]
pub struct ReportingConfig {
    /// Progress is told at most this often. Default 30 s.
    pub interval: Duration,
    /// One call to Labelbox may take this long. Default 60 s.
    pub timeout: Duration,
    /// Parked reports are tried again this often. Default 5 min.
    pub parked_retry: Duration,
    /// A final that may have been overtaken by a late update is read back after this. Default 2 min.
    pub read_back_after: Duration,
}

/// `[workspaces.<name>]`: one Labelbox organisation as we know it.
#[derive(Debug, Clone)]
pub struct Workspace {
    /// The table's key.
    pub name: String,
    /// The path prefix we are registered under; `/` by default, never ending in a slash otherwise.
    pub path: String,
    /// Any of them may sign: rotation without downtime.
    pub webhook_secrets: Vec<SecretRef>,
    /// Requests need no signature; only if asked for by name, and then there are no secrets.
    pub unsigned: bool,
    /// The key for Labelbox's API.
    pub api_key: SecretRef,
    /// Labelbox's GraphQL address. Default `https://api.labelbox.com/graphql`.
    pub endpoint: String,
    /// The slugs offered there; all models when none are named.
    pub models: Option<Vec<String>>,
    /// Calls to its API at most; Labelbox counts those of people, too. Default 1,200.
    pub requests_per_minute: u32,
}
