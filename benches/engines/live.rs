//! What a server costs while 1,000 jobs run on one engine that answers as the real one does and runs nothing.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use futures_util::StreamExt;
use trainhook::{
    job::LaunchId,
    job_dir::{AttemptDir, Claim, Claimant, HEARTBEAT_INTERVAL, JobDir},
    process,
};
use uuid::Uuid;

use crate::{
    docker_api, ray_api,
    server::{Server, Spent},
    slurm_programs,
};

const LIVE: u64 = 1000;

/// Clicks at once.
const CLICKS: usize = 16;

/// What comes after the last start.
const REST: Duration = Duration::from_secs(8);

/// How long the server is watched.
const WATCHED: Duration = Duration::from_secs(30);

/// One beat of six, each job tells a number.
const BEATS_TO_A_METRIC: u64 = 6;

pub(crate) async fn measure() {
    println!("| {LIVE} live jobs on one engine | the server | programs that it calls |");
    println!("|---|---|---|");
    let folder = tempfile::tempdir().expect("a folder");
    let socket = folder.path().join("docker.sock");
    let engine = docker_api::serve(&socket);
    let table = format!("socket = {socket:?}\nimage = \"bench\"\npull = \"never\"\n");
    rows("container", &table).await;
    engine.abort();
    let table = slurm_programs::install(folder.path());
    rows("slurm", &table).await;
    let (address, engine) = ray_api::serve().await;
    let table = format!("address = {address:?}\nshared_files = true\nsupervisor = \"shared\"\n");
    rows("ray", &table).await;
    engine.abort();
    #[cfg(feature = "kubernetes")]
    {
        let cluster = crate::kubernetes::Cluster::start().await;
        let table = crate::kubernetes_cluster::idle_table(&cluster);
        rows("kubernetes", &table).await;
    }
}

async fn rows(kind: &str, table: &str) {
    let server = Server::start(kind, table, "true").await;
    let supervisors = Supervisors::play(server.jobs());
    let clicks = (0..LIVE).map(|_| server.click());
    let clicks = futures_util::stream::iter(clicks).buffer_unordered(CLICKS);
    clicks.for_each(|_| async {}).await;
    server.running(LIVE).await;
    tokio::time::sleep(REST).await;
    row(&format!("`{kind}`, silent"), &server).await;
    supervisors.talk.store(true, Ordering::Relaxed);
    let each = HEARTBEAT_INTERVAL * u32::try_from(BEATS_TO_A_METRIC).expect("few");
    let what = format!("`{kind}`, each telling a metric every {} s", each.as_secs());
    row(&what, &server).await;
}

async fn row(what: &str, server: &Server) {
    let before = server.spent();
    tokio::time::sleep(WATCHED).await;
    let after = server.spent();
    let share = |of: fn(&Spent) -> Duration| {
        let spent = of(&after).saturating_sub(of(&before));
        let percent = 100.0 * spent.as_secs_f64() / WATCHED.as_secs_f64();
        format!("{percent:.1} % of one core")
    };
    let (own, programs) = (share(|spent| spent.own), share(|spent| spent.programs));
    println!("| {what} | {own} | {programs} |");
}

/// Claims each attempt as its supervisor would, and lets its heart beat.
struct Supervisors {
    end: Arc<AtomicBool>,
    talk: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Supervisors {
    fn play(jobs: PathBuf) -> Self {
        let (end, talk) = (Arc::<AtomicBool>::default(), Arc::<AtomicBool>::default());
        let (ended, talks) = (Arc::clone(&end), Arc::clone(&talk));
        let thread = thread::spawn(move || {
            let mut claimed = Vec::new();
            for beat in 1.. {
                let begun = Instant::now();
                claim_new(&jobs, &mut claimed);
                for (number, attempt) in (0..).zip(&claimed) {
                    attempt.write_heartbeat(beat).expect("it is writable");
                    if talks.load(Ordering::Relaxed) && (beat + number) % BEATS_TO_A_METRIC == 0 {
                        tell(attempt, beat);
                    }
                }
                while begun.elapsed() < HEARTBEAT_INTERVAL {
                    if ended.load(Ordering::Relaxed) {
                        return;
                    }
                    thread::sleep(Duration::from_millis(250));
                    claim_new(&jobs, &mut claimed);
                }
            }
        });
        let thread = Some(thread);
        Self { end, talk, thread }
    }
}

impl Drop for Supervisors {
    fn drop(&mut self) {
        self.end.store(true, Ordering::Relaxed);
        let _ended = self.thread.take().map(JoinHandle::join);
    }
}

/// Nothing is looked at any more once all are there.
fn claim_new(jobs: &Path, claimed: &mut Vec<AttemptDir>) {
    if claimed.len() as u64 == LIVE {
        return;
    }
    for job in fs::read_dir(jobs).into_iter().flatten().flatten() {
        let attempt = JobDir::at(job.path()).attempt(1);
        let name = job.file_name().to_string_lossy().into_owned();
        if !attempt.request().exists() || attempt.claim().exists() {
            continue;
        }
        let launch_id = LaunchId {
            job: name.parse().expect("a job id"),
            attempt: 1,
        };
        let claim = Claim {
            launch_id,
            by: Claimant::Supervisor {
                instance: Uuid::new_v4(),
            },
            boot_id: process::boot_id(),
            machine_id: process::machine_id(),
            engine_id: None,
            stage: None,
        };
        attempt.try_claim(&claim).expect("it is writable");
        claimed.push(attempt);
    }
}

fn tell(attempt: &AttemptDir, beat: u64) {
    let line = format!("{{\"type\":\"metric\",\"name\":\"loss\",\"value\":{beat}}}\n");
    let events = fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(attempt.events());
    let written = events.and_then(|mut events| events.write_all(line.as_bytes()));
    written.expect("it is writable");
}
