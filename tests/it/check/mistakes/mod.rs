//! Each rule of the file, broken once: all but those of models.

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
        "media_allow = [\"labelbox\"]",
        2,
        "server.media_allow",
        "is no address",
    );
    added(
        head,
        "media_proxy = \"http://user:word@proxy:3128\"",
        2,
        "server.media_proxy",
        "without a password",
    );
    added(
        head,
        "media_cache = \"jobs\"",
        2,
        "server.media_cache",
        "one of its own",
    );
    added(
        head,
        "media_cache_size = \"much\"",
        2,
        "server.media_cache_size",
        "a size such as",
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
fn mistakes_of_the_jobs_listener() {
    let head = "[server]";
    added(
        head,
        "jobs_listen = \"0.0.0.0:8082\"\njobs_url = \"http://trainhook:8082\"",
        2,
        "server.jobs_listen",
        "jobs_plain_http = true",
    );
    added(
        head,
        "jobs_listen = \"0.0.0.0:8082\"\njobs_plain_http = true",
        1,
        "server.jobs_url",
        "is missing",
    );
    added(
        head,
        "jobs_listen = \"127.0.0.1:8081\"",
        2,
        "server.jobs_listen",
        "another listener",
    );
    added(
        head,
        "jobs_url = \"http://trainhook:8082\"",
        1,
        "server.jobs_listen",
        "is missing",
    );
    for url in ["trainhook:8082", "ftp://trainhook", "http://trainhook/?a=b"] {
        let lines = format!("jobs_listen = \"127.0.0.1:8082\"\njobs_url = {url:?}");
        added(
            head,
            &lines,
            3,
            "server.jobs_url",
            "an http:// or https:// address",
        );
    }
    added(
        head,
        "jobs_listen = \"127.0.0.1:8082\"\nmax_output = 3",
        3,
        "server.max_output",
        "a size",
    );
}

#[test]
fn a_jobs_listener_that_is_good() {
    for lines in [
        "jobs_listen = \"127.0.0.1:8082\"",
        "jobs_listen = \"0.0.0.0:8082\"\njobs_url = \"http://trainhook:8082/\"\njobs_plain_http = true",
        "jobs_listen = \"10.0.0.1:8082\"\njobs_tls = { cert = \"c\", key = \"k\" }",
    ] {
        let file = GOOD.replacen("[server]", &format!("[server]\n{lines}"), 1);
        let jobs = read(&file).expect(lines).server.jobs.expect("a listener");
        assert!(jobs.url.is_none_or(|url| url == "http://trainhook:8082"));
    }
}
