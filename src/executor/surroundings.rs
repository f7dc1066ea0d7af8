//! What of the server's own environment reaches what it starts.

use std::ffi::OsString;

/// What a command sees of the server's environment; nothing else, so no secret of ours.
const PASSED: [&str; 14] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "LANG",
    "LC_ALL",
    "TZ",
    "TMPDIR",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
];

/// The variables that are passed on, as far as they are set.
pub(super) fn passed() -> impl Iterator<Item = (&'static str, OsString)> {
    let set = |name: &'static str| Some((name, std::env::var_os(name)?));
    PASSED.into_iter().filter_map(set)
}
