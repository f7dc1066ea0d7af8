//! The data of a run, asked for as the SDK asks, and its predictions, sent as the SDK sends them.

mod exports;
mod imports;
mod runs;

use serde_json::Value;

use super::{Fixture, reply};
use crate::support::scripted::Recorded;

/// A query without what GraphQL does not look at: white space and commas.
fn tokens(query: &str) -> Vec<String> {
    let mut tokens = vec![String::new()];
    for c in query.chars() {
        let is_word = c.is_alphanumeric() || c == '_';
        if !is_word {
            tokens.push(String::new());
        }
        if is_word || !(c.is_whitespace() || c == ',') {
            tokens.last_mut().expect("there is one").push(c);
        }
        if !is_word {
            tokens.push(String::new());
        }
    }
    tokens.retain(|token| !token.is_empty());
    tokens
}

fn tokens_of(query: &Value) -> Vec<String> {
    tokens(query.as_str().expect("a query is text"))
}

#[track_caller]
fn assert_asked_as(sent: &Recorded, captured: &Value) {
    assert_eq!(captured["path"], sent.path.as_str());
    let (sent, captured) = (sent.json(), &captured["json"]);
    assert_eq!(tokens_of(&sent["query"]), tokens_of(&captured["query"]));
    assert_eq!(sent["variables"], captured["variables"]);
}

/// Plays one call of a capture.
async fn replaying(captured: &Value) -> Fixture {
    Fixture::new([reply(&captured["reply"])]).await
}
