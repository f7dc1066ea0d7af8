//! What several subjects share.

pub(crate) mod attempts;
pub(crate) mod clicks;
pub(crate) mod docker;
#[cfg(feature = "kubernetes")]
pub(crate) mod kubernetes;
pub(crate) mod labelbox_door;
pub(crate) mod numbers;
pub(crate) mod processes;
pub(crate) mod raw_http;
pub(crate) mod ray;
pub(crate) mod script;
pub(crate) mod scripted;
pub(crate) mod server;
pub(crate) mod stack;
pub(crate) mod tracer;

/// Says that a test cannot run on this machine; `tests/run` repeats it in its last lines.
pub(crate) fn skip(what: &str) {
    use std::io::Write as _;
    println!("skipped: {what}");
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/target/skipped-tests");
    let skipped = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(file);
    let noted = skipped.and_then(|mut file| writeln!(file, "{what}"));
    noted.expect("the target folder is writable");
}
