//! Importing predictions into a model run.
//!
//! The calls are those of the official SDK's `ModelRun.add_predictions()` (captured from labelbox 7.17.0).

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use hyper::body::Frame;
use reqwest::{
    Body,
    multipart::{Form, Part},
};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, ReadBuf};

use super::{
    Labelbox, LabelboxError,
    call::{Api, Call},
};
use crate::job::ModelRunId;

const CREATE_IMPORT: &str = "mutation createMEAPredictionImportByFilePyApi\
    ($modelRunId : ID!, $name: String!, $file: Upload!, $contentLength: Int!) \
    {createModelErrorAnalysisPredictionImport(data: {modelRunId: $modelRunId name: $name \
    filePayload: { file: $file, contentLength: $contentLength}}) \
    {errorFileUrl inputFileUrl modelRunId name progress state statusFileUrl id}}";

const GET_IMPORT: &str = "query getModelErrorAnalysisPredictionImportPyApi($modelRunId : ID!, $name: String!) \
    {modelErrorAnalysisPredictionImport(where: {modelRunId: $modelRunId, name: $name})\
    {errorFileUrl inputFileUrl modelRunId name progress state statusFileUrl id}}";

/// Bytes of a file that are held at once.
const PIECE: usize = 64 * 1024;

/// Slower lines than this one, in bytes a second, are not waited for.
const SLOWEST_UPLOAD: u64 = 100_000;

/// Characters of a reason that are kept.
const REASON_LIMIT: usize = 500;

/// An import, as Labelbox knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Import {
    /// Where it stands.
    pub state: ImportPhase,
    /// `30%` and so on, where Labelbox tells.
    pub progress: Option<String>,
    /// Where it says what became of each line; for 24 hours, without a key.
    pub status_file_url: Option<String>,
    /// Where it says the same of the lines that failed alone; perhaps also why it failed as a whole.
    pub error_file_url: Option<String>,
}

/// Where an import stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImportPhase {
    /// Labelbox works on it, or it bears a word that nobody knows: only an end that is known to be one counts, and the
    /// model's `upload_timeout` bounds the wait for it.
    Running,
    /// Every line was looked at; some may have been refused.
    Finished,
    /// It failed as a whole.
    Failed,
}

/// Lines on their way into an import.
#[derive(Debug)]
pub struct ImportLines {
    body: Body,
    bytes: u64,
}

impl From<Vec<u8>> for ImportLines {
    fn from(lines: Vec<u8>) -> Self {
        Self {
            bytes: lines.len() as u64,
            body: Body::from(lines),
        }
    }
}

impl ImportLines {
    /// The next so many bytes of a file, which are read while they are sent.
    #[must_use]
    pub fn of_file(file: std::fs::File, bytes: u64) -> Self {
        let file = FileBody {
            file: tokio::fs::File::from_std(file),
            left: bytes,
        };
        Self {
            body: Body::wrap(file),
            bytes,
        }
    }
}

/// A file as the body of a request, piece by piece.
struct FileBody {
    file: tokio::fs::File,
    left: u64,
}

impl hyper::body::Body for FileBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let this = self.get_mut();
        if this.left == 0 {
            return Poll::Ready(None);
        }
        let mut piece = vec![0; usize::try_from(this.left).map_or(PIECE, |left| left.min(PIECE))];
        let mut reading = ReadBuf::new(&mut piece);
        ready!(Pin::new(&mut this.file).poll_read(context, &mut reading))?;
        let read = reading.filled().len();
        if read == 0 {
            return Poll::Ready(Some(Err(io::ErrorKind::UnexpectedEof.into())));
        }
        piece.truncate(read);
        this.left -= read as u64;
        Poll::Ready(Some(Ok(Frame::data(piece.into()))))
    }
}

/// What became of one line of an import.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LineStatus {
    /// The line's own id; metrics have none.
    pub uuid: Option<String>,
    /// Whether it was taken.
    pub taken: bool,
    /// Why not, in Labelbox's words.
    pub reason: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawImport {
    state: String,
    #[serde(default)]
    progress: Option<String>,
    #[serde(default)]
    status_file_url: Option<String>,
    #[serde(default)]
    error_file_url: Option<String>,
}

#[derive(Deserialize)]
struct RawStatus {
    #[serde(default)]
    uuid: Option<String>,
    status: String,
    #[serde(default)]
    errors: Value,
}

