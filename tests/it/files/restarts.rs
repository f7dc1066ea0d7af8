//! Fetches that are interrupted, and go on.

use std::{fs, io::Write};

use serde_json::Value;
use trainhook::dataset::Split;

use super::desk::{Desk, image};
use crate::{
    downloads::hostile::{Act, Hostile, whole},
    support::stack::wait_until,
};

fn paths(server: &Hostile) -> Vec<String> {
    let path = |head: &String| head.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut paths: Vec<String> = server.heads().iter().map(path).collect();
    paths.sort();
    paths
}

fn rows(server: &Hostile, count: usize) -> Vec<Value> {
    let row = |at: usize| image(&format!("row-{at:03}"), &server.url(&format!("/{at:03}")));
    (0..count).map(row).collect()
}

/// Answers each path with itself, but hangs at this one, once.
async fn hanging_at(path: &'static str) -> Hostile {
    let hung = std::sync::atomic::AtomicBool::new(false);
    Hostile::start("127.0.0.1", move |_, request| {
        let asked = request.split(' ').nth(1).unwrap_or_default().to_owned();
        let hang = asked == path && !hung.swap(true, std::sync::atomic::Ordering::Relaxed);
        match hang {
            true => vec![Act::Hang],
            false => vec![Act::Send(whole(asked.as_bytes(), &[]))],
        }
    })
    .await
}

fn is_whole(desk: &Desk, count: usize) {
    let lines = desk.lines(Split::Training);
    assert_eq!(lines.len(), count);
    for (at, line) in lines.iter().enumerate() {
        let content = desk.content(&line["data_row"]["local_path"]);
        assert_eq!(content, format!("/{at:03}").as_bytes());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_fetch_goes_on_where_it_was() {
    let server = hanging_at("/040").await;
    let desk = Desk::new(&rows(&server, 60));
    let before = desk.lines(Split::Training);
    {
        let mut fetching = Box::pin(desk.fetch());
        let all_but_one = wait_until("notes of all before the one that hangs", || {
            let notes = fs::read_to_string(desk.server().join("files.ndjson")).ok()?;
            (notes.lines().count() == 1 + 40).then_some(())
        });
        tokio::select! {
            result = &mut fetching => panic!("one file hangs, but {result:?}"),
            () = all_but_one => {}
        }
    }
    assert_eq!(desk.lines(Split::Training), before);
    let report = desk.fetch().await.expect("all is there");
    assert_eq!((report.wanted, report.here), (60, 60));
    is_whole(&desk, 60);
    let asked = paths(&server);
    let twice = asked.windows(2).filter(|pair| pair[0] == pair[1]);
    let twice: Vec<&str> = twice.map(|pair| pair[0].as_str()).collect();
    assert!(
        twice.contains(&"/040") && twice.iter().all(|path| *path >= "/040"),
        "{twice:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_noted_and_here_is_not_fetched_again() {
    let server = hanging_at("none").await;
    let desk = Desk::new(&rows(&server, 10));
    desk.fetch().await.expect("all is there");
    desk.fetch().await.expect("all is there");
    assert_eq!(server.heads().len(), 10);
    // From the first file on that is not as it was noted, nothing is believed.
    fs::write(desk.data().join("files/row-004.png"), "cut").expect("the folder is writable");
    let report = desk.fetch().await.expect("all is there");
    assert_eq!((report.wanted, report.here), (10, 10));
    is_whole(&desk, 10);
    assert_eq!(paths(&server).len(), 16);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_torn_journal_is_believed_as_far_as_it_goes() {
    let server = hanging_at("none").await;
    let desk = Desk::new(&rows(&server, 10));
    desk.fetch().await.expect("all is there");
    let journal = desk.server().join("files.ndjson");
    let text = fs::read_to_string(&journal).expect("a journal");
    let kept: String = text
        .lines()
        .take(1 + 7)
        .map(|line| format!("{line}\n"))
        .collect();
    for torn in [
        "",
        "{\"bytes\":",
        "{\"bytes\":4",
        "\0\0\0\0",
        "null\n",
        "{\"bytes\":9}\n{\"bytes\":4}\n",
    ] {
        let mut file = fs::File::create(&journal).expect("the folder is writable");
        write!(file, "{kept}{torn}").expect("the folder is writable");
        let before = server.heads().len();
        desk.fetch().await.expect("all is there");
        is_whole(&desk, 10);
        assert_eq!(server.heads().len() - before, 3, "{torn:?}");
        assert_eq!(fs::read_to_string(&journal).expect("a journal"), text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_here_need_not_come_again_for_another_export() {
    let server = hanging_at("none").await;
    let url = |at: usize, query: &str| server.url(&format!("/{at:03}?signature={query}"));
    let row = |at: usize, url: &str| image(&format!("row-{at:03}"), url);
    let export = |query: &str| {
        (0..5)
            .map(|at| row(at, &url(at, query)))
            .collect::<Vec<_>>()
    };
    let mut desk = Desk::new(&export("first"));
    desk.fetch().await.expect("all is there");
    // The order is another one, a row leads elsewhere, and a file is not as it came.
    let mut lines = export("second");
    lines[3] = row(3, &server.url("/elsewhere"));
    lines.reverse();
    desk.lay(Split::Training, &lines);
    fs::write(desk.data().join("files/row-001.png"), "cut").expect("the folder is writable");
    desk.export_id = "task-2".to_owned();
    let report = desk.fetch().await.expect("all is there");
    assert_eq!((report.wanted, report.here), (5, 5));
    let again: Vec<String> = paths(&server)
        .into_iter()
        .filter(|path| !path.ends_with("first"))
        .collect();
    assert_eq!(again, ["/001?signature=second", "/elsewhere"]);
    let lines = desk.lines(Split::Training);
    let place = |at: usize| desk.content(&lines[at]["data_row"]["local_path"]);
    assert_eq!(
        (place(4), place(1)),
        (b"/000?signature=first".to_vec(), b"/elsewhere".to_vec())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fetch_for_another_export_that_is_interrupted_loses_nothing_either() {
    let server = hanging_at("/new").await;
    let mut desk = Desk::new(&rows(&server, 10));
    desk.fetch().await.expect("all is there");
    let mut lines = rows(&server, 10);
    lines.insert(5, image("new", &server.url("/new")));
    desk.lay(Split::Training, &lines);
    desk.export_id = "task-2".to_owned();
    {
        let mut fetching = Box::pin(desk.fetch());
        let hangs = wait_until("a file that hangs", || {
            paths(&server).contains(&"/new".to_owned()).then_some(())
        });
        tokio::select! {
            result = &mut fetching => panic!("one file hangs, but {result:?}"),
            () = hangs => {}
        }
    }
    let report = desk.fetch().await.expect("all is there");
    assert_eq!((report.wanted, report.here), (11, 11));
    assert_eq!(server.heads().len(), 10 + 2);
}
