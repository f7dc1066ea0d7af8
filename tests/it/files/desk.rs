//! A job's folders with split files in them, laid out by hand, and a call of the fetch.

use std::{
    fs,
    path::{Path, PathBuf},
};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tempfile::TempDir;
use trainhook::{
    config::{Current, Export, SecretRef, Tolerance},
    dataset::Split,
    downloads::{Downloads, Limits, Reach},
    transfer::files::{Cache, FilesContext, FilesError, FilesReport, Plan, fetch},
};

use crate::support::stack::API_KEY;

/// One job.
pub(super) struct Desk {
    pub(super) folder: TempDir,
    pub(super) export: Export,
    pub(super) export_id: String,
    pub(super) endpoint: String,
    pub(super) exported_ago: SignedDuration,
    pub(super) renewable: bool,
    pub(super) min_free: u64,
}

impl Desk {
    /// A job with these lines to learn from.
    pub(super) fn new(lines: &[Value]) -> Self {
        let desk = Self {
            folder: tempfile::tempdir().expect("a folder for the test"),
            export: Export {
                files: true,
                max_file_size: 1_000_000,
                ..Export::default()
            },
            export_id: "task-1".to_owned(),
            endpoint: "https://api.labelbox.com/graphql".to_owned(),
            exported_ago: SignedDuration::ZERO,
            renewable: false,
            min_free: 0,
        };
        fs::create_dir_all(desk.data()).expect("the folder is writable");
        fs::write(desk.key(), API_KEY).expect("the folder is writable");
        desk.lay(Split::Training, lines);
        desk
    }

    pub(super) fn at(mut self, endpoint: String) -> Self {
        self.endpoint = endpoint;
        self
    }

    pub(super) fn tolerating(mut self, tolerance: Tolerance) -> Self {
        self.export.max_missing_files = tolerance;
        self
    }

    pub(super) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    pub(super) fn server(&self) -> PathBuf {
        self.folder.path().join("server")
    }

    fn key(&self) -> PathBuf {
        self.folder.path().join("key")
    }

    pub(super) fn lay(&self, split: Split, lines: &[Value]) {
        let lines: Vec<String> = lines.iter().map(Value::to_string).collect();
        let text = lines.join("\n") + "\n";
        fs::write(self.data().join(split.file_name()), text).expect("the folder is writable");
    }

    pub(super) fn lines(&self, split: Split) -> Vec<Value> {
        let text = fs::read_to_string(self.data().join(split.file_name())).expect("a split file");
        let read = |line: &str| serde_json::from_str(line).expect("a line of JSON");
        text.lines().map(read).collect()
    }

    /// What lies where a line says so.
    pub(super) fn content(&self, local_path: &Value) -> Vec<u8> {
        let path = local_path.as_str().expect("a place");
        fs::read(self.data().join(path)).expect("a file")
    }

    /// Fetches with a context of its own, which reaches loopback.
    pub(super) async fn fetch(&self) -> Result<FilesReport, FilesError> {
        self.fetch_with(&context(&no_cache())).await
    }

    pub(super) async fn fetch_with(
        &self,
        context: &FilesContext,
    ) -> Result<FilesReport, FilesError> {
        let (data, server) = (self.data(), self.server());
        let plan = Plan {
            data_dir: &data,
            server_dir: &server,
            export: &self.export,
            export_id: &self.export_id,
            exported_at: Timestamp::now() - self.exported_ago,
            renewable: self.renewable,
            endpoint: &self.endpoint,
            api_key: &SecretRef::File(self.key()),
            min_free: self.min_free,
        };
        fetch(context, &plan, |_| {}).await
    }
}

/// Reaches 127.0.0.1 and 127.0.0.2.
pub(super) fn context(cache: &Cache) -> FilesContext {
    context_at(cache, None)
}

/// The same, with an endpoint that the settings name.
pub(super) fn context_at(cache: &Cache, endpoint: Option<&str>) -> FilesContext {
    let net = |text: &str| text.parse().expect("a network");
    let reach = Reach {
        allowed: ["127.0.0.1/32", "127.0.0.2/32"].map(net).into(),
        endpoints: endpoint
            .map(|url| url.parse().expect("an address"))
            .into_iter()
            .collect(),
    };
    let downloads = Downloads::reaching(Current::new(reach), Limits::default(), None);
    FilesContext::new(downloads.expect("a client"), cache.clone())
}

pub(super) fn no_cache() -> Cache {
    Cache::new(Path::new("/nonexistent"), 0, 0)
}

/// A line of an image.
pub(super) fn image(id: &str, url: &str) -> Value {
    json!({
        "data_row": { "id": id, "global_key": format!("key of {id}"), "row_data": url },
        "media_attributes": { "mime_type": "image/png", "width": 8, "height": 8 },
        "experiments": {},
    })
}
