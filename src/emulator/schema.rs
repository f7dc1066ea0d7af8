//! What can be asked: the root fields, their types, and how each is answered.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::{
    document::{Field, OperationKind},
    graphql::{Endpoint, Refusal},
    resolve,
    world::World,
};

/// A type and its fields, all of them scalars.
#[derive(Debug)]
pub(super) struct Type {
    name: &'static str,
    fields: &'static [&'static str],
}

/// A root field.
#[derive(Debug)]
pub(super) struct Root {
    name: &'static str,
    kind: OperationKind,
    experimental: bool,
    answer: &'static Type,
    pub(super) resolve: Resolve,
}

/// Answers one root field with an object that has every field of its type, or null.
pub(super) type Resolve = fn(&mut World, &Map<String, Value>, Timestamp) -> Result<Value, Refusal>;

static MODEL_RUN: Type = Type {
    name: "ModelRun",
    fields: &[
        "createdAt",
        "createdBy",
        "modelAppId",
        "modelId",
        "name",
        "trainingMetadata",
        "id",
        "updatedAt",
    ],
};

static TRAINING_PIPELINE: Type = Type {
    name: "TrainingPipeline",
    fields: &["status", "errorMessage", "metadata"],
};

static USER: Type = Type {
    name: "User",
    fields: &[
        "createdAt",
        "email",
        "isExternalUser",
        "isViewer",
        "lastLoginAt",
        "nickname",
        "name",
        "picture",
        "id",
        "updatedAt",
    ],
};

/// The root fields; which of them are experimental was captured from labelbox 7.17.0.
static ROOTS: [Root; 7] = [
    Root {
        name: "modelRun",
        kind: OperationKind::Query,
        experimental: false,
        answer: &MODEL_RUN,
        resolve: resolve::model_run,
    },
    Root {
        name: "user",
        kind: OperationKind::Query,
        experimental: false,
        answer: &USER,
        resolve: resolve::user,
    },
    Root {
        name: "trainingPipeline",
        kind: OperationKind::Query,
        experimental: true,
        answer: &TRAINING_PIPELINE,
        resolve: resolve::training_pipeline,
    },
    Root {
        name: "updateTrainingPipeline",
        kind: OperationKind::Mutation,
        experimental: true,
        answer: &TRAINING_PIPELINE,
        resolve: resolve::update_training_pipeline,
    },
    Root {
        name: "createModelRun",
        kind: OperationKind::Mutation,
        experimental: false,
        answer: &MODEL_RUN,
        resolve: resolve::create_model_run,
    },
    Root {
        name: "updateModelRunConfig",
        kind: OperationKind::Mutation,
        experimental: false,
        answer: &MODEL_RUN,
        resolve: resolve::update_model_run_config,
    },
    Root {
        name: "resetModelRunConfig",
        kind: OperationKind::Mutation,
        experimental: false,
        answer: &MODEL_RUN,
        resolve: resolve::reset_model_run_config,
    },
];

/// Finds the root field that `field` names and checks the selection under it.
pub(super) fn check(
    field: &Field,
    kind: OperationKind,
    endpoint: Endpoint,
) -> Result<&'static Root, Refusal> {
    let exists = |root: &&Root| {
        root.name == field.name
            && root.kind == kind
            && (endpoint == Endpoint::Experimental || !root.experimental)
    };
    let type_name = match kind {
        OperationKind::Query => "Query",
        OperationKind::Mutation => "Mutation",
    };
    let root = ROOTS.iter().find(exists);
    let root = root.ok_or_else(|| unknown_field(&field.name, type_name))?;
    check_selection(field, root.answer)?;
    Ok(root)
}

/// The fields of `object` that `selection` asks for, under their aliases.
pub(super) fn select(object: &Value, selection: &[Field]) -> Value {
    if object.is_null() {
        return Value::Null;
    }
    let pick = |field: &Field| (field.key().to_owned(), object[&field.name].clone());
    Value::Object(selection.iter().map(pick).collect())
}

fn check_selection(field: &Field, answer: &Type) -> Result<(), Refusal> {
    let type_name = answer.name;
    if field.selection.is_empty() {
        let name = &field.name;
        return Err(Refusal::invalid(format!(
            "Field \"{name}\" of type \"{type_name}\" must have a selection of subfields."
        )));
    }
    for selected in &field.selection {
        let name = &selected.name;
        if !answer.fields.contains(&name.as_str()) {
            return Err(unknown_field(name, type_name));
        }
        if !selected.selection.is_empty() {
            return Err(Refusal::invalid(format!(
                "Field \"{name}\" must not have a selection since it has no subfields."
            )));
        }
    }
    Ok(())
}

fn unknown_field(name: &str, type_name: &str) -> Refusal {
    Refusal::invalid(format!(
        "Cannot query field \"{name}\" on type \"{type_name}\"."
    ))
}

/// The user that every API key of the emulator belongs to.
pub(super) fn the_user() -> Value {
    json!({
        "createdAt": "2024-01-01T00:00:00.000Z",
        "email": "emulator@example.invalid",
        "isExternalUser": false,
        "isViewer": false,
        "lastLoginAt": "2024-01-01T00:00:00.000Z",
        "nickname": "emulator",
        "name": "Emulated User",
        "picture": null,
        "id": super::world::USER_ID,
        "updatedAt": "2024-01-01T00:00:00.000Z",
    })
}
