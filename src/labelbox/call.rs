//! What is asked of Labelbox in one call.

use serde::Serialize;
use serde_json::Value;

/// Which of the two addresses serves a query (captured from labelbox 7.17.0).
#[derive(Debug, Clone, Copy)]
pub(super) enum Api {
    /// The endpoint itself.
    Graphql,
    /// Its experimental twin, `/_gql`.
    Experimental,
}

/// A query with its variables, and the one field of `data` that answers it.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) api: Api,
    pub(super) query: &'static str,
    pub(super) variables: Value,
    pub(super) field: &'static str,
}

#[derive(Serialize)]
struct Body<'a> {
    query: &'a str,
    variables: &'a Value,
}

impl Call {
    /// As it goes over the wire.
    pub(super) fn body(&self) -> Vec<u8> {
        let body = Body {
            query: self.query,
            variables: &self.variables,
        };
        serde_json::to_vec(&body).expect("text and JSON values always serialise")
    }
}
