//! What is posted to us: read or refused with a reason, and the next one is served.

use proptest::prelude::{Just, Strategy, prop_oneof};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use super::{always, bytes, damaged, json};
use crate::support::{
    labelbox_door::{Door, RUN, SECRET, Settings, door, signed},
    raw_http::{Answer, Client, ask, request},
};

async fn post(door: &Door, body: &[u8]) -> Answer {
    let signature = signed(SECRET, body);
    let headers = [("X-Hub-Signature", signature.as_str())];
    ask(door.address, "POST", "/model_run", &headers, Some(body)).await
}

/// Bodies that are nearly right, wrong in their kinds, or anything.
fn bodies() -> impl Strategy<Value = Vec<u8>> {
    let kinds = (json(), json(), json()).prop_map(|(run, model, id)| {
        json!({"modelRunId": run, "modelType": model, "modelId": id}).to_string()
    });
    let more = ("[a-zA-Z]{1,20}", json())
        .prop_map(|(key, value)| json!({"modelRunId": "r1", "modelType": "ner", key: value}));
    prop_oneof![
        damaged(Just(RUN.as_bytes().to_vec())),
        kinds.prop_map(String::into_bytes),
        more.prop_map(|body| body.to_string().into_bytes()),
        json().prop_map(|body| body.to_string().into_bytes()),
        bytes(),
    ]
}

#[test]
fn every_signed_body_is_taken_as_it_reads_or_refused_with_a_reason() {
    let runtime = Runtime::new().expect("a runtime");
    let door = runtime.block_on(door(Settings {
        gate: usize::MAX >> 4,
        ..Settings::default()
    }));
    always(bodies(), |body| {
        let answer = runtime.block_on(post(&door, &body));
        match answer.status {
            200 => {
                let read: Value = serde_json::from_slice(&body).expect("what is taken is JSON");
                let accepted = door.accepted().pop().expect("what is answered 200 is kept");
                assert_eq!(read["modelRunId"], accepted.model_run_id.as_str());
                assert_eq!(read["modelType"], "ner");
                assert_eq!(read["modelId"].as_str(), accepted.model_id.as_deref());
                assert_eq!(&accepted.webhook[..], body);
            }
            400 | 404 | 422 => {
                let message = answer.json()["error"]["message"].clone();
                assert!(message.as_str().is_some_and(|text| !text.is_empty()));
            }
            other => panic!("{other}: {}", answer.body),
        }
    });
    assert!(runtime.block_on(post(&door, RUN.as_bytes())).status == 200);
}

#[test]
fn whatever_comes_over_a_connection_the_next_one_is_served() {
    let runtime = Runtime::new().expect("a runtime");
    let door = runtime.block_on(Door::with_models(&["ner"]));
    let signature = signed(SECRET, b"");
    let headers = [
        ("X-Hub-Signature", signature.as_str()),
        ("Connection", "close"),
    ];
    let good = request("GET", "/models", &headers, None);
    always(damaged(Just(good)), |bytes| {
        runtime.block_on(async {
            let mut client = Client::connect(door.address).await;
            // The server may close before all is sent: that is its right.
            let _ = client.try_send(&bytes).await;
            drop(client);
        });
        let served = runtime.block_on(ask(door.address, "GET", "/models", &headers, None));
        assert_eq!(served.status, 200);
    });
}
