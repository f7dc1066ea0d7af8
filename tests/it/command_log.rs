//! The log of a command: in order, bounded, its beginning and end kept, readable by offset.

use std::fs;

use trainhook::job_dir::AttemptDir;

use crate::support::attempts::Attempt;

fn disk_use(dir: &AttemptDir) -> u64 {
    let entries = fs::read_dir(dir.log_dir()).expect("a log folder");
    entries
        .map(|entry| entry.expect("an entry").metadata().expect("a file").len())
        .sum()
}

#[test]
fn both_outputs_are_kept_in_order() {
    let attempt = Attempt::of_script("for i in 1 2 3; do echo out $i; echo err $i >&2; done");
    attempt.run();
    let chunk = attempt.dir().read_log(0, 4096).expect("a log");
    assert_eq!(chunk.bytes, b"out 1\nerr 1\nout 2\nerr 2\nout 3\nerr 3\n");
    assert_eq!((chunk.from, chunk.next, chunk.total), (0, 36, 36));
}

#[test]
fn a_short_log_is_read_in_pieces() {
    let attempt = Attempt::of(&["seq", "1", "1000"]);
    attempt.run();
    let dir = attempt.dir();
    let mut all = Vec::new();
    let mut from = 0;
    loop {
        let chunk = dir.read_log(from, 100).expect("a log");
        assert_eq!(chunk.from, from);
        from = chunk.next;
        all.extend(chunk.bytes);
        if from == chunk.total {
            break;
        }
    }
    let whole: String = (1..=1000).map(|n| format!("{n}\n")).collect();
    assert_eq!(String::from_utf8(all).expect("text"), whole);
    let beyond = dir.read_log(1 << 40, 100).expect("a log");
    assert_eq!((beyond.bytes.len(), beyond.next), (0, beyond.total));
}

#[test]
fn a_gigabyte_of_log_stays_within_its_bound_with_head_and_tail() {
    let limit = 1_000_000;
    let lines = 1_000_000_000_u64 / 20;
    let script = format!("yes 0123456789abcdefghi | head -n {lines}; echo the very end");
    let attempt = Attempt::of_script(&script).with(|request| request.limits.log_bytes = limit);
    let (status, _) = attempt.run();
    assert_eq!(status.code(), Some(0));
    let dir = attempt.dir();
    assert!(disk_use(&dir) <= limit);
    let tail = dir.log_tail(32).expect("a log");
    assert_eq!(tail.total, lines * 20 + 13);
    assert_eq!(tail.next, tail.total);
    assert!(
        tail.bytes
            .ends_with(b"0123456789abcdefghi\nthe very end\n"[1..].as_ref())
    );
    let head = dir.read_log(0, 20).expect("a log");
    assert_eq!(head.bytes, b"0123456789abcdefghi\n");
    let middle = dir.read_log(lines * 10, 64).expect("a log");
    assert!(middle.from > lines * 10, "the middle was left out");
    let aligned = usize::try_from((20 - middle.from % 20) % 20).expect("small");
    assert!(middle.bytes[aligned..].starts_with(b"0123456789abcdefghi\n"));
}

#[test]
fn a_log_that_cannot_be_written_holds_up_nobody() {
    let attempt = Attempt::of_script("yes | head -c 10000000; exit 4");
    let dir = attempt.dir();
    fs::remove_dir(dir.log_dir()).expect("an empty folder");
    fs::write(dir.log_dir(), "in the way").expect("a file");
    let supervisor = crate::support::attempts::start(&dir);
    assert_eq!(crate::support::attempts::finish(supervisor).code(), Some(4));
    let said = fs::read_to_string(dir.supervisor_log()).expect("supervisor.log");
    assert!(
        said.contains("10000000 bytes of the log were dropped"),
        "{said}"
    );
}

#[test]
fn a_log_file_that_is_a_link_is_refused() {
    let attempt = Attempt::of_script(
        "rm $TRAINHOOK_JOB_DIR/log/output.log; ln -s /etc/passwd $TRAINHOOK_JOB_DIR/log/output.log",
    );
    attempt.run();
    assert!(attempt.dir().read_log(0, 100).is_err());
}
