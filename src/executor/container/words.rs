//! What engines say when a container does not start, and what it means.

/// Words of engines after which the same container can never start.
const FINAL: [&str; 9] = [
    "not found",
    "no such file or directory",
    "executable file not found",
    "exec format error",
    "could not select device driver",
    "unknown or invalid runtime",
    "permission denied",
    "not supported",
    "GLIBC_",
];

/// Whether trying again is of no use.
pub(super) fn is_final(text: &str) -> bool {
    FINAL.iter().any(|words| text.contains(words))
}

/// The engine's words, after what they mean where that is known: long messages are cut at their end.
pub(super) fn explained(text: &str) -> String {
    match meaning(text) {
        Some(meaning) => format!("{meaning} ({text})"),
        None => text.to_owned(),
    }
}

/// What a refusal or the last words of a supervisor mean; none if they speak for themselves.
pub(super) fn meaning(text: &str) -> Option<&'static str> {
    let has = |words: &str| text.contains(words);
    let is_program = has("trainhook");
    if is_program && has("GLIBC_") {
        return Some(
            "the image's C library is older than this program's: mount a program made for it (program = …), or take a newer image",
        );
    }
    if is_program && has("exec format error") {
        return Some(
            "the image is for another processor than this program: mount one made for it (program = …)",
        );
    }
    if is_program && (has("no such file or directory") || has("executable file not found")) {
        return Some(
            "this program cannot run in the image, which has another C library (Alpine's, or none): mount a program that \
             needs none (program = …), or put one into the image (supervisor = \"path:…\")",
        );
    }
    if is_program && has("error while loading shared libraries") {
        return Some(
            "the image lacks a library that this program needs: mount another program (program = …)",
        );
    }
    if has("could not select device driver") {
        return Some(
            "the engine cannot hand out GPUs: install the NVIDIA container toolkit on its machine",
        );
    }
    None
}
