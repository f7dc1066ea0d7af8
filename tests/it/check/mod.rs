//! `models.toml`: every mistake located, all of them at once, and no text that breaks the reader.

mod command;
mod data;
mod mistakes;
mod models;
mod units;
mod whole_file;

use std::path::Path;

use trainhook::config::{Config, Mistake, parse};

/// A good file, on whose lines the tests count.
const GOOD: &str = r#"[server]
listen = "127.0.0.1:8080"

[reporting]
interval = "30s"

[workspaces.main]
webhook_secrets = [{ env = "HOOK" }]
api_key = { file = "key" }

[executors.local]
kind = "local"

[models.digits]
executor = "local"
command = ["python3", "train.py", "{params.epochs}"]
params = { epochs = 12 }
"#;

pub(crate) fn read(text: &str) -> Result<Config, Vec<Mistake>> {
    let parsed = parse(text, Path::new("/etc/trainhook/models.toml"));
    parsed.config.ok_or(parsed.mistakes)
}
