//! The pieces of `models.toml` that the README shows of engines.

use std::fs;

use super::blocks_of;
use crate::support::stack::trainhook_in;

/// What a file needs beside an executor: a workspace, and a model that runs there.
fn rest(executor: &str) -> String {
    format!(
        "[workspaces.main]\nwebhook_secrets = [{{ env = \"HOOK\" }}]\napi_key = {{ env = \"KEY\" }}\n\
         [models.digits]\nexecutor = \"{executor}\"\ncommand = [\"true\"]\n"
    )
}

fn passes_check(heading: &str) {
    let shown = blocks_of(heading, "toml")[0];
    let (_, named) = shown.split_once("[executors.").expect("an executor");
    let (executor, _) = named.split_once(']').expect("its name");
    let folder = tempfile::tempdir().expect("a folder for the test");
    let file = format!("{shown}{}", rest(executor));
    fs::write(folder.path().join("models.toml"), &file).expect("the folder is writable");
    let checked = trainhook_in(folder.path(), &["check"]);
    assert!(checked.status.success(), "{file}{checked:?}");
}

#[cfg(feature = "kubernetes")]
#[test]
fn the_cluster_that_is_shown_passes_check() {
    passes_check("### `kubernetes`");
}

#[test]
fn the_launcher_that_is_shown_passes_check() {
    passes_check("### `program`");
}
