//! Each rule of the file, broken once: all but those of models.

mod jobs_listener;
mod server;
mod workspaces;

use super::{GOOD, read};

/// Breaks the good file in one place; the one mistake must be on that line, at that key, and say this.
pub(super) fn broken(from: &str, to: &str, line: usize, key: &str, text: &str) {
    assert!(GOOD.contains(from), "{from}");
    let file = GOOD.replacen(from, to, 1);
    let mistakes = read(&file).expect_err(&file);
    let [mistake] = mistakes.as_slice() else {
        panic!("not one mistake: {mistakes:?}\n{file}");
    };
    assert_eq!(
        (mistake.line, mistake.key.as_str()),
        (line, key),
        "{mistake}"
    );
    assert!(mistake.text.contains(text), "{mistake}");
}

/// Adds a line behind another one.
pub(super) fn added(after: &str, new: &str, line: usize, key: &str, text: &str) {
    broken(after, &format!("{after}\n{new}"), line, key, text);
}

#[test]
fn the_good_file_is_good() {
    read(GOOD).expect("no mistakes");
}

#[test]
fn mistakes_of_reporting() {
    broken(
        "\"30s\"",
        "\"30 seconds\"",
        5,
        "reporting.interval",
        "a duration such as",
    );
    added(
        "[reporting]",
        "timeout = \"0ms\"",
        5,
        "reporting.timeout",
        "longer than nothing",
    );
    broken(
        "interval =",
        "intervall =",
        5,
        "reporting.intervall",
        "did you mean `interval`",
    );
}

#[test]
fn mistakes_of_executors() {
    broken(
        "kind = \"local\"",
        "",
        11,
        "executors.local.kind",
        "is missing",
    );
    added(
        "kind = \"local\"",
        "max_running = 0",
        13,
        "executors.local.max_running",
        "from 1 to",
    );
    added(
        "kind = \"local\"",
        "lost_after = \"soon\"",
        13,
        "executors.local.lost_after",
        "a duration",
    );
}
