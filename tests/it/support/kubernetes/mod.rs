//! A Kubernetes API server of our own, at the wire, with one node that really runs what its pods say, as processes of this
//! machine. It says what the real one says, as far as the documentation of its API tells (`kubernetes.io/docs/reference`),
//! and `kubectl` is a client of it; what goes wrong in a cluster goes wrong here on demand.

mod api;
mod controller;
mod discovery;
mod node;
mod world;

use std::{
    convert::Infallible,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    net::TcpListener,
    sync::oneshot,
    task::{JoinHandle, JoinSet},
};

pub(crate) use controller::Fate;
pub(crate) use world::Fault;
use world::World;

use super::processes;

/// The cluster's only node.
pub(crate) const NODE: &str = "node-1";

/// The image that a node has for jobs.
pub(crate) const IMAGE: &str = "localhost/job:1";

/// The image whose entry point is the program under test.
pub(crate) const SUPERVISOR: &str = "localhost/trainhook:test";

/// A cluster that lives as long as this.
pub(crate) struct Cluster {
    world: Arc<World>,
    address: SocketAddr,
    folder: TempDir,
    listening: Option<Listening>,
}

/// The API server, which ends when it is told to, or when nobody can tell it any more.
struct Listening {
    end: oneshot::Sender<()>,
    ended: JoinHandle<()>,
}

impl Cluster {
    /// Starts its API server.
    pub(crate) async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder for the cluster");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let world = Arc::new(World::new(folder.path()));
        let mut cluster = Self {
            world,
            address,
            folder,
            listening: None,
        };
        cluster.listen(listener);
        let host = address.to_string();
        std::fs::write(cluster.kubeconfig(), cluster.access(&host)).expect("writable");
        cluster
    }

    fn listen(&mut self, listener: TcpListener) {
        let (end, told) = oneshot::channel();
        let ended = tokio::spawn(serve(listener, Arc::clone(&self.world), told));
        self.listening = Some(Listening { end, ended });
    }

    /// The API server goes away with all its connections; the node goes on.
    pub(crate) async fn leave(&mut self) {
        if let Some(Listening { end, ended }) = self.listening.take() {
            drop(end);
            ended.await.expect("it ends");
        }
    }

    /// It is there again, and knows what it knew.
    pub(crate) async fn come_back(&mut self) {
        let listener = TcpListener::bind(self.address).await;
        self.listen(listener.expect("its port is still free"));
    }

    /// The file by which clients find it.
    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.folder.path().join("kubeconfig")
    }

    /// Another file, by which it has another address.
    pub(crate) fn other_kubeconfig(&self) -> PathBuf {
        let path = self.folder.path().join("other-kubeconfig");
        let host = format!("localhost:{}", self.address.port());
        std::fs::write(&path, self.access(&host)).expect("writable");
        path
    }

    fn access(&self, host: &str) -> String {
        let server = format!("http://{host}");
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "fake",
            "clusters": [{"name": "fake", "cluster": {"server": server}}],
            "users": [{"name": "us", "user": {"token": "a token"}}],
            "contexts": [{"name": "fake", "context": {"cluster": "fake", "user": "us", "namespace": "train"}}],
        });
        config.to_string()
    }

    /// The table of an executor, without its head and its `max_running`.
    pub(crate) fn table(&self, more: &str) -> String {
        format!(
            "kind = \"kubernetes\"\nkubeconfig = {:?}\nimage = \"{IMAGE}\"\nsupervisor = \"image:{SUPERVISOR}\"\n\
             poll_interval = \"200ms\"\npoll_pause = \"50ms\"\n{more}\n",
            self.kubeconfig()
        )
    }

    /// An object, as the API shows it.
    pub(crate) fn object(&self, resource: &str, name: &str) -> Option<Value> {
        self.world.get(resource, "train", name)
    }

    /// The names of all objects of a resource.
    pub(crate) fn names(&self, resource: &str) -> Vec<String> {
        let all = self.world.list(resource, "train");
        let names = all
            .iter()
            .filter_map(|one| one["metadata"]["name"].as_str());
        names.map(str::to_owned).collect()
    }

    /// The only pod of a Job.
    pub(crate) fn pod_of(&self, job: &str) -> Option<Value> {
        let pods = self.world.list("pods", "train");
        let of_job = |pod: &Value| pod["metadata"]["labels"]["batch.kubernetes.io/job-name"] == job;
        pods.into_iter().find(of_job)
    }

    /// What becomes of the pod of a Job.
    pub(crate) fn strike(&self, job: &str, fate: Fate) {
        let pod = self.pod_of(job).expect("a pod");
        let name = pod["metadata"]["name"].as_str().expect("a name");
        controller::strike(&self.world, name, fate);
    }

    /// Has the next requests of this method, whose path holds this, fail so.
    pub(crate) fn fail(&self, method: &str, path: &str, times: usize, fault: Fault) {
        self.world.fail(method, path, times, fault);
    }

    /// Takes a Job's place away, or gives it one, as Kueue does.
    pub(crate) fn suspend(&self, job: &str, is_suspended: bool) {
        controller::suspend(&self.world, job, is_suspended);
    }

    pub(crate) fn no_node_takes(&self, why: &str) {
        World::set(&self.world.unschedulable, Some(why));
    }

    pub(crate) fn nodes_take_pods(&self) {
        World::set(&self.world.unschedulable, None);
    }

    pub(crate) fn no_image_comes(&self, why: &str) {
        World::set(&self.world.no_image, Some(why));
    }

    pub(crate) fn images_come(&self) {
        World::set(&self.world.no_image, None);
    }

    pub(crate) fn no_pod_is_made(&self, why: &str) {
        World::set(&self.world.no_pod, Some(why));
    }

    pub(crate) fn pods_are_made(&self) {
        World::set(&self.world.no_pod, None);
    }

    /// What the account may not do: `create jobs`.
    pub(crate) fn forbid(&self, what: &[&str]) {
        self.world.forbid(what);
    }

    /// So many Jobs more of a server, which do nothing.
    pub(crate) fn add_jobs_of(&self, server: &str, count: usize) {
        for number in 0..count {
            let metadata =
                json!({"name": format!("a-{number:05}"), "labels": {"trainhook.server": server}});
            let job = json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": {"template": {}}});
            self.world
                .create("jobs", "train", job)
                .expect("a fresh name");
        }
    }

    /// Requests that were answered: method and path.
    pub(crate) fn requests(&self) -> Vec<(String, String)> {
        self.world.requests()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // The node's processes name its folder in their arguments.
        processes::end_in(self.folder.path());
    }
}

