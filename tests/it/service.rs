//! As a service: what a restart does to trainings, and where it is warned of.

use std::fs;

use trainhook::process::{Surroundings, unit_of};

use crate::support::{
    processes,
    stack::{Stack, UNTIL_GO, model},
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
