//! From the click to the command's first instruction, and from its end to Labelbox's knowing.

use std::{
    fs,
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use tokio::net::TcpListener;
use trainhook::{
    config::Secret,
    emulator::{Click, Emulator, Options},
};

use crate::{
    row,
    server::{SECRET, Server},
};

const CLICKS: usize = 60;
const LIMIT: Duration = Duration::from_secs(30);

/// The training command: notes when it starts and when it ends.
pub(crate) fn stamp(arguments: &[String]) {
    let file = Path::new(arguments.first().expect("a file"));
    let begun = now();
    fs::write(file.with_extension("begun"), begun.to_string()).expect("it is writable");
    fs::write(file.with_extension("ended"), now().to_string()).expect("it is writable");
}

/// Nanoseconds since 1970.
fn now() -> u128 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("after 1970")
        .as_nanos()
}

pub(crate) async fn measure() {
    let listener = TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port is free");
    let emulator = Emulator::start(listener, Options::default()).expect("it starts");
    let program = std::env::current_exe().expect("our own path");
    let stamps = tempfile::tempdir().expect("a folder");
    let stamp = stamps.path().join("stamp");
    let command = format!("[{program:?}, \"stamp\", {stamp:?}]");
    let server = Server::start(&emulator.graphql_url(), &command).await;
    let (mut to_start, mut to_report) = (Vec::new(), Vec::new());
    for _ in 0..CLICKS {
        let (_, run) = emulator.create_model_run(None, "bench");
        let clicked = now();
        let click = Click {
            url: format!("http://{}", server.address),
            secret: Secret::new(SECRET),
            model_run_id: run.clone(),
            model_type: Some("job".to_owned()),
        };
        emulator.click(click).await.expect("it is answered");
        let told = emulator.wait_for(&run, LIMIT, |timeline| {
            timeline.iter().any(|entry| entry.status == "COMPLETE")
        });
        let timeline = told.await.expect("it completes");
        let complete = timeline.last().expect("an entry").at.as_nanosecond();
        let read = |name: &str| {
            fs::read_to_string(stamp.with_extension(name))
                .expect("a stamp")
                .parse::<u128>()
                .expect("a number")
        };
        to_start.push(read("begun").saturating_sub(clicked));
        to_report.push(
            u128::try_from(complete)
                .expect("after 1970")
                .saturating_sub(read("ended")),
        );
    }
    row(
        "click to the command's start (idle server)",
        &quantiles(to_start),
    );
    row(
        "end of the command to COMPLETE in Labelbox",
        &quantiles(to_report),
    );
}

fn quantiles(mut nanoseconds: Vec<u128>) -> String {
    nanoseconds.sort_unstable();
    let at =
        |share: f64| nanoseconds[((nanoseconds.len() - 1) as f64 * share) as usize] as f64 / 1e6;
    format!("median {:.1} ms, 90 % within {:.1} ms", at(0.5), at(0.9))
}
