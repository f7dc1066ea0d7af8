//! What a server costs that only waits: memory, processor time, and the time of a start.

use std::time::Duration;

use rusqlite::Connection;
use tempfile::TempDir;

use crate::{
    load::{self, Load},
    row,
    server::{Server, silent_labelbox},
};

const QUEUED: u64 = 10_000;
const FINISHED: u64 = 100_000;

/// How long the processor time of an idle server is watched.
const WATCHED: Duration = Duration::from_secs(10);

pub(crate) async fn measure() {
    let server = Server::start(&silent_labelbox(), "[\"sleep\", \"60\"]").await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    row("resident memory, idle", &megabytes(&server));
    // One job to copy.
    load::run(&server.address, 1, Duration::from_millis(1), Load::Clicks).await;
    let folder = with_jobs(server.stop(), QUEUED, "queued");
    let server = Server::start_in(folder).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    row(
        &format!("resident memory with {QUEUED} queued jobs"),
        &megabytes(&server),
    );
    let before = server.processor_time();
    tokio::time::sleep(WATCHED).await;
    let share = (server.processor_time() - before).as_secs_f64() / WATCHED.as_secs_f64();
    row(
        &format!("processor time of a server with {QUEUED} queued jobs"),
        &format!("{:.1} % of one core", share * 100.0),
    );
    let folder = with_jobs(server.stop(), FINISHED, "succeeded");
    let server = Server::start_in(folder).await;
    let started = server.started_in.as_secs_f64() * 1000.0;
    row(
        &format!("start with {FINISHED} finished jobs"),
        &format!("{started:.0} ms until it listens"),
    );
}

fn megabytes(server: &Server) -> String {
    format!("{:.1} MB", server.memory() as f64 / 1e6)
}

/// Copies a job of a store until there are `count` more in this state, each of another run.
fn with_jobs(folder: TempDir, count: u64, state: &str) -> TempDir {
    let store = Connection::open(folder.path().join("state/trainhook.db")).expect("a store");
    let columns = columns(&store);
    let value = |column: &String| {
        match column.as_str() {
        "seq" | "next_check_at" => "NULL".to_owned(),
        "model_run_id" => "hex(randomblob(16))".to_owned(),
        "state" => "?2".to_owned(),
        "id" => "lower(hex(randomblob(4)) || '-' || hex(randomblob(2)) || '-7' || substr(hex(randomblob(2)), 2) \
                 || '-a' || substr(hex(randomblob(2)), 2) || '-' || hex(randomblob(6)))"
            .to_owned(),
        other => other.to_owned(),
    }
    };
    let values: Vec<String> = columns.iter().map(value).collect();
    let sql = format!(
        "WITH RECURSIVE n(value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM n WHERE value < ?1) \
         INSERT INTO jobs ({}) SELECT {} FROM n, (SELECT * FROM jobs ORDER BY seq LIMIT 1)",
        columns.join(", "),
        values.join(", ")
    );
    store
        .execute(&sql, (count, state))
        .expect("they are copied");
    folder
}

fn columns(store: &Connection) -> Vec<String> {
    let names = "SELECT name FROM pragma_table_info('jobs')";
    let mut statement = store.prepare(names).expect("a table");
    let rows = statement.query_map([], |row| row.get(0)).expect("columns");
    rows.map(|name| name.expect("a name")).collect()
}
