//! Whole trainings.

use std::{fs, os::unix::fs::symlink};

use trainhook::emulator::Dataset;

use super::Site;
use crate::support::stack::{UNTIL_GO, job_id, model, statuses};

/// What the model is given as a secret.
const SECRET: &str = "a token for the storage of models";

#[tokio::test(flavor = "multi_thread")]
async fn a_training_without_shared_files_leaves_the_same_job_directory() {
    let script = "echo seen by the log; mkdir -p $TRAINHOOK_OUT_DIR/model/deep; \
         cp $TRAINHOOK_JOB_DIR/webhook.json \"$TRAINHOOK_OUT_DIR/model/deep/w & 100%\"; : > $TRAINHOOK_OUT_DIR/empty; \
         ln -s /etc/passwd $TRAINHOOK_OUT_DIR/link; $TRAINHOOK_BIN event metric loss=0.5; echo $PWD >> seen";
    let site = Site::start(&model("job", script, "")).await;
    let run = site.stack.new_run();
    let id = job_id(&site.stack.click(&run, "job").await);
    let timeline = site.stack.told(&run, "COMPLETE").await;
    let steps = [
        "EXPORTING_DATA",
        "PREPARING_DATA",
        "TRAINING_MODEL",
        "COMPLETE",
    ];
    let told = statuses(&timeline);
    let step = |status: &&str| steps.iter().position(|step| step == status);
    assert!(told.is_sorted_by_key(step), "no step back: {told:?}");
    assert_eq!(told.last(), Some(&"COMPLETE"));
    assert_eq!(site.text(&id, "log/output.log"), "seen by the log\n");
    let webhook = fs::read(site.attempt(&id).join("webhook.json")).expect("a webhook");
    let copy = fs::read(site.attempt(&id).join("out/model/deep/w & 100%"));
    assert_eq!(copy.expect("an output"), webhook);
    assert_eq!(
        fs::read(site.attempt(&id).join("out/empty")).expect("an output"),
        b""
    );
    assert!(
        fs::symlink_metadata(site.attempt(&id).join("out/link")).is_err(),
        "links stay"
    );
    assert_eq!(
        site.stack.job(&id)["job"]["progress"]["metrics"]["loss"],
        0.5
    );
    assert!(
        !site.attempt(&id).join("supervisor.lock").exists(),
        "nobody else has written there"
    );
    site.machine_is_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_data_of_a_run_is_where_the_command_looks_for_it() {
    let script = "cat $TRAINHOOK_TRAINING_FILE $TRAINHOOK_DATA_DIR/yolo/images/1.png > $TRAINHOOK_OUT_DIR/all; \
         ls $TRAINHOOK_DATA_DIR/yolo/images > $TRAINHOOK_OUT_DIR/images";
    let models = model("first", UNTIL_GO, "") + &model("job", script, "");
    let site = Site::start(&models).await;
    // Both slots are taken, so that the third job waits with its folder laid out.
    for _ in 0..2 {
        let run = site.stack.new_run();
        site.stack.click(&run, "first").await;
    }
    site.stack.wait_for_lines("runs", 2).await;
    let (run, id) = site.stack.click_in_turn("job").await;
    let data = site.stack.folder.path().join("jobs").join(&id).join("data");
    fs::create_dir_all(data.join("files/ä")).expect("the folder is writable");
    fs::write(data.join("training.ndjson"), "{}\n").expect("the folder is writable");
    fs::write(data.join("files/ä/1.png"), vec![b'x'; 3_000_000]).expect("the folder is writable");
    let images = data.join("yolo/images");
    fs::create_dir_all(&images).expect("the folder is writable");
    for (name, target) in [
        ("1.png", "../../files/ä/1.png"),
        ("2.png", "../../../../../secret"),
        ("3.png", "/etc/passwd"),
    ] {
        symlink(target, images.join(name)).expect("a link");
    }
    site.stack.go();
    site.stack.told(&run, "COMPLETE").await;
    assert_eq!(
        site.text(&id, "out/images"),
        "1.png\n",
        "others lead elsewhere"
    );
    let all = fs::read(site.attempt(&id).join("out/all")).expect("an output");
    assert!(all.starts_with(b"{}\nxxx") && all.len() == 3_000_003);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_has_its_reason_and_its_log() {
    let script = "echo begun; echo 'ValueError: no such class' >&2; exit 3";
    let site = Site::start(&model("job", script, "")).await;
    let run = site.stack.new_run();
    let id = job_id(&site.stack.click(&run, "job").await);
    let timeline = site.stack.told(&run, "FAILED").await;
    let message = timeline
        .last()
        .and_then(|entry| entry.error_message.clone());
    assert!(
        message
            .expect("a reason")
            .contains("ValueError: no such class")
    );
    assert_eq!(
        site.text(&id, "log/output.log"),
        "begun\nValueError: no such class\n"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_reaches_the_command() {
    let script = "trap 'echo told >> stops; exit 1' TERM; echo $TRAINHOOK_ATTEMPT >> runs; \
         while :; do sleep 0.05; done";
    let site = Site::start(&model("job", script, "cancel_grace = \"30s\"")).await;
    let run = site.stack.new_run();
    let id = job_id(&site.stack.click(&run, "job").await);
    site.stack.wait_for_lines("runs", 1).await;
    site.stack.trainhook(&["jobs", "cancel", &id]);
    site.stack.told(&run, "FAILED").await;
    assert_eq!(site.stack.job(&id)["job"]["state"], "cancelled");
    assert_eq!(site.stack.lines("stops"), ["told"]);
    site.machine_is_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_log_keeps_its_beginning_and_its_end() {
    let script = "i=0; while [ $i -lt 3000 ]; do echo \"line $i ........................................\"; \
         i=$((i+1)); done; echo the last";
    let site = Site::start(&model("job", script, "log_limit = \"64KiB\"")).await;
    let run = site.stack.new_run();
    let id = job_id(&site.stack.click(&run, "job").await);
    site.stack.told(&run, "COMPLETE").await;
    let parts = fs::read_dir(site.attempt(&id).join("log"))
        .expect("a log")
        .flatten();
    let sizes = parts.map(|part| part.metadata().expect("a file").len());
    assert!(sizes.sum::<u64>() <= 64 << 10);
    assert!(site.text(&id, "log/output.log").starts_with("line 0 "));
    assert!(
        site.stack
            .trainhook(&["jobs", "logs", &id])
            .ends_with("the last\n")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_reach_the_command_alone_and_its_token_does_not() {
    let secret = tempfile::NamedTempFile::new().expect("a file");
    fs::write(&secret, SECRET).expect("it is writable");
    let given = format!(
        "env = {{ STORAGE = {{ file = {:?} }}, PLAIN = \"text\" }}\nenv_pass = [\"CARGO_MANIFEST_DIR\"]",
        secret.path()
    );
    let script = format!(
        "env | grep -c MIRROR_TOKEN >> tokens; printf '%s\\n' \"$STORAGE $PLAIN $CARGO_MANIFEST_DIR\" >> got; {UNTIL_GO}"
    );
    let site = Site::start(&model("job", &script, &given)).await;
    let run = site.stack.new_run();
    let id = job_id(&site.stack.click(&run, "job").await);
    site.stack.wait_for_lines("runs", 1).await;
    assert_eq!(site.stack.lines("tokens"), ["0"]);
    let passed = env!("CARGO_MANIFEST_DIR");
    assert_eq!(site.stack.lines("got"), [format!("{SECRET} text {passed}")]);
    let token = site.token(super::launch(&id, 1));
    let claim_token = site
        .key()
        .claim_token(super::launch(&id, 1))
        .expose()
        .to_owned();
    for process in crate::support::processes::living_in(site.stack.folder.path()) {
        let of = |name: &str| fs::read(format!("/proc/{}/{name}", process.pid)).unwrap_or_default();
        let (arguments, environment) = (of("cmdline"), of("environ"));
        for secret in [&token, &claim_token, SECRET] {
            assert!(!holds(&arguments, secret));
        }
        assert!(
            !holds(&environment, &token),
            "the claimant's token is in no environment"
        );
        let is_supervisor = String::from_utf8_lossy(&arguments).contains("--mirror");
        assert!(
            !is_supervisor
                || !(holds(&environment, SECRET) || holds(&environment, "CARGO_MANIFEST_DIR")),
            "an engine could show it"
        );
    }
    for token in [&token, &claim_token] {
        let found = std::process::Command::new("grep")
            .args(["-rlF", token])
            .arg(site.stack.folder.path())
            .output();
        let found = found.expect("grep is there");
        assert_eq!(found.status.code(), Some(1), "in a file: {found:?}");
    }
    site.stack.go();
    site.stack.told(&run, "COMPLETE").await;
}

fn holds(bytes: &[u8], secret: &str) -> bool {
    let mut windows = bytes.windows(secret.len());
    windows.any(|window| window == secret.as_bytes())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_training_speaks_tls_where_the_server_does() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).expect("the folder is writable");
        path
    };
    let cert = file(
        "cert.pem",
        include_str!("../../fixtures/tls/first.cert.pem"),
    );
    let key = file("key.pem", include_str!("../../fixtures/tls/first.key.pem"));
    let tls = format!("jobs_tls = {{ cert = {cert:?}, key = {key:?} }}");
    let trusted = format!("env = {{ SSL_CERT_FILE = {cert:?} }}");
    let site = Site::start_with(
        &tls,
        &model("job", "echo $TRAINHOOK_ATTEMPT >> runs", &trusted),
    )
    .await;
    let run = site.stack.new_run();
    site.stack.click(&run, "job").await;
    site.stack.told(&run, "COMPLETE").await;
    assert_eq!(site.stack.lines("runs"), ["1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_digits_are_trained_with_data_code_and_predictions_over_http() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/digits");
    let digits = format!(
        "[models.digits]\nexecutor = \"local\"\ncommand = [\"python3\", \"train.py\"]\nworkdir = {folder:?}\n\
         files = [\"train.py\"]\nexport = {{ files = true }}\nparams = {{ epochs = 12 }}\n"
    );
    let site = Site::start(&digits).await;
    let run = site.stack.run_with(&Dataset::digits());
    let id = job_id(&site.stack.click(&run, "digits").await);
    let timeline = site.stack.told(&run, "COMPLETE").await;
    let told = statuses(&timeline);
    assert_eq!(told.first(), Some(&"EXPORTING_DATA"), "{told:?}");
    assert_eq!(told.last(), Some(&"COMPLETE"), "{told:?}");
    let predictions = site.text(&id, "out/predictions.ndjson");
    assert!(predictions.lines().count() > 100, "{predictions}");
    site.machine_is_clean().await;
}
