//! `events.ndjson`: written by a command that may be killed in the middle of a line, read while it is written.

use std::{fs, io::Write};

use proptest::{
    collection::vec,
    prelude::{Just, Strategy, any, prop_oneof},
};
use trainhook::{
    job::Stage,
    job_dir::{AttemptDir, Event, Level},
};

use super::{always, bytes, damaged, json};
use crate::support::attempts::Attempt;

fn events() -> impl Strategy<Value = Event> {
    let finite = any::<f64>().prop_filter("JSON knows no others", |value| value.is_finite());
    prop_oneof![
        prop_oneof![Just(Stage::Training), Just(Stage::Preparing)]
            .prop_map(|stage| Event::Stage { stage }),
        (0.0..100.0f64).prop_map(|percent| Event::Progress { percent }),
        (any::<String>(), finite, any::<Option<u64>>())
            .prop_map(|(name, value, step)| Event::Metric { name, value, step }),
        any::<String>().prop_map(|text| Event::Note {
            level: Level::Warning,
            text
        }),
    ]
}

fn line(event: &Event) -> Vec<u8> {
    let mut line = serde_json::to_vec(event).expect("an event is JSON");
    line.push(b'\n');
    line
}

/// Reads to the end, and that must come.
fn read_all(dir: &AttemptDir) -> Vec<Event> {
    let (mut all, mut offset) = (Vec::new(), 0);
    loop {
        let batch = dir.read_events(offset).expect("a readable file");
        assert!(batch.offset >= offset);
        all.extend(batch.events);
        if batch.offset == offset {
            return all;
        }
        offset = batch.offset;
    }
}

#[test]
fn what_is_no_event_costs_no_event_that_follows() {
    let attempt = Attempt::of(&["true"]);
    let dir = attempt.dir();
    let strange = prop_oneof![
        bytes(),
        json().prop_map(|value| value.to_string().into_bytes()),
        damaged(events().prop_map(|event| line(&event))),
    ];
    always((strange, vec(events(), 1..5)), |(before, told)| {
        fs::write(dir.events(), &before).expect("a file");
        for event in &told {
            dir.append_event(event).expect("an event");
        }
        let read = read_all(&dir);
        assert!(read.len() >= told.len());
        let last = &read[read.len() - told.len()..];
        assert_eq!(format!("{last:?}"), format!("{told:?}"));
    });
}

#[test]
fn a_reader_that_looks_at_any_moment_gets_each_event_once() {
    let attempt = Attempt::of(&["true"]);
    let dir = attempt.dir();
    let cuts = vec(any::<proptest::sample::Index>(), 0..6);
    always((vec(events(), 1..8), cuts), |(told, cuts)| {
        let whole: Vec<u8> = told.iter().flat_map(line).collect();
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(whole.len())).collect();
        cuts.push(whole.len());
        cuts.sort_unstable();
        fs::write(dir.events(), "").expect("a file");
        let (mut read, mut offset, mut written) = (Vec::new(), 0, 0);
        for cut in cuts {
            let mut file = fs::OpenOptions::new()
                .append(true)
                .open(dir.events())
                .expect("a file");
            file.write_all(&whole[written..cut]).expect("room");
            written = cut;
            let batch = dir.read_events(offset).expect("a readable file");
            offset = batch.offset;
            read.extend(batch.events);
        }
        assert_eq!(format!("{read:?}"), format!("{told:?}"));
    });
}
