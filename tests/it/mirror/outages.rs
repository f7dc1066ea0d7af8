//! Whatever breaks on the way, everything arrives, and the command runs once.

use std::{fs, time::Duration};

use trainhook::{job_dir::AttemptDir, process::ProcessId};

use super::Site;
use crate::support::{
    attempts::finish,
    processes,
    stack::{UNTIL_GO, job_id, model, statuses, wait_until},
};

/// A script that leaves three megabytes, and says when it is about to end.
const BIG: &str = "echo $TRAINHOOK_ATTEMPT >> runs; while [ ! -e go ]; do sleep 0.05; done; \
     head -c 3000000 /dev/urandom > $TRAINHOOK_OUT_DIR/model; cp $TRAINHOOK_OUT_DIR/model model; \
     head -c 200000 /dev/zero | tr '\\0' x; echo; echo done >> ends";

/// The pid of the only supervisor.
fn supervisor(site: &Site) -> ProcessId {
    let is_supervisor = |process: &ProcessId| {
        let arguments = fs::read(format!("/proc/{}/cmdline", process.pid)).unwrap_or_default();
        String::from_utf8_lossy(&arguments).contains("--mirror")
    };
    let living = processes::living_in(site.stack.folder.path());
    let mut supervisors = living.into_iter().filter(is_supervisor);
    supervisors.next().expect("a supervisor")
}

