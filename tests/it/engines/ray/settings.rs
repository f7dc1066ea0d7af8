//! Tables for Ray: what is wrong with them, and what they become.

use std::{collections::BTreeMap, path::Path, time::Duration};

use serde_json::Value;
use trainhook::{
    config::{Secret, Table},
    executor::{BuildContext, Registry, SubmitError},
};

use crate::engines::{build, launch};

/// Every mistake of an executor's table.
fn mistakes(text: &str) -> String {
    let mut table = Table::parse(text).expect("a table");
    let folder = Path::new("/");
    let context = BuildContext {
        name: "mine",
        folder,
        state_dir: folder,
        wake: Default::default(),
    };
    let built = Registry::default().build_kind("ray", &mut table, &context);
    let mistakes = built.expect_err("mistakes");
    let lines = mistakes.iter().map(ToString::to_string);
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn a_wrong_table_is_told_on_its_lines() {
    for (text, expected) in [
        ("", "address: is missing"),
        (
            "address = \"head:8265\"",
            "line 1: address: must be where the head's dashboard is",
        ),
        (
            "address = \"ray://head:10001\"",
            "line 1: address: must be where",
        ),
        (
            "address = \"http://me:secret@head\"",
            "a token stands in token",
        ),
        (
            "address = \"http://head\"\ntoken = \"abc\"",
            "line 2: token: a secret is written",
        ),
        (
            "address = \"http://head\"\ncall_timeout = \"1m\"",
            "line 2: call_timeout: must be at most",
        ),
        (
            "address = \"http://head\"\nsupervisor = \"image\"",
            "line 2: supervisor: must be \"shared\", \"sent\"",
        ),
        (
            "address = \"http://head\"\nshared_files = true\nwork_dir = \"/tmp\"",
            "line 3: work_dir: must be",
        ),
        (
            "address = \"http://head\"\nruntime_env = { env_vars = { A = 1 } }",
            "line 2: runtime_env: env_vars must be",
        ),
        (
            "address = \"http://head\"\nruntime_env = { working_dir = \"src\" }",
            "must be addresses of packages",
        ),
        (
            "address = \"http://head\"\nentrypoint_resources = { GPU = 1 }",
            "is asked for by the model's resources",
        ),
        (
            "address = \"http://head\"\nentrypoint_resources = { a100 = \"1\" }",
            "a100: must be a number above 0",
        ),
        (
            "address = \"http://head\"\nmetadata = { trainhook_server = \"x\" }",
            "are trainhook's own",
        ),
        (
            "address = \"http://head\"\nruntime = {}",
            "unknown key; only these are known here",
        ),
    ] {
        let found = mistakes(text);
        assert!(found.contains(expected), "{text}: {found}");
    }
}

#[test]
fn a_models_table_is_checked() {
    let executor = build("ray", Path::new("/"), "address = \"http://head:8265\"");
    let text = "entrypoint_resource = { a100 = 1 }\nmetadata = { team = 1 }";
    let mut table = Table::parse(text).expect("a table");
    executor.check_model(&mut table);
    let found: Vec<String> = table.finish().iter().map(ToString::to_string).collect();
    let found = found.join("\n");
    for expected in [
        "line 1: entrypoint_resource: unknown key; did you mean `entrypoint_resources`?",
        "line 2: metadata.team: must be a text, not a whole number",
    ] {
        assert!(found.contains(expected), "{expected}: {found}");
    }
}

/// The body that a plan shows.
fn body(plan: &str) -> Value {
    let (json, _) = plan.split_once("\n#").unwrap_or((plan, ""));
    let plan: Value = serde_json::from_str(json).expect("JSON");
    assert_eq!(plan["POST"], "http://head:8265/api/jobs/");
    plan["body"].clone()
}

#[tokio::test]
async fn resources_and_settings_of_both_tables_become_one_request() {
    let table = "address = \"http://head:8265/\"\nsupervisor = \"path:/opt/it's/trainhook\"\nwork_dir = \"/scratch\"\n\
                 entrypoint_resources = { a100 = 0.5, rack = 1 }\nlabel_selector = { zone = \"a\" }\n\
                 runtime_env = { pip = [\"torch\"], env_vars = { A = \"1\", B = \"1\" } }\nmetadata = { team = \"vision\" }";
    let executor = build("ray", Path::new("/"), table);
    let mut launch = launch(Path::new("/jobs/a1"));
    launch.server_id = "server".to_owned();
    launch.resources.gpus = 2;
    launch.resources.cpus = Some(8);
    launch.resources.memory = Some(16_000_000_000);
    launch.cancel_grace = Duration::from_secs(60);
    launch.argv = ["/opt/it's/trainhook", "supervise", "a b"]
        .map(str::to_owned)
        .to_vec();
    launch.env = BTreeMap::from([("B".to_owned(), Secret::new("2"))]);
    let text = "runtime_env = { pip = [\"numpy\"], env_vars = { C = \"3\" } }\nentrypoint_resources = { rack = 2 }\n\
                metadata = { team = \"text\", job_name = \"digits\" }";
    launch.settings = Table::parse(text).expect("a table").as_json();
    let body = body(&executor.plan(&launch).await.expect("a plan"));
    let expected = serde_json::json!({
        "submission_id": "th-019a00000000700080000000000000ab-a1",
        "entrypoint": "'/opt/it'\\''s/trainhook' 'supervise' 'a b' '--work-dir' '/scratch' --keeper \"$PPID\"; exit $?",
        "runtime_env": {
            "pip": ["torch", "numpy"],
            "env_vars": {"A": "1", "B": "2", "C": "3", "RAY_JOB_STOP_WAIT_TIME_S": "75"},
        },
        "metadata": {
            "team": "text", "job_name": "digits", "trainhook_server": "server",
            "trainhook_launch": "th-019a00000000700080000000000000ab-a1",
        },
        "entrypoint_num_cpus": 8, "entrypoint_num_gpus": 2, "entrypoint_memory": 16_000_000_000_u64,
        "entrypoint_resources": {"a100": 0.5, "rack": 2.0},
        "entrypoint_label_selector": {"zone": "a"},
    });
    assert_eq!(body, expected);
}

#[tokio::test]
async fn variables_go_through_a_file_where_files_are_shared() {
    let table = "address = \"http://head:8265\"\nshared_files = true\nsupervisor = \"shared\"";
    let executor = build("ray", Path::new("/"), table);
    assert!(executor.shares_files());
    let mut launch = launch(Path::new("/jobs/a1"));
    launch.env = BTreeMap::from([("KEY".to_owned(), Secret::new("s3cret"))]);
    let plan = executor.plan(&launch).await.expect("a plan");
    let body = body(&plan);
    let entrypoint = body["entrypoint"].as_str().expect("a text");
    assert!(
        entrypoint.starts_with(
            ". '/jobs/a1/.ray-environment' || exit 92\nrm -f '/jobs/a1/.ray-environment'\n"
        ),
        "{entrypoint}"
    );
    assert!(!body.to_string().contains("s3cret"), "{body}");
    assert!(
        plan.ends_with("which only its owner can read:\nexport KEY='s3cret'\n"),
        "{plan}"
    );
}

#[tokio::test]
async fn a_models_table_of_another_day_is_refused_and_says_why() {
    let executor = build(
        "ray",
        Path::new("/"),
        "address = \"http://head:8265\"\nsupervisor = \"shared\"",
    );
    let mut launch = launch(Path::new("/jobs/a1"));
    launch.settings = Table::parse("gone = 1").expect("a table").as_json();
    let refused = executor.plan(&launch).await.expect_err("refused");
    assert!(
        matches!(&refused, SubmitError::Rejected(why) if why.contains("gone: unknown key")),
        "{refused}"
    );
}
