//! The start of a command: its arguments, its variables, and what is said where it cannot be started.

use std::{collections::BTreeMap, fs};

use crate::support::attempts::{Attempt, finish, supervisor};

#[test]
fn what_cannot_be_started_says_what_to_do() {
    let error = |attempt: Attempt| attempt.run().1.start_error.expect("a start error");
    let missing = error(Attempt::of(&["pythn3", "train.py"]));
    assert!(
        missing.starts_with("cannot start `pythn3`: not found in PATH: install it"),
        "{missing}"
    );
    let nowhere = Attempt::of(&["true"]).with(|request| request.workdir = "/no/such/folder".into());
    assert!(error(nowhere).contains("its workdir /no/such/folder is no folder"));
    let script = Attempt::of(&["./train.sh"]);
    fs::write(script.file("train.sh"), "#!/bin/sh\n").expect("a script");
    assert!(error(script).contains("chmod +x"));
    let option = Attempt::of(&["echo", "{params.name}"]).with_param("name", "-rf");
    assert!(error(option).contains("--x={params.name}"));
    assert!(error(Attempt::of(&["echo", "{params.nothing}"])).contains("is no placeholder"));
    assert!(error(Attempt::of(&["echo", "{oops"])).contains("without its partner"));
}

#[test]
fn a_program_that_the_system_refuses_says_so_in_its_log() {
    let attempt = Attempt::of(&["./broken"]);
    fs::write(attempt.file("broken"), "#!/no/such/interpreter\n").expect("a script");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    fs::set_permissions(attempt.file("broken"), mode).expect("permissions");
    let (status, record) = attempt.run();
    assert_eq!(status.code(), Some(127));
    let reason = record.reason.expect("a reason");
    assert!(reason.starts_with("cannot start ./broken: "), "{reason}");
}

#[test]
fn placeholders_fill_one_argument_each() {
    let attempt = Attempt::of(&[
        "printf",
        "[%s]",
        "{params.text}",
        "--n={params.n}",
        "{{x}}",
        "{params.n}",
        "{out_dir}/m",
    ])
    .with_param("text", "two words; $HOME")
    .with_param("n", -3);
    attempt.run();
    let dir = attempt.dir();
    let log = String::from_utf8(dir.log_tail(4096).expect("a log").bytes).expect("text");
    let out = dir.out();
    assert_eq!(
        log,
        format!("[two words; $HOME][--n=-3][{{x}}][-3][{}/m]", out.display())
    );
}

#[test]
fn the_environment_is_clean_and_tells_everything() {
    let attempt = Attempt::of(&["env", "-0"])
        .with_param("learning-rate", 0.5)
        .with_param("name", "a\nb");
    let dir = attempt.dir();
    finish(
        supervisor(&dir)
            .env("GIVEN", "1")
            .spawn()
            .expect("a supervisor"),
    );
    let log = String::from_utf8(dir.log_tail(65536).expect("a log").bytes).expect("text");
    let pairs = log.split('\0').filter_map(|pair| pair.split_once('='));
    let seen: BTreeMap<&str, &str> = pairs.collect();
    let path = |path: std::path::PathBuf| path.to_str().expect("a path").to_owned();
    for (name, value) in [
        ("GIVEN", "1".to_owned()),
        ("PYTHONUNBUFFERED", "1".to_owned()),
        ("TRAINHOOK_PROTOCOL", "1".to_owned()),
        ("TRAINHOOK_JOB_ID", attempt.request.job_id.to_string()),
        ("TRAINHOOK_LAUNCH_ID", attempt.request.launch_id.to_string()),
        ("TRAINHOOK_ATTEMPT", "1".to_owned()),
        ("TRAINHOOK_RESUME", "0".to_owned()),
        ("TRAINHOOK_MODEL", "digits".to_owned()),
        ("TRAINHOOK_MODEL_RUN_ID", "run-1".to_owned()),
        ("TRAINHOOK_MODEL_ID", "model-1".to_owned()),
        ("TRAINHOOK_PARAM_LEARNING_RATE", "0.5".to_owned()),
        ("TRAINHOOK_PARAM_NAME", "a\nb".to_owned()),
        ("TRAINHOOK_JOB_DIR", path(dir.path().to_owned())),
        (
            "TRAINHOOK_TRAINING_FILE",
            path(dir.data().join("training.ndjson")),
        ),
        (
            "TRAINHOOK_PREDICTIONS_FILE",
            path(dir.out().join("predictions.ndjson")),
        ),
        ("TRAINHOOK_CHECKPOINT_DIR", path(dir.checkpoint())),
        ("TRAINHOOK_EVENTS_FILE", path(dir.events())),
        ("TORCHELASTIC_ERROR_FILE", path(dir.torch_error())),
    ] {
        assert_eq!(seen.get(name), Some(&value.as_str()), "{name}");
    }
    assert!(fs::metadata(seen["TRAINHOOK_BIN"]).is_ok());
}

#[test]
fn a_checkpoint_means_resume() {
    let attempt =
        Attempt::of_script("echo $TRAINHOOK_RESUME; test -f $TRAINHOOK_CHECKPOINT_DIR/step");
    fs::write(attempt.dir().checkpoint().join("step"), "7").expect("a checkpoint");
    assert_eq!(attempt.run().1.code, Some(0));
    assert_eq!(attempt.dir().log_tail(16).expect("a log").bytes, b"1\n");
}
