//! A command that writes more than anybody wants to keep.

use std::fs;

use crate::support::stack::{Stack, job_id, model, trainhook_in};

const GIGABYTE: u64 = 1_000_000_000;

#[tokio::test(flavor = "multi_thread")]
async fn of_a_gigabyte_of_log_the_beginning_and_the_newest_are_kept() {
    let script =
        format!("echo the beginning; yes 0123456789abcde | head -c {GIGABYTE}; echo; echo the end");
    let stack = Stack::start(&model("job", &script, "log_limit = \"1MiB\"")).await;
    let run = stack.new_run();
    let id = job_id(&stack.click(&run, "job").await);
    stack.told(&run, "COMPLETE").await;

    let logs = stack.folder.path().join("jobs").join(&id).join("a1/log");
    let files = fs::read_dir(logs)
        .expect("a folder of logs")
        .map(|file| file.expect("a file"));
    let kept: u64 = files
        .map(|file| file.metadata().expect("its size").len())
        .sum();
    assert!(kept <= 1 << 20, "{kept} bytes are kept");

    let output = trainhook_in(stack.folder.path(), &["jobs", "logs", &id]);
    let text = String::from_utf8(output.stdout).expect("text");
    assert!(text.starts_with("the beginning\n0123456789abcde\n"));
    assert!(text.ends_with("\nthe end\n"));
    assert!(text.len() as u64 <= 1 << 20);
    let note = String::from_utf8(output.stderr).expect("text");
    let left_out: u64 = note
        .split_whitespace()
        .find_map(|word| word.parse().ok())
        .expect("a number");
    let all = GIGABYTE + "the beginning\n".len() as u64 + "\nthe end\n".len() as u64;
    assert_eq!(left_out + text.len() as u64, all, "{note}");
}
