//! Commands that do what they must not: the server sees their end all the same, and tells it.

use crate::support::stack::{API_KEY, Stack, job_id, model, settings, workspace};

/// Runs a command; answers what Labelbox was told last, and the message that came with it.
async fn outcome_of(script: &str) -> (String, String) {
    let stack = Stack::start(&model("job", script, "")).await;
    let run = stack.new_run();
    let id = job_id(&stack.click(&run, "job").await);
    let ended = stack
        .emulator
        .wait_for(&run, crate::support::stack::LIMIT, |timeline| {
            timeline
                .iter()
                .any(|entry| matches!(entry.status.as_str(), "COMPLETE" | "FAILED"))
        });
    let timeline = ended
        .await
        .unwrap_or_else(|error| panic!("{script}: {error}\n{}", stack.server.log_text()));
    let last = timeline.last().expect("it was told");
    let state = stack.job(&id)["job"]["state"].as_str().map(str::to_owned);
    let wanted = if last.status == "COMPLETE" {
        "succeeded"
    } else {
        "failed"
    };
    assert_eq!(state.as_deref(), Some(wanted), "{script}");
    (
        last.status.clone(),
        last.error_message.clone().unwrap_or_default(),
    )
}

async fn completes(script: &str) {
    assert_eq!(
        outcome_of(script).await,
        ("COMPLETE".to_owned(), String::new()),
        "{script}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_stands_where_the_events_should_ends_no_job() {
    completes("rm -f $TRAINHOOK_EVENTS_FILE; mkdir $TRAINHOOK_EVENTS_FILE").await;
    completes("rm -f $TRAINHOOK_EVENTS_FILE; mkfifo $TRAINHOOK_EVENTS_FILE").await;
    completes("rm -f $TRAINHOOK_EVENTS_FILE; ln -s /dev/zero $TRAINHOOK_EVENTS_FILE").await;
    completes("head -c 9000000 /dev/zero >> $TRAINHOOK_EVENTS_FILE").await;
    completes("yes '{{\"type\":\"metric\",\"name\":1}}' | head -n 99999 >> $TRAINHOOK_EVENTS_FILE")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reason_is_read_from_no_link_pipe_or_endless_file() {
    let failing = [
        "ln -s /etc/passwd $TRAINHOOK_FAILURE_FILE; echo truth; exit 1",
        "mkfifo $TRAINHOOK_FAILURE_FILE; echo truth; exit 1",
        "mkdir $TRAINHOOK_FAILURE_FILE; echo truth; exit 1",
        "head -c 9000000 /dev/zero > $TRAINHOOK_FAILURE_FILE; echo truth; exit 1",
    ];
    for script in failing {
        let (status, message) = outcome_of(script).await;
        assert_eq!(status, "FAILED", "{script}");
        assert!(
            message.contains("truth") && !message.contains("root:"),
            "{script}: {message}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_a_command_forges_decides_nothing() {
    let forged =
        "{{\"protocol\":1,\"instance\":\"00000000-0000-4000-8000-000000000000\",\"code\":0}}";
    let script = format!("echo '{forged}' > $TRAINHOOK_JOB_DIR/exit.json; echo truth; exit 5");
    let (status, message) = outcome_of(&script).await;
    assert_eq!(status, "FAILED");
    assert!(message.contains("truth"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_deletes_its_folder_is_lost_and_not_run_again() {
    let script =
        "echo run >> runs; while [ ! -e go ]; do sleep 0.02; done; rm -rf $TRAINHOOK_JOB_DIR";
    let stack = Stack::start(&model("job", script, "")).await;
    let run = stack.new_run();
    let id = job_id(&stack.click(&run, "job").await);
    stack.told(&run, "TRAINING_MODEL").await;
    stack.go();
    stack.told(&run, "FAILED").await;
    assert_eq!(stack.job(&id)["job"]["cause"], "lost");
    assert_eq!(stack.lines("runs"), ["run"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_closes_its_output_still_ends_well() {
    completes("exec >&- 2>&-; sleep 0.1").await;
    completes("printf '\\000\\377\\033[31m no end of line'").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_leaves_its_session_is_ended_with_the_job() {
    let script = "setsid sh -c 'echo $$ > pid; while :; do sleep 0.05; done' & while [ ! -s pid ]; do sleep 0.01; done";
    let stack = Stack::start(&model("job", script, "cancel_grace = \"200ms\"")).await;
    let run = stack.new_run();
    stack.click(&run, "job").await;
    stack.told(&run, "COMPLETE").await;
    let pid: u32 = stack.lines("pid")[0].parse().expect("a pid");
    let process = trainhook::process::ProcessId::of(pid);
    assert!(!process.is_some_and(trainhook::process::ProcessId::is_alive));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_working_folder_that_is_not_there_is_named() {
    let settings_of_model = "workdir = \"nowhere\"";
    let stack = Stack::start(&model("job", "true", settings_of_model)).await;
    let run = stack.new_run();
    stack.click(&run, "job").await;
    let timeline = stack.told(&run, "FAILED").await;
    let message = timeline
        .last()
        .and_then(|entry| entry.error_message.clone())
        .unwrap_or_default();
    assert!(message.contains("nowhere"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_note_shows_no_secret() {
    let script = format!(
        "printf '{{{{\"type\":\"note\",\"text\":\"the key is {API_KEY}\"}}}}\\n' >> $TRAINHOOK_EVENTS_FILE"
    );
    let stack = Stack::start_whole(|endpoint| {
        let executor = "[executors.local]\nkind = \"local\"\n";
        settings() + &workspace("main", "/", endpoint) + executor + &model("job", &script, "")
    })
    .await;
    let run = stack.new_run();
    let id = job_id(&stack.click(&run, "job").await);
    stack.told(&run, "COMPLETE").await;
    let note = stack.job(&id)["job"]["progress"]["note"].clone();
    assert_eq!(note, "the key is [redacted]");
}
