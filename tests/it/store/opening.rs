//! Who may open a store, and which files are refused as they are.

use std::fs;

use rusqlite::Connection;
use trainhook::store::{Acceptance, OpenError, Store};

use super::{Shelf, entry, noon, request};

#[test]
fn a_second_owner_is_refused_and_told_who_the_first_is() {
    let shelf = Shelf::new();
    let refused = Store::open(shelf.folder.path()).expect_err("one owner");
    assert!(matches!(refused, OpenError::Taken { .. }), "{refused}");
    assert!(
        refused
            .to_string()
            .contains(&std::process::id().to_string()),
        "{refused}"
    );
}

#[tokio::test]
async fn what_was_accepted_is_there_after_the_store_was_left() {
    let folder = {
        let shelf = Shelf::new();
        shelf.accept("r1", entry()).await;
        shelf.folder
    };
    // The writer's thread gives the folder up a moment after the last handle is gone.
    let store =
        crate::support::stack::wait_until("the folder", || Store::open(folder.path()).ok()).await;
    let jobs = store
        .jobs(trainhook::store::Filter {
            limit: 9,
            ..Default::default()
        })
        .await
        .expect("readable");
    assert_eq!(jobs.len(), 1);
    assert_eq!(jobs[0].model_run_id.as_str(), "r1");
}

#[test]
fn the_file_keeps_what_durability_rests_on() {
    let shelf = Shelf::new();
    let connection = Connection::open(shelf.store.file()).expect("it opens");
    let mode: String = connection
        .query_row("PRAGMA journal_mode", [], |row| row.get(0))
        .expect("a mode");
    assert_eq!(mode, "wal");
    let version: i64 = connection
        .query_row("PRAGMA user_version", [], |row| row.get(0))
        .expect("a version");
    assert_eq!(version, 3);
}

#[test]
fn a_file_of_a_newer_version_is_refused_and_left_as_it_is() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let file = folder.path().join("trainhook.db");
    let connection = Connection::open(&file).expect("it opens");
    connection
        .execute_batch("CREATE TABLE jobs (x); PRAGMA user_version = 4")
        .expect("it is written");
    drop(connection);
    let before = fs::read(&file).expect("it is there");
    let refused = Store::open(folder.path()).expect_err("too new");
    assert!(
        matches!(refused, OpenError::Newer { found: 4, .. }),
        "{refused}"
    );
    assert_eq!(fs::read(&file).expect("it is there"), before);
}

#[test]
fn a_damaged_file_is_refused_and_left_as_it_is() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let file = folder.path().join("trainhook.db");
    for bytes in [
        vec![b'x'; 5000],
        b"SQLite format 3\0 and then nothing good".repeat(99),
    ] {
        fs::write(&file, &bytes).expect("the folder is writable");
        let refused = Store::open(folder.path()).expect_err("damaged");
        assert!(matches!(refused, OpenError::Database { .. }), "{refused}");
        assert!(
            refused.to_string().contains("restore a backup"),
            "{refused}"
        );
        assert_eq!(fs::read(&file).expect("it is there"), bytes);
    }
}

#[test]
fn a_folder_that_is_a_file_is_named() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let file = folder.path().join("state");
    fs::write(&file, "").expect("the folder is writable");
    let refused = Store::open(&file).expect_err("no folder");
    assert!(refused.to_string().contains("state_dir"), "{refused}");
}

#[tokio::test]
async fn a_file_of_the_first_version_is_brought_up_to_date_and_a_copy_of_it_kept() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let file = folder.path().join("trainhook.db");
    let old = Connection::open(&file).expect("it opens");
    old.execute_batch(include_str!("../../../src/store/schema/1.sql"))
        .expect("the first schema");
    let entry_json = serde_json::to_string(&entry()).expect("JSON");
    old.execute(
        "INSERT INTO jobs (version, id, workspace, model_run_id, kind, actor, model, executor, entry, gpus, protocol, \
         webhook, webhook_digest, state, attempt, devices, progress, events_offset, accepted_at, next_check_at) \
         VALUES (1, '019ab0c5-0000-7000-8000-000000000001', 'main', 'r1', 'train', 'labelbox', 'one', 'local', ?1, 0, \
         1, x'7b7d', x'00', 'accepted', 1, '[]', '{}', 0, 1000, 1000)",
        [entry_json],
    )
    .expect("a job");
    old.execute_batch(
        "INSERT INTO server VALUES (1, 'me'); INSERT INTO reports (job, workspace, model_run_id, report, final, state, \
         created_at) VALUES (1, 'main', 'r1', '{\"status\":\"EXPORTING_DATA\"}', 0, 'owed', 1000); \
         PRAGMA user_version = 1",
    )
    .expect("a report");
    drop(old);

    let store = Store::open(folder.path()).expect("it is brought up to date");
    assert_eq!(store.server_id(), "me");
    let owed = store.owed_runs(noon(), 9).await.expect("readable");
    assert_eq!(owed[0].model_run_id.as_str(), "r1");
    let again = store.accept(request("r1", entry()), noon()).await;
    assert!(matches!(again, Ok(Acceptance::Duplicate(_))), "{again:?}");
    let kept = Connection::open(folder.path().join("trainhook.db.v1")).expect("the copy");
    let version: i64 = kept
        .query_row("PRAGMA user_version", [], |row| row.get(0))
        .expect("a version");
    assert_eq!(version, 1);
}
