//! One GraphQL call: read, checked against the schema, carried out.

use jiff::Timestamp;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value, json};

use super::{
    data_rows::SplitPage,
    document::{Asked, Field, Operation},
    query,
    schema::{self, Root},
    selection::{Selected, once_each},
    world::World,
};

/// The longest list of operations and root fields in one call.
const ROOT_FIELD_LIMIT: usize = 100;

/// An answer in `errors[]`. The shape is the one the SDK understands (labelbox 7.17.0, `lbox/request_client.py`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) code: String,
    pub(super) message: String,
    pub(super) exception_status: Option<u16>,
}

impl Refusal {
    pub(super) fn new(code: &str, message: impl Into<String>) -> Self {
        Self {
            code: code.to_owned(),
            message: message.into(),
            exception_status: None,
        }
    }

    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self::new("GRAPHQL_VALIDATION_FAILED", message)
    }

    pub(super) fn malformed(message: impl Into<String>) -> Self {
        Self::new("MALFORMED_REQUEST", message)
    }

    pub(super) fn not_found() -> Self {
        Self::new("RESOURCE_NOT_FOUND", "not found")
    }

    pub(super) fn unauthenticated() -> Self {
        Self::new("AUTHENTICATION_ERROR", "Invalid API key")
    }

    fn unparsable(message: impl Into<String>) -> Self {
        Self::new("GRAPHQL_PARSE_FAILED", message)
    }

    /// The body of the answer.
    pub(super) fn body(&self) -> Value {
        let mut extensions = json!({ "code": self.code });
        if let Some(status) = self.exception_status {
            extensions["exception"] = json!({ "status": status });
        }
        json!({ "errors": [{ "message": self.message, "extensions": extensions }], "data": null })
    }
}

/// The body of a good answer.
#[derive(Serialize)]
struct Answer<'a> {
    data: Data<'a>,
}

struct Data<'a>(Vec<(&'a Field, Reply)>);

/// What a root field is answered with.
#[derive(Debug)]
pub(super) enum Reply {
    /// An object that has every field of its type, or null.
    Value(Value),
    /// Just what was asked for.
    Splits(SplitPage),
}

/// A reply, of which those fields are shown that were asked for.
#[derive(Serialize)]
#[serde(untagged)]
enum Shown<'a> {
    Selected(Selected<'a>),
    Splits(&'a SplitPage),
}

impl Serialize for Data<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(field, reply)| {
            let selection = field.selection.as_slice();
            let shown = match reply {
                Reply::Value(value) => Shown::Selected(Selected { value, selection }),
                Reply::Splits(page) => Shown::Splits(page),
            };
            (field.key(), shown)
        }))
    }
}

/// The two addresses of the API. Fields marked experimental in the SDK exist at [`Endpoint::Experimental`] alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Endpoint {
    /// `/graphql`
    Public,
    /// `/_gql`
    Experimental,
}

/// A call whose text was understood; nothing of it is checked against the schema yet.
#[derive(Debug)]
pub(super) struct Call {
    operation: Operation,
    variables: Map<String, Value>,
}

impl Call {
    /// Reads `{"query": …, "variables": …, "operationName": …}`.
    pub(super) fn read(body: &Value) -> Result<Self, Refusal> {
        let text = body.get("query").and_then(Value::as_str);
        let text = text.ok_or_else(|| Refusal::unparsable("the body has no \"query\" text"))?;
        let operations =
            query::parse(text).map_err(|error| Refusal::unparsable(error.to_string()))?;
        let name = body.get("operationName").and_then(Value::as_str);
        let operation = pick_operation(operations, name)?;
        let given = body.get("variables").unwrap_or(&Value::Null);
        let variables = read_variables(&operation, given)?;
        Ok(Self {
            operation,
            variables,
        })
    }

    /// The operation's name, if it has one.
    pub(super) fn name(&self) -> Option<&str> {
        self.operation.name.as_deref()
    }

    /// The names of the root fields.
    pub(super) fn root_fields(&self) -> impl Iterator<Item = &str> {
        self.operation.fields.iter().map(|field| &*field.name)
    }

    /// Carries the call out, and gives the body of the answer. Everything is checked before anything is changed, as
    /// GraphQL has it.
    pub(super) fn execute(
        &self,
        endpoint: Endpoint,
        world: &mut World,
        now: Timestamp,
    ) -> Result<Vec<u8>, Refusal> {
        let fields: Vec<&Field> = once_each(&self.operation.fields).collect();
        let roots: Vec<&Root> = fields
            .iter()
            .map(|field| schema::check(field, self.operation.kind, endpoint))
            .collect::<Result<_, _>>()?;
        self.check_variables()?;
        let mut answers = Vec::new();
        for (field, root) in fields.into_iter().zip(roots) {
            let asked = Asked::new(field, &self.variables);
            answers.push((field, root.resolve(world, &asked, now)?));
        }
        let answer = Answer {
            data: Data(answers),
        };
        Ok(serde_json::to_vec(&answer).expect("JSON values always serialise"))
    }

    fn check_variables(&self) -> Result<(), Refusal> {
        let declared = |name: &&str| self.operation.variables.iter().any(|v| v.name == *name);
        let fields = self.operation.fields.iter();
        let mut used = fields.flat_map(Field::variables);
        match used.find(|name| !declared(name)) {
            Some(name) => Err(Refusal::invalid(format!(
                "Variable \"${name}\" is not defined."
            ))),
            None => Ok(()),
        }
    }
}

fn pick_operation(
    mut operations: Vec<Operation>,
    name: Option<&str>,
) -> Result<Operation, Refusal> {
    let wanted = |operation: &Operation| operation.name.as_deref() == name;
    let at = match name {
        Some(_) => operations.iter().position(wanted),
        None => (operations.len() == 1).then_some(0),
    };
    let at = at.ok_or_else(|| Refusal::invalid("operationName names no operation of the query"))?;
    let operation = operations.swap_remove(at);
    match operation.fields.len() {
        0..=ROOT_FIELD_LIMIT => Ok(operation),
        _ => Err(Refusal::invalid("Query complexity limit exceeded")),
    }
}

fn read_variables(operation: &Operation, given: &Value) -> Result<Map<String, Value>, Refusal> {
    let mut variables = Map::new();
    for variable in &operation.variables {
        let value = given.get(&variable.name).or(variable.default.as_ref());
        if variable.required && value.is_none_or(Value::is_null) {
            let name = &variable.name;
            return Err(Refusal::invalid(format!(
                "Variable \"${name}\" is required and was not provided."
            )));
        }
        if let Some(value) = value {
            variables.insert(variable.name.clone(), value.clone());
        }
    }
    Ok(variables)
}