async fn serve(listener: TcpListener, world: Arc<World>, told: oneshot::Receiver<()>) {
    let mut connections = JoinSet::new();
    tokio::select! {
        () = accept(&listener, &world, &mut connections) => {}
        _end = told => {}
    }
    drop(listener);
    connections.shutdown().await;
}

async fn accept(listener: &TcpListener, world: &Arc<World>, connections: &mut JoinSet<()>) {
    while let Ok((stream, _)) = listener.accept().await {
        let world = Arc::clone(world);
        let answer = service_fn(move |request: hyper::Request<Incoming>| {
            let world = Arc::clone(&world);
            // An error closes the connection: an answer that is lost.
            async move { api::answer(&world, request).await.ok_or(Cut) }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .serve_connection(TokioIo::new(stream), answer);
        connections.spawn(async move {
            let _cut = connection.await;
        });
        while connections.try_join_next().is_some() {}
    }
}

/// The connection is cut.
#[derive(Debug, thiserror::Error)]
#[error("cut")]
struct Cut;

impl From<Infallible> for Cut {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

/// Where a mounted path of a pod lies on this machine.
fn real_path(mounts: &[(String, PathBuf)], word: &str) -> String {
    let inside = mounts.iter().find_map(|(path, real)| {
        let rest = word.strip_prefix(path.as_str())?;
        (rest.is_empty() || rest.starts_with('/')).then(|| format!("{}{rest}", real.display()))
    });
    inside.unwrap_or_else(|| word.to_owned())
}

/// The end of a file.
fn tail(path: &Path, bytes: usize) -> String {
    let text = std::fs::read(path).unwrap_or_default();
    let from = text.len().saturating_sub(bytes);
    String::from_utf8_lossy(&text[from..]).into_owned()
}

/// Looks at something again and again.
async fn pause() {
    tokio::time::sleep(Duration::from_millis(10)).await;
}
