//! Whole trainings.

use std::fs;

use super::Site;
use crate::support::stack::{job_id, model, wait_until};

#[tokio::test(flavor = "multi_thread")]
async fn a_training_without_shared_files_leaves_the_same_job_directory() {
    let script = "echo seen by the log; echo $PWD; mkdir -p $TRAINHOOK_OUT_DIR/model/deep; \
         cp $TRAINHOOK_JOB_DIR/webhook.json $TRAINHOOK_OUT_DIR/model/deep/w; : > $TRAINHOOK_OUT_DIR/empty; \
         $TRAINHOOK_BIN event metric loss=0.5";
    let site = Site::start(&model("job", script, "")).await;
    let run = site.stack.new_run();
    let id = job_id(&site.stack.click(&run, "job").await);
    site.stack.told(&run, "COMPLETE").await;
    assert!(
        site.text(&id, "log/output.log")
            .starts_with("seen by the log\n")
    );
    let webhook = fs::read(site.attempt(&id).join("webhook.json")).expect("a webhook");
    assert_eq!(
        fs::read(site.attempt(&id).join("out/model/deep/w")).expect("an output"),
        webhook
    );
    assert_eq!(site.text(&id, "out/empty"), "");
    assert_eq!(
        site.stack.job(&id)["job"]["progress"]["metrics"]["loss"],
        0.5
    );
    wait_until("the machine is clean", || {
        site.left_on_node().is_empty().then_some(())
    })
    .await;
}
