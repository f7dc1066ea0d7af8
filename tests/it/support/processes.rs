//! The processes of a test, found by the folder that is its own.

use std::{fs, path::Path};

use trainhook::process::{self, ProcessId, Signal};

use super::stack::wait_until;

/// Every living process that works in the folder, or names it in its arguments.
pub(crate) fn living_in(folder: &Path) -> Vec<ProcessId> {
    let is_there = |process: &fs::DirEntry| {
        let of = |name: &str| process.path().join(name);
        let arguments = fs::read(of("cmdline")).unwrap_or_default();
        let named = String::from_utf8_lossy(&arguments).contains(&*folder.to_string_lossy());
        named || fs::read_link(of("cwd")).is_ok_and(|cwd| cwd.starts_with(folder))
    };
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let names = processes
        .filter(is_there)
        .map(|process| process.file_name());
    let ids = names.filter_map(|name| ProcessId::of(name.to_str()?.parse().ok()?));
    ids.filter(|process| process.is_alive()).collect()
}

/// Ends them all.
pub(crate) fn end_in(folder: &Path) {
    // One may begin another before it is ended itself.
    for _ in 0..10 {
        let living = living_in(folder);
        if living.is_empty() {
            return;
        }
        for process in living {
            kill(process);
        }
    }
}

/// Ends one as a power cut would; one that has ended already is fine.
pub(crate) fn kill(process: ProcessId) {
    let _gone = process::kill(process, Signal::KILL);
}

/// Ends one that is not our child, and waits until what it held is free.
pub(crate) async fn kill_and_wait(process: ProcessId) {
    kill(process);
    wait_until("the end of a killed process", || {
        (!process.is_alive()).then_some(())
    })
    .await;
}
