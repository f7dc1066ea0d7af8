//! Durations and sizes as people write them.

use std::{path::Path, time::Duration};

use trainhook::config::{SendsProgram, Supervisor, Table, parse_duration, parse_size};

use super::{GOOD, read};

#[test]
fn durations_are_one_number_and_one_unit() {
    for (text, milliseconds) in [
        ("250ms", 250),
        ("90s", 90_000),
        ("5m", 300_000),
        ("2h", 7_200_000),
        ("7d", 604_800_000),
        ("0s", 0),
        ("90 s", 90_000),
    ] {
        assert_eq!(
            parse_duration(text),
            Some(Duration::from_millis(milliseconds)),
            "{text}"
        );
    }
    for text in [
        "",
        "90",
        "s",
        "-1s",
        "1.5h",
        "1h30m",
        "1w",
        "99999999999999999999s",
        "40000d",
        "１s",
    ] {
        assert_eq!(parse_duration(text), None, "{text}");
    }
}

#[test]
fn sizes_know_both_kinds_of_units() {
    for (text, bytes) in [
        ("512B", 512),
        ("64KB", 64_000),
        ("1GB", 1_000_000_000),
        ("2TB", 2_000_000_000_000),
        ("64KiB", 65_536),
        ("1MiB", 1 << 20),
        ("16 GiB", 16 << 30),
    ] {
        assert_eq!(parse_size(text), Some(bytes), "{text}");
    }
    for text in ["", "1", "1gb", "-1KB", "1.5GB", "99999999999999TB"] {
        assert_eq!(parse_size(text), None, "{text}");
    }
}

#[test]
fn paths_are_meant_from_the_files_folder() {
    let config = read(GOOD).expect("a good file");
    assert_eq!(config.server.state_dir, Path::new("/etc/trainhook/state"));
    assert_eq!(config.models[0].workdir, Path::new("/etc/trainhook"));
    let elsewhere = GOOD.replace("[server]", "[server]\nstate_dir = \"/var/lib/trainhook\"");
    let config = read(&elsewhere).expect("a good file");
    assert_eq!(config.server.state_dir, Path::new("/var/lib/trainhook"));
    let beside = GOOD.replace("[server]", "[server]\njobs_dir = \"../jobs/./all\"");
    let config = read(&beside).expect("a good file");
    assert_eq!(config.server.jobs_dir, Path::new("/etc/jobs/all"));
}

#[test]
fn what_is_not_written_has_the_documented_default() {
    let config = read(GOOD).expect("a good file");
    let seconds = Duration::from_secs;
    assert_eq!(config.server.max_body, 1 << 20);
    assert_eq!(config.server.redelivery_window, seconds(10));
    assert_eq!(config.reporting.parked_retry, seconds(300));
    assert_eq!(
        config.workspaces[0].endpoint,
        "https://api.labelbox.com/graphql"
    );
    let model = &config.models[0];
    assert_eq!(
        (
            model.title.as_str(),
            model.export.is_some(),
            model.retry.max
        ),
        ("digits", true, 2)
    );
    assert_eq!(model.run_timeout_ms, Some(24 * 3_600_000));
    assert_eq!(model.queue_timeout_ms, Some(7 * 24 * 3_600_000));
}

#[test]
fn how_the_program_reaches_a_node() {
    let read = |text: &str, can_send| {
        let mut table = Table::parse(text).expect("a table");
        let found = table.supervisor(Supervisor::Shared, can_send);
        (found, table.finish())
    };
    for (text, expected) in [
        ("", Supervisor::Shared),
        ("supervisor = \"shared\"", Supervisor::Shared),
        ("supervisor = \"sent\"", Supervisor::Sent),
        (
            "supervisor = \"path:/opt/trainhook\"",
            Supervisor::Path("/opt/trainhook".into()),
        ),
    ] {
        assert_eq!(read(text, SendsProgram::Yes), (expected, Vec::new()));
    }
    for text in ["\"sent\"", "\"path:trainhook\"", "\"\"", "\"mounted\""] {
        let (_, mistakes) = read(&format!("supervisor = {text}"), SendsProgram::No);
        assert!(
            mistakes[0]
                .text
                .contains("must be \"shared\" or \"path:/opt/trainhook\"")
        );
    }
}
