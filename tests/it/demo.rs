//! The demo, as a newcomer runs it: one command in any folder.

use std::{
    fs,
    io::{BufRead, BufReader},
    net::TcpListener,
    path::PathBuf,
    process::{Command, Output, Stdio},
};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::stack::trainhook_in;

/// A demo in an empty folder, with a folder of its own for temporary files.
struct Demo {
    here: TempDir,
    temporary: TempDir,
}

impl Demo {
    fn new() -> Self {
        let folder = || tempfile::tempdir().expect("a folder for the test");
        Self {
            here: folder(),
            temporary: folder(),
        }
    }

    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_trainhook"));
        command
            .arg("demo")
            .current_dir(self.here.path())
            .env("TMPDIR", self.temporary.path())
            .stdin(Stdio::null());
        command
    }

    /// Plays to its end, keeps everything, and answers what was shown.
    fn play(&self, arguments: &[&str]) -> String {
        let mut command = self.command();
        command.args(["--keep", "kept"]).args(arguments);
        let output = command.output().expect("the program starts");
        let (shown, errors) = said(&output);
        assert_eq!(output.status.code(), Some(0), "{shown}{errors}");
        shown
    }

    /// The folder of the one job that was kept.
    fn kept_job(&self) -> PathBuf {
        let jobs = fs::read_dir(self.here.path().join("kept/jobs")).expect("jobs");
        let mut jobs = jobs.map(|entry| entry.expect("an entry").path());
        let job = jobs.find(|path| path.join("webhook.json").exists());
        job.expect("a job")
    }

    /// What the training itself measured.
    fn metrics(&self) -> Value {
        let metrics = fs::read(self.kept_job().join("a1/out/metrics.json")).expect("metrics");
        serde_json::from_slice(&metrics).expect("JSON")
    }

    fn leaves_nothing_behind(&self) {
        for folder in [&self.here, &self.temporary] {
            let left: Vec<_> = fs::read_dir(folder.path()).expect("it is there").collect();
            assert!(left.is_empty(), "{left:?}");
        }
    }
}

