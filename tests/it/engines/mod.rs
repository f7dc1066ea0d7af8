//! Engines: what every executor keeps, and what is each one's own.

mod conformance;
mod container;
mod hanging;
#[cfg(feature = "kubernetes")]
mod kubernetes;
mod launchers;
mod models;
mod places;
mod program;
mod ray;
mod refused_offline;
mod slurm;
mod stubborn;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use trainhook::{
    config::Table,
    executor::{BuildContext, Executor, Launch, Registry},
    job::LaunchId,
};

use crate::support::skip;

/// A launcher of the examples.
fn launcher(name: &str) -> PathBuf {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/launchers");
    examples.join(name)
}

/// Whether the programs are there that an example needs; says so if not.
fn has(programs: &[&str]) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let is_there =
        |program: &&&str| std::env::split_paths(&path).any(|folder| folder.join(program).exists());
    let missing: Vec<_> = programs.iter().filter(|one| !is_there(one)).collect();
    if let [missing, ..] = missing.as_slice() {
        skip(&format!(
            "examples of launchers: {missing} is not installed"
        ));
    }
    missing.is_empty()
}

/// An executor of this kind from the text of its table.
fn build(kind: &str, folder: &Path, table: &str) -> Arc<dyn Executor> {
    let mut table = Table::parse(table).expect("a table");
    let context = BuildContext {
        name: "mine",
        folder,
        state_dir: folder,
        wake: Arc::default(),
    };
    let built = Registry::default().build_kind(kind, &mut table, &context);
    built.expect("no mistakes")
}

/// A launch that is never brought to life.
fn launch(folder: &Path) -> Launch {
    let id: LaunchId = "th-019a00000000700080000000000000ab-a1"
        .parse()
        .expect("an id");
    Launch {
        id,
        argv: vec!["supervise".to_owned(), "an argument".to_owned()],
        env: Default::default(),
        attempt_dir: folder.to_owned(),
        server_id: String::new(),
        workdir: folder.to_owned(),
        mirror: None,
        resources: Default::default(),
        devices: Vec::new(),
        run_timeout: Some(Duration::from_secs(3600)),
        cancel_grace: Duration::from_secs(30),
        settings: Default::default(),
    }
}
