//! Whether the kernel killed for memory while a command ran.

use std::fs;

/// A count of such kills at one moment.
#[derive(Debug)]
pub(super) struct OomKills {
    file: String,
    count: u64,
}

impl OomKills {
    /// The count as it is now: of our control group if it tells, else of the whole machine.
    pub(super) fn now() -> Option<Self> {
        let candidates = [own_group(), Some("/proc/vmstat".to_owned())];
        candidates.into_iter().flatten().find_map(|file| {
            let count = read(&file)?;
            Some(Self { file, count })
        })
    }

    /// Whether there were more since.
    pub(super) fn grew(&self) -> bool {
        read(&self.file).is_some_and(|count| count > self.count)
    }
}

/// The second version's groups have a line `0::<path>`.
fn own_group() -> Option<String> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    let path = groups.lines().find_map(|line| line.strip_prefix("0::"))?;
    Some(format!("/sys/fs/cgroup{path}/memory.events"))
}

fn read(file: &str) -> Option<u64> {
    let text = fs::read_to_string(file).ok()?;
    let count = text.lines().find_map(|line| line.strip_prefix("oom_kill "));
    count?.trim().parse().ok()
}
