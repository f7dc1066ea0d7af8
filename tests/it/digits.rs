//! The digits example: what newcomers copy must keep every word of the contract.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;
use trainhook::{
    job::Stage,
    job_dir::{AttemptDir, Event},
};

use crate::support::stack::{trainhook_in, wait_until};

/// An attempt's folder, the example's command in it, and the data of a job that the demo has left.
struct Training {
    dir: AttemptDir,
    data: PathBuf,
    _folders: [TempDir; 2],
}

impl Training {
    fn new() -> Self {
        let folder = || tempfile::tempdir().expect("a folder for the test");
        let (attempt, demo) = (folder(), folder());
        let dir = AttemptDir::at(attempt.path().to_owned());
        for path in [dir.out(), dir.checkpoint()] {
            fs::create_dir(path).expect("the folder is writable");
        }
        Self {
            dir,
            data: exported_by_a_demo(demo.path()),
            _folders: [attempt, demo],
        }
    }

    fn command(&self, params: &[(&str, &str)]) -> Command {
        let mut command = Command::new("python3");
        command
            .arg("train.py")
            .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/digits"))
            .env("TRAINHOOK_DATA_DIR", &self.data)
            .env("TRAINHOOK_EVENTS_FILE", self.dir.events())
            .env("TRAINHOOK_OUT_DIR", self.dir.out())
            .env("TRAINHOOK_CHECKPOINT_DIR", self.dir.checkpoint())
            .env("TRAINHOOK_FAILURE_FILE", self.dir.failure())
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        for (name, value) in params {
            command.env(format!("TRAINHOOK_PARAM_{name}"), value);
        }
        command
    }

    async fn run(&self, mut command: Command) -> Output {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let run = tokio::task::spawn_blocking(move || command.output());
        run.await.expect("no panic").expect("python3 is there")
    }

    fn events(&self) -> Vec<Event> {
        self.dir.read_events(0).expect("a readable file").events
    }

    fn json(&self, name: &str) -> Value {
        let text = fs::read(self.dir.path().join(name)).expect(name);
        serde_json::from_slice(&text).expect("JSON")
    }
}

/// Plays the demo in `folder`; answers where it left its data.
fn exported_by_a_demo(folder: &Path) -> PathBuf {
    let output = trainhook_in(folder, &["demo", "--keep", "kept"]);
    assert!(output.status.success(), "{output:?}");
    let mut jobs = fs::read_dir(folder.join("kept/jobs")).expect("jobs");
    let job = jobs.find_map(|entry| {
        let path = entry.ok()?.path();
        path.join("webhook.json").exists().then_some(path)
    });
    job.expect("a job").join("data")
}

fn stages(events: &[Event]) -> Vec<Stage> {
    let stage = |event: &Event| match event {
        Event::Stage { stage } => Some(*stage),
        _ => None,
    };
    events.iter().filter_map(stage).collect()
}

/// Steps and values of a metric.
fn metric(events: &[Event], wanted: &str) -> Vec<(u64, f64)> {
    let measured = |event: &Event| match event {
        Event::Metric { name, value, step } if name == wanted => Some((step.unwrap_or(0), *value)),
        _ => None,
    };
    events.iter().filter_map(measured).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_reads_the_digits_and_tells_how_far_it_is() {
    let training = Training::new();
    let output = training.run(training.command(&[])).await;
    assert!(output.status.success(), "{output:?}");

    let metrics = training.json("out/metrics.json");
    let accuracy = metrics["accuracy"].as_f64().expect("a number");
    assert!(accuracy > 0.9, "{metrics}");
    assert!(training.json("out/model/model.json").is_object());

    let events = training.events();
    let lines = fs::read_to_string(training.dir.events()).expect("events");
    assert_eq!(events.len(), lines.lines().count(), "all are well-formed");
    let passed = [Stage::Preparing, Stage::Training, Stage::Evaluating];
    assert_eq!(stages(&events), passed);
    let losses = metric(&events, "loss");
    let steps: Vec<u64> = losses.iter().map(|(step, _)| *step).collect();
    assert_eq!(steps, (1..=12).collect::<Vec<_>>());
    assert!(losses[11].1 < losses[0].1, "{losses:?}");
    assert_eq!(metric(&events, "accuracy"), [(0, accuracy)]);
    let percents = events.iter().filter_map(|event| match event {
        Event::Progress { percent } => Some(*percent),
        _ => None,
    });
    let percents: Vec<f64> = percents.collect();
    assert!(percents.is_sorted(), "{percents:?}");
    assert_eq!(percents.last(), Some(&100.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_training_goes_on_and_ends_with_the_same_model() {
    let training = Training::new();
    // So many that it is killed in the middle however slow the machine is.
    let mut killed = training
        .command(&[("EPOCHS", "1000")])
        .spawn()
        .expect("python3 is there");
    wait_until("the first epochs", || {
        Some(()).filter(|()| !metric(&training.events(), "loss").is_empty())
    })
    .await;
    killed.kill().expect("it runs");
    killed.wait().expect("it ends");

    let done = training.json("checkpoint/checkpoint.json")["epoch"]
        .as_u64()
        .expect("a number");
    let epochs = (done + 2).to_string();
    let told = training.events().len();
    let mut command = training.command(&[("EPOCHS", &epochs)]);
    command.env("TRAINHOOK_RESUME", "1");
    let output = training.run(command).await;
    assert!(output.status.success(), "{output:?}");
    let steps = metric(&training.events()[told..], "loss");
    let steps: Vec<u64> = steps.iter().map(|(step, _)| *step).collect();
    assert_eq!(steps, [done + 1, done + 2]);

    let whole = Training::new();
    let output = whole.run(whole.command(&[("EPOCHS", &epochs)])).await;
    assert!(output.status.success(), "{output:?}");
    let model = "out/model/model.json";
    assert!(training.json(model) == whole.json(model), "another model");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_predicts_every_image_of_the_test_split_and_compares() {
    let training = Training::new();
    let output = training.run(training.command(&[("EPOCHS", "2")])).await;
    assert!(output.status.success(), "{output:?}");
    let text =
        fs::read_to_string(training.dir.out().join("predictions.ndjson")).expect("predictions");
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let (metrics, predictions): (Vec<&Value>, Vec<&Value>) = lines
        .iter()
        .partition(|line| line["metricName"].is_string());
    assert_eq!(predictions.len(), 500);
    // A right answer is one count, a wrong one is two.
    let wrong = metrics.len() - predictions.len();
    let accuracy = training.json("out/metrics.json")["accuracy"]
        .as_f64()
        .expect("a number");
    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    let counted = 1.0 - wrong as f64 / 500.0;
    assert!((accuracy - counted).abs() < 1e-9, "{accuracy} {counted}");
}

#[tokio::test(flavor = "multi_thread")]
async fn data_that_cannot_be_learned_from_is_the_reason_people_read() {
    let training = Training::new();
    let unlabelled = training.data.join("training.ndjson");
    let rows = fs::read_to_string(&unlabelled).expect("rows");
    fs::write(&unlabelled, rows.replace("radio_answer", "no_answer")).expect("it is writable");
    let output = training.run(training.command(&[])).await;
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let failure = fs::read_to_string(training.dir.failure()).expect("a reason");
    assert!(
        failure.starts_with("no row of the training split has a label"),
        "{failure}"
    );
}
