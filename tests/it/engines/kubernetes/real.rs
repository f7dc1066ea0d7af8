//! A real cluster, as `tests/engines/kubernetes.sh` prepares one. It was never run where this was written.

use std::path::Path;

use trainhook::emulator::Dataset;

use super::digits::digits;
use crate::{
    engines::conformance::{conformance, names},
    support::{
        skip,
        stack::{Stack, job_id, settings, workspace},
    },
};

/// What the script says of its cluster: the table of an executor, and where pods reach this machine.
struct Real {
    table: String,
    server: String,
}

fn real(what: &str) -> Option<Real> {
    let said = |name: &str| std::env::var(format!("TRAINHOOK_TEST_KUBERNETES{name}")).ok();
    let (Some(kubeconfig), Some(namespace), Some(image), Some(host)) =
        (said(""), said("_NAMESPACE"), said("_IMAGE"), said("_HOST"))
    else {
        skip(&format!(
            "{what}: no real Kubernetes is named (tests/engines/kubernetes.sh)"
        ));
        return None;
    };
    Some(Real {
        table: format!(
            "kind = \"kubernetes\"\nkubeconfig = {kubeconfig:?}\nnamespace = {namespace:?}\nimage = {image:?}\n\
             supervisor = \"image:{image}\"\nimage_pull_policy = \"IfNotPresent\"\nmax_running = 4\n"
        ),
        server: format!(
            "[server]\njobs_listen = \"0.0.0.0:18082\"\njobs_url = \"http://{host}:18082\"\njobs_plain_http = true\n"
        ),
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_cluster_keeps_every_promise() {
    let Some(real) = real("the conformance kit on a real Kubernetes") else {
        return;
    };
    let program = Path::new(env!("CARGO_BIN_EXE_trainhook"));
    let table = real.table.replace("max_running = 4\n", "");
    let report = conformance(program, &real.server, &table).await;
    assert!(names(&report, "pass").len() > 30, "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_digits_are_trained_on_a_real_cluster() {
    let Some(real) = real("digits on a real Kubernetes") else {
        return;
    };
    let server = real.server.replace("18082", "18083");
    let stack = Stack::start_whole(|endpoint| {
        let settings = settings().replace("[server]\n", &server);
        let workdir = "kubernetes = { workdir = \"/\" }";
        settings
            + &workspace("main", "/", endpoint)
            + "[executors.local]\n"
            + &real.table
            + &digits(workdir)
    })
    .await;
    let run = stack.run_with(&Dataset::digits());
    job_id(&stack.click(&run, "digits").await);
    stack.told(&run, "COMPLETE").await;
    assert_eq!(
        stack.emulator.predictions(&run).expect("a run").predictions,
        500
    );
}
