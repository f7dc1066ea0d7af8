//! `[server]`, broken once in each rule.

use super::{added, broken};

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
