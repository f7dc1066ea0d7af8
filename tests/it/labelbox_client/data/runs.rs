//! Splits and ontologies.

use serde_json::{Value, json};
use trainhook::dataset::Split;

use super::{
    super::{Fixture, capture, model_run_id, reply},
    assert_asked_as, replaying, tokens_of,
};
use crate::support::scripted::Reply;

#[tokio::test]
async fn splits_are_asked_for_with_the_sdks_arguments() {
    let captured = &capture("model_run_data_rows")["requests"][0];
    let fixture = replaying(captured).await;
    let page = fixture
        .labelbox
        .data_splits(&model_run_id(), None)
        .await
        .expect("a page");
    assert_eq!((page.rows.len(), page.next), (0, None));
    let sent = fixture.only_request().json();
    assert_eq!(sent["variables"], captured["json"]["variables"]);
    // The SDK asks for more of each row; what it asks of, and from where, is the same.
    let head = |query: &Value| {
        let tokens = tokens_of(query);
        let end = tokens.iter().position(|token| token == "dataSplit");
        tokens[..end.expect("splits are asked for")].to_vec()
    };
    assert_eq!(head(&sent["query"]), head(&captured["json"]["query"]));
}

#[tokio::test]
async fn pages_follow_each_other_until_one_is_empty_or_the_last() {
    let page = |nodes: Value, cursor: Value| {
        let groups = json!({ "nodes": nodes, "pageInfo": { "endCursor": cursor } });
        Reply::new(200, json!({ "data": { "annotationGroups": groups } }))
    };
    let node = |id: &str, split: Value| json!({ "dataSplit": split, "dataRow": { "id": id } });
    let nodes = json!([
        node("a", json!("TRAINING")),
        node("b", json!("TEST")),
        node("c", json!("VALIDATION")),
        node("d", json!("UNASSIGNED")),
        node("e", Value::Null),
        node("f", json!("OTHER")),
    ]);
    let replies = [page(nodes, json!("next")), page(json!([]), json!("again"))];
    let fixture = Fixture::new(replies).await;
    let first = fixture
        .labelbox
        .data_splits(&model_run_id(), None)
        .await
        .expect("a page");
    let splits: Vec<Split> = first.rows.iter().map(|(_, split)| *split).collect();
    use Split::{Test, Training, Unassigned, Validation};
    assert_eq!(
        splits,
        [
            Training, Test, Validation, Unassigned, Unassigned, Unassigned
        ]
    );
    assert_eq!(first.next.as_deref(), Some("next"));
    let last = fixture
        .labelbox
        .data_splits(&model_run_id(), Some("next"))
        .await;
    assert_eq!(last.expect("a page").next, None);
}

#[tokio::test]
async fn nulls_in_an_ontology_are_nothing() {
    let (model, ontology) = (capture("model_ontology_query"), capture("get_ontology"));
    let mut told = ontology["requests"][0]["reply"].clone();
    let normalized = &mut told["body"]["data"]["ontology"]["normalized"];
    assert!(normalized["tools"][0].is_object(), "{normalized}");
    normalized["tools"][0]["classifications"] = Value::Null;
    normalized["classifications"] = Value::Null;
    let fixture = Fixture::new([reply(&model["requests"][0]["reply"]), reply(&told)]).await;
    let found = fixture.labelbox.ontology_of_model("m1").await;
    let found = found.expect("an answer").expect("an ontology");
    assert!(found.tool("dog").is_some());
    assert!(found.classifications.is_empty());
}

#[tokio::test]
async fn an_ontology_is_found_by_way_of_its_model() {
    let (model, ontology) = (capture("model_ontology_query"), capture("get_ontology"));
    let (model, ontology) = (&model["requests"][0], &ontology["requests"][0]);
    let fixture = Fixture::new([reply(&model["reply"]), reply(&ontology["reply"])]).await;
    let found = fixture.labelbox.ontology_of_model("m1").await;
    let found = found.expect("an answer").expect("an ontology");
    assert_eq!(
        found.tool("dog").map(|tool| tool.kind.as_str()),
        Some("rectangle")
    );
    assert_eq!(found.tool("f1"), found.tool("dog"));
    let question = found.classification("q").expect("a question");
    assert_eq!(
        question
            .option("a1")
            .map(|option| option.schema_id.as_str()),
        Some("f3")
    );
    let sent = fixture.requests();
    assert_asked_as(&sent[0], model);
    let query = |body: &Value| tokens_of(&body["query"]);
    assert_eq!(query(&sent[1].json()), query(&ontology["json"]));
    assert_eq!(
        sent[1].json()["variables"],
        json!({ "param_0": "cl0ontologyxxxxxxxxxxxxxx" })
    );
}
