//! The kinds of executors a program knows: ours, and those that its author registers.

use std::{collections::BTreeMap, fmt, path::Path, sync::Arc};

use tokio::sync::Notify;

use super::{Executor, container, local, program, ray, slurm};
use crate::config::{ExecutorEntry, Mistake, Table};

/// What an executor is built from, beside its table.
#[derive(Debug)]
pub struct BuildContext<'a> {
    /// The name of its table in `models.toml`.
    pub name: &'a str,
    /// The folder of `models.toml`, from which relative paths start.
    pub folder: &'a Path,
    /// The server's own folder, which no job may see.
    pub state_dir: &'a Path,
    /// Rung by the executor when something happened, so that the server looks sooner.
    pub wake: Arc<Notify>,
}

/// What a kind's builder answers: the executor, or what is wrong with its table.
pub type Built = Result<Arc<dyn Executor>, Vec<Mistake>>;

type Build = Arc<dyn Fn(&mut Table, &BuildContext<'_>) -> Built + Send + Sync>;

/// Builders by kind. `Registry::default()` knows the kinds that come with trainhook.
#[derive(Clone)]
pub struct Registry {
    kinds: BTreeMap<String, Build>,
}

impl Default for Registry {
    fn default() -> Self {
        Self {
            kinds: BTreeMap::new(),
        }
        .with("container", container::build)
        .with("kubernetes", kubernetes)
        .with("local", local::build)
        .with("program", program::build)
        .with("ray", ray::build)
        .with("slurm", slurm::build)
    }
}

#[cfg(feature = "kubernetes")]
use super::kubernetes::build as kubernetes;

/// A table for an engine that this program was built without.
#[cfg(not(feature = "kubernetes"))]
fn kubernetes(table: &mut Table, _context: &BuildContext<'_>) -> Built {
    table.mistake(
        "kind",
        "this trainhook was built without Kubernetes: take one that was built with its feature `kubernetes`",
    );
    let mistakes = table.take_mistakes();
    // Its other keys cannot be judged.
    let keys: Vec<String> = table.keys().map(str::to_owned).collect();
    for key in keys {
        drop(table.value(&key));
    }
    Err(mistakes)
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.kinds.keys()).finish()
    }
}

impl Registry {
    /// Registers a kind; the last one registered under a name wins.
    ///
    /// `build` takes its keys out of the table. Keys that it leaves there become mistakes, and so does
    /// whatever it noted in the table; it need not call [`Table::finish`] itself.
    #[must_use]
    pub fn with(
        mut self,
        kind: &str,
        build: impl Fn(&mut Table, &BuildContext<'_>) -> Built + Send + Sync + 'static,
    ) -> Self {
        self.kinds.insert(kind.to_owned(), Arc::new(build));
        self
    }

    /// Has the executors of a kind wrapped as they are built.
    pub(crate) fn wrapped(
        mut self,
        kind: &str,
        wrap: impl Fn(Arc<dyn Executor>) -> Arc<dyn Executor> + Send + Sync + 'static,
    ) -> Self {
        if let Some(build) = self.kinds.remove(kind) {
            let wrapped: Build = Arc::new(move |table, context| build(table, context).map(&wrap));
            self.kinds.insert(kind.to_owned(), wrapped);
        }
        self
    }

    /// Builds all executors of a file; `wake` makes the bell of the one that is named.
    ///
    /// # Errors
    /// All mistakes of all tables at once, in the order of the file.
    pub fn build(
        &self,
        entries: &mut [ExecutorEntry],
        wake: impl Fn(&str) -> Arc<Notify>,
    ) -> Result<BTreeMap<String, Arc<dyn Executor>>, Vec<Mistake>> {
        let (mut executors, mut mistakes) = (BTreeMap::new(), Vec::new());
        for entry in entries {
            let (name, folder) = (entry.name.clone(), entry.folder.clone());
            let state_dir = entry.state_dir.clone();
            let context = BuildContext {
                name: &name,
                folder: &folder,
                state_dir: &state_dir,
                wake: wake(&name),
            };
            match self.build_entry(entry, &context) {
                Ok(executor) => drop(executors.insert(entry.name.clone(), executor)),
                Err(mut more) => mistakes.append(&mut more),
            }
        }
        mistakes.sort_by_key(|mistake| mistake.line);
        if mistakes.is_empty() {
            Ok(executors)
        } else {
            Err(mistakes)
        }
    }

    /// Builds one executor of a kind from its table.
    ///
    /// # Errors
    /// All mistakes of the table, those for unknown keys included.
    pub fn build_kind(&self, kind: &str, table: &mut Table, context: &BuildContext<'_>) -> Built {
        let Some(build) = self.kinds.get(kind) else {
            // Its other keys cannot be judged.
            let known: Vec<&str> = self.kinds.keys().map(String::as_str).collect();
            let known = known.join(", ");
            table.mistake(
                "kind",
                format!("there is no kind {kind:?}; those that exist: {known}"),
            );
            return Err(table.take_mistakes());
        };
        let built = build(table, context);
        let mut mistakes = table.finish();
        match built {
            Ok(executor) if mistakes.is_empty() => Ok(executor),
            Ok(_) => Err(mistakes),
            Err(mut more) => {
                mistakes.append(&mut more);
                Err(mistakes)
            }
        }
    }

    fn build_entry(&self, entry: &mut ExecutorEntry, context: &BuildContext<'_>) -> Built {
        let built = self.build_kind(&entry.kind, &mut entry.table, context);
        // A kind that is missing altogether was noted by the reader.
        built.map_err(|mistakes| {
            if entry.kind.is_empty() {
                Vec::new()
            } else {
                mistakes
            }
        })
    }
}
