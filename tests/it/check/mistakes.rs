//! Each rule of the file, broken once.

use super::{GOOD, read};

/// Breaks the good file in one place; the one mistake must be on that line, at that key, and say this.
fn broken(from: &str, to: &str, line: usize, key: &str, text: &str) {
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
fn added(after: &str, new: &str, line: usize, key: &str, text: &str) {
    broken(after, &format!("{after}\n{new}"), line, key, text);
}

#[test]
fn the_good_file_is_good() {
    read(GOOD).expect("no mistakes");
}

#[test]
fn mistakes_of_the_server() {
    let head = "[server]";
    added(
        head,
        "listem = \"127.0.0.1:1\"",
        2,
        "server.listem",
        "unknown key",
    );
    broken("\"127.0.0.1:8080\"", "8080", 2, "server.listen", "a text");
    broken(
        "127.0.0.1:8080",
        "localhost",
        2,
        "server.listen",
        "an address and a port",
    );
    broken(
        "127.0.0.1:8080",
        "0.0.0.0:8080",
        2,
        "server.listen",
        "plain HTTP",
    );
    added(
        head,
        "admin_listen = \"0.0.0.0:8081\"",
        2,
        "server.admin_listen",
        "loopback",
    );
    added(
        head,
        "admin_listen = \"127.0.0.1:8080\"",
        2,
        "server.admin_listen",
        "the same address",
    );
    added(
        head,
        "jobs_dir = \"state\"",
        2,
        "server.jobs_dir",
        "the same folder",
    );
    added(
        head,
        "max_body = \"1\"",
        2,
        "server.max_body",
        "a size such as",
    );
    added(
        head,
        "header_timeout = \"0s\"",
        2,
        "server.header_timeout",
        "longer than nothing",
    );
    added(
        head,
        "max_connections = 0",
        2,
        "server.max_connections",
        "from 1 to",
    );
    added(
        head,
        "redelivery_window = 10",
        2,
        "server.redelivery_window",
        "a duration such as",
    );
    added(
        head,
        "dashboard_url = \"ftp://x\"",
        2,
        "server.dashboard_url",
        "https://",
    );
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
fn mistakes_of_workspaces() {
    let head = "[workspaces.main]";
    added(
        head,
        "path = \"team\"",
        8,
        "workspaces.main.path",
        "begin with /",
    );
    added(
        head,
        "endpoint = \"http://api.labelbox.com/graphql\"",
        8,
        "workspaces.main.endpoint",
        "https://",
    );
    added(
        head,
        "models = [\"digts\"]",
        8,
        "workspaces.main.models",
        "no [models.digts]",
    );
    broken(
        "[{ env = \"HOOK\" }]",
        "[]",
        8,
        "workspaces.main.webhook_secrets",
        "list of secrets",
    );
    broken(
        "[{ env = \"HOOK\" }]",
        "\"s3cret\"",
        8,
        "workspaces.main.webhook_secrets",
        "list of secrets",
    );
    broken(
        "[{ env = \"HOOK\" }]",
        "[\"s3cret\"]",
        8,
        "workspaces.main.webhook_secrets",
        "list of secrets",
    );
    broken(
        "webhook_secrets = [{ env = \"HOOK\" }]\n",
        "",
        7,
        "workspaces.main.webhook_secrets",
        "list of secrets",
    );
    broken(
        "{ file = \"key\" }",
        "\"s3cret\"",
        9,
        "workspaces.main.api_key",
        "never as its value",
    );
    broken(
        "{ file = \"key\" }",
        "{ flie = \"key\" }",
        9,
        "workspaces.main.api_key",
        "never as its value",
    );
    broken(
        "api_key = { file = \"key\" }\n",
        "",
        7,
        "workspaces.main.api_key",
        "is missing",
    );
    let second = "[workspaces.other]\nwebhook_secrets = [{ env = \"HOOK\" }]\napi_key = { env = \"KEY\" }\n\n[executors.local]";
    broken(
        "[executors.local]",
        second,
        11,
        "workspaces.other.path",
        "the same path",
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

#[test]
fn mistakes_of_models() {
    let head = "[models.digits]";
    broken(
        "executor = \"local\"\n",
        "",
        14,
        "models.digits.executor",
        "is missing",
    );
    broken(
        "executor = \"local\"",
        "executor = \"gpu\"",
        15,
        "models.digits.executor",
        "those that exist: local",
    );
    broken(
        "[\"python3\", \"train.py\", \"{params.epochs}\"]",
        "\"python3 train.py\"",
        16,
        "models.digits.command",
        "a list of texts",
    );
    broken(
        "[\"python3\", \"train.py\", \"{params.epochs}\"]",
        "[]",
        16,
        "models.digits.command",
        "name a program",
    );
    broken(
        "{params.epochs}",
        "{params.epoch}",
        16,
        "models.digits.command",
        "stands for nothing",
    );
    broken(
        "{params.epochs}",
        "{epochs",
        16,
        "models.digits.command",
        "stands for nothing",
    );
    broken(
        "epochs = 12 }",
        "epochs = 12, date = 2026-01-01 }",
        17,
        "models.digits.params.date",
        "not a date",
    );
    added(
        head,
        "title = \"\"",
        15,
        "models.digits.title",
        "printable characters",
    );
    added(
        head,
        "env = { TRAINHOOK_X = \"1\" }",
        15,
        "models.digits.env.TRAINHOOK_X",
        "are ours",
    );
    added(
        head,
        "env = { A = 1 }",
        15,
        "models.digits.env.A",
        "must be a text",
    );
    added(
        head,
        "env_pass = [\"A B\"]",
        15,
        "models.digits.env_pass",
        "environment variables",
    );
    added(
        head,
        "env_pass = [\"HOOK\"]",
        14,
        "models.digits",
        "no job may see",
    );
    added(
        head,
        "env = { K = { file = \"key\" } }",
        14,
        "models.digits",
        "no job may see",
    );
    added(
        head,
        "resources = { gpus = -1 }",
        15,
        "models.digits.resources.gpus",
        "a whole number",
    );
    added(
        head,
        "resources = { gpu = 1 }",
        15,
        "models.digits.resources.gpu",
        "did you mean `gpus`",
    );
    added(
        head,
        "run_timeout = \"never\"",
        15,
        "models.digits.run_timeout",
        "\"none\"",
    );
    added(
        head,
        "retry = { on = [\"job_error\"] }",
        15,
        "models.digits.retry.on",
        "start_failed",
    );
    added(head, "retry = 3", 15, "models.digits.retry", "a table");
    added(
        head,
        "log_limit = \"1KB\"",
        15,
        "models.digits.log_limit",
        "64KiB",
    );
    added(
        head,
        "max_running = 1.5",
        15,
        "models.digits.max_running",
        "a whole number",
    );
    added(
        head,
        "export = \"no\"",
        15,
        "models.digits.export",
        "true or false",
    );
    let twin = "[models.digits2]\ntitle = \"digits\"\nexecutor = \"local\"\ncommand = [\"true\"]\n\n[models.digits]";
    broken(
        "[models.digits]",
        twin,
        19,
        "models.digits.title",
        "another model has the title",
    );
}

#[test]
fn what_is_missing_altogether_is_asked_for() {
    for (table, lines) in [
        ("workspaces", 7..10),
        ("executors", 11..13),
        ("models", 14..18),
    ] {
        let kept = GOOD
            .lines()
            .enumerate()
            .filter(|(at, _)| !lines.contains(&(at + 1)));
        let file: String = kept.map(|(_, line)| format!("{line}\n")).collect();
        let mistakes = read(&file).expect_err(table);
        let asked = mistakes
            .iter()
            .any(|mistake| mistake.key == table && mistake.text.contains("at least one"));
        assert!(asked, "{mistakes:?}");
    }
}

#[test]
fn all_mistakes_are_told_at_once_in_the_order_of_the_file() {
    let file = GOOD
        .replace("127.0.0.1:8080", "here")
        .replace("\"30s\"", "30")
        .replace("kind =", "knid =")
        .replace("12 }", "12, \"a b\" = 1 }");
    let mistakes = read(&file).expect_err("mistakes");
    let lines: Vec<usize> = mistakes.iter().map(|mistake| mistake.line).collect();
    assert_eq!(lines, [2, 5, 11, 17], "{mistakes:?}");
}

#[test]
fn a_text_that_is_no_toml_is_located() {
    let mistakes =
        read(&GOOD.replace("[executors.local]", "[executors.local")).expect_err("no TOML");
    assert_eq!((mistakes.len(), mistakes[0].line), (1, 11), "{mistakes:?}");
    let twice = GOOD.replace("kind = \"local\"", "kind = \"local\"\nkind = \"local\"");
    let mistakes = read(&twice).expect_err("a key twice");
    assert_eq!((mistakes.len(), mistakes[0].line), (1, 13), "{mistakes:?}");
}

/// A small generator of numbers: the same ones each time, so that a failure can be repeated.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).expect("31 bits") % end
    }
}

#[test]
fn no_text_breaks_the_reader() {
    let shipped = include_str!("../../../models.toml");
    let pieces = [
        "\"",
        "[",
        "]",
        "{",
        "}",
        "=",
        "\n",
        "#",
        "'''",
        "é",
        "\0",
        "9999999999999999999",
        "-1",
        "nan",
        "1979-05-27",
        "[[models]]",
    ];
    let mut numbers = Numbers(20_261_123);
    for _ in 0..5_000 {
        let mut text: Vec<char> = shipped.chars().collect();
        for _ in 0..=numbers.below(4) {
            let at = numbers.below(text.len());
            match numbers.below(4) {
                0 => text.truncate(at.max(1)),
                1 => drop(text.remove(at)),
                2 => text[at] = char::from(u8::try_from(32 + numbers.below(95)).expect("ASCII")),
                _ => drop(text.splice(at..at, pieces[numbers.below(pieces.len())].chars())),
            }
            if text.is_empty() {
                break;
            }
        }
        let text: String = text.into_iter().collect();
        let lines = text.lines().count().max(1);
        // To be read or refused, with lines that are there, is all that is asked of it.
        if let Err(mistakes) = read(&text) {
            assert!(!mistakes.is_empty(), "{text}");
            assert!(
                mistakes
                    .iter()
                    .all(|mistake| (1..=lines + 1).contains(&mistake.line)),
                "{mistakes:?}\n{text}"
            );
        }
    }
}
