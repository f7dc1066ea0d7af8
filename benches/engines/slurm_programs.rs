//! A Slurm of two small programs: what was submitted runs, for ever.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

/// Notes the job as the queue shows it; `mkdir` is the lock.
const SBATCH: &str = r#"cd "${0%/*}"
for word; do case $word in --job-name=*) name=${word#*=} ;; esac; done
until mkdir lock 2>/dev/null; do sleep 0.01; done
read -r id < next; echo $((id + 1)) > next
echo "$id/$name/$(id -u)/RUNNING/main/None" >> queue
rmdir lock
echo "$id"
"#;

/// Shows all of them, whoever is asked for.
const SQUEUE: &str = r#"exec cat "${0%/*}/queue""#;

/// Writes the programs into a folder; answers the executor's table.
pub(crate) fn install(folder: &Path) -> String {
    let write = |name: &str, text: &str| {
        let path = folder.join(name);
        fs::write(&path, text).expect("the folder is writable");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("it is ours");
    };
    write("sbatch", &format!("#!/bin/sh\n{SBATCH}"));
    write("squeue", &format!("#!/bin/sh\n{SQUEUE}\n"));
    write("next", "1\n");
    write("queue", "");
    format!(
        "bin = {:?}\naccounting = false\n",
        folder.display().to_string()
    )
}
