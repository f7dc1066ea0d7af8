//! How many calls are made: bulk leaves room to what people wait for.

use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::net::TcpListener;
use trainhook::{
    config::SecretRef,
    emulator::{Emulator, Fault, FaultKind, Options},
    job::ModelRunId,
    labelbox::{Kind, Labelbox},
};

/// Sixty calls a minute: ten at once, of which bulk leaves a quarter.
const PER_MINUTE: u32 = 60;
const OF_BULK: u64 = 7;

struct Fixture {
    _folder: TempDir,
    emulator: Emulator,
    labelbox: Labelbox,
    run: ModelRunId,
}

impl Fixture {
    async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await;
        let emulator = Emulator::start(listener.expect("a port"), Options::default());
        let emulator = emulator.expect("it starts");
        let folder = tempfile::tempdir().expect("a folder");
        let key = folder.path().join("key");
        std::fs::write(&key, "key").expect("the folder is writable");
        let labelbox = client(&emulator, key).limited_to(PER_MINUTE, None);
        let (_, run) = emulator.create_model_run(None, "a run");
        Self {
            _folder: folder,
            run: run.parse().expect("an id"),
            emulator,
            labelbox,
        }
    }

    fn asked(&self, field: &str) -> u64 {
        let requests = self.emulator.requests();
        let same = requests
            .iter()
            .filter(|one| one.root_field.as_deref() == Some(field));
        same.count() as u64
    }

    /// Asks as long as anybody lets it.
    async fn ask_in_bulk(&self, bulk: &Labelbox) -> ! {
        loop {
            bulk.user_id().await.expect("an answer");
        }
    }
}

fn client(emulator: &Emulator, key: std::path::PathBuf) -> Labelbox {
    let patience = Duration::from_secs(30);
    Labelbox::new(&emulator.graphql_url(), SecretRef::File(key), patience)
}

#[tokio::test]
async fn bulk_leaves_calls_to_those_that_cannot_wait() {
    let fixture = Fixture::new().await;
    let begun = Instant::now();
    let bulk = fixture.labelbox.in_bulk();
    let others = async {
        let spent = fixture
            .emulator
            .wait_for_requests(Duration::from_secs(30), |requests| {
                requests.len() as u64 >= OF_BULK
            });
        spent.await.expect("bulk takes what it may");
        for _ in 0..3 {
            let run = fixture.labelbox.model_run(&fixture.run).await;
            run.expect("an answer").expect("the run");
        }
    };
    tokio::select! {
        () = others => {}
        _ = fixture.ask_in_bulk(&bulk) => {}
    }
    let (spent, refilled) = (fixture.asked("user"), begun.elapsed().as_secs() + 1);
    assert!((OF_BULK..=OF_BULK + refilled).contains(&spent), "{spent}");
}

#[tokio::test]
async fn a_wish_for_fewer_calls_holds_up_all_bulk_and_nobody_else() {
    let fixture = Fixture::new().await;
    let wish = FaultKind::Status {
        status: 429,
        body: None,
        headers: vec![("retry-after".to_owned(), "3600".to_owned())],
    };
    fixture.emulator.add_fault(Fault::once("user", wish));
    let refused = fixture.labelbox.in_bulk().user_id().await;
    assert_eq!(refused.map_err(|error| error.kind), Err(Kind::RateLimited));
    // Another client of the same workspace, as after a change of the settings.
    let key = fixture._folder.path().join("key");
    let later = client(&fixture.emulator, key).limited_to(PER_MINUTE, Some(&fixture.labelbox));
    let bulk = later.in_bulk();
    tokio::select! {
        biased;
        _ = bulk.user_id() => panic!("bulk waits"),
        run = later.model_run(&fixture.run) => {
            run.expect("an answer").expect("the run");
        }
    }
    assert_eq!(fixture.asked("user"), 1);
}
