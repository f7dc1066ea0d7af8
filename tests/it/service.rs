//! As a service: what a restart does to trainings, and where it is warned of.

use std::fs;

use trainhook::process::{Surroundings, is_of_user, unit_of};

use crate::support::{
    processes,
    script::write_program,
    skip,
    stack::{Stack, UNTIL_GO, model, settings, workspace},
};

/// The value of a key in the unit that is shipped.
fn unit_says(key: &str) -> String {
    let unit = concat!(env!("CARGO_MANIFEST_DIR"), "/packaging/trainhook.service");
    let unit = fs::read_to_string(unit).expect("the unit is there");
    let start = format!("{key}=");
    let value = unit.lines().find_map(|line| line.strip_prefix(&start));
    value.expect("the unit says it").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_of_the_unit_leaves_trainings_alive() {
    let mut stack = Stack::start(&model("long", UNTIL_GO, "")).await;
    let run = stack.new_run();
    stack.click(&run, "long").await;
    stack.wait_for_lines("runs", 1).await;
    // As systemd stops a unit: SIGTERM to the main process or to all, by its KillMode, SIGKILL for what is left of them.
    let all = processes::living_in(stack.folder.path());
    stack.server.stop().await;
    if unit_says("KillMode") != "process" {
        all.into_iter().for_each(processes::kill);
    }
    assert_eq!(unit_says("OOMPolicy"), "continue");
    stack.restart().await;
    stack.go();
    stack.told(&run, "COMPLETE").await;
    assert_eq!(stack.lines("runs"), ["1"], "the same attempt went on");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_shields_the_server_when_memory_runs_out_shields_no_training() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let score = unit_says("OOMScoreAdjust");
    let shield = format!("echo {score} 2>/dev/null >/proc/self/oom_score_adj");
    let allowed = std::process::Command::new("sh")
        .args(["-c", &shield])
        .status();
    if !allowed.is_ok_and(|status| status.success()) {
        return skip("the out-of-memory score: it cannot be lowered here");
    }
    let program = env!("CARGO_BIN_EXE_trainhook");
    let script = format!("{shield}\nexec {program} \"$@\"\n");
    let program = write_program(folder.path(), "shielded", &script);
    let look = "cat /proc/self/oom_score_adj /proc/$PPID/oom_score_adj >> scores";
    let file = |endpoint: &str| {
        let executor = "[executors.local]\nkind = \"local\"\n";
        settings() + &workspace("main", "/", endpoint) + executor + &model("job", look, "")
    };
    let stack = Stack::start_program(&program, file).await;
    let run = stack.new_run();
    stack.click(&run, "job").await;
    stack.told(&run, "COMPLETE").await;
    let supervisor = score.as_str();
    assert_eq!(stack.lines("scores"), ["0", supervisor]);
}

#[test]
fn only_a_unit_that_would_end_local_jobs_is_warned_of() {
    let of_unit = |kill_mode: Option<&str>| Surroundings {
        pid: 4711,
        unit: Some("trainhook.service".to_owned()),
        kill_mode: kill_mode.map(str::to_owned),
        ..Surroundings::default()
    };
    assert_eq!(of_unit(Some("process")).danger(), None);
    for mode in [Some("control-group"), Some("mixed"), None] {
        let danger = of_unit(mode).danger().expect("a warning");
        assert!(danger.contains("trainhook.service"), "{danger}");
    }
    let by_hand = Surroundings {
        pid: 4711,
        ..Surroundings::default()
    };
    assert_eq!(by_hand.danger(), None);
    let container = Surroundings {
        pid: 1,
        ..Surroundings::default()
    };
    assert!(container.danger().expect("a warning").contains("container"));
}

#[test]
fn a_unit_is_known_by_its_control_group_and_a_login_is_none() {
    let unified = "0::/system.slice/trainhook.service\n";
    assert_eq!(unit_of(unified).as_deref(), Some("trainhook.service"));
    let hybrid =
        "9:name=systemd:/system.slice/th@a.service\n8:pids:/\n0::/system.slice/th@a.service\n";
    assert_eq!(unit_of(hybrid).as_deref(), Some("th@a.service"));
    let of_user = "0::/user.slice/user-1000.slice/user@1000.service/app.slice/trainhook.service\n";
    assert_eq!(unit_of(of_user).as_deref(), Some("trainhook.service"));
    assert!(is_of_user(of_user) && !is_of_user(unified) && !is_of_user(hybrid));
    for login in [
        "0::/user.slice/user-1000.slice/session-3.scope\n",
        "0::/user.slice/user-1000.slice/user@1000.service\n",
        "0::/\n",
        "",
        "nonsense",
    ] {
        assert_eq!(unit_of(login), None, "{login}");
    }
}
