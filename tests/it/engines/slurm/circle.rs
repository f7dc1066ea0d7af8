//! A whole training, from its data to its predictions.

use std::path::Path;

use trainhook::emulator::Dataset;

use super::{slurm, state};
use crate::support::stack::{Stack, job_id, settings, workspace};

/// The example as `models.toml` has it, with its data exported and its predictions imported.
fn digits(settings: &str) -> String {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/digits");
    format!(
        "[models.digits]\nexecutor = \"local\"\ncommand = [\"python3\", \"train.py\"]\nworkdir = \"{}\"\n\
         export = {{ files = true }}\nparams = {{ epochs = 12, learning_rate = 0.3 }}\n\
         resources = {{ gpus = 1, cpus = 1, memory = \"500MB\" }}\nslurm = {{ partition = \"main\" }}\n{settings}\n",
        example.display()
    )
}

async fn digits_go_through_the_whole_circle(stack: &Stack) {
    let run = stack.run_with(&Dataset::digits());
    let id = job_id(&stack.click(&run, "digits").await);
    let told = stack.told(&run, "COMPLETE").await;
    let accuracy = told
        .last()
        .and_then(|entry| entry.metadata.as_ref()?.get("accuracy").cloned());
    let accuracy: f64 = accuracy
        .and_then(|text| text.as_str()?.parse().ok())
        .unwrap_or_else(|| panic!("{told:?}"));
    let arrived = stack.emulator.predictions(&run).expect("a run");
    let counted = arrived.features["digit"].accuracy.expect("a share");
    assert!((accuracy - counted).abs() < 0.0005, "{accuracy} {counted}");
    assert_eq!(state(stack, &id), "succeeded");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_digits_are_trained_on_slurm() {
    let Some(slurm) = slurm().await else { return };
    let stack = slurm.stack("", &digits("")).await;
    digits_go_through_the_whole_circle(&stack).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_digits_are_trained_on_slurm_without_shared_files() {
    let Some(slurm) = slurm().await else { return };
    let node = tempfile::tempdir().expect("a folder for the nodes");
    let table = format!(
        "[executors.local]\n{}",
        slurm.table(&format!(
            "shared_files = false\nwork_dir = \"{}\"\nsupervisor = \"path:{}\"",
            node.path().display(),
            env!("CARGO_BIN_EXE_trainhook")
        ))
    );
    let stack = Stack::start_whole(|endpoint| {
        let listening = "[server]\njobs_listen = \"127.0.0.1:0\"\n";
        let settings = settings().replace("[server]\n", listening);
        let workspace = workspace("main", "/", endpoint);
        settings + &workspace + &table + &digits("files = [\"train.py\"]")
    })
    .await;
    digits_go_through_the_whole_circle(&stack).await;
}
