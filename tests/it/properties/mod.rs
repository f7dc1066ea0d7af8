//! What holds whatever is sent to us: everything that reads bytes from outside, fed with many.
//!
//! `PROPTEST_CASES` says how many each property is tried with; a failure is shown in its smallest form.

mod answers;
mod events;
mod mirror;
mod payload;
mod records;
mod settings;
mod signature;
mod verdicts;

use proptest::{
    collection::vec,
    prelude::{Just, Strategy, any, prop_oneof},
    sample::Index,
    test_runner::{Config, TestRunner},
};
use serde_json::Value;

/// Fails with the smallest value that was found for which `holds` panics.
fn always<S: Strategy>(values: S, holds: impl Fn(S::Value)) {
    let config = Config {
        failure_persistence: None,
        ..Config::default()
    };
    let tried = TestRunner::new(config).run(&values, |value| {
        holds(value);
        Ok(())
    });
    if let Err(failure) = tried {
        panic!("{failure}");
    }
}

/// Any bytes at all.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..2_000)
}

/// Any JSON, nested a little.
fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Value::from),
            vec((".{0,12}", inner), 0..6)
                .prop_map(|entries| Value::Object(entries.into_iter().collect())),
        ]
    })
}

/// One thing that happens to bytes on their way.
#[derive(Debug, Clone)]
enum Harm {
    Cut,
    Lose,
    Flip(u8),
    Insert(Vec<u8>),
    Repeat,
}

/// What is good, after up to four things have happened to it.
fn damaged(good: impl Strategy<Value = Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let harm = prop_oneof![
        1 => Just(Harm::Cut),
        3 => Just(Harm::Lose),
        3 => (1..=u8::MAX).prop_map(Harm::Flip),
        4 => prop_oneof![
            vec(any::<u8>(), 1..9),
            "[\\[\\]{}\",:=0-9a-z\n\\\\#.-]{1,9}".prop_map(String::into_bytes),
        ]
        .prop_map(Harm::Insert),
        1 => Just(Harm::Repeat),
    ];
    (good, vec((any::<Index>(), harm), 0..5)).prop_map(|(good, harms)| {
        let mut bytes = good;
        for (at, harm) in harms {
            suffer(&mut bytes, at, harm);
        }
        bytes
    })
}

fn suffer(bytes: &mut Vec<u8>, at: Index, harm: Harm) {
    if bytes.is_empty() {
        return;
    }
    let at = at.index(bytes.len());
    match harm {
        Harm::Cut => bytes.truncate(at),
        Harm::Lose => drop(bytes.remove(at)),
        Harm::Flip(bits) => bytes[at] ^= bits,
        Harm::Insert(more) => drop(bytes.splice(at..at, more)),
        Harm::Repeat => bytes.extend_from_within(at..),
    }
}
