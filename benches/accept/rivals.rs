//! What ours is compared with: a route that does nothing, our own route with a commit for each request, and one that
//! does nothing but commit.

use std::{
    convert::Infallible,
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use jiff::Timestamp;
use rusqlite::Connection;
use tokio::sync::watch;
use trainhook::{
    config::{Access, Current, Secret, parse},
    http::{
        body::BodyLimits,
        labelbox::{
            AcceptError, AcceptRuns, Accepted, Door, RunRequest, WorkspaceRoutes, labelbox_routes,
        },
        listener::{Limits, bind, serve},
    },
    signature::WebhookSecrets,
    store::{Acceptance, NewJob, Store},
};
use warp::{Filter, filters::BoxedFilter, reply::Response};

use crate::server::{SECRET, settings};

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
    serve_forever(or_empty(warp::any().map(|| answer("{}")).boxed()));
}

/// Our own route over our own store, but one request after the other: each has its commit for itself.
pub(crate) fn serve_with_a_commit_each() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::open(folder.path()).expect("a store");
    let file = settings("http://127.0.0.1:9/graphql", "");
    let config = parse(&file, Path::new("models.toml")).config;
    let config = config.expect("our settings are fine");
    let secrets = WebhookSecrets::new(vec![Secret::new(SECRET)]);
    let workspace = WorkspaceRoutes::new(&config.workspaces[0], &config.models, secrets);
    let routes = labelbox_routes(Door {
        workspaces: Current::new(vec![workspace]),
        access: Current::new(Access::default()),
        intake: Arc::new(OneByOne {
            store,
            turn: tokio::sync::Mutex::default(),
        }),
        limits: BodyLimits {
            size: 64 * 1024,
            time: Duration::from_secs(10),
        },
        visits: Arc::default(),
        recorder: None,
    });
    serve_forever(routes);
}

/// Lets the store see one request at a time.
#[derive(Debug)]
struct OneByOne {
    store: Store,
    turn: tokio::sync::Mutex<()>,
}

#[async_trait]
impl AcceptRuns for OneByOne {
    async fn accept(&self, request: RunRequest) -> Result<Accepted, AcceptError> {
        let new = NewJob {
            workspace: request.workspace,
            entry: request.model,
            model_run_id: request.model_run_id,
            model_id: request.model_id,
            kind: trainhook::job::JobKind::Train,
            parent: None,
            actor: "labelbox".to_owned(),
            webhook: request.webhook,
            redelivery_window: Duration::from_secs(15 * 60),
            limited: true,
        };
        let _turn = self.turn.lock().await;
        let accepted = self.store.accept(new, Timestamp::now()).await;
        let Ok(Acceptance::New(job)) = accepted else {
            panic!("every request is new: {accepted:?}");
        };
        Ok(Accepted {
            job_id: job.id,
            state: job.state,
            duplicate: false,
        })
    }
}

/// Checks and reads nothing: answers when a row with the body is on disk, one transaction each.
pub(crate) fn serve_bare_rows() {
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
    serve_forever(or_empty(route.boxed()));
}

fn answer(body: &'static str) -> Response {
    Response::new(body.into())
}

fn or_empty(
    route: BoxedFilter<(Response,)>,
) -> impl Filter<Extract = (Response,), Error = Infallible> + Clone + Send + Sync + 'static {
    route.or_else(|_| async { Ok::<_, Infallible>((answer("{}"),)) })
}

fn serve_forever(
    route: impl Filter<Extract = (Response,), Error = Infallible> + Clone + Send + Sync + 'static,
) {
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
        serve(listener, None, route, limits, never).await;
    });
}
