//! `[server]` and `[reporting]`.

use std::{net::SocketAddr, path::Path, time::Duration};

use ipnet::IpNet;

use crate::config::{
    Access, JobsConfig, ReportingConfig, RetentionConfig, ServerConfig, Table, TlsFiles,
    access::{parse_net, parse_nets},
    path_from,
};

const SECOND: Duration = Duration::from_secs(1);

pub(super) fn server(root: &mut Table, base: &Path) -> ServerConfig {
    let mut table = root.table("server").unwrap_or_default();
    let listen = address(&mut table, "listen", 8080);
    let admin_listen = address(&mut table, "admin_listen", 8081);
    let access = Access {
        allow: nets(&mut table, "allow"),
        trusted_proxies: nets(&mut table, "trusted_proxies").unwrap_or_default(),
    };
    let tls = tls(&mut table, "tls", base);
    let jobs = jobs(&mut table, base, [listen, admin_listen]);
    let plain_http = table.boolean("plain_http").unwrap_or(false);
    if !listen.ip().is_loopback() && !plain_http && tls.is_none() {
        table.mistake(
            "listen",
            "is reachable from other machines by plain HTTP: listen on 127.0.0.1 behind a proxy with TLS, \
             give certificates in [server.tls], or write plain_http = true if that is wanted",
        );
    }
    if !admin_listen.ip().is_loopback() {
        table.mistake(
            "admin_listen",
            "must be a loopback address such as 127.0.0.1:8081",
        );
    }
    if listen == admin_listen && listen.port() != 0 {
        table.mistake(
            "admin_listen",
            "is the same address as listen: choose another port",
        );
    }
    let mut folder = |key: &str, default: &str| table.string(key).unwrap_or(default.to_owned());
    // Engines see the folders of jobs, and no other.
    let (state_dir, jobs_dir) = (folder("state_dir", "state"), folder("jobs_dir", "jobs"));
    let (state_dir, jobs_dir) = (base.join(state_dir), path_from(base, jobs_dir));
    if state_dir == jobs_dir {
        table.mistake(
            "jobs_dir",
            "is the same folder as state_dir: choose another one",
        );
    }
    let media_cache = match table.string("media_cache") {
        Some(folder) => base.join(folder),
        None => ServerConfig::media_cache_in(&jobs_dir),
    };
    if [&state_dir, &jobs_dir].contains(&&media_cache) {
        table.mistake(
            "media_cache",
            "is a folder that holds other things: choose one of its own",
        );
    }
    let server = ServerConfig {
        listen,
        admin_listen,
        access,
        tls,
        jobs,
        state_dir,
        jobs_dir,
        min_free: table.size("min_free").unwrap_or(200_000_000),
        max_body: table.size("max_body").unwrap_or(1 << 20),
        header_timeout: patience(&mut table, "header_timeout", 10 * SECOND),
        body_timeout: patience(&mut table, "body_timeout", 30 * SECOND),
        max_connections: table.integer("max_connections", 1..100_001).unwrap_or(512),
        redelivery_window: table.duration("redelivery_window").unwrap_or(10 * SECOND),
        shutdown_grace: patience(&mut table, "shutdown_grace", 5 * SECOND),
        media_allow: media_allow(&mut table),
        media_proxy: media_proxy(&mut table),
        media_cache,
        media_cache_size: table.size("media_cache_size").unwrap_or(10_000_000_000),
        dashboard_url: table.string("dashboard_url"),
    };
    if server
        .dashboard_url
        .as_ref()
        .is_some_and(|url| !url.starts_with("http"))
    {
        table.mistake("dashboard_url", "must begin with http:// or https://");
    }
    root.adopt(table);
    server
}

/// Addresses and networks; none if the key is not there.
fn nets(table: &mut Table, key: &str) -> Option<Vec<IpNet>> {
    let texts = table.strings(key)?;
    let mut nets = Vec::new();
    for text in texts {
        match parse_nets(&text) {
            Some(mut found) => nets.append(&mut found),
            None => table.mistake(
                key,
                format!(
                    "{text:?} is no address: write \"192.0.2.7\", \"10.0.0.0/8\", or \"labelbox\" for Labelbox's own"
                ),
            ),
        }
    }
    Some(nets)
}

fn media_allow(table: &mut Table) -> Vec<IpNet> {
    let mut nets = Vec::new();
    for text in table.strings("media_allow").unwrap_or_default() {
        match parse_net(&text) {
            Some(net) => nets.push(net),
            None => table.mistake(
                "media_allow",
                format!("{text:?} is no address: write \"192.0.2.7\" or \"10.0.0.0/8\""),
            ),
        }
    }
    nets
}

