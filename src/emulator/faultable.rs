//! What can go wrong with what: told to people, and asked of every fault that comes from outside.

use super::{
    faults::{Fault, FaultKind},
    schema,
};

/// Begins an export.
const EXPORT: [&str; 2] = ["exportDataRowsInModelRun", "exportDataRowsInModelRunPyApi"];

/// Begins an import.
const IMPORT: [&str; 3] = [
    "createModelErrorAnalysisPredictionImport",
    "createMEAPredictionImportByFilePyApi",
    "createMEAPredictionImportByUrlPyApi",
];

/// What the SDK calls the operations that are answered here (captured from labelbox 7.17.0).
const OPERATIONS: [&str; 21] = [
    "GetModelRunPyApi",
    "ModelRunPyApi",
    "CreateModelRunPyApi",
    "updateModelRunConfigPyApi",
    "resetModelRunConfigPyApi",
    "setPipelineStatusPyApi",
    "trainingPipelinePyApi",
    "modelRunPyApi",
    "assignDataSplitPyApi",
    "assignDataRowsToDataSplitTaskStatusPyApi",
    "GetModelPyApi",
    "modelOntologyPyApi",
    "GetOntologyPyApi",
    EXPORT[1],
    "GetUserPyApi",
    "GetUserCreatedTasksPyApi",
    "GetExportMetadataHeaderPyApi",
    "GetExportFileFromOffsetPyApi",
    IMPORT[1],
    IMPORT[2],
    "getModelErrorAnalysisPredictionImportPyApi",
];

/// The two addresses of the API.
const CALLS: [&str; 2] = ["/graphql", "/_gql"];

/// Folders of files, and what holds all of them but the masks; a file may be named as well.
const FOLDERS: [&str; 5] = [
    "/files",
    "/files/exports",
    "/files/imports",
    "/files/media",
    "/masks",
];

/// Each kind as it is written, and what it does.
const KINDS: [(&str, &str); 12] = [
    (
        r#"{"status": {"status": 503, "body": {}, "headers": [["retry-after", "7"]]}}"#,
        "is answered like this, without effect; body and headers may be left out, a body of text goes out as HTML",
    ),
    (
        r#"{"graphqlError": {"code": "INTERNAL_SERVER_ERROR", "message": "m", "exceptionStatus": 503}}"#,
        "is answered 200 with this error, without effect; exceptionStatus may be left out; calls only",
    ),
    (
        r#"{"delay": {"milliseconds": 500}}"#,
        "is answered as ever, so much later",
    ),
    (
        r#"{"answerLate": {"milliseconds": 500}}"#,
        "takes effect at once, and is answered so much later",
    ),
    (
        r#"{"hang": {"milliseconds": 500}}"#,
        "nothing happens for so long, then as dropBefore",
    ),
    (
        r#""dropBefore""#,
        "the connection is closed without an answer, without effect",
    ),
    (
        r#""dropAfter""#,
        "takes effect, and the connection is closed without an answer; calls only",
    ),
    (
        r#"{"truncateBody": {"bytes": 100}}"#,
        "of the file only so much is sent; files only",
    ),
    (
        r#""addressExpires""#,
        "the address is refused, now and later; another one of the same file holds; files only",
    ),
    (
        r#"{"fails": {"message": "m"}}"#,
        "the export or import that the call begins fails, for this reason",
    ),
    (
        r#"{"takes": {"milliseconds": 500}}"#,
        "the export or import that the call begins takes so long",
    ),
    (
        r#"{"refusesEvery": {"lines": 3}}"#,
        "the import that the call begins refuses one line of so many",
    ),
];

/// What a kind can happen to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Victim {
    Any,
    Call,
    File,
    /// A call that begins an export or an import.
    Task,
    Import,
}

/// What people need to know to set a fault.
pub(super) fn explain() -> String {
    let roots: Vec<&str> = schema::root_fields().collect();
    let (roots, operations) = (roots.join(", "), OPERATIONS.join(", "));
    let (calls, folders) = (CALLS.join(", "), FOLDERS.join(", "));
    let kinds = KINDS.iter();
    let kinds: String = kinds
        .map(|(kind, text)| format!("  {kind}\n      {text}\n"))
        .collect();
    format!(
        "Faults wait for the calls that they are for, each for as many as \"times\" says, once without it; two that are for\n\
         the same call come in the order in which they were set. \"operation\" is one of these, anything without it:\n\n  \
         a root field                     {roots}\n  \
         an operation's name in the SDK   {operations}\n  \
         an address of the API            {calls}\n  \
         a folder of files                {folders}; or a file in one, by its path\n\n\
         \"kind\" is one of these:\n\n{kinds}"
    )
}

/// Whether there is such an operation, and such a thing can happen to it.
///
/// # Errors
/// When there is not, or it cannot; the text says what can.
pub(super) fn check(fault: &Fault) -> Result<(), String> {
    if let FaultKind::Status { status, .. } = fault.kind
        && !(200..600).contains(&status)
    {
        return Err("kind.status.status must be from 200 to 599".to_owned());
    }
    let Some(operation) = fault.operation.as_deref() else {
        return Ok(());
    };
    if !is_file(operation) && !is_call(operation) {
        let known: Vec<&str> = schema::root_fields()
            .chain(OPERATIONS)
            .chain(CALLS)
            .chain(FOLDERS)
            .collect();
        let known = known.join(", ");
        return Err(format!(
            "there is no operation {operation:?}; there are: {known}"
        ));
    }
    let (can_happen, to) = match victim(&fault.kind) {
        Victim::Any => (true, "anything"),
        Victim::Call => (is_call(operation), "calls of the API"),
        Victim::File => (is_file(operation), "files"),
        Victim::Task => (
            EXPORT.contains(&operation) || IMPORT.contains(&operation),
            "exportDataRowsInModelRun and createModelErrorAnalysisPredictionImport",
        ),
        Victim::Import => (
            IMPORT.contains(&operation),
            "createModelErrorAnalysisPredictionImport",
        ),
    };
    match can_happen {
        true => Ok(()),
        false => Err(format!(
            "this kind cannot happen to {operation:?}, but only to {to}"
        )),
    }
}

const fn victim(kind: &FaultKind) -> Victim {
    match kind {
        FaultKind::Status { .. }
        | FaultKind::Delay { .. }
        | FaultKind::AnswerLate { .. }
        | FaultKind::Hang { .. }
        | FaultKind::DropBefore => Victim::Any,
        FaultKind::GraphqlError { .. } | FaultKind::DropAfter => Victim::Call,
        FaultKind::TruncateBody { .. } | FaultKind::AddressExpires => Victim::File,
        FaultKind::Fails { .. } | FaultKind::Takes { .. } => Victim::Task,
        FaultKind::RefusesEvery { .. } => Victim::Import,
    }
}

fn is_call(operation: &str) -> bool {
    CALLS.contains(&operation)
        || OPERATIONS.contains(&operation)
        || schema::root_fields().any(|root| root == operation)
}

/// A folder that is known, or a path below one.
fn is_file(operation: &str) -> bool {
    let is_below = |folder: &&str| {
        let rest = operation.strip_prefix(*folder);
        rest.is_some_and(|rest| rest.is_empty() || rest.len() > 1 && rest.starts_with('/'))
    };
    // Below `/files` there are these folders and nothing else.
    operation == FOLDERS[0] || FOLDERS[1..].iter().any(is_below)
}
