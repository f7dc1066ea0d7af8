//! Files that the next job need not fetch again.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use serde_json::Value;
use tempfile::TempDir;
use trainhook::{dataset::Split, transfer::files::Cache};

use super::desk::{Desk, context, image};
use crate::downloads::hostile::{Act, Hostile, head, whole};

fn cache(limit: u64) -> (TempDir, Cache) {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let cache = Cache::new(&folder.path().join("cache"), limit, 0);
    (folder, cache)
}

/// A server whose one file is as long as its path says, and of the version that is set.
async fn server(version: Arc<AtomicU32>) -> Hostile {
    Hostile::start("127.0.0.1", move |_, request| {
        let version = version.load(Ordering::Relaxed);
        let tag = format!("\"v{version}\"");
        if request.contains(&format!("if-none-match: {tag}")) {
            return vec![Act::Send(head("304 Not Modified", &[("etag", &tag)]))];
        }
        let path = request.split([' ', '?']).nth(1).unwrap_or_default();
        let length = path
            .rsplit('-')
            .next()
            .and_then(|length| length.parse().ok());
        let byte = b'0' + version as u8;
        vec![Act::Send(whole(
            &vec![byte; length.unwrap_or(10)],
            &[("etag", &tag)],
        ))]
    })
    .await
}

fn rows(server: &Hostile, count: usize, query: &str) -> Vec<Value> {
    let url = |at: usize| server.url(&format!("/{at}-1000?{query}"));
    (0..count)
        .map(|at| image(&format!("row-{at}"), &url(at)))
        .collect()
}

