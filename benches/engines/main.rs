//! What lies between an accepted click and the first instruction of its command on each engine, beside what the engine's
//! own client needs for the same; and what a server costs while 1,000 jobs run on one engine.
//!
//! `tests/engines/docker.sh start` and `tests/engines/slurm.sh start` start the engines, and `TRAINHOOK_TEST_DOCKER` and
//! `TRAINHOOK_TEST_SLURM` say where they are, as for the tests; an engine that is not there is named as skipped.
//!
//! `cargo bench --bench engines` prints the tables of the README.

mod bell;
mod contenders;
mod docker_api;
mod live;
mod server;
mod slurm_programs;
mod start;

fn main() {
    // Whatever follows `--` chooses: `start`, `live`, or both.
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
