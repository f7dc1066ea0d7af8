//! The digits example: what newcomers copy must keep every word of the contract.

use std::{
    fs,
    process::{Command, Output, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;
use trainhook::{
    job::Stage,
    job_dir::{AttemptDir, Event},
};

use crate::support::stack::wait_until;

/// An attempt's folder, and the example's command in it.
struct Training {
    dir: AttemptDir,
    _folder: TempDir,
}

impl Training {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let dir = AttemptDir::at(folder.path().to_owned());
        for path in [dir.out(), dir.checkpoint()] {
            fs::create_dir(path).expect("the folder is writable");
        }
        Self {
            dir,
            _folder: folder,
        }
    }

    fn command(&self, params: &[(&str, &str)]) -> Command {
        let mut command = Command::new("python3");
        command
            .arg("train.py")
            .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/digits"))
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
    assert!(accuracy > 0.93, "{metrics}");
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
    assert_eq!(metric(&events, "accuracy"), [(12, accuracy)]);
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
async fn a_bad_parameter_is_the_reason_people_read() {
    for (name, value, reason) in [
        ("EPOCHS", "2.5", "epochs must be a whole number, not '2.5'"),
        ("EPOCHS", "0", "epochs must be between 1 and 1000, not 0"),
        (
            "LEARNING_RATE",
            "fast",
            "learning_rate must be a number, not 'fast'",
        ),
        (
            "LEARNING_RATE",
            "nan",
            "learning_rate must be between 0.0001 and 1.0, not nan",
        ),
    ] {
        let training = Training::new();
        let output = training.run(training.command(&[(name, value)])).await;
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let failure = fs::read_to_string(training.dir.failure()).expect("a reason");
        assert_eq!(failure, format!("{reason}\n"));
    }
}
