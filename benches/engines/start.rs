//! From the accepted click to the command's first instruction, in turn with the engine's own client.

use std::{
    process::Stdio,
    time::{Duration, Instant},
};

#[cfg(feature = "kubernetes")]
use crate::kubernetes_cluster;
use crate::{
    bell::Bell,
    contenders::{self, Contender},
    server::Server,
};

/// Starts of each; the first ones, which find cold caches, are not counted.
const STARTS: usize = 33;
const COLD: usize = 3;

pub(crate) async fn measure() {
    println!("| engine | accepted click to the command | its own client | | ratio |");
    println!("|---|---|---|---|---|");
    let bell = Bell::hang();
    for contender in contenders::all(&bell) {
        row_or_why(&bell, contender).await;
    }
    #[cfg(feature = "kubernetes")]
    {
        let cluster = crate::kubernetes::Cluster::start().await;
        row_or_why(&bell, kubernetes_cluster::contender(&cluster, &bell)).await;
    }
}

async fn row_or_why(bell: &Bell, contender: Result<Contender, String>) {
    match contender {
        Ok(contender) => row(bell, contender).await,
        Err(why) => println!("| skipped: {why} | | | | |"),
    }
}

async fn row(bell: &Bell, mut contender: Contender) {
    let server = Server::start(contender.kind, &contender.table, &bell.script()).await;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..STARTS {
        contender.rest().await;
        ours.push(by_click(bell, &server).await);
        contender.rest().await;
        theirs.push(by_client(bell, &mut contender));
    }
    let (ours, theirs) = (Times::of(ours), Times::of(theirs));
    println!(
        "| `{}` | {} | {} | {} | {:.1} |",
        contender.kind,
        ours.in_words(),
        contender.rival,
        theirs.in_words(),
        ours.at(0.5) / theirs.at(0.5)
    );
}

async fn by_click(bell: &Bell, server: &Server) -> Duration {
    let run = server.click().await;
    let accepted = Instant::now();
    let begun = tokio::task::block_in_place(|| bell.wait());
    server.complete(&run).await;
    begun.saturating_duration_since(accepted)
}

fn by_client(bell: &Bell, contender: &mut Contender) -> Duration {
    let called = Instant::now();
    let client = contender.client.stdin(Stdio::null()).stdout(Stdio::null());
    let mut client = client.spawn().expect("the client is there");
    let begun = tokio::task::block_in_place(|| bell.wait());
    assert!(client.wait().expect("it ends").success());
    begun.saturating_duration_since(called)
}

/// Milliseconds, in order.
struct Times(Vec<f64>);

impl Times {
    fn of(times: Vec<Duration>) -> Self {
        let times = times.into_iter().skip(COLD);
        let mut times: Vec<f64> = times.map(|time| time.as_secs_f64() * 1000.0).collect();
        times.sort_by(f64::total_cmp);
        Self(times)
    }

    fn at(&self, share: f64) -> f64 {
        self.0[((self.0.len() - 1) as f64 * share) as usize]
    }

    fn in_words(&self) -> String {
        format!(
            "median {:.1} ms, 90 % within {:.1} ms",
            self.at(0.5),
            self.at(0.9)
        )
    }
}
