//! What ours is compared with: a route that does nothing, and one that commits each request by itself.

use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use rusqlite::Connection;
use tokio::sync::watch;
use trainhook::http::listener::{Limits, bind, serve};
use warp::{Filter, filters::BoxedFilter, reply::Response};

/// This program as a server of its own.
pub(crate) struct Rival {
    child: Child,
    pub(crate) address: String,
}

impl Rival {
    pub(crate) fn start(kind: &str) -> Self {
        let program = std::env::current_exe().expect("our own path");
        let mut child = Command::new(program)
            .arg(kind)
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts");
        let mut address = String::new();
        let output = child.stdout.take().expect("it is piped");
        BufReader::new(output)
            .read_line(&mut address)
            .expect("it says where it listens");
        let address = address.trim().to_owned();
        Self { child, address }
    }
}

impl Drop for Rival {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// Answers at once.
pub(crate) fn serve_bare() {
    serve_forever(warp::any().map(|| answer("{}")).boxed());
}

/// Answers when a row is on disk, one transaction each, with the settings of our store.
pub(crate) fn serve_with_a_commit_each() {
    let folder = tempfile::tempdir().expect("a folder");
    let connection = Connection::open(folder.path().join("rows.db")).expect("a database");
    let settings = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; CREATE TABLE rows (body BLOB) STRICT";
    connection
        .execute_batch(settings)
        .expect("it takes its settings");
    let connection = Arc::new(Mutex::new(connection));
    let route = warp::body::bytes().then(move |body: bytes::Bytes| {
        let connection = Arc::clone(&connection);
        async move {
            let written = tokio::task::spawn_blocking(move || {
                let connection = connection.lock().expect("nobody panics");
                let insert = connection.execute("INSERT INTO rows (body) VALUES (?1)", [&body[..]]);
                insert.expect("it commits");
            });
            written.await.expect("no panic");
            answer("{}")
        }
    });
    serve_forever(route.boxed());
}

fn answer(body: &'static str) -> Response {
    Response::new(body.into())
}

fn serve_forever(route: BoxedFilter<(Response,)>) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("threads");
    runtime.block_on(async move {
        let here: SocketAddr = "127.0.0.1:0".parse().expect("an address");
        let listener = bind(here).await.expect("a port is free");
        println!("{}", listener.local_addr().expect("it listens"));
        let limits = Limits {
            header_timeout: Duration::from_secs(10),
            max_connections: 512,
            drain: Duration::from_secs(5),
        };
        let (_stop, never) = watch::channel(false);
        let route = route.or_else(|_| async { Ok::<_, std::convert::Infallible>((answer("{}"),)) });
        serve(listener, None, route, limits, never).await;
    });
}
