//! How fast a click is taken, how soon its command starts, how soon Labelbox knows the end, and what a
//! server costs that only waits. Everything over loopback, with real processes, in one run.
//!
//! `cargo bench --bench accept` prints the table of the README.

mod latency;
mod load;
mod rivals;
mod server;
mod weight;

use std::time::Duration;

use load::Load;

/// How long each throughput is measured.
const SPAN: Duration = Duration::from_secs(3);

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        // This program is its own rivals and its own training command.
        Some("bare") => rivals::serve_bare(),
        Some("commit-each") => rivals::serve_with_a_commit_each(),
        Some("bare-rows") => rivals::serve_bare_rows(),
        Some("stamp") => latency::stamp(&arguments[1..]),
        _ => measure(),
    }
}

fn measure() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("threads");
    runtime.block_on(async {
        println!("| what | measured |\n|---|---|");
        let bare = throughput().await;
        latency::measure().await;
        weight::measure().await;
        eprintln!("bare route: {bare:.0} requests a second");
    });
}

fn row(what: &str, measured: &str) {
    println!("| {what} | {measured} |");
}

/// Requests a second; answers those of the bare route.
async fn throughput() -> f64 {
    let rival = rivals::Rival::start("bare");
    let bare = load::run(&rival.address, 64, SPAN, Load::Models).await;
    row(
        "bare warp route on the same accept loop, 64 connections",
        &bare.to_string(),
    );
    drop(rival);

    let server = server::Server::start(&server::silent_labelbox(), "").await;
    let models = load::run(&server.address, 64, SPAN, Load::Models).await;
    let share =
        |rate: &load::Rate| format!("{rate} ({:.2} of bare)", rate.per_second / bare.per_second);
    row("signed GET /models, 64 connections", &share(&models));
    let alone = load::run(&server.address, 1, SPAN, Load::Clicks).await;
    row(
        "durable signed POST /model_run, 1 connection",
        &alone.to_string(),
    );
    drop(server);

    let server = server::Server::start(&server::silent_labelbox(), "").await;
    let many = load::run(&server.address, 64, SPAN, Load::Clicks).await;
    row(
        "durable signed POST /model_run, 64 connections",
        &share(&many),
    );
    drop(server);

    for (rival, what) in [
        (
            "commit-each",
            "the same with one commit a request, 64 connections",
        ),
        (
            "bare-rows",
            "one bare row and one commit a request, nothing else, 64 connections",
        ),
    ] {
        let rival = rivals::Rival::start(rival);
        let each = load::run(&rival.address, 64, SPAN, Load::Clicks).await;
        let times = many.per_second / each.per_second;
        row(what, &format!("{each} (ours is {times:.1} times that)"));
    }
    bare.per_second
}
