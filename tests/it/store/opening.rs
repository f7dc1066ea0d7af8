//! Who may open a store, and which files are refused as they are.

use std::fs;

use rusqlite::Connection;
use trainhook::store::{OpenError, Store};

use super::{Shelf, entry};

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
    assert_eq!(version, 1);
}

#[test]
fn a_file_of_a_newer_version_is_refused_and_left_as_it_is() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let file = folder.path().join("trainhook.db");
    let connection = Connection::open(&file).expect("it opens");
    connection
        .execute_batch("CREATE TABLE jobs (x); PRAGMA user_version = 2")
        .expect("it is written");
    drop(connection);
    let before = fs::read(&file).expect("it is there");
    let refused = Store::open(folder.path()).expect_err("too new");
    assert!(
        matches!(refused, OpenError::Newer { found: 2, .. }),
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