fn everything_arrived(site: &Site, id: &str) {
    let model = fs::read(site.stack.folder.path().join("model")).expect("what the command left");
    let arrived = fs::read(site.attempt(id).join("out/model")).expect("what arrived");
    assert!(
        arrived == model,
        "{} of {} bytes",
        arrived.len(),
        model.len()
    );
    assert_eq!(site.text(id, "log/output.log").len(), 200_001);
    assert_eq!(site.stack.lines("runs"), ["1"], "one run of the command");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_killed_again_and_again_starts_the_command_once() {
    let mut site = Site::start(&model("job", UNTIL_GO, "")).await;
    let run = site.stack.new_run();
    site.stack.click(&run, "job").await;
    // Each time a little later: before the claim, within the fetching, while it runs.
    for delay in [0, 2, 5, 10, 20, 40, 80, 160] {
        tokio::time::sleep(Duration::from_millis(delay)).await;
        site.stack.server.kill();
        site.restart().await;
    }
    site.stack.go();
    let timeline = site.stack.told(&run, "COMPLETE").await;
    assert_eq!(site.stack.lines("runs"), ["1"], "one run of the command");
    assert_eq!(statuses(&timeline).last(), Some(&"COMPLETE"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_goes_on_with_a_server_of_which_only_a_backup_was_left() {
    let mut site = Site::start(&model("job", UNTIL_GO, "")).await;
    let run = site.stack.new_run();
    site.stack.click(&run, "job").await;
    site.stack.wait_for_lines("runs", 1).await;
    site.stack.trainhook(&["backup", "backup.db"]);
    site.stack.server.kill();
    let state = site.stack.folder.path().join("state");
    fs::remove_dir_all(&state).expect("it is there");
    site.stack.trainhook(&["restore", "backup.db"]);
    site.restart().await;
    site.stack.go();
    site.stack.told(&run, "COMPLETE").await;
    assert_eq!(site.stack.lines("runs"), ["1"], "one run of the command");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ends_while_the_server_is_away_arrives_when_it_is_back() {
    let mut site = Site::start(&model("job", BIG, "")).await;
    let run = site.stack.new_run();
    let id = job_id(&site.stack.click(&run, "job").await);
    site.stack.wait_for_lines("runs", 1).await;
    site.stack.server.kill();
    site.proxy.lead_to(None);
    site.stack.go();
    site.stack.wait_for_lines("ends", 1).await;
    let home = site.left_on_node().remove(0);
    wait_until("the record on the machine", || {
        home.join("a1/exit.json").exists().then_some(())
    })
    .await;
    site.restart().await;
    site.stack.told(&run, "COMPLETE").await;
    everything_arrived(&site, &id);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_killed_while_outputs_arrive_gets_the_rest_later() {
    let mut site = Site::start(&model("job", BIG, "")).await;
    let run = site.stack.new_run();
    let id = job_id(&site.stack.click(&run, "job").await);
    site.stack.wait_for_lines("runs", 1).await;
    site.stack.go();
    let drafts = site
        .stack
        .folder
        .path()
        .join("jobs")
        .join(&id)
        .join("server/mirror-a1");
    wait_until("the first bytes", || drafts.exists().then_some(())).await;
    site.stack.server.kill();
    site.restart().await;
    site.stack.told(&run, "COMPLETE").await;
    everything_arrived(&site, &id);
    assert!(!drafts.exists(), "nothing is left of the way");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wire_that_breaks_again_and_again_carries_everything() {
    let site = Site::start(&model("job", BIG, "")).await;
    site.proxy.cut_answers_after(Some(3000));
    site.proxy.cut_requests_after(Some(700_000));
    let run = site.stack.new_run();
    let id = job_id(&site.stack.click(&run, "job").await);
    site.stack.wait_for_lines("runs", 1).await;
    site.stack.go();
    site.stack.told(&run, "COMPLETE").await;
    everything_arrived(&site, &id);
    assert!(site.proxy.cuts() > 3, "{} cuts", site.proxy.cuts());
}

#[tokio::test(flavor = "multi_thread")]
async fn data_that_is_cut_is_fetched_on_from_there() {
    let script = "cp $TRAINHOOK_DATA_DIR/big $TRAINHOOK_OUT_DIR/";
    let models = model("first", UNTIL_GO, "") + &model("job", script, "");
    let site = Site::start(&models).await;
    for _ in 0..2 {
        let run = site.stack.new_run();
        site.stack.click(&run, "first").await;
    }
    site.stack.wait_for_lines("runs", 2).await;
    let (run, id) = site.stack.click_in_turn("job").await;
    let data = site.stack.folder.path().join("jobs").join(&id).join("data");
    let content: Vec<u8> = (0..2_000_000u32).flat_map(u32::to_le_bytes).collect();
    fs::write(data.join("big"), &content).expect("the folder is writable");
    site.proxy.cut_answers_after(Some(3_000_000));
    site.stack.go();
    site.stack.told(&run, "COMPLETE").await;
    let arrived = fs::read(site.attempt(&id).join("out/big")).expect("an output");
    assert!(arrived == content, "{} bytes", arrived.len());
    assert!(site.proxy.cuts() >= 2, "{} cuts", site.proxy.cuts());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_further_supervisor_on_the_same_machine_delivers_what_a_killed_one_owed() {
    let mut site = Site::start(&model("job", BIG, "")).await;
    let run = site.stack.new_run();
    let id = job_id(&site.stack.click(&run, "job").await);
    site.stack.wait_for_lines("runs", 1).await;
    let first = supervisor(&site);
    site.stack.server.kill();
    site.proxy.lead_to(None);
    site.stack.go();
    let home = site.left_on_node().remove(0);
    wait_until("the record on the machine", || {
        home.join("a1/exit.json").exists().then_some(())
    })
    .await;
    processes::kill_and_wait(first).await;
    let second = site.supervisor(super::launch(&id, 1), site.proxy.address, "node");
    site.restart().await;
    site.stack.told(&run, "COMPLETE").await;
    everything_arrived(&site, &id);
    assert_eq!(finish(second).code(), Some(0));
    assert!(site.left_on_node().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_further_supervisor_runs_no_command_that_was_begun() {
    let site = Site::start(&model("job", UNTIL_GO, "")).await;
    let run = site.stack.new_run();
    let id = job_id(&site.stack.click(&run, "job").await);
    site.stack.wait_for_lines("runs", 1).await;
    // The engine's word is not heard meanwhile: it would end the job at once.
    let first = supervisor(&site);
    processes::kill_and_wait(first).await;
    let second = site.supervisor(super::launch(&id, 1), site.proxy.address, "node");
    assert_eq!(finish(second).code(), Some(92));
    site.stack.told(&run, "FAILED").await;
    assert_eq!(site.stack.job(&id)["job"]["cause"], "lost");
    assert_eq!(site.stack.lines("runs"), ["1"], "one run of the command");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_supervisor_killed_before_its_claim_began_nothing_and_another_attempt_does() {
    let script = "echo $TRAINHOOK_ATTEMPT >> runs";
    let settings = "retry = { max = 1, backoff = \"10ms\" }";
    let site = Site::start(&model("job", script, settings)).await;
    site.proxy.lead_to(None);
    let run = site.stack.new_run();
    let id = job_id(&site.stack.click(&run, "job").await);
    let launch_id = super::launch(&id, 1).to_string();
    let lock = site.node().join(launch_id).join("a1/supervisor.lock");
    wait_until("a supervisor", || lock.exists().then_some(())).await;
    processes::kill_and_wait(supervisor(&site)).await;
    site.connect();
    site.stack.told(&run, "COMPLETE").await;
    assert_eq!(site.stack.lines("runs"), ["2"], "{}", site.stack.job(&id));
    let timeline = site.stack.job(&id)["timeline"].to_string();
    assert!(timeline.contains("start_failed"), "{timeline}");
}

/// Has the data of a waiting job grow to eight megabytes, and its wire carry a few kilobytes a second.
async fn with_slow_fetch(script: &str) -> (Site, String, String) {
    let models = model("first", UNTIL_GO, "") + &model("job", script, "");
    let site = Site::start(&models).await;
    for _ in 0..2 {
        let run = site.stack.new_run();
        site.stack.click(&run, "first").await;
    }
    site.stack.wait_for_lines("runs", 2).await;
    let (run, id) = site.stack.click_in_turn("job").await;
    let data = site.stack.folder.path().join("jobs").join(&id).join("data");
    fs::write(data.join("big"), vec![0; 8_000_000]).expect("the folder is writable");
    site.proxy.cut_answers_after(Some(20_000));
    site.stack.go();
    let is_fetched = || (site.stack.job(&id)["job"]["stage"] == "preparing").then_some(());
    wait_until("the stage of fetching", is_fetched).await;
    (site, run, id)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_while_data_is_fetched_runs_no_command() {
    let (site, run, id) = with_slow_fetch("echo ran >> ran").await;
    site.stack.trainhook(&["jobs", "cancel", &id]);
    site.stack.told(&run, "FAILED").await;
    assert_eq!(site.stack.job(&id)["job"]["state"], "cancelled");
    assert!(site.stack.lines("ran").is_empty());
    site.machine_is_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_supervisor_killed_while_it_fetches_leaves_its_place_to_a_further_one() {
    let (mut site, run, id) = with_slow_fetch("echo ran >> ran").await;
    let first = supervisor(&site);
    // The engine's word would end the job at once: only a further supervisor of the same machine can go on.
    site.stack.server.kill();
    processes::kill_and_wait(first).await;
    site.proxy.cut_answers_after(None);
    let second = site.supervisor(super::launch(&id, 1), site.proxy.address, "node");
    let lock = site
        .node()
        .join(super::launch(&id, 1).to_string())
        .join("a1");
    let is_held = || {
        AttemptDir::at(lock.clone())
            .is_locked()
            .expect("a lock")
            .then_some(())
    };
    wait_until("the further supervisor", is_held).await;
    site.restart().await;
    site.stack.told(&run, "COMPLETE").await;
    assert_eq!(finish(second).code(), Some(0));
    assert_eq!(site.stack.lines("ran"), ["ran"]);
}
