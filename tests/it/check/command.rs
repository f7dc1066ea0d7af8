//! `trainhook check` as people run it.

use std::{fs, path::Path};

use serde_json::Value;

use super::GOOD;
use crate::support::stack::trainhook_in;

/// Exit code, and all that was printed.
fn check(folder: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let output = trainhook_in(folder, &[&["check"], arguments].concat());
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (
        output.status.code(),
        text(&output.stdout) + &text(&output.stderr),
    )
}

fn folder_with(file: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder for the test");
    fs::write(folder.path().join("models.toml"), file).expect("the folder is writable");
    folder
}

#[test]
fn the_shipped_file_is_fine() {
    let (code, text) = check(Path::new(env!("CARGO_MANIFEST_DIR")), &[]);
    assert_eq!(code, Some(0), "{text}");
    assert!(
        text.contains("fine") && text.contains("Digits classifier"),
        "{text}"
    );
}

#[cfg(feature = "kubernetes")]
#[test]
fn the_example_of_all_engines_is_fine_and_has_each_of_them() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/engines");
    let (code, text) = check(&folder, &[]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("5 executors, 5 models"), "{text}");
    assert!(
        !text.contains("workdir"),
        "its code reaches each engine: {text}"
    );
    let file = fs::read_to_string(folder.join("models.toml")).expect("the example");
    for kind in ["local", "container", "slurm", "kubernetes", "ray"] {
        assert!(file.contains(&format!("kind = \"{kind}\"")), "{kind}");
    }
}

#[test]
fn mistakes_are_told_with_file_line_and_key() {
    let folder = folder_with(
        &GOOD
            .replace("kind = \"local\"", "kind = \"locla\"")
            .replace("12 }", "[] }"),
    );
    let (code, text) = check(folder.path(), &[]);
    assert_eq!(code, Some(2), "{text}");
    assert!(
        text.contains("models.toml:12: executors.local.kind: there is no kind \"locla\""),
        "{text}"
    );
    assert!(
        text.contains("models.toml:17: models.digits.params.epochs:"),
        "{text}"
    );
    assert!(text.contains("2 mistakes"), "{text}");
}

#[test]
fn an_executors_own_keys_are_checked_too() {
    let folder = folder_with(&GOOD.replace(
        "kind = \"local\"",
        "kind = \"local\"\ngpus = [0, 0]\nslots = 3",
    ));
    let (code, text) = check(folder.path(), &["--json"]);
    assert_eq!(code, Some(2), "{text}");
    let verdict: Value = serde_json::from_str(&text).expect("JSON");
    let told = |at: usize| {
        (
            &verdict["mistakes"][at]["line"],
            &verdict["mistakes"][at]["key"],
        )
    };
    assert_eq!(told(0), (&13.into(), &"executors.local.gpus".into()));
    assert_eq!(told(1), (&14.into(), &"executors.local.slots".into()));
}

#[test]
fn a_literal_secret_is_refused_and_not_repeated() {
    let folder = folder_with(&GOOD.replace("{ file = \"key\" }", "\"lb-api-key-1234\""));
    let (code, text) = check(folder.path(), &[]);
    assert_eq!(code, Some(2), "{text}");
    assert!(!text.contains("1234"), "{text}");
}

#[test]
fn a_secret_that_is_not_there_yet_is_a_warning() {
    let folder = folder_with(GOOD);
    let (code, text) = check(folder.path(), &[]);
    assert_eq!(code, Some(0), "{text}");
    assert!(
        text.contains("warning: workspace main") && text.contains("HOOK"),
        "{text}"
    );
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let (code, text) = check(folder.path(), &["--config", "other.toml"]);
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("other.toml"), "{text}");
}

#[test]
fn a_model_that_asks_for_more_gpus_than_there_are_is_a_warning() {
    let gpus = GOOD.replace("kind = \"local\"", "kind = \"local\"\ngpus = [0, 1]");
    let folder =
        folder_with(&gpus.replace("epochs = 12 }", "epochs = 12 }\nresources = { gpus = 3 }"));
    let (code, text) = check(folder.path(), &[]);
    assert_eq!(code, Some(0), "{text}");
    assert!(
        text.contains("model digits asks for 3 GPUs and executor local has 2"),
        "{text}"
    );
}

#[test]
fn a_program_that_is_not_there_is_a_warning() {
    let folder = folder_with(&GOOD.replace("\"python3\"", "\"pythn3\""));
    let (code, text) = check(folder.path(), &[]);
    assert_eq!(code, Some(0), "{text}");
    let warned = text.contains("warning: model digits: its jobs could not start `pythn3`");
    assert!(warned, "{text}");
}

#[test]
fn a_workdir_that_no_node_gets_is_a_warning_with_its_line() {
    let remote = GOOD
        .replace("[server]", "[server]\njobs_listen = \"127.0.0.1:8082\"")
        .replace(
            "kind = \"local\"",
            "kind = \"container\"\nshared_files = false",
        )
        .replace(
            "epochs = 12 }",
            "epochs = 12 }\ncontainer = { image = \"i\" }\nworkdir = \".\"",
        );
    let warned = |file: &str| {
        let folder = folder_with(file);
        fs::write(folder.path().join("train.py"), "").expect("the folder is writable");
        let (code, text) = check(folder.path(), &[]);
        assert_eq!(code, Some(0), "{text}");
        let warning = "line 21: models.digits.workdir: executor local shares no files";
        text.contains(warning)
    };
    assert!(warned(&remote));
    let sent = remote.replace("workdir = \".\"", "workdir = \".\"\nfiles = [\"train.py\"]");
    assert!(!warned(&sent));
    assert!(!warned(
        &remote.replace("\"i\" }", "\"i\", workdir = \"/app\" }")
    ));
    assert!(!warned(&remote.replace("workdir = \".\"", "")));
}

#[test]
fn what_the_shipped_file_only_shows_is_fine_as_well() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let shipped = fs::read_to_string(folder.join("models.toml")).expect("the shipped file");
    let is_key = |key: &str| {
        key.bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte == b'_')
    };
    let is_setting = |line: &str| {
        line.starts_with("[models") || line.split_once(" = ").is_some_and(|(key, _)| is_key(key))
    };
    let mut shown = 0;
    let lines = shipped.lines().map(|line| match line.strip_prefix("# ") {
        Some(setting) if is_setting(setting) => {
            shown += 1;
            setting
        }
        _ => line,
    });
    let whole = lines.collect::<Vec<_>>().join("\n");
    assert!(shown > 10, "{whole}");
    let file = folder_with(&whole.replace("workdir = \"examples/", "# \""));
    let (code, text) = check(file.path(), &[]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("3 models"), "{text}");
}
