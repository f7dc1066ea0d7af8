//! The admin listener of a real server: who may ask, and what is answered.

mod access;
mod jobs;

use serde_json::Value;

use crate::support::{
    raw_http::{Answer, ask},
    stack::{Stack, UNTIL_GO, model},
};

/// The headers of a request that may do everything; each can be left out or replaced.
struct Headers(Vec<(&'static str, String)>);

impl Headers {
    fn of(stack: &Stack) -> Self {
        let token = stack.lines("state/admin.token").remove(0);
        let header = |name, value: &str| (name, value.to_owned());
        Self(vec![
            header("Host", "127.0.0.1"),
            header("Authorization", &format!("Bearer {token}")),
            header("Content-Type", "application/json"),
            header("X-Trainhook", "1"),
        ])
    }

    fn without(mut self, name: &str) -> Self {
        self.0.retain(|(other, _)| *other != name);
        self
    }

    fn with(self, name: &'static str, value: &str) -> Self {
        let mut rest = self.without(name);
        rest.0.push((name, value.to_owned()));
        rest
    }
}

async fn call(stack: &Stack, headers: Headers, path: &str, body: Option<&Value>) -> Answer {
    let address = stack.server.info()["admin"].as_str().map(str::parse);
    let address = address.expect("an address").expect("a good one");
    let headers: Vec<(&str, &str)> = headers
        .0
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    let method = if body.is_some() { "POST" } else { "GET" };
    let body = body.map(Value::to_string);
    ask(
        address,
        method,
        path,
        &headers,
        body.as_deref().map(str::as_bytes),
    )
    .await
}

async fn get(stack: &Stack, path: &str) -> Answer {
    call(stack, Headers::of(stack), path, None).await
}

pub(crate) async fn post(stack: &Stack, path: &str, mut body: Value) -> Answer {
    body["actor"] = "a tester".into();
    call(stack, Headers::of(stack), path, Some(&body)).await
}

fn refused(answer: &Answer, status: u16, code: &str) -> String {
    assert_eq!(
        (answer.status, answer.error_code().as_str()),
        (status, code),
        "{answer:?}"
    );
    answer.json()["error"]["message"]
        .as_str()
        .expect("a message")
        .to_owned()
}

/// A server with a model that runs until it may end, and one that ends at once.
async fn stack() -> Stack {
    let quick = model("quick", "echo 0123456789", "");
    Stack::start(&(model("slow", UNTIL_GO, "") + &quick)).await
}