fn said(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

#[test]
fn the_demo_trains_a_real_model_and_shows_what_labelbox_was_told() {
    let demo = Demo::new();
    let output = demo.command().output().expect("the program starts");
    let (shown, errors) = said(&output);
    assert_eq!(output.status.code(), Some(0), "{shown}{errors}");
    assert!(shown.contains("accuracy 0.9"), "{shown}");
    let told = [
        "EXPORTING_DATA",
        "PREPARING_DATA",
        "TRAINING_MODEL",
        "COMPLETE",
    ];
    let places = told.map(|status| shown.find(status).expect(status));
    assert!(places.is_sorted(), "{shown}");
    assert!(!shown.contains('\u{1b}'), "no colours without a terminal");
    assert_eq!(errors, "");
    demo.leaves_nothing_behind();
}

/// The lines under the headline about what arrived.
fn arrived(shown: &str) -> Vec<&str> {
    let lines = shown.lines().map(str::trim);
    let lines = lines.skip_while(|line| *line != "What arrived in Labelbox");
    lines.skip(1).take_while(|line| !line.is_empty()).collect()
}

/// Of `digit: 455 of 500 labels were met: 91.0 %` the name and both numbers.
fn counted(line: &str) -> (&str, u64, u64) {
    let parts = line.split_once(": ").and_then(|(name, rest)| {
        let (right, rest) = rest.split_once(" of ")?;
        let (labels, _) = rest.split_once(" labels were met: ")?;
        Some((name, right.parse().ok()?, labels.parse().ok()?))
    });
    parts.unwrap_or_else(|| panic!("{line}"))
}

#[test]
fn the_last_screen_counts_what_arrived_as_the_training_does() {
    let demo = Demo::new();
    let shown = demo.play(&[]);
    let lines = arrived(&shown);
    assert_eq!(
        lines[0],
        "1797 data rows were there, and exported for the training"
    );
    let words = "500 predictions and ";
    assert!(lines[1].starts_with(words), "{lines:?}");
    assert!(
        lines[1].ends_with(" metrics came back in one import; 0 lines were refused"),
        "{lines:?}"
    );
    let (name, right, labels) = counted(lines[2]);
    assert_eq!((name, labels, lines.len()), ("digit", 500, 3), "{lines:?}");
    let measured = demo.metrics()["accuracy"].as_f64().expect("a number");
    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    let accuracy = right as f64 / labels as f64;
    assert!((accuracy - measured).abs() < 1e-9, "{accuracy} {measured}");
    let words = format!("{:.1} %, as the training said", measured * 100.0);
    assert!(lines[2].ends_with(&words), "{lines:?}");
    // The training printed it too, and Labelbox was told.
    assert!(shown.contains(&format!("accuracy {measured}")), "{shown}");
    assert!(shown.contains(&format!("accuracy={measured}")), "{shown}");
}

/// Predicts `cat` for every row that it is tested with.
const ALWAYS_CAT: &str = r#"
import json, os
with open(os.environ["TRAINHOOK_TEST_FILE"]) as rows, open(os.environ["TRAINHOOK_OUT_DIR"] + "/predictions.ndjson", "w") as out:
    for row in map(json.loads, rows):
        line = {"dataRow": {"id": row["data_row"]["id"]}, "name": "animal", "answer": {"name": "cat", "confidence": 0.5}}
        out.write(json.dumps(line) + "\n")
"#;

/// A server of these settings runs, and has the port.
const OWN_MODELS: &str = r#"
[server]
jobs_listen = "TAKEN"
media_cache = "cache"

[workspaces.main]
webhook_secrets = [{ env = "A_SECRET_THAT_IS_NOT_SET" }]
api_key = { env = "A_KEY_THAT_IS_NOT_SET" }

[executors.here]
kind = "local"

[models.other]
executor = "here"
command = ["false"]

[models.cats]
title = "Cats and dogs"
executor = "here"
command = ["python3", "cats.py"]
predictions = "required"
"#;

/// A row of a user's own export that these labellers have labelled.
fn own_row(at: usize, split: &str, animals: &[&str]) -> Value {
    let label = |animal: &&str| {
        let answer = json!({ "name": animal, "value": animal, "classifications": [] });
        let answered = json!({ "name": "animal", "value": "animal", "radio_answer": answer });
        json!({ "label_kind": "Default", "version": "1.0.0", "id": format!("label-{at}-{animal}"),
                "annotations": { "objects": [], "classifications": [answered], "relationships": [] } })
    };
    let labels: Vec<Value> = animals.iter().map(label).collect();
    let run = json!({ "labels": labels, "data_split": split });
    json!({
        "data_row": { "id": format!("own-{at}"), "row_data": "a picture" },
        "experiments": { "m": { "name": "m", "runs": { "r": run } } },
    })
}

#[test]
fn ones_own_model_is_played_on_ones_own_export() {
    let demo = Demo::new();
    let rows = [
        own_row(0, "TRAINING", &["dog"]),
        own_row(1, "TRAINING", &["cat"]),
        own_row(2, "TEST", &["cat"]),
        own_row(3, "TEST", &["dog"]),
        own_row(4, "TEST", &["cat", "dog"]),
        own_row(5, "TEST", &[]),
    ];
    let lines: String = rows.iter().map(|row| format!("{row}\n")).collect();
    let server = TcpListener::bind("127.0.0.1:0").expect("a port");
    let taken = server.local_addr().expect("an address").to_string();
    for (name, text) in [
        ("own.ndjson", lines.as_str()),
        ("models.toml", &OWN_MODELS.replace("TAKEN", &taken)),
        ("cats.py", ALWAYS_CAT),
    ] {
        fs::write(demo.here.path().join(name), text).expect("the folder is writable");
    }
    let shown = demo.play(&["--model", "cats", "--dataset", "own.ndjson"]);
    assert!(
        shown.contains("COMPLETE") && shown.contains("Cats and dogs"),
        "{shown}"
    );
    assert_eq!(
        arrived(&shown),
        [
            "6 data rows were there, and exported for the training",
            "4 predictions and 0 metrics came back in one import; 0 lines were refused",
            "animal: 2 of 4 labels were met: 50.0 %",
        ]
    );
    let data = demo.kept_job().join("data");
    let test = fs::read_to_string(data.join("test.ndjson")).expect("rows");
    assert_eq!(test.lines().count(), 4);
    let unlabelled: Value =
        serde_json::from_str(test.lines().last().expect("a row")).expect("JSON");
    assert!(
        unlabelled.to_string().contains("\"labels\":[]"),
        "{unlabelled}"
    );
    // Nothing is kept where the model lies.
    let mut left: Vec<_> = fs::read_dir(demo.here.path())
        .expect("it is there")
        .map(|entry| entry.expect("an entry").file_name())
        .collect();
    left.sort();
    assert_eq!(left, ["cats.py", "kept", "models.toml", "own.ndjson"]);
}

#[test]
fn the_entities_example_marks_what_the_emulator_counts() {
    let demo = Demo::new();
    let settings = concat!(env!("CARGO_MANIFEST_DIR"), "/models.toml");
    let shown = demo.play(&[
        "--config",
        settings,
        "--model",
        "entities",
        "--dataset",
        "entities",
    ]);
    assert!(shown.contains("COMPLETE"), "{shown}");
    let lines = arrived(&shown);
    assert_eq!(
        lines[0],
        "300 data rows were there, and exported for the training"
    );
    assert!(
        lines[1].ends_with("one import; 0 lines were refused"),
        "{lines:?}"
    );
    let features: Vec<_> = lines[2..].iter().map(|line| counted(line)).collect();
    let names: Vec<&str> = features.iter().map(|(name, ..)| *name).collect();
    assert_eq!(names, ["date", "organisation", "person", "place"]);
    // The training's recall is of all entities of the test split; the emulator counts those of rows with predictions.
    let test = fs::read_to_string(demo.kept_job().join("data/test.ndjson")).expect("rows");
    let marked = test.matches("\"annotation_kind\":\"TextEntity\"").count();
    let right: u64 = features.iter().map(|(_, right, _)| right).sum();
    let recall = demo.metrics()["recall"].as_f64().expect("a number");
    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    let counted = right as f64 / marked as f64;
    // It rounds to four places.
    assert!(
        counted > 0.5 && (recall - counted).abs() < 1e-4,
        "{recall} {counted}"
    );
}

#[test]
fn without_python3_the_demo_says_so() {
    let demo = Demo::new();
    let output = demo.command().env("PATH", demo.here.path()).output();
    let output = output.expect("the program starts");
    let (_, errors) = said(&output);
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert!(errors.contains("python3"), "{errors}");
    demo.leaves_nothing_behind();
}

#[test]
fn an_interrupted_demo_stops_its_training_and_leaves_nothing_behind() {
    let demo = Demo::new();
    let mut command = demo.command();
    let mut running = command
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program starts");
    let shown = BufReader::new(running.stdout.take().expect("it is piped"));
    let mut lines = shown.lines().map_while(Result::ok);
    assert!(lines.any(|line| line.contains("training")), "it trains");
    let pid = running.id().to_string();
    let signalled = Command::new("kill").args(["-INT", &pid]).status();
    assert!(signalled.expect("kill is there").success());
    let rest: Vec<String> = lines.collect();
    let status = running.wait().expect("it ends");
    assert_eq!(status.code(), Some(1), "{rest:?}");
    demo.leaves_nothing_behind();
}

#[test]
fn a_demo_that_is_kept_goes_into_no_folder_that_is_there() {
    let demo = Demo::new();
    fs::create_dir(demo.here.path().join("mine")).expect("the folder is writable");
    let output = trainhook_in(demo.here.path(), &["demo", "--keep", "mine"]);
    let (_, errors) = said(&output);
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert!(errors.contains("mine"), "{errors}");
}

#[test]
fn other_data_wants_a_model_of_ones_own() {
    let demo = Demo::new();
    let output = trainhook_in(demo.here.path(), &["demo", "--dataset", "shapes"]);
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(
        !output.status.success() && told.contains("--model"),
        "{told}"
    );
    demo.leaves_nothing_behind();
}
