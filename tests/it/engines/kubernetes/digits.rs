//! The example, as on any engine: exported, trained in a pod, predictions imported.

use trainhook::emulator::Dataset;

use super::Site;
use crate::support::stack::job_id;

/// The example as `models.toml` has it; its code travels.
pub(super) fn digits(settings: &str) -> String {
    let workdir = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/digits");
    format!(
        "[models.digits]\nexecutor = \"local\"\ncommand = [\"python3\", \"train.py\"]\nworkdir = {workdir:?}\n\
         files = [\"train.py\"]\nexport = {{ files = true }}\nparams = {{ epochs = 3 }}\nenv = {{ A = \"b\" }}\n{settings}\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn the_digits_are_trained_in_a_pod() {
    let site = Site::start_with(
        "",
        &digits("resources = { gpus = 1, cpus = 2, memory = \"1GB\" }"),
    )
    .await;
    let run = site.stack.run_with(&Dataset::digits());
    let id = job_id(&site.stack.click(&run, "digits").await);
    site.stack.told(&run, "COMPLETE").await;
    let arrived = site.stack.emulator.predictions(&run).expect("a run");
    assert_eq!(arrived.predictions, 500);
    assert_eq!(site.state(&id), "succeeded");
    site.wait_until_empty().await;
}
