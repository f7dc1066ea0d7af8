//! Who may run the command, and who may speak for an attempt.

use std::fs;

use serde_json::{Value, json};
use trainhook::job_dir::ExitRecord;

use super::{Site, launch};
use crate::support::{
    attempts::finish,
    stack::{UNTIL_GO, job_id, model, statuses, wait_until},
};

const FIRST: &str = "11111111-1111-4111-8111-111111111111";
const SECOND: &str = "22222222-2222-4222-8222-222222222222";

fn claim(instance: &str) -> Vec<u8> {
    let claim = json!({"instance": instance, "boot_id": "b", "machine_id": "m"});
    claim.to_string().into_bytes()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_instance_claims_as_often_as_it_likes_and_no_other_does() {
    let (site, _, launch_id) = Site::with_unclaimed_job("true").await;
    let path = format!("/jobs/{launch_id}/claim");
    let token = site.key().claim_token(launch_id).expose().to_owned();
    let won = site.ask("POST", &path, &token, &claim(FIRST)).await;
    assert_eq!(won.status, 200, "{won:?}");
    assert_eq!(won.json()["token"], site.token(launch_id));
    assert_eq!(won.json()["request"]["launch_id"], launch_id.to_string());
    let lost = site.ask("POST", &path, &token, &claim(SECOND)).await;
    assert_eq!((lost.status, lost.error_code().as_str()), (409, "claimed"));
    let again = site.ask("POST", &path, &token, &claim(FIRST)).await;
    assert_eq!((again.status, again.json()), (200, won.json()));
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_has_claimed_is_preparing_until_it_says_that_it_trains() {
    let (site, run, launch_id) = Site::with_unclaimed_job("true").await;
    let (id, path) = (
        launch_id.job.to_string(),
        format!("/jobs/{launch_id}/claim"),
    );
    let token = site.key().claim_token(launch_id).expose().to_owned();
    let won = site.ask("POST", &path, &token, &claim(FIRST)).await;
    assert_eq!(won.status, 200, "{won:?}");
    let begun = || Some(site.stack.job(&id)["job"].clone()).filter(|job| job["state"] == "running");
    let job = wait_until("the beginning", begun).await;
    assert_eq!(job["stage"], "preparing", "{job}");
    let timeline = site.stack.told(&run, "PREPARING_DATA").await;
    assert_eq!(
        statuses(&timeline),
        ["EXPORTING_DATA", "PREPARING_DATA"],
        "a training that has not begun is not told"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_supervisors_on_many_machines_one_runs_the_command() {
    let script = "echo $TRAINHOOK_ATTEMPT >> runs; sleep 0.2";
    let (site, run, launch_id) = Site::with_unclaimed_job(script).await;
    let machine = |n| site.supervisor(launch_id, site.jobs(), &format!("machine-{n}"));
    let all: Vec<_> = (0..5).map(machine).collect();
    site.stack.told(&run, "COMPLETE").await;
    let codes: Vec<_> = all.into_iter().map(|one| finish(one).code()).collect();
    assert_eq!(
        codes.iter().filter(|code| **code == Some(0)).count(),
        1,
        "{codes:?}"
    );
    assert_eq!(
        codes.iter().filter(|code| **code == Some(92)).count(),
        4,
        "{codes:?}"
    );
    assert_eq!(site.stack.lines("runs"), ["1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_launch_that_was_given_up_is_claimed_by_nobody() {
    let (site, run, launch_id) = Site::with_unclaimed_job("echo ran >> runs").await;
    let id = launch_id.job.to_string();
    site.stack.trainhook(&["jobs", "cancel", &id]);
    site.stack.told(&run, "FAILED").await;
    assert_eq!(
        finish(site.supervisor(launch_id, site.jobs(), "machine")).code(),
        Some(92)
    );
    let token = site.key().claim_token(launch_id).expose().to_owned();
    let path = format!("/jobs/{launch_id}/claim");
    let gone = site.ask("POST", &path, &token, &claim(FIRST)).await;
    assert_eq!(
        (gone.status, gone.json()["revoked"].clone()),
        (410, json!(launch_id))
    );
    assert!(site.stack.lines("runs").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_launch_that_was_given_up_right_before_a_crash_comes_to_its_end() {
    let (mut site, _, launch_id) = Site::with_unclaimed_job("echo ran >> runs").await;
    let id = launch_id.job.to_string();
    site.stack.server.kill();
    let revoked = json!({
        "launch_id": launch_id, "by": "revoked", "reason": "nobody wants it", "boot_id": "b", "machine_id": "m",
    });
    let claim = site.attempt(&id).join("claim.json");
    fs::write(claim, revoked.to_string()).expect("the folder is writable");
    site.stack.restart().await;
    wait_until("the end of the first attempt", || {
        let timeline = site.stack.job(&id)["timeline"].to_string();
        (timeline.contains("start_failed") && timeline.contains("nobody wants it")).then_some(())
    })
    .await;
    assert!(site.stack.lines("runs").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn no_token_but_the_launchs_own_is_taken() {
    let (site, _, launch_id) = Site::with_running_job("").await;
    let mut other = launch_id;
    other.attempt = 2;
    let claim_token = site.key().claim_token(launch_id).expose().to_owned();
    let wrong = [
        String::new(),
        "x".repeat(64),
        site.token(other),
        claim_token,
    ];
    let routes = [
        ("POST", "heartbeat"),
        ("GET", "manifest"),
        ("GET", "files/webhook.json"),
        ("PUT", "events?offset=0"),
        ("PUT", "log?offset=0"),
        ("PUT", "out/x?offset=0&size=0"),
        ("PUT", "exit"),
    ];
    for (method, route) in routes {
        for token in &wrong {
            let answer = site
                .ask(method, &format!("/jobs/{launch_id}/{route}"), token, b"{}")
                .await;
            assert_eq!(
                (answer.status, answer.error_code().as_str()),
                (401, "unauthorized"),
                "{route}"
            );
        }
    }
    let answer = site
        .ask(
            "POST",
            &format!("/jobs/{launch_id}/claim"),
            &"x".repeat(64),
            &claim(FIRST),
        )
        .await;
    assert_eq!(answer.status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_404_and_other_methods_are_405() {
    let (site, _, launch_id) = Site::with_running_job("").await;
    let unknown = launch("019a0000-0000-7000-8000-000000000000", 1);
    let heartbeat = br#"{"count": 1}"#;
    let token = site.token(unknown);
    let answer = site
        .ask(
            "POST",
            &format!("/jobs/{unknown}/heartbeat"),
            &token,
            heartbeat,
        )
        .await;
    assert_eq!(answer.status, 404, "not told to stop: {answer:?}");
    let mut ahead = launch_id;
    ahead.attempt = 2;
    let answer = site
        .ask(
            "POST",
            &format!("/jobs/{ahead}/heartbeat"),
            &site.token(ahead),
            heartbeat,
        )
        .await;
    assert_eq!(
        answer.status, 404,
        "the store may have been put back: {answer:?}"
    );
    let token = site.token(launch_id);
    for (method, path, status) in [
        ("GET", format!("/jobs/{launch_id}/heartbeat"), 405),
        ("GET", format!("/jobs/{launch_id}/nothing"), 404),
        ("GET", format!("/jobs/{launch_id}/files/data/nothing"), 404),
        ("GET", "/jobs/th-1-a1/manifest".to_owned(), 404),
        ("GET", "/api/jobs".to_owned(), 404),
        ("GET", "/".to_owned(), 404),
    ] {
        let answer = site.ask(method, &path, &token, b"").await;
        assert_eq!(answer.status, status, "{method} {path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_attempt_is_told_that_it_does_not_count() {
    let script = format!("[ $TRAINHOOK_ATTEMPT = 1 ] && exit 75; {UNTIL_GO}");
    let site = Site::start(&model(
        "job",
        &script,
        "retry = { max = 1, backoff = \"1s\" }",
    ))
    .await;
    let run = site.stack.new_run();
    let id = job_id(&site.stack.click(&run, "job").await);
    site.stack.wait_for_lines("runs", 1).await;
    let older = launch(&id, 1);
    let token = site.token(older);
    for (method, route) in [
        ("POST", "heartbeat"),
        ("GET", "manifest"),
        ("PUT", "out/x?offset=0&size=0"),
    ] {
        let answer = site
            .ask(method, &format!("/jobs/{older}/{route}"), &token, b"{}")
            .await;
        assert_eq!(
            (answer.status, answer.json()["revoked"].clone()),
            (410, json!(older)),
            "{route}"
        );
    }
    // Its record is known: the repeat of an answer that was lost.
    let record: Value = serde_json::from_str(&site.text(&id, "exit.json")).expect("JSON");
    let path = format!("/jobs/{older}/exit");
    let repeat = site
        .ask("PUT", &path, &token, record.to_string().as_bytes())
        .await;
    assert_eq!(repeat.status, 200, "{repeat:?}");
    let mut other: ExitRecord = serde_json::from_value(record).expect("a record");
    other.code = Some(0);
    let other = serde_json::to_vec(&other).expect("JSON");
    assert_eq!(site.ask("PUT", &path, &token, &other).await.status, 410);
    site.stack.go();
    site.stack.told(&run, "COMPLETE").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_record_of_the_end_is_taken_again_after_the_end() {
    let site = Site::start(&model("job", "exit 3", "")).await;
    let run = site.stack.new_run();
    let id = job_id(&site.stack.click(&run, "job").await);
    site.stack.told(&run, "FAILED").await;
    let (launch_id, record) = (launch(&id, 1), site.text(&id, "exit.json"));
    let path = format!("/jobs/{launch_id}/exit");
    let repeat = site
        .ask("PUT", &path, &site.token(launch_id), record.as_bytes())
        .await;
    assert_eq!(repeat.status, 200, "{repeat:?}");
    let mut other: ExitRecord = serde_json::from_str(&record).expect("a record");
    other.code = Some(0);
    let other = serde_json::to_vec(&other).expect("JSON");
    let answer = site.ask("PUT", &path, &site.token(launch_id), &other).await;
    assert_eq!(answer.status, 409, "{answer:?}");
    assert_eq!(site.text(&id, "exit.json"), record, "the first one stays");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_of_somebody_else_is_not_kept() {
    let (site, _, launch_id) = Site::with_running_job("").await;
    let record = json!({
        "launch_id": launch_id, "instance": FIRST, "code": 0,
        "started_at": "2026-01-01T00:00:00Z", "ended_at": "2026-01-01T00:00:00Z",
    });
    let path = format!("/jobs/{launch_id}/exit");
    let answer = site
        .ask(
            "PUT",
            &path,
            &site.token(launch_id),
            record.to_string().as_bytes(),
        )
        .await;
    assert_eq!(answer.status, 409, "{answer:?}");
    assert_eq!(site.text(&launch_id.job.to_string(), "exit.json"), "");
}
