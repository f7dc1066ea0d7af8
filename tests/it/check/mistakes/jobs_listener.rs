//! The listener for supervisors on other machines: each of its rules broken once, and some that are good.

use super::{GOOD, added, read};

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