impl Labelbox {
    /// Has `lines` imported into the run under a name that is its own; one call may take longer, the more there is.
    ///
    /// # Errors
    /// When Labelbox does not answer as it should.
    pub async fn create_import(
        &self,
        run: &ModelRunId,
        name: &str,
        lines: impl Into<ImportLines>,
    ) -> Result<Import, LabelboxError> {
        let lines = lines.into();
        let length = lines.bytes;
        let call = Call {
            api: Api::Graphql,
            query: CREATE_IMPORT,
            variables: json!({ "file": null, "contentLength": length, "modelRunId": run, "name": name }),
            field: "createModelErrorAnalysisPredictionImport",
        };
        let file_name = format!("{run}__{name}.ndjson");
        let form = form(&call, &file_name, lines)?;
        let more = Duration::from_secs(length / SLOWEST_UPLOAD);
        let raw: Option<RawImport> = self.call_with_form(&call, form, more).await?;
        let what = || LabelboxError::unexpected("it has no import");
        raw.map(Import::from).ok_or_else(what)
    }

    /// The run's import of that name; none if there is none.
    ///
    /// # Errors
    /// When Labelbox does not answer as it should.
    pub async fn import(
        &self,
        run: &ModelRunId,
        name: &str,
    ) -> Result<Option<Import>, LabelboxError> {
        let call = Call {
            api: Api::Graphql,
            query: GET_IMPORT,
            variables: json!({ "modelRunId": run, "name": name }),
            field: "modelErrorAnalysisPredictionImport",
        };
        let raw: Option<RawImport> = self.call_if_there(&call).await?;
        Ok(raw.map(Import::from))
    }
}

/// A GraphQL multipart request, its parts in the SDK's order.
fn form(call: &Call, file_name: &str, lines: ImportLines) -> Result<Form, LabelboxError> {
    let operations = json!({ "variables": call.variables, "query": call.query });
    let map = json!({ file_name: ["variables.file"] });
    let file = Part::stream_with_length(lines.body, lines.bytes)
        .file_name(file_name.to_owned())
        .mime_str("application/x-ndjson")
        .map_err(LabelboxError::transport)?;
    Ok(Form::new()
        .text("operations", operations.to_string())
        .text("map", map.to_string())
        .part(file_name.to_owned(), file))
}

impl From<RawImport> for Import {
    fn from(raw: RawImport) -> Self {
        let state = match raw.state.as_str() {
            "FINISHED" => ImportPhase::Finished,
            "FAILED" => ImportPhase::Failed,
            _ => ImportPhase::Running,
        };
        Self {
            state,
            progress: raw.progress,
            status_file_url: raw.status_file_url,
            error_file_url: raw.error_file_url,
        }
    }
}

impl LineStatus {
    /// Reads a line of a status file.
    ///
    /// # Errors
    /// When it is none.
    pub fn read(line: &[u8]) -> Result<Self, serde_json::Error> {
        let raw: RawStatus = serde_json::from_slice(line)?;
        Ok(Self {
            uuid: raw.uuid,
            taken: raw.status == "SUCCESS",
            reason: describe_all(&raw.errors),
        })
    }

    /// Reads a line of a file that tells why an import failed. How such a line looks is not documented: whatever names
    /// an error will do, and a line that names none says nothing.
    #[must_use]
    pub fn read_error(line: &[u8]) -> Option<Self> {
        if let Ok(status) = Self::read(line) {
            return Some(status);
        }
        let value: Value = serde_json::from_slice(line).ok()?;
        let places = [&value["errors"], &value["error"], &value["message"]];
        let mut reasons = places.into_iter().map(describe_all);
        Some(Self {
            uuid: value["uuid"].as_str().map(str::to_owned),
            taken: false,
            reason: reasons.find(|reason| !reason.is_empty())?,
        })
    }
}

/// All errors of a line, in one sentence.
fn describe_all(errors: &Value) -> String {
    let errors = match errors {
        Value::Null => &[][..],
        Value::Array(errors) => errors.as_slice(),
        one => std::slice::from_ref(one),
    };
    let texts: Vec<String> = errors.iter().map(describe).collect();
    shorten(&texts.join("; "))
}

/// `message` is for people, `name` for programs.
fn describe(error: &Value) -> String {
    let text = [&error["message"], &error["name"], error]
        .into_iter()
        .find_map(Value::as_str);
    text.map_or_else(|| error.to_string(), str::to_owned)
}

fn shorten(text: &str) -> String {
    match text.char_indices().nth(REASON_LIMIT) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
