//! An engine that hangs slows down nobody else, and ends no job.

use std::fs;

use super::{has, launcher};
use crate::metrics::metrics;
use crate::support::stack::{Stack, UNTIL_GO, job_id, model, statuses};

/// The example's launcher, which hangs as long as there is a file `hang`.
fn settings() -> String {
    let launcher = launcher("launcher.sh");
    let script = format!(
        "[ ! -e hang ] || exec sleep 600; exec {} \\\"$1\\\"",
        launcher.display()
    );
    let hanging = format!(
        "[executors.hanging]\nkind = \"program\"\nmax_running = 4\npoll_interval = \"200ms\"\ncall_timeout = \"3s\"\n\
         command = [\"sh\", \"-c\", \"{script}\", \"launcher\"]\n"
    );
    let model = |slug: &str, script: &str| {
        model(slug, script, "").replace("executor = \"local\"", "executor = \"hanging\"")
    };
    let local = "[executors.local]\nkind = \"local\"\nmax_running = 2\n";
    let models = model("long", UNTIL_GO) + &model("short", "true");
    hanging + local + &models + &super::super::support::stack::model("here", "true", "")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_hangs_slows_down_nobody_else_and_ends_no_job() {
    if !has(&["jq"]) {
        return;
    }
    let stack = Stack::start_with(&settings()).await;
    let hang = stack.folder.path().join("hang");
    let running = stack.new_run();
    let id = job_id(&stack.click(&running, "long").await);
    stack.wait_for_lines("runs", 1).await;
    fs::write(&hang, "").expect("the folder is writable");
    stack.server.logged("did not answer within 3 s").await;

    let waiting = stack.new_run();
    stack.click(&waiting, "short").await;
    for _ in 0..3 {
        let run = stack.new_run();
        stack.click(&run, "here").await;
        let told = stack.told(&run, "COMPLETE").await;
        assert_eq!(statuses(&told).last(), Some(&"COMPLETE"));
    }
    assert_eq!(
        stack.job(&id)["job"]["state"],
        "running",
        "it is only not seen"
    );

    let up = |name: &str| format!("trainhook_executor_up{{executor=\"{name}\"}}");
    assert_eq!(metrics(&stack).await.get(&up("hanging")), Some(&0.0));

    fs::remove_file(&hang).expect("it is there");
    stack.go();
    stack.told(&running, "COMPLETE").await;
    stack.told(&waiting, "COMPLETE").await;
    assert_eq!(stack.lines("runs"), ["1"], "one start");
    assert_eq!(metrics(&stack).await.get(&up("hanging")), Some(&1.0));
}