/// The contents of all entries, without their descriptions.
fn contents(folder: &Path) -> Vec<PathBuf> {
    let list = |path: PathBuf| {
        fs::read_dir(path)
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path())
    };
    let files = list(folder.join("cache")).flat_map(list);
    files.filter(|path| path.extension().is_none()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_second_job_takes_what_the_first_one_had() {
    let server = server(Arc::default()).await;
    let (_folder, cache) = cache(1_000_000);
    let first = Desk::new(&rows(&server, 20, "signature=1"));
    first
        .fetch_with(&context(&cache))
        .await
        .expect("all is there");
    assert_eq!(cache.hits(), 0);
    // The addresses' queries are other ones each time.
    let second = Desk::new(&rows(&server, 20, "signature=2"));
    let report = second
        .fetch_with(&context(&cache))
        .await
        .expect("all is there");
    assert_eq!((cache.hits(), report.here, report.bytes), (20, 20, 20_000));
    for line in second.lines(Split::Training) {
        assert_eq!(
            second.content(&line["data_row"]["local_path"]),
            vec![b'0'; 1000]
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_has_changed_is_fetched_again() {
    let version = Arc::new(AtomicU32::new(1));
    let server = server(Arc::clone(&version)).await;
    let (_folder, cache) = cache(1_000_000);
    for wanted in [b'1', b'2'] {
        let desk = Desk::new(&rows(&server, 1, ""));
        desk.fetch_with(&context(&cache))
            .await
            .expect("all is there");
        let place = &desk.lines(Split::Training)[0]["data_row"]["local_path"];
        assert_eq!(desk.content(place), vec![wanted; 1000]);
        version.store(2, Ordering::Relaxed);
    }
    assert_eq!(cache.hits(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_command_does_to_its_files_is_not_the_next_ones_trouble() {
    let server = server(Arc::default()).await;
    let (folder, cache) = cache(1_000_000);
    let first = Desk::new(&rows(&server, 1, ""));
    first
        .fetch_with(&context(&cache))
        .await
        .expect("all is there");
    let file = first.data().join("files/row-0.png");
    fs::write(&file, "spoiled").expect("a command may write there");
    let second = Desk::new(&rows(&server, 1, ""));
    second
        .fetch_with(&context(&cache))
        .await
        .expect("all is there");
    assert_eq!(cache.hits(), 1);
    assert_eq!(
        fs::read(second.data().join("files/row-0.png")).expect("a file"),
        vec![b'0'; 1000]
    );
    // Whoever runs as our user can spoil the cache itself; nobody is given what was spoiled.
    let entry = contents(folder.path()).pop().expect("an entry");
    fs::set_permissions(&entry, fs::Permissions::from_mode(0o600)).expect("our own file");
    fs::write(&entry, vec![b'x'; 1000]).expect("our own file");
    let third = Desk::new(&rows(&server, 1, ""));
    third
        .fetch_with(&context(&cache))
        .await
        .expect("all is there");
    assert_eq!(
        fs::read(third.data().join("files/row-0.png")).expect("a file"),
        vec![b'0'; 1000]
    );
    assert_eq!(cache.hits(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_cache_gives_up_some_of_what_it_has() {
    let server = server(Arc::default()).await;
    let (folder, cache) = cache(10_500);
    let desk = Desk::new(&rows(&server, 30, ""));
    desk.fetch_with(&context(&cache))
        .await
        .expect("all is there");
    let held = contents(folder.path()).len();
    assert!((5..=10).contains(&held), "{held}");
    assert_eq!(desk.lines(Split::Training).len(), 30);
    // A file that does not fit at all drives nothing out.
    let large = image("large", &server.url("/large-20000"));
    Desk::new(&[large])
        .fetch_with(&context(&cache))
        .await
        .expect("all is there");
    assert_eq!(contents(folder.path()).len(), held);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_jobs_at_once_use_it_side_by_side() {
    let server = server(Arc::default()).await;
    let (_folder, cache) = cache(30_000);
    let desks: Vec<Desk> = (0..4).map(|_| Desk::new(&rows(&server, 50, ""))).collect();
    let context = context(&cache);
    let fetches = desks.iter().map(|desk| desk.fetch_with(&context));
    for report in futures_util::future::join_all(fetches).await {
        assert_eq!(report.expect("all is there").here, 50);
    }
    for desk in &desks {
        for line in desk.lines(Split::Training) {
            assert_eq!(
                desk.content(&line["data_row"]["local_path"]),
                vec![b'0'; 1000]
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_kept_where_nothing_may_be() {
    let server = server(Arc::default()).await;
    let (folder, cache) = cache(0);
    for _ in 0..2 {
        let desk = Desk::new(&rows(&server, 1, ""));
        desk.fetch_with(&context(&cache))
            .await
            .expect("all is there");
    }
    assert!(!folder.path().join("cache").exists());
    assert_eq!(cache.hits(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_whose_version_says_little_is_fetched_each_time() {
    for (name, value) in [
        ("last-modified", "Mon, 30 Nov 2026 12:00:00 GMT"),
        ("etag", "W/\"v1\""),
    ] {
        let server = Hostile::start("127.0.0.1", move |before, request| {
            // It is not newer, says the server, and means an older one that has taken the place.
            let asks = request.contains("if-modified-since") || request.contains("if-none-match");
            vec![Act::Send(match asks {
                true => head("304 Not Modified", &[]),
                false => whole(&[b'0' + before as u8; 10], &[(name, value)]),
            })]
        })
        .await;
        let (_folder, cache) = cache(1_000_000);
        for wanted in [b'0', b'1'] {
            let desk = Desk::new(&rows(&server, 1, ""));
            desk.fetch_with(&context(&cache))
                .await
                .expect("all is there");
            let place = &desk.lines(Split::Training)[0]["data_row"]["local_path"];
            assert_eq!(desk.content(place), vec![wanted; 10], "{name}");
        }
        assert_eq!(cache.hits(), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_that_cannot_be_read_is_none() {
    let server = server(Arc::default()).await;
    let (folder, cache) = cache(1_000_000);
    for _ in 0..2 {
        let desk = Desk::new(&rows(&server, 1, ""));
        desk.fetch_with(&context(&cache))
            .await
            .expect("all is there");
        let place = &desk.lines(Split::Training)[0]["data_row"]["local_path"];
        assert_eq!(desk.content(place), vec![b'0'; 1000]);
        let entry = contents(folder.path()).pop().expect("an entry");
        fs::remove_file(&entry).expect("our own file");
        // Its first bytes are a fault of the disk for whoever reads them.
        symlink("/proc/self/mem", &entry).expect("our own folder");
    }
    assert_eq!(cache.hits(), 0);
}
