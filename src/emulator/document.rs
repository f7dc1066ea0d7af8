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

    /// The names of the variables that this field and those below it need.
    pub(super) fn variables(&self) -> Vec<&str> {
        let own = self
            .arguments
            .iter()
            .flat_map(|(_, value)| value.variables());
        let below = self.selection.iter().flat_map(Self::variables);
        own.chain(below).collect()
    }
}

/// A root field as it was asked for.
#[derive(Debug)]
pub(super) struct Asked {
    /// Its own arguments.
    pub(super) arguments: Map<String, Value>,
    below: Vec<(String, Map<String, Value>)>,
    /// The fields without fields of their own, each with those above it, under the keys of the answer: `nodes.dataRow.id`.
    leaves: Vec<String>,
}

impl Asked {
    /// What `field` and the variables say together.
    pub(super) fn new(field: &Field, variables: &Map<String, Value>) -> Self {
        let below = field.selection.iter();
        Self {
            arguments: fill_all(&field.arguments, variables),
            below: below
                .map(|field| (field.name.clone(), fill_all(&field.arguments, variables)))
                .collect(),
            leaves: leaves(&field.selection),
        }
    }

    /// Whether just these are asked for, in this order: `nodes.dataRow.id`.
    pub(super) fn asks_for(&self, leaves: &[&str]) -> bool {
        self.leaves == leaves
    }

    /// The arguments of a field directly below; none if it is not asked for.
    pub(super) fn below(&self, name: &str) -> Option<&Map<String, Value>> {
        let found = self.below.iter().find(|(field, _)| field == name);
        found.map(|(_, arguments)| arguments)
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

fn leaves(selection: &[Field]) -> Vec<String> {
    let leaf = |field: &Field| match field.selection.as_slice() {
        [] => vec![field.key().to_owned()],
        below => leaves(below)
            .iter()
            .map(|leaf| format!("{}.{leaf}", field.key()))
            .collect(),
    };
    selection.iter().flat_map(leaf).collect()
}

/// The arguments with the variables put in; those of absent variables are absent.
fn fill_all(entries: &[(String, Argument)], variables: &Map<String, Value>) -> Map<String, Value> {
    let fill = |(name, value): &(String, Argument)| Some((name.clone(), value.fill(variables)?));
    entries.iter().filter_map(fill).collect()
}
