//! Paths that lead elsewhere, links, quotas.

use std::{fs, os::unix::fs::symlink};

use serde_json::json;
use sha2::{Digest, Sha256};
use trainhook::mirror::hex;

use super::Site;
use crate::support::{
    raw_http,
    stack::{job_id, model},
};

fn output(path: &str, content: &[u8]) -> String {
    let sum = hex(&Sha256::digest(content));
    format!("out/{path}?offset=0&size={}&sha256={sum}", content.len())
}

#[tokio::test(flavor = "multi_thread")]
async fn no_path_leads_out_of_the_job_directory() {
    let (site, _, launch_id) = Site::with_running_job("").await;
    let token = site.token(launch_id);
    let long = "x".repeat(256);
    let escapes = [
        "../x",
        "a/../../x",
        "%2e%2e/x",
        "%2E%2E%2Fx",
        "a/%2e%2e/%2e%2e/x",
        "/etc/x",
        "%2fetc%2fx",
        "a//x",
        "a/",
        "",
        ".",
        "a/./x",
        "x%00y",
        "%ff",
        "%",
        "%4",
        &long,
    ];
    for escape in escapes {
        let path = format!("/jobs/{launch_id}/{}", output(escape, b"x"));
        let answer = site.ask("PUT", &path, &token, b"x").await;
        assert_eq!(
            (answer.status, answer.error_code().as_str()),
            (400, "invalid_request"),
            "{escape}"
        );
    }
    for file in [
        "../a1/request.json",
        "%2e%2e/models.toml",
        "server/job.json",
        "a1/request.json",
        "data",
        "",
    ] {
        let path = format!("/jobs/{launch_id}/files/{file}");
        let answer = site.ask("GET", &path, &token, b"").await;
        assert!([400, 404].contains(&answer.status), "{file}: {answer:?}");
    }
    let out = site.attempt(&launch_id.job.to_string()).join("out");
    assert_eq!(fs::read_dir(out).expect("a folder").count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn links_are_not_followed() {
    let (site, _, launch_id) = Site::with_unclaimed_job("true").await;
    let (token, id) = (site.token(launch_id), launch_id.job.to_string());
    let outside = tempfile::tempdir().expect("a folder");
    fs::write(outside.path().join("secret"), "secret").expect("it is writable");
    let attempt = site.attempt(&id);
    symlink(outside.path(), attempt.join("out/folder")).expect("a link");
    symlink(outside.path().join("secret"), attempt.join("events.ndjson")).expect("a link");
    let data = attempt.parent().expect("a folder").join("data");
    symlink(outside.path().join("secret"), data.join("file")).expect("a link");
    let ask = async |method: &str, route: &str, body: &[u8]| {
        let path = format!("/jobs/{launch_id}/{route}");
        site.ask(method, &path, &token, body).await.status
    };
    assert_eq!(ask("PUT", &output("folder/x", b"x"), b"x").await, 503);
    assert_eq!(ask("PUT", "events?offset=0", b"{}\n").await, 503);
    assert_eq!(ask("GET", "files/data/file", b"").await, 503);
    assert_eq!(
        fs::read(outside.path().join("secret")).expect("a file"),
        b"secret"
    );
    assert_eq!(fs::read_dir(outside.path()).expect("a folder").count(), 1);
    // A link in a file's own place is replaced, and what it leads to is left alone.
    symlink(outside.path().join("secret"), attempt.join("out/file")).expect("a link");
    assert_eq!(ask("PUT", &output("file", b"new"), b"new").await, 503);
    assert_eq!(
        fs::read(outside.path().join("secret")).expect("a file"),
        b"secret"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_could_not_be_read_back_is_not_taken() {
    let (site, _, launch_id) = Site::with_unclaimed_job("true").await;
    let ask = async |method: &str, route: &str, body: String| {
        let path = format!("/jobs/{launch_id}/{route}");
        let token = site.token(launch_id);
        site.ask(method, &path, &token, body.as_bytes())
            .await
            .status
    };
    let instance = "11111111-1111-4111-8111-111111111111";
    for name in ["boot_id", "machine_id", "engine_id"] {
        let mut claim = json!({ "instance": instance, "boot_id": "b", "machine_id": "m" });
        claim[name] = "x".repeat(257).into();
        assert_eq!(ask("POST", "claim", claim.to_string()).await, 400, "{name}");
    }
    let record = json!({
        "launch_id": launch_id, "instance": instance, "code": 1, "reason": "x".repeat(1 << 20),
        "started_at": "2026-11-23T12:00:00Z", "ended_at": "2026-11-23T12:00:00Z",
    });
    assert_eq!(ask("PUT", "exit", record.to_string()).await, 413);
    let attempt = site.attempt(&launch_id.job.to_string());
    assert!(!attempt.join("claim.json").exists() && !attempt.join("exit.json").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn outputs_beyond_the_quota_fail_the_job_and_say_so() {
    let script = "head -c 2000000 /dev/zero > $TRAINHOOK_OUT_DIR/model";
    let site = Site::start_with("max_output = \"1MB\"", &model("job", script, "")).await;
    let run = site.stack.new_run();
    let id = job_id(&site.stack.click(&run, "job").await);
    let timeline = site.stack.told(&run, "FAILED").await;
    let message = timeline
        .last()
        .and_then(|entry| entry.error_message.clone());
    let message = message.expect("a reason");
    assert!(
        message.contains("what it left could not be kept") && message.contains("max_output"),
        "{message}"
    );
    assert_eq!(site.stack.job(&id)["job"]["cause"], "job_error");
    assert!(!site.attempt(&id).join("out/model").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_where_predictions_are_looked_for_fails_the_job_and_says_so() {
    let plants = [
        "ln -s /etc/passwd predictions.ndjson",
        "mkfifo metrics.json",
        "mkdir elsewhere; ln -s elsewhere yolo",
        "mkdir model; ln -s /etc/passwd model/weights",
    ];
    let model_of = |(n, plant): (usize, &&str)| {
        let script = format!("cd $TRAINHOOK_OUT_DIR; echo kept > kept; {plant}");
        model(&format!("job{n}"), &script, "")
    };
    let site = Site::start(&plants.iter().enumerate().map(model_of).collect::<String>()).await;
    for (n, plant) in plants.iter().enumerate() {
        let run = site.stack.new_run();
        let id = job_id(&site.stack.click(&run, &format!("job{n}")).await);
        let timeline = site.stack.told(&run, "FAILED").await;
        let message = timeline
            .last()
            .and_then(|entry| entry.error_message.clone());
        let message = message.expect("a reason");
        assert!(message.contains("is no regular file"), "{plant}: {message}");
        assert_eq!(site.stack.job(&id)["job"]["cause"], "job_error");
        assert_eq!(site.text(&id, "out/kept"), "kept\n", "{plant}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_quota_counts_what_lies_there_also_after_a_restart() {
    let (mut site, _, launch_id) = Site::with_running_job("max_output = \"1KB\"").await;
    let token = site.token(launch_id);
    let path = |name: &str, content: &[u8]| format!("/jobs/{launch_id}/{}", output(name, content));
    let half = vec![b'x'; 600];
    assert_eq!(
        site.ask("PUT", &path("a", &half), &token, &half)
            .await
            .status,
        200
    );
    let refused = site.ask("PUT", &path("b", &half), &token, &half).await;
    assert_eq!(
        (refused.status, refused.error_code().as_str()),
        (413, "over_quota")
    );
    site.stack.server.kill();
    site.restart().await;
    assert_eq!(
        site.ask("PUT", &path("b", &half), &token, &half)
            .await
            .status,
        413
    );
    let repeat = site.ask("PUT", &path("a", &half), &token, &half).await;
    assert_eq!(
        (repeat.status, repeat.json()["have"].clone()),
        (200, 600.into()),
        "a repeat takes no room"
    );
    let small = vec![b'x'; 300];
    assert_eq!(
        site.ask("PUT", &path("b", &small), &token, &small)
            .await
            .status,
        200
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn events_beyond_the_quota_are_refused_and_the_training_goes_on() {
    let script = "head -c 100000 /dev/zero | tr '\\0' '\\n' >> $TRAINHOOK_EVENTS_FILE; echo fine";
    let site = Site::start_with("max_events = \"64KB\"", &model("job", script, "")).await;
    let run = site.stack.new_run();
    let id = job_id(&site.stack.click(&run, "job").await);
    site.stack.told(&run, "COMPLETE").await;
    assert!(site.text(&id, "events.ndjson").len() <= 64_000);
    assert_eq!(site.text(&id, "log/output.log"), "fine\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_too_long_is_refused_before_it_is_read() {
    let (site, _, launch_id) = Site::with_running_job("").await;
    let bearer = format!("Bearer {}", site.token(launch_id));
    let length = ((4 << 20) + 1).to_string();
    let headers = [
        ("Authorization", bearer.as_str()),
        ("Content-Length", &length),
    ];
    let path = format!("/jobs/{launch_id}/log?offset=0");
    let answer = raw_http::ask(site.jobs(), "PUT", &path, &headers, None).await;
    assert_eq!(
        (answer.status, answer.error_code().as_str()),
        (413, "body_too_large")
    );
}
