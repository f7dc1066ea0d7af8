//! What lies between an accepted click and the first instruction of its command on each engine, beside what the engine's
//! own client needs for the same; and what a server costs while 1,000 jobs run on one engine.
//!
//! `tests/engines/docker.sh start`, `tests/engines/slurm.sh start` and `tests/engines/ray.sh start` start the engines, and
//! `TRAINHOOK_TEST_DOCKER`, `TRAINHOOK_TEST_SLURM` and `TRAINHOOK_TEST_RAY` say where they are, as for the tests; an engine
//! that is not there is named as skipped. Kubernetes is played by the tests' own API server.
//!
//! `cargo bench --bench engines` prints the tables of the README; words behind `--` choose of them: `start`, `live`.

mod bell;
mod contenders;
mod docker_api;
#[cfg(feature = "kubernetes")]
#[path = "../../tests/it/support/kubernetes/mod.rs"]
#[expect(dead_code, reason = "tests need more of it")]
mod kubernetes;
#[cfg(feature = "kubernetes")]
mod kubernetes_cluster;
mod live;
#[cfg(feature = "kubernetes")]
#[path = "../../tests/it/support/processes.rs"]
#[expect(dead_code, reason = "tests need more of it")]
mod processes;
mod ray_api;
mod server;
mod slurm_programs;
mod start;
/// Where the tests' own modules look for it.
#[cfg(feature = "kubernetes")]
mod stack {
    pub(crate) use crate::server::wait_for as wait_until;
}

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let wants = |what: &str| {
        let chosen = ["start", "live"].map(|part| wanted.iter().any(|word| word == part));
        chosen == [false, false] || wanted.iter().any(|word| word == what)
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("threads");
    runtime.block_on(async {
        if wants("start") {
            start::measure().await;
        }
        if wants("live") {
            live::measure().await;
        }
    });
}
