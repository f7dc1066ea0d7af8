//! What a supervisor elsewhere may tell: any path, any bytes at any offset.

use std::path::{Component, Path};

use proptest::{
    collection::vec,
    prelude::{Strategy, any},
};
use trainhook::{
    job_dir::{Appended, AttemptDir},
    mirror::stays_inside,
};

use super::always;

/// A text that is told in pieces: each begins where the teller likes, never behind what was told so far.
fn told() -> impl Strategy<Value = (Vec<u8>, Vec<(usize, usize)>)> {
    let text = vec(any::<u8>(), 1..3000);
    let pieces = vec((0..3000usize, 1..900usize), 1..30);
    (text, pieces)
}

fn attempt() -> (tempfile::TempDir, AttemptDir) {
    let folder = tempfile::tempdir().expect("a folder");
    let dir = AttemptDir::at(folder.path().to_owned());
    (folder, dir)
}

/// Tells the pieces, then whatever is left; `tell` answers how far the reader is.
fn tell_all(
    text: &[u8],
    pieces: &[(usize, usize)],
    mut tell: impl FnMut(usize, &[u8]) -> usize,
) -> usize {
    let mut have = 0;
    for (from, length) in pieces {
        let from = from % (have + 1);
        have = tell(from, &text[from..(from + length).min(text.len())]);
    }
    tell(have, &text[have..])
}

#[test]
fn a_path_that_is_taken_stays_inside() {
    always("[a.%/\\\\\\x00 ä-]{0,12}", |path| {
        if stays_inside(&path) {
            let mut parts = Path::new(&path).components();
            let is_plain = parts.all(|part| matches!(part, Component::Normal(_)));
            assert!(
                is_plain && !path.contains('\0') && !path.is_empty(),
                "{path:?}"
            );
        }
    });
}

#[test]
fn events_told_in_pieces_are_the_events() {
    always(told(), |(text, pieces)| {
        let (_folder, dir) = attempt();
        let tell = |offset: usize, bytes: &[u8]| match dir
            .append_events(offset as u64, bytes, 10_000)
            .expect("a file")
        {
            Appended::UpTo(have) => usize::try_from(have).expect("a short file"),
            Appended::TooLong => panic!("within the limit"),
        };
        assert_eq!(tell_all(&text, &pieces, tell), text.len());
        assert_eq!(std::fs::read(dir.events()).expect("a file"), text);
    });
}

#[test]
fn a_log_told_in_pieces_keeps_its_bound_its_beginning_and_its_end() {
    always(told(), |(text, pieces)| {
        let (_folder, dir) = attempt();
        // No log is bounded to less than 4096 bytes: a longer text shows the bound.
        let text: Vec<u8> = text.iter().cycle().take(text.len() * 4).copied().collect();
        let tell = |offset: usize, bytes: &[u8]| {
            let have = dir.append_log(offset as u64, bytes, 4096).expect("a file");
            usize::try_from(have).expect("a short file")
        };
        assert_eq!(tell_all(&text, &pieces, tell), text.len());
        let beginning = dir.read_log(0, 10_000).expect("a log").bytes;
        assert!(beginning.len() >= text.len().min(2048) && text.starts_with(&beginning));
        let end = dir.log_tail(10_000).expect("a log").bytes;
        assert!(end.len() >= text.len().min(1024) && text.ends_with(&end));
        let parts = std::fs::read_dir(dir.log_dir())
            .expect("a folder")
            .flatten();
        let size: u64 = parts
            .map(|part| part.metadata().expect("a file").len())
            .sum();
        assert!(size <= 4096, "{size}");
    });
}
