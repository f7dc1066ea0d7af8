//! What can be asked: the root fields, their types, and how each is answered.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    data_rows,
    document::{Asked, Field, OperationKind},
    exports,
    graphql::{Endpoint, Refusal, Reply},
    imports, resolve,
    world::World,
};

/// A type and its fields: those that are scalars, and those that have fields again.
#[derive(Debug)]
pub(super) struct Type {
    name: &'static str,
    fields: &'static [&'static str],
    nested: &'static [(&'static str, &'static Type)],
}

/// A root field.
#[derive(Debug)]
pub(super) struct Root {
    name: &'static str,
    kind: OperationKind,
    experimental: bool,
    answer: &'static Type,
    resolve: Resolve,
}

/// Answers one root field.
#[derive(Debug)]
enum Resolve {
    /// With an object that has every field of its type, or null.
    Whole(Resolver<Value>),
    /// With as much as is asked for.
    Asked(Resolver<Reply>),
}

type Resolver<T> = fn(&mut World, &Asked, Timestamp) -> Result<T, Refusal>;

impl Root {
    /// The answer to what was asked of this field.
    pub(super) fn resolve(
        &self,
        world: &mut World,
        asked: &Asked,
        now: Timestamp,
    ) -> Result<Reply, Refusal> {
        match self.resolve {
            Resolve::Whole(resolver) => resolver(world, asked, now).map(Reply::Value),
            Resolve::Asked(resolver) => resolver(world, asked, now),
        }
    }
}

/// What has no fields at all.
static SCALAR: Type = flat("String", &[]);

impl Type {
    const fn is_scalar(&self) -> bool {
        self.fields.is_empty() && self.nested.is_empty()
    }
}

/// A type without fields that have fields again.
const fn flat(name: &'static str, fields: &'static [&'static str]) -> Type {
    Type {
        name,
        fields,
        nested: &[],
    }
}

static MODEL_RUN: Type = flat(
    "ModelRun",
    &[
        "createdAt",
        "createdBy",
        "modelAppId",
        "modelId",
        "name",
        "trainingMetadata",
        "id",
        "updatedAt",
    ],
);

static TRAINING_PIPELINE: Type = flat("TrainingPipeline", &["status", "errorMessage", "metadata"]);

static TASK: Type = Type {
    name: "Task",
    fields: &[
        "completionPercentage",
        "createdAt",
        "errors",
        "metadata",
        "name",
        "result",
        "status",
        "type",
        "id",
        "updatedAt",
    ],
    nested: &[
        ("exportMetadataHeader", &EXPORT_HEADER),
        ("exportFileFromOffset", &EXPORT_FILE),
    ],
};

static EXPORT_HEADER: Type = flat("ExportMetadataHeader", &["totalSize", "totalLines"]);

static RANGE: Type = flat("Range", &["start", "end"]);

static EXPORT_FILE: Type = Type {
    name: "ExportFile",
    fields: &["file"],
    nested: &[("offsets", &RANGE), ("lines", &RANGE)],
};

static EXPORT_TASK: Type = flat("ExportTask", &["taskId", "isStreamable"]);

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
    nested: &[("createdTasks", &TASK)],
};

static MODEL: Type = flat("Model", &["name", "ontologyId", "id"]);

static ONTOLOGY: Type = flat(
    "Ontology",
    &[
        "classificationSchemaCount",
        "createdAt",
        "description",
        "mediaType",
        "name",
        "normalized",
        "objectSchemaCount",
        "id",
        "updatedAt",
    ],
);

static METADATA: Type = flat(
    "DataRowMetadataField",
    &["schemaId", "name", "value", "kind"],
);

static DATA_ROW: Type = Type {
    name: "DataRow",
    fields: &[
        "createdAt",
        "externalId",
        "globalKey",
        "mediaAttributes",
        "rowData",
        "id",
        "updatedAt",
    ],
    nested: &[("customMetadata", &METADATA), ("metadataFields", &METADATA)],
};

static ANNOTATION_GROUP: Type = Type {
    name: "AnnotationGroup",
    fields: &["dataSplit", "labelId", "modelRunId", "id"],
    nested: &[("dataRow", &DATA_ROW)],
};

