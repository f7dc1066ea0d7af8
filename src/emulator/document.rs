//! What a GraphQL query says, once it is read: operations, their root fields, arguments and selections.

use serde_json::{Map, Value};

/// Whether an operation reads or changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OperationKind {
    Query,
    Mutation,
}

/// One operation of a query document.
#[derive(Debug)]
pub(super) struct Operation {
    pub(super) kind: OperationKind,
    pub(super) name: Option<String>,
    pub(super) variables: Vec<Variable>,
    pub(super) fields: Vec<Field>,
}

/// `$name: Type! = default`.
#[derive(Debug)]
pub(super) struct Variable {
    pub(super) name: String,
    pub(super) required: bool,
    pub(super) default: Option<Value>,
}

/// `alias: name(arguments) { selection }`.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) alias: Option<String>,
    pub(super) name: String,
    pub(super) arguments: Vec<(String, Argument)>,
    pub(super) selection: Vec<Field>,
}

/// An argument's value as it is written.
#[derive(Debug)]
pub(super) enum Argument {
    Variable(String),
    Value(Value),
    List(Vec<Argument>),
    Object(Vec<(String, Argument)>),
}

impl Field {
    /// The key of this field in the answer.
    pub(super) fn key(&self) -> &str {
        self.alias.as_deref().unwrap_or(&self.name)
    }

    /// The arguments with the variables put in; those of absent variables are absent.
    pub(super) fn arguments(&self, variables: &Map<String, Value>) -> Map<String, Value> {
        fill_all(&self.arguments, variables)
    }
}

impl Argument {
    pub(super) fn fill(&self, variables: &Map<String, Value>) -> Option<Value> {
        match self {
            Self::Variable(name) => variables.get(name).cloned(),
            Self::Value(value) => Some(value.clone()),
            Self::List(items) => {
                let fill = |item: &Argument| item.fill(variables).unwrap_or(Value::Null);
                Some(items.iter().map(fill).collect())
            }
            Self::Object(entries) => Some(Value::Object(fill_all(entries, variables))),
        }
    }

    /// The names of the variables that this value needs.
    pub(super) fn variables(&self) -> Vec<&str> {
        match self {
            Self::Variable(name) => vec![name],
            Self::Value(_) => Vec::new(),
            Self::List(items) => items.iter().flat_map(Self::variables).collect(),
            Self::Object(entries) => entries.iter().flat_map(|(_, v)| v.variables()).collect(),
        }
    }
}

fn fill_all(entries: &[(String, Argument)], variables: &Map<String, Value>) -> Map<String, Value> {
    let fill = |(name, value): &(String, Argument)| Some((name.clone(), value.fill(variables)?));
    entries.iter().filter_map(fill).collect()
}
