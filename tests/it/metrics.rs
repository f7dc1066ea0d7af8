//! `/metrics`, as a monitoring system reads it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use trainhook::emulator::{Fault, FaultKind};

use crate::support::{
    clicks::{address, ask_admin, post},
    raw_http::ask,
    stack::{LIMIT, Stack, UNTIL_GO, model},
};

/// The values by name and labels; the text is judged on the way.
pub(crate) async fn metrics(stack: &Stack) -> BTreeMap<String, f64> {
    let token = fs::read_to_string(stack.folder.path().join("state/admin.token"));
    let token = token.expect("the admin token");
    let answer = ask_admin(
        stack,
        "/metrics",
        &format!("Authorization: Bearer {token}\r\n"),
    )
    .await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let (mut values, mut declared) = (BTreeMap::new(), BTreeSet::new());
    for line in answer.body.lines() {
        if let Some(comment) = line.strip_prefix("# TYPE ") {
            let (name, _) = comment.split_once(' ').expect("a name and a kind");
            assert!(declared.insert(name.to_owned()), "declared twice: {name}");
        }
        if line.starts_with('#') {
            continue;
        }
        let (key, value) = line.rsplit_once(' ').expect("a name and a value");
        let name = key.split('{').next().expect("a name");
        let of_histogram = ["_bucket", "_sum", "_count"];
        let mut bases = of_histogram.iter().filter_map(|end| name.strip_suffix(end));
        let is_declared = declared.contains(name) || bases.any(|base| declared.contains(base));
        assert!(is_declared && name.starts_with("trainhook_"), "{line}");
        let value = value.parse().expect("a number");
        assert!(
            values.insert(key.to_owned(), value).is_none(),
            "twice: {line}"
        );
    }
    values
}

#[tokio::test(flavor = "multi_thread")]
async fn clicks_jobs_and_calls_are_counted() {
    let models = [model("long", UNTIL_GO, ""), model("wrong", "exit 3", "")].concat();
    let stack = Stack::start(&models).await;
    let wrong = stack.new_run();
    stack.click(&wrong, "wrong").await;
    stack.told(&wrong, "FAILED").await;
    for _ in 0..3 {
        stack.click_in_turn("long").await;
    }
    stack.wait_for_lines("runs", 2).await;
    post(&stack, "no JSON").await;
    ask(address(&stack), "GET", "/models", &[], None).await;
    let running = "trainhook_jobs{model=\"long\",state=\"running\"}";
    let values = metrics_when(&stack, |values| {
        values["trainhook_reports_owed{workspace=\"main\"}"] == 0.0
            && values.get(running) == Some(&2.0)
    })
    .await;
    for (key, value) in [
        (
            "trainhook_requests_total{workspace=\"main\",answer=\"accepted\"}",
            4.0,
        ),
        (
            "trainhook_requests_total{workspace=\"main\",answer=\"models\"}",
            4.0,
        ),
        (
            "trainhook_requests_total{workspace=\"main\",answer=\"invalid_request\"}",
            1.0,
        ),
        (
            "trainhook_requests_total{workspace=\"main\",answer=\"signature_missing\"}",
            1.0,
        ),
        ("trainhook_jobs{model=\"long\",state=\"running\"}", 2.0),
        ("trainhook_jobs{model=\"long\",state=\"queued\"}", 1.0),
        (
            "trainhook_jobs_ended_total{model=\"wrong\",state=\"failed\",cause=\"job_error\"}",
            1.0,
        ),
        ("trainhook_slots{executor=\"local\"}", 2.0),
        ("trainhook_parked_workspaces{workspace=\"main\"}", 0.0),
        ("trainhook_leftovers", 0.0),
    ] {
        assert_eq!(values.get(key), Some(&value), "{key}: {values:#?}");
    }
    let at_least = |key: &str, least: f64| {
        let value = values
            .get(key)
            .copied()
            .unwrap_or_else(|| panic!("{key}: {values:#?}"));
        assert!(value >= least, "{key} is {value}");
    };
    at_least("trainhook_queue_age_seconds{executor=\"local\"}", 0.001);
    at_least("trainhook_store_commit_seconds_count", 10.0);
    at_least("trainhook_disk_free_bytes{folder=\"state_dir\"}", 1.0);
    let told = "{workspace=\"main\",call=\"updateTrainingPipeline\",outcome=\"ok\"}";
    at_least(&format!("trainhook_labelbox_calls_total{told}"), 8.0);
    let all = values["trainhook_store_commit_seconds_bucket{le=\"+Inf\"}"];
    assert_eq!(all, values["trainhook_store_commit_seconds_count"]);
}

/// Reads until they are as wanted.
async fn metrics_when(
    stack: &Stack,
    wanted: impl Fn(&BTreeMap<String, f64>) -> bool + Send + Sync,
) -> BTreeMap<String, f64> {
    let reading = async {
        loop {
            let values = metrics(stack).await;
            if wanted(&values) {
                return values;
            }
        }
    };
    let read = tokio::time::timeout(LIMIT, reading).await;
    read.expect("the numbers become what they should be")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_labelbox_does_not_take_is_seen_as_lag_and_as_parked() {
    let stack = Stack::start(&model("quick", "true", "")).await;
    stack.emulator.add_fault(Fault {
        operation: None,
        times: u32::MAX,
        kind: FaultKind::Status {
            status: 401,
            body: None,
            headers: Vec::new(),
        },
    });
    stack.click(&stack.new_run(), "quick").await;
    let parked = "trainhook_parked_workspaces{workspace=\"main\"}";
    let values = metrics_when(&stack, |values| values[parked] == 1.0).await;
    assert!(values["trainhook_reports_owed{workspace=\"main\"}"] >= 1.0);
    assert!(values["trainhook_report_lag_seconds{workspace=\"main\"}"] > 0.0);
    let refused = "{workspace=\"main\",call=\"updateTrainingPipeline\",outcome=\"authentication\"}";
    assert!(
        values.get(&format!("trainhook_labelbox_calls_total{refused}")) >= Some(&1.0),
        "{values:#?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_are_for_whoever_has_the_token() {
    let stack = Stack::start(&model("quick", "true", "")).await;
    assert_eq!(ask_admin(&stack, "/metrics", "").await.status, 401);
}
