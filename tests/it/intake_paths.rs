//! Where Labelbox's door is: paths, methods, workspaces, and all that the reference implementation answers.

use serde_json::Value;

use crate::support::{
    labelbox_door::{Door, SECRET, Settings, assert_refused, list, signed, workspace},
    raw_http::ask,
};

const REFERENCE: &str = include_str!("../fixtures/labelbox/reference_coordinator.json");

/// What the reference implementation answered, and what we do instead where that is better.
fn our_status(case: &str, theirs: u64) -> u64 {
    match case {
        // Nothing of a caller's mistake is a 500.
        "run_no_model_type" | "run_no_model_run_id" | "run_not_json" => 400,
        "run_unknown_type" => 404,
        // Labelbox is asked whether the run exists before it is started, not before it is accepted: the
        // answer does not wait for Labelbox, and an unknown run ends as a failed job.
        "run_unknown_model_run" => 200,
        // The job that raises is accepted there as well as here; its failure is told to Labelbox later.
        "run_job_raises" => 200,
        // Its client followed a redirect to /models; we answer at once.
        "models_trailing_slash" => 200,
        _ => theirs,
    }
}

#[tokio::test]
async fn every_case_of_the_reference_implementation_is_answered_as_well_or_better() {
    let reference: Value = serde_json::from_str(REFERENCE).expect("cases");
    let cases = reference["cases"].as_array().expect("cases");
    assert_eq!(cases.len(), 25);
    for case in cases {
        let name = case["case"].as_str().expect("a name");
        let door = Door::with_models(&["bounding_box", "ner", "boom"]).await;
        let (asked, theirs) = (&case["request"], &case["response"]);
        let (method, path) = (
            asked["method"].as_str().expect("a method"),
            asked["path"].as_str().expect("a path"),
        );
        let headers = asked["headers"].as_object().expect("headers").iter();
        let headers: Vec<_> = headers
            .map(|(key, value)| (key.as_str(), value.as_str().expect("a value")))
            .collect();
        let answer = ask(
            door.address,
            method,
            path,
            &headers,
            asked["body"].as_str().map(str::as_bytes),
        )
        .await;
        let status = our_status(name, theirs["status"].as_u64().expect("a status"));
        assert_eq!(u64::from(answer.status), status, "{name}: {answer:?}");
        assert_eq!(
            answer.header("content-type"),
            Some("application/json"),
            "{name}"
        );
        assert_eq!(answer.header("allow"), theirs["allow"].as_str(), "{name}");
        let accepts = status == 200 && method == "POST";
        assert_eq!(door.accepted().len(), usize::from(accepts), "{name}");
        if status == 200 && !accepts {
            assert_eq!(
                answer.body,
                theirs["body"].as_str().expect("a body"),
                "{name}"
            );
        }
        if status >= 400 && method != "HEAD" {
            answer.error_code();
        }
    }
}

#[tokio::test]
async fn slashes_too_many_are_not_there() {
    let door = Door::with_models(&["ner"]).await;
    for path in [
        "/models",
        "//models",
        "/models/",
        "///models//",
        "/models?a=b",
    ] {
        let answer = list(&door, path, SECRET).await;
        assert_eq!(
            (answer.status, answer.body.as_str()),
            (200, r#"{"ner":{}}"#),
            "{path}"
        );
    }
    assert_eq!(
        ask(door.address, "GET", "//ping/", &[], None).await.body,
        "\"pong\""
    );
    for path in [
        "/",
        "//",
        "/model",
        "/models/x",
        "/modelsx",
        "/Models",
        "/x/models",
        "*",
    ] {
        let answer = list(&door, path, SECRET).await;
        assert_refused(&door, &answer, 404, "not_found", "");
    }
}

#[tokio::test]
async fn a_wrong_method_is_told_the_right_one() {
    let door = Door::with_models(&["ner"]).await;
    for (path, allow) in [
        ("/models", "GET"),
        ("//ping", "GET"),
        ("/model_run/", "POST"),
    ] {
        for method in ["DELETE", "PUT", "OPTIONS", "HEAD", "BREW"] {
            let answer = ask(door.address, method, path, &[], None).await;
            assert_eq!(
                (answer.status, answer.header("allow")),
                (405, Some(allow)),
                "{method} {path}"
            );
        }
    }
}

#[tokio::test]
async fn each_workspace_has_its_own_path_secret_and_models() {
    let routes = vec![
        workspace("root", "/", &["s0"], &["zero"]),
        workspace("one", "/team", &["s1"], &["one"]),
        workspace("two", "/team/models", &["s2"], &["two"]),
    ];
    let door = Door::open(routes, Settings::default()).await;
    for (path, secret, body) in [
        ("/models", "s0", r#"{"zero":{}}"#),
        ("/team/models", "s1", r#"{"one":{}}"#),
        ("//team//models", "s1", r#"{"one":{}}"#),
        ("/team/models/models", "s2", r#"{"two":{}}"#),
    ] {
        let answer = list(&door, path, secret).await;
        assert_eq!((answer.status, answer.body.as_str()), (200, body), "{path}");
        let answer = list(&door, path, "another").await;
        assert_refused(&door, &answer, 401, "signature_mismatch", "");
    }
    for path in [
        "/tea/models",
        "/teams/models",
        "/team/x/models",
        "/models/team",
    ] {
        assert_refused(&door, &list(&door, path, "s1").await, 404, "not_found", "");
    }
    let body = br#"{"modelRunId":"r","modelType":"one"}"#;
    let signature = signed("s1", body);
    let headers = [("X-Hub-Signature", signature.as_str())];
    assert_eq!(
        ask(
            door.address,
            "POST",
            "/team/model_run",
            &headers,
            Some(body)
        )
        .await
        .status,
        200
    );
    assert_eq!(door.accepted()[0].workspace, "one");
}

#[tokio::test]
async fn without_a_workspace_at_the_root_the_root_is_empty() {
    let door = Door::open(
        vec![workspace("one", "/one", &[SECRET], &["a"])],
        Settings::default(),
    )
    .await;
    assert_refused(
        &door,
        &list(&door, "/models", SECRET).await,
        404,
        "not_found",
        "",
    );
}
