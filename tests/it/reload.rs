//! SIGHUP: the settings are read again while everything goes on.

use std::fs;

use crate::support::{
    clicks::{accepted, body_for, post, post_at},
    stack::{Stack, UNTIL_GO, model},
};
use rustix::process::{Pid, Signal, kill_process};

impl Stack {
    /// Rewrites `models.toml`, and has it read again.
    fn reload(&self, change: impl FnOnce(String) -> String) {
        let file = self.folder.path().join("models.toml");
        let text = fs::read_to_string(&file).expect("the settings");
        fs::write(&file, change(text)).expect("the folder is writable");
        let pid = i32::try_from(self.server.child.id()).ok();
        let pid = pid.and_then(Pid::from_raw).expect("a process");
        kill_process(pid, Signal::HUP).expect("it runs");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_is_added_is_listed_and_a_live_job_keeps_its_entry() {
    let stack = Stack::start(&model("digits", UNTIL_GO, "params = { epochs = 3 }")).await;
    let (run, id) = stack.click_in_turn("digits").await;
    stack.reload(|text| text.replace("epochs = 3", "epochs = 4") + &model("letters", "true", ""));
    stack.server.logged("the settings were read again").await;
    stack.go();
    let timeline = stack.told(&run, "COMPLETE").await;
    let told = timeline.last().and_then(|last| last.metadata.as_ref());
    assert_eq!(told.expect("metadata")["param_epochs"], "3", "{id}");
    let second = stack.new_run();
    stack.click(&second, "letters").await;
    stack.told(&second, "COMPLETE").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_file_keeps_the_old_settings_and_says_what_is_wrong() {
    let stack = Stack::start(&model("digits", "true", "")).await;
    stack.reload(|text| text.replace("[models.digits]", "[models.letters]\ncolour = 1"));
    stack
        .server
        .logged("models.letters.colour: unknown key")
        .await;
    stack.server.logged("the settings stay as they were").await;
    let run = stack.new_run();
    accepted(&post(&stack, &body_for(&run, "digits")).await);
    stack.told(&run, "COMPLETE").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_changed_without_a_restart() {
    let stack = Stack::start(&model("digits", "true", "")).await;
    let new = "another webhook secret of a good length";
    fs::write(stack.folder.path().join("new"), new).expect("the folder is writable");
    let old_first = "{ file = \"secret\" }";
    stack.reload(|text| text.replace(old_first, &format!("{old_first}, {{ file = \"new\" }}")));
    stack.server.logged("the settings were read again").await;
    for secret in [new, crate::support::stack::SECRET] {
        let body = body_for(&stack.new_run(), "digits");
        accepted(&post_at(&stack, "", secret, &body).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_needs_a_restart_is_named_and_the_rest_taken_over() {
    let stack = Stack::start(&model("digits", "true", "")).await;
    stack.reload(|text| {
        let text = text.replace("max_running = 2", "max_running = 7");
        let text = text.replace("[server]", "[server]\njobs_dir = \"elsewhere\"");
        text.replace("[models.digits]", "[models.digits]\ntitle = \"Digits\"")
    });
    stack.server.logged("executors.local has changed").await;
    stack.server.logged("server.jobs_dir has changed").await;
    let run = stack.new_run();
    accepted(&post(&stack, &body_for(&run, "Digits")).await);
    stack.told(&run, "COMPLETE").await;
    assert!(!stack.folder.path().join("elsewhere").exists());
}
