//! Queries, well and badly made, and keys.

use reqwest::StatusCode;
use serde_json::{Value, json};
use trainhook::{config::Secret, emulator::Options};

use super::{ask, capture, client, code, start, start_with, update};

#[tokio::test]
async fn experimental_fields_exist_at_the_experimental_address_alone() {
    let emulator = start().await;
    let (_, run) = emulator.create_model_run(None, "run");
    let body = update(&run, json!({ "status": "COMPLETE" }));
    let answer = ask(&emulator, "/graphql", &body).await;
    assert_eq!(code(&answer), "GRAPHQL_VALIDATION_FAILED");
    assert_eq!(emulator.timeline(&run), []);
    let question = capture("get_config")["json"].clone();
    let answer = ask(&emulator, "/_gql", &question).await;
    assert_eq!(code(&answer), "RESOURCE_NOT_FOUND", "{answer}");
}

#[tokio::test]
async fn queries_are_read_as_graphql() {
    let emulator = start().await;
    let (_, run) = emulator.create_model_run(None, "caf\u{e9} \"1\"");
    let inline = format!(
        "# a comment\n{{ run: modelRun(where: {{ id: \"{run}\" }}) {{ title: name, id }} user {{ id }} }}"
    );
    let answer = ask(&emulator, "/graphql", &json!({ "query": inline })).await;
    assert_eq!(
        answer["data"]["run"],
        json!({ "title": "caf\u{e9} \"1\"", "id": run })
    );
    assert!(answer["data"]["user"]["id"].is_string());

    let default = format!(
        "query Q($id: ID! = \"{run}\", $o: [Int!]) {{ modelRun(where: {{id: $id}}) {{ id }} }}"
    );
    let answer = ask(&emulator, "/graphql", &json!({ "query": default })).await;
    assert_eq!(answer["data"]["modelRun"]["id"], json!(run));

    let two = "query A { user { id } } query B { user { name } }";
    let named = json!({ "query": two, "operationName": "B" });
    let answer = ask(&emulator, "/graphql", &named).await;
    assert_eq!(answer["data"]["user"], json!({ "name": "Emulated User" }));
}

#[tokio::test]
async fn a_query_that_cannot_be_is_told_why() {
    let emulator = start().await;
    let deep = format!("{}id{}", "{a".repeat(50_000), "}".repeat(50_000));
    for (query, wanted) in [
        ("", "GRAPHQL_PARSE_FAILED"),
        ("{", "GRAPHQL_PARSE_FAILED"),
        ("{ user { id } ", "GRAPHQL_PARSE_FAILED"),
        ("{ user { } }", "GRAPHQL_PARSE_FAILED"),
        ("{ user(a: \"x) { id } }", "GRAPHQL_PARSE_FAILED"),
        ("subscription { user { id } }", "GRAPHQL_PARSE_FAILED"),
        (&deep, "GRAPHQL_PARSE_FAILED"),
        ("{ nobody { id } }", "GRAPHQL_VALIDATION_FAILED"),
        ("mutation { user { id } }", "GRAPHQL_VALIDATION_FAILED"),
        ("{ user }", "GRAPHQL_VALIDATION_FAILED"),
        ("{ user { shoeSize } }", "GRAPHQL_VALIDATION_FAILED"),
        ("{ user { id { x } } }", "GRAPHQL_VALIDATION_FAILED"),
        ("{ modelRun { id } }", "GRAPHQL_VALIDATION_FAILED"),
        (
            "{ modelRun(where: {id: $id}) { id } }",
            "GRAPHQL_VALIDATION_FAILED",
        ),
        (
            "query Q($id: ID!) { user { id } }",
            "GRAPHQL_VALIDATION_FAILED",
        ),
    ] {
        let answer = ask(&emulator, "/graphql", &json!({ "query": query })).await;
        let start: String = query.chars().take(40).collect();
        assert_eq!(code(&answer), wanted, "{start}: {answer}");
    }
}

#[tokio::test]
async fn a_call_without_the_key_is_refused_and_recorded_without_secrets() {
    let api_key = Some(Secret::new("right-key"));
    let emulator = start_with(Options {
        api_key,
        ..Options::default()
    })
    .await;
    let (_, run) = emulator.create_model_run(None, "run");
    let captured = capture("err_401_gql")["reply"]["body"].clone();
    let body = update(&run, json!({ "status": "COMPLETE" }));
    let url = format!("http://{}/_gql", emulator.address());
    for header in [
        None,
        Some("right-key"),
        Some("Bearer wrong-key"),
        Some("Bearer "),
    ] {
        let mut post = client().post(&url).json(&body);
        if let Some(header) = header {
            post = post.header("authorization", header);
        }
        let answer = post.send().await.expect("an answer");
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{header:?}");
        let answer: Value = answer.json().await.expect("JSON");
        assert_eq!(code(&answer), code(&captured), "{header:?}");
    }
    assert_eq!(emulator.timeline(&run), []);
    let post = client().post(&url).bearer_auth("right-key").json(&body);
    assert_eq!(
        post.send().await.expect("an answer").status(),
        StatusCode::OK
    );
    let recorded = format!("{:?}", emulator.requests());
    assert!(!recorded.contains("-key"), "{recorded}");
    assert_eq!(emulator.requests().len(), 5);
}