/// No password stands in the file.
fn media_proxy(table: &mut Table) -> Option<String> {
    let proxy = table.string("media_proxy")?;
    let is_good = |url: &reqwest::Url| {
        matches!(url.scheme(), "http" | "https")
            && url.has_host()
            && url.username().is_empty()
            && url.password().is_none()
    };
    if !reqwest::Url::parse(&proxy).is_ok_and(|url| is_good(&url)) {
        table.mistake(
            "media_proxy",
            "must be a proxy's address without a password, such as \"http://proxy.example.com:3128\"",
        );
    }
    Some(proxy)
}

/// The keys of the jobs' listener; none if there is none.
fn jobs(table: &mut Table, base: &Path, others: [SocketAddr; 2]) -> Option<JobsConfig> {
    let url = table.string("jobs_url");
    let tls = tls(table, "jobs_tls", base);
    let plain_http = table.boolean("jobs_plain_http").unwrap_or(false);
    let (max_output, max_events) = (table.size("max_output"), table.size("max_events"));
    if !table.has("jobs_listen") {
        if url.is_some() || tls.is_some() {
            table.mistake(
                "jobs_listen",
                "is missing: write the address on which supervisors are heard, such as \"0.0.0.0:8082\"",
            );
        }
        return None;
    }
    let listen = address(table, "jobs_listen", 8082);
    if !listen.ip().is_loopback() && !plain_http && tls.is_none() {
        table.mistake(
            "jobs_listen",
            "is reachable from other machines by plain HTTP: give certificates in [server.jobs_tls], or write \
             jobs_plain_http = true if its network is trusted",
        );
    }
    if others.contains(&listen) && listen.port() != 0 {
        table.mistake(
            "jobs_listen",
            "is the address of another listener: choose another port",
        );
    }
    let url = url.map(|url| url.trim_end_matches('/').to_owned());
    check_jobs_url(table, url.as_deref(), listen);
    Some(JobsConfig {
        listen,
        url,
        tls,
        max_output: max_output.unwrap_or(20_000_000_000),
        max_events: max_events.unwrap_or(64 << 20),
    })
}

fn check_jobs_url(table: &mut Table, url: Option<&str>, listen: SocketAddr) {
    let parsed = url.map(reqwest::Url::parse);
    match parsed {
        None if listen.ip().is_unspecified() => table.mistake(
            "jobs_url",
            "is missing: write how nodes reach jobs_listen, such as \"http://trainhook.internal:8082\"",
        ),
        Some(Ok(url)) if ["http", "https"].contains(&url.scheme()) && url.query().is_none() => {}
        None => {}
        Some(_) => table.mistake(
            "jobs_url",
            "must be an http:// or https:// address, such as \"http://trainhook.internal:8082\"",
        ),
    }
}

fn tls(table: &mut Table, key: &str, base: &Path) -> Option<TlsFiles> {
    let mut given = table.table(key)?;
    let cert = given.required_string("cert");
    let private_key = given.required_string("key");
    table.adopt(given);
    Some(TlsFiles {
        cert: base.join(cert?),
        key: base.join(private_key?),
    })
}

pub(super) fn reporting(root: &mut Table) -> ReportingConfig {
    let mut table = root.table("reporting").unwrap_or_default();
    let reporting = ReportingConfig {
        interval: table.duration("interval").unwrap_or(30 * SECOND),
        timeout: patience(&mut table, "timeout", 60 * SECOND),
        parked_retry: patience(&mut table, "parked_retry", 300 * SECOND),
        read_back_after: patience(&mut table, "read_back_after", 120 * SECOND),
    };
    root.adopt(table);
    reporting
}

pub(super) fn retention(root: &mut Table) -> RetentionConfig {
    const DAY: Duration = Duration::from_secs(86_400);
    let mut table = root.table("retention").unwrap_or_default();
    let retention = RetentionConfig {
        data: table.limit("data").unwrap_or(Some(7 * DAY)),
        checkpoint: table.limit("checkpoint").unwrap_or(Some(7 * DAY)),
        logs: table.limit("logs").unwrap_or(Some(90 * DAY)),
        models: table.limit("models").unwrap_or(None),
        keep: table.integer("keep", 0..1_000_001).unwrap_or(3),
        every: patience(&mut table, "every", 3600 * SECOND),
    };
    root.adopt(table);
    retention
}

/// A duration that must not be zero: nothing could ever be in time.
fn patience(table: &mut Table, key: &str, default: Duration) -> Duration {
    match table.duration(key) {
        Some(Duration::ZERO) => {
            table.mistake(key, "must be longer than nothing");
            default
        }
        given => given.unwrap_or(default),
    }
}

fn address(table: &mut Table, key: &str, default_port: u16) -> SocketAddr {
    let default = SocketAddr::from(([127, 0, 0, 1], default_port));
    let Some(text) = table.string(key) else {
        return default;
    };
    text.parse().unwrap_or_else(|_| {
        table.mistake(
            key,
            "must be an address and a port, such as \"127.0.0.1:8080\" or \"[::1]:8080\"",
        );
        default
    })
}
