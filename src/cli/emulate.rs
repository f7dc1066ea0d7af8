//! `trainhook emulate`: Labelbox's side, until it is interrupted.

use std::{
    io::{self, Write},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use jiff::Timestamp;
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    sync::broadcast::{self, error::RecvError},
};

use crate::{
    config::Secret,
    emulator::{Dataset, Emulator, Options, Update},
};

const AFTER_HELP: &str = "\
Make it click Train model on a server, as a person in Labelbox would:

  printf '{\"url\":\"%s\",\"secret\":\"%s\",\"modelRunId\":\"%s\"}' \\
    http://127.0.0.1:8080 \"$LABELBOX_WEBHOOK_SECRET\" ID |
    curl -s -d @- http://ADDRESS/control/click

The url is what would be registered in Labelbox; add \"modelType\" to pick another model than the first.
For its reports the server needs endpoint = \"http://ADDRESS/graphql\" in its workspace, and any API key.
See what was reported: curl -s http://ADDRESS/control/model-runs/ID
Everything else it can do: curl -s http://ADDRESS/";

/// The arguments of `trainhook emulate`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Args {
    /// Where to listen; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Print one line of JSON: graphql, control, modelId, modelRunId
    #[arg(long)]
    json: bool,
    /// The one API key that is accepted; any is, without this
    #[arg(long, value_name = "KEY")]
    api_key: Option<String>,
    /// What every model run has: digits, shapes, entities, or a file with an export of Labelbox's; nothing, without this
    #[arg(long, value_name = "NAME|FILE")]
    dataset: Option<PathBuf>,
}

impl Args {
    pub(super) fn run(self) -> ExitCode {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build();
        match runtime.and_then(|runtime| runtime.block_on(self.emulate())) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("trainhook emulate: {error}");
                ExitCode::FAILURE
            }
        }
    }

    async fn emulate(self) -> io::Result<()> {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let listener = TcpListener::bind(self.listen).await.map_err(|error| {
            let text = format!("cannot listen on {}: {error}", self.listen);
            io::Error::new(error.kind(), text)
        })?;
        let api_key = self.api_key.map(Secret::new);
        let dataset = self.dataset.as_deref().map(open_dataset).transpose()?;
        let options = Options {
            api_key,
            dataset,
            ..Options::default()
        };
        let emulator = Emulator::start(listener, options)?;
        let updates = emulator.updates();
        print_beginning(&emulator, self.json)?;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            () = print_updates(updates), if !self.json => {}
        }
        emulator.stop().await;
        Ok(())
    }
}

/// A stock dataset by its name, or the user's own file.
pub(super) fn open_dataset(name: &Path) -> io::Result<Arc<Dataset>> {
    match name.to_str().and_then(Dataset::stock) {
        Some(stock) => Ok(stock),
        None => Dataset::read(name).map_err(io::Error::other),
    }
}

fn print_beginning(emulator: &Emulator, json: bool) -> io::Result<()> {
    let (model_id, model_run_id) = emulator.create_model_run(None, "first run");
    let graphql = emulator.graphql_url();
    let control = emulator.control_url();
    let root = control.trim_end_matches("/control");
    let mut out = io::stdout().lock();
    if json {
        let ready = serde_json::json!({
            "graphql": graphql,
            "control": control,
            "modelId": model_id,
            "modelRunId": model_run_id,
        });
        writeln!(out, "{ready}")?;
        return out.flush();
    }
    writeln!(
        out,
        "\
An emulator of Labelbox's side; Ctrl-C ends it.

  endpoint   {graphql}
  model      {model_id}
  model run  {model_run_id}

For its reports a server needs this in its workspace in models.toml, and any API key:
  endpoint = \"{graphql}\"

Click Train model on a server that is registered as http://127.0.0.1:8080:
  printf '{{\"url\":\"%s\",\"secret\":\"%s\",\"modelRunId\":\"%s\"}}' \\
    http://127.0.0.1:8080 \"$LABELBOX_WEBHOOK_SECRET\" {model_run_id} |
    curl -s -d @- {control}/click

See what was reported:
  curl -s {control}/model-runs/{model_run_id}

Make another model run:
  curl -s -X POST {control}/model-runs

Let the next report fail; {root}/ tells what else can go wrong:
  curl -s -d '{{\"operation\":\"updateTrainingPipeline\",\"kind\":{{\"status\":{{\"status\":503}}}}}}' {control}/faults

Reports, as they come in:"
    )?;
    out.flush()
}

/// Ends when nobody reads our output any more.
async fn print_updates(mut updates: broadcast::Receiver<Update>) {
    loop {
        let line = match updates.recv().await {
            Ok(update) => line_of(&update),
            Err(RecvError::Lagged(missed)) => format!("({missed} reports are not shown)"),
            Err(RecvError::Closed) => return,
        };
        if writeln!(io::stdout(), "{line}").is_err() {
            return;
        }
    }
}

fn line_of(update: &Update) -> String {
    let entry = &update.entry;
    let time = clock(entry.at);
    let mut line = format!("{time} {} {}", update.model_run_id, entry.status);
    if let Some(metadata) = &entry.metadata {
        line += &format!(" {}", serde_json::Value::from(metadata.clone()));
    }
    if let Some(message) = &entry.error_message {
        // Quoted: what was reported must not steer the terminal.
        line += &format!(" {message:?}");
    }
    line
}

/// `2026-01-31T12:34:56Z`
fn clock(time: Timestamp) -> String {
    format!("{time:.0}")
}
