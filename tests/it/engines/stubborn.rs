//! Engines that do not tell what they have, or do not end what they should.

use super::{has, launcher};
use crate::{
    metrics::metrics,
    support::stack::{Stack, UNTIL_GO, job_id, model, wait_until},
};

/// The example's launcher behind a few lines of sh, with models that run there.
fn settings(lines: &str, models: &[(&str, &str, &str)]) -> String {
    let script = format!("{lines} exec {} $1", launcher("launcher.sh").display());
    let executor = format!(
        "[executors.stubborn]\nkind = \"program\"\nmax_running = 2\npoll_interval = \"200ms\"\ncall_timeout = \"50s\"\n\
         command = [\"sh\", \"-c\", '''{script}''', \"launcher\"]\n"
    );
    let models = models.iter().map(|(slug, script, settings)| {
        model(slug, script, settings).replace("executor = \"local\"", "executor = \"stubborn\"")
    });
    executor + &models.collect::<String>()
}

/// It starts what it is given, and neither then nor later tells that it has.
const TELLS_NOTHING: &str = "case $1 in submit) echo submit >> submits; ./real submit > told; exit 70;; \
     find) echo '{\"handles\": null}'; exit 0;; esac;";

async fn telling_nothing(settings_of_model: &str) -> Stack {
    let lines = TELLS_NOTHING.replace("./real", &launcher("launcher.sh").display().to_string());
    let models = [("job", UNTIL_GO, settings_of_model)];
    Stack::start_with(&settings(&lines, &models)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_launch_whose_handle_nobody_tells_is_followed_to_its_end() {
    if !has(&["jq"]) {
        return;
    }
    let stack = telling_nothing("").await;
    let run = stack.new_run();
    let id = job_id(&stack.click(&run, "job").await);
    stack.wait_for_lines("runs", 1).await;
    let runs = || (stack.job(&id)["job"]["state"] == "running").then_some(());
    wait_until("a job that is seen to run", runs).await;
    stack.go();
    stack.told(&run, "COMPLETE").await;
    assert_eq!(stack.lines("runs"), ["1"], "one start");
    assert_eq!(stack.lines("submits").len(), 1, "{}", stack.job(&id));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_reaches_a_command_whose_handle_nobody_tells() {
    if !has(&["jq"]) {
        return;
    }
    let stack = telling_nothing("cancel_grace = \"1s\"").await;
    let run = stack.new_run();
    let id = job_id(&stack.click(&run, "job").await);
    stack.wait_for_lines("runs", 1).await;
    stack.trainhook(&["jobs", "cancel", &id]);
    stack.told(&run, "FAILED").await;
    let job = stack.job(&id);
    assert_eq!(job["job"]["state"], "cancelled", "{job}");
    let dir = stack.folder.path().join("jobs").join(&id).join("a1");
    let record = std::fs::read_to_string(dir.join("exit.json")).expect("its own record");
    assert!(record.contains("\"asked_to_stop\": true"), "{record}");
}

/// A cancel takes long and comes to nothing.
const REFUSES: &str = "case $1 in cancel) echo begun >> cancels; sleep 40; echo over >> refusals; \
     echo 'the node does not listen' >&2; exit 75;; esac;";

#[tokio::test(flavor = "multi_thread")]
async fn what_an_engine_refuses_to_end_holds_up_neither_its_job_nor_others() {
    if !has(&["jq"]) {
        return;
    }
    // Its supervisor stands still, as on a node that hangs.
    let stuck = "echo run >> runs; kill -STOP $PPID; sleep 600";
    let models = [
        ("stuck", stuck, "cancel_grace = \"1s\""),
        ("short", "true", ""),
    ];
    let stack = Stack::start_with(&settings(REFUSES, &models)).await;
    let run = stack.new_run();
    let id = job_id(&stack.click(&run, "stuck").await);
    stack.wait_for_lines("runs", 1).await;
    stack.trainhook(&["jobs", "cancel", &id]);

    stack.wait_for_lines("cancels", 1).await;
    let beside = stack.new_run();
    stack.click(&beside, "short").await;
    stack.told(&beside, "COMPLETE").await;
    assert!(
        stack.lines("refusals").is_empty(),
        "the engine is still being asked"
    );

    let refusal = || {
        let job = stack.job(&id);
        let waiting = job["job"]["waiting"].as_str()?.to_owned();
        waiting.contains("the node does not listen").then_some(())
    };
    wait_until("the engine's refusal at the job", refusal).await;
    stack.told(&run, "FAILED").await;
    assert_eq!(stack.job(&id)["job"]["state"], "cancelled");
    let refused = || {
        let left = stack.job(&id)["job"]["leftover"].as_str()?.to_owned();
        left.contains("the node does not listen").then_some(())
    };
    wait_until("what is left behind, and why", refused).await;
    let left = metrics(&stack).await;
    assert_eq!(
        left.get("trainhook_leftovers"),
        Some(&1.0),
        "the engine goes on being asked: {left:?}"
    );
}