static PAGE_INFO: Type = flat("PageInfo", &["endCursor"]);

static ANNOTATION_GROUPS: Type = Type {
    name: "AnnotationGroups",
    fields: &[],
    nested: &[("nodes", &ANNOTATION_GROUP), ("pageInfo", &PAGE_INFO)],
};

static IMPORT: Type = flat(
    "ModelErrorAnalysisPredictionImport",
    &[
        "errorFileUrl",
        "inputFileUrl",
        "modelRunId",
        "name",
        "progress",
        "state",
        "statusFileUrl",
        "id",
    ],
);

static SPLIT_TASK: Type = flat("AssignDataRowsToDataSplitTask", &["status", "errorMessage"]);

const fn query(name: &'static str, answer: &'static Type, resolver: Resolver<Value>) -> Root {
    Root {
        name,
        kind: OperationKind::Query,
        experimental: false,
        answer,
        resolve: Resolve::Whole(resolver),
    }
}

const fn mutation(name: &'static str, answer: &'static Type, resolver: Resolver<Value>) -> Root {
    Root {
        kind: OperationKind::Mutation,
        ..query(name, answer, resolver)
    }
}

const fn experimental(root: Root) -> Root {
    Root {
        experimental: true,
        ..root
    }
}

/// The root fields; which of them are experimental was captured from labelbox 7.17.0.
static ROOTS: [Root; 16] = [
    query("modelRun", &MODEL_RUN, resolve::model_run),
    query("user", &USER, resolve::user),
    query("task", &TASK, exports::task),
    query("model", &MODEL, data_rows::model),
    query("ontology", &ONTOLOGY, data_rows::ontology),
    Root {
        name: "annotationGroups",
        kind: OperationKind::Query,
        experimental: false,
        answer: &ANNOTATION_GROUPS,
        resolve: Resolve::Asked(data_rows::annotation_groups),
    },
    query("modelErrorAnalysisPredictionImport", &IMPORT, imports::show),
    experimental(query(
        "trainingPipeline",
        &TRAINING_PIPELINE,
        resolve::training_pipeline,
    )),
    experimental(query(
        "assignDataRowsToDataSplitTaskStatus",
        &SPLIT_TASK,
        data_rows::split_task_status,
    )),
    experimental(mutation(
        "createAssignDataRowsToDataSplitTask",
        &SCALAR,
        data_rows::assign_splits,
    )),
    experimental(mutation(
        "updateTrainingPipeline",
        &TRAINING_PIPELINE,
        resolve::update_training_pipeline,
    )),
    mutation("createModelRun", &MODEL_RUN, resolve::create_model_run),
    mutation(
        "updateModelRunConfig",
        &MODEL_RUN,
        resolve::update_model_run_config,
    ),
    mutation(
        "resetModelRunConfig",
        &MODEL_RUN,
        resolve::reset_model_run_config,
    ),
    mutation("exportDataRowsInModelRun", &EXPORT_TASK, exports::create),
    mutation(
        "createModelErrorAnalysisPredictionImport",
        &IMPORT,
        imports::create,
    ),
];

/// The names of all root fields.
pub(super) fn root_fields() -> impl Iterator<Item = &'static str> {
    ROOTS.iter().map(|root| root.name)
}

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

fn check_selection(field: &Field, answer: &Type) -> Result<(), Refusal> {
    let type_name = answer.name;
    if field.selection.is_empty() && !answer.is_scalar() {
        let name = &field.name;
        return Err(Refusal::invalid(format!(
            "Field \"{name}\" of type \"{type_name}\" must have a selection of subfields."
        )));
    }
    for selected in &field.selection {
        let name = selected.name.as_str();
        let nested = answer.nested.iter().find(|(nested, _)| *nested == name);
        match nested {
            Some((_, below)) => check_selection(selected, below)?,
            None if !answer.fields.contains(&name) => return Err(unknown_field(name, type_name)),
            None if !selected.selection.is_empty() => {
                return Err(Refusal::invalid(format!(
                    "Field \"{name}\" must not have a selection since it has no subfields."
                )));
            }
            None => {}
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
