//! SIGHUP: the settings are read again while everything goes on.

use std::{collections::BTreeMap, fs};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::{
    clicks::{accepted, ask_admin, body_for, post, post_at},
    stack::{LIMIT, SECRET, Stack, UNTIL_GO, model},
};

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

    /// What the admin listener answers to whoever has the token.
    async fn answer_of(&self, path: &str) -> String {
        let token = fs::read_to_string(self.folder.path().join("state/admin.token"));
        let token = token.expect("the admin token");
        let answer = ask_admin(self, path, &format!("Authorization: Bearer {token}\r\n")).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.body
    }

    /// Where each webhook secret stands, by the end of its path, and when it last signed.
    async fn last_uses(&self) -> BTreeMap<String, Option<String>> {
        let told: serde_json::Value =
            serde_json::from_str(&self.answer_of("/api/secrets").await).expect("JSON");
        let secrets = told["secrets"].as_array().expect("a list").iter();
        let uses = secrets.map(|secret| {
            let place = secret["place"].as_str().expect("a place");
            let name = place.rsplit('/').next().expect("a name");
            let last = secret["lastUsedAt"].as_str().map(str::to_owned);
            (name.to_owned(), last)
        });
        uses.collect()
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
    for secret in [new, SECRET] {
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

#[tokio::test(flavor = "multi_thread")]
async fn an_executor_that_is_added_is_said_to_wait_for_a_restart_with_its_models() {
    let stack = Stack::start(&model("digits", "true", "")).await;
    stack.reload(|text| {
        let other = model("letters", "true", "").replace("\"local\"", "\"other\"");
        text + "[executors.other]\nkind = \"local\"\n" + &other
    });
    let told =
        "executors.other is new, and jobs of letters wait for it: it is taken over by a restart";
    stack.server.logged(told).await;
    let told = "the settings were read again; models: digits, letters; waits for a restart: executors.other";
    stack.server.logged(told).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn which_secret_signs_is_told_wherever_it_stands_in_the_list() {
    let stack = Stack::start(&model("digits", "true", "")).await;
    let new = "another webhook secret of a good length";
    fs::write(stack.folder.path().join("new"), new).expect("the folder is writable");
    accepted(&post(&stack, &body_for(&stack.new_run(), "digits")).await);
    let before = stack.last_uses().await["secret"].clone();
    assert!(before.is_some());

    let (old, both) = (
        "[{ file = \"secret\" }]",
        "[{ file = \"new\" }, { file = \"secret\" }]",
    );
    stack.reload(|text| text.replace(old, both));
    stack.server.logged("the settings were read again").await;
    let uses = stack.last_uses().await;
    assert_eq!(uses["secret"], before, "the old one has signed");
    assert_eq!(uses["new"], None, "the new one has not");
    accepted(&post_at(&stack, "", new, &body_for(&stack.new_run(), "digits")).await);
    let uses = stack.last_uses().await;
    assert_eq!(uses["secret"], before, "it can be dropped");
    assert!(uses["new"].is_some());

    stack.reload(|text| text.replace(both, "[{ file = \"new\" }]"));
    let dropped = async {
        while stack.last_uses().await.contains_key("secret") {
            tokio::task::yield_now().await;
        }
    };
    let dropped = tokio::time::timeout(LIMIT, dropped).await;
    dropped.expect("it is dropped from the list");
    assert_eq!(
        stack.last_uses().await,
        BTreeMap::from([("new".to_owned(), uses["new"].clone())])
    );
    let metrics = stack.answer_of("/metrics").await;
    let told = "trainhook_webhook_secret_last_used_timestamp_seconds{workspace=\"main\",place=";
    assert_eq!(metrics.matches(told).count(), 1, "{metrics}");
    assert!(!metrics.contains(new) && !metrics.contains(SECRET));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_counted_before_is_counted_on() {
    let stack = Stack::start(&model("digits", "true", "")).await;
    let run = stack.new_run();
    stack.click(&run, "digits").await;
    stack.told(&run, "COMPLETE").await;
    stack.reload(|text| text + &model("letters", "true", ""));
    stack.server.logged("the settings were read again").await;
    let metrics = stack.answer_of("/metrics").await;
    for line in [
        "trainhook_requests_total{workspace=\"main\",answer=\"accepted\"} 1",
        "trainhook_labelbox_calls_total{workspace=\"main\",call=\"modelRun\",outcome=\"ok\"} 1",
        // What alerts look at is told before it has happened.
        "trainhook_requests_total{workspace=\"main\",answer=\"unavailable\"} 0",
        "trainhook_jobs_ended_total{model=\"letters\",state=\"failed\",cause=\"lost\"} 0",
    ] {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }
}
