//! A server that is asked to stop: it leaves in order, and leaves the jobs alone.

use crate::support::stack::{Stack, UNTIL_GO, model, statuses};

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_asked_to_stop_exits_0_and_leaves_its_jobs_running() {
    let mut stack = Stack::start(&model("job", UNTIL_GO, "")).await;
    let run = stack.new_run();
    stack.click(&run, "job").await;
    stack.wait_for_lines("runs", 1).await;
    let status = stack.server.stop().await;
    assert_eq!(status.code(), Some(0), "{}", stack.server.log_text());
    stack.server.logged("jobs that run go on").await;
    stack.restart().await;
    stack.go();
    let timeline = stack.told(&run, "COMPLETE").await;
    assert_eq!(stack.lines("runs"), ["1"], "one run of the command");
    assert_eq!(statuses(&timeline).last(), Some(&"COMPLETE"));
}
