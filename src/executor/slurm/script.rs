//! The batch script, and the file with the launch's variables.
//!
//! Slurm shows a script to its owner and to operators, and may keep it in its accounting. So where files are shared the
//! variables, which may hold secrets, go into a file of the attempt's folder that only its owner can read, and that the
//! script removes as it begins. Where they are not shared, a launch holds no secret but a token that is good for the
//! claim alone.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs::{self, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use crate::{config::Secret, job_dir::files};

/// The file with the launch's variables, in the attempt's folder.
const ENVIRONMENT: &str = ".slurm-environment";

/// The script of a launch that runs `argv`: with the variables in the file of this folder, or in the script itself.
pub(super) fn script(
    argv: &[String],
    env: &BTreeMap<String, Secret>,
    folder: Option<&Path>,
) -> String {
    let variables = match folder {
        None => exports(env),
        Some(folder) => {
            let file = quote(&folder.join(ENVIRONMENT).to_string_lossy());
            // A second start of the same job finds no file, and ends here.
            format!(". {file} || exit 92\nrm -f {file}\n")
        }
    };
    let argv: Vec<String> = argv.iter().map(|word| quote(word)).collect();
    // Steps that the command begins with srun get its environment and its processors.
    format!(
        "#!/bin/sh -l\nexport SLURM_EXPORT_ENV=ALL\n\
         [ -z \"${{SLURM_CPUS_PER_TASK:-}}\" ] || export SRUN_CPUS_PER_TASK=\"$SLURM_CPUS_PER_TASK\"\n\
         {variables}exec {}\n",
        argv.join(" ")
    )
}

/// Variables in the language of the shell.
pub(super) fn exports(env: &BTreeMap<String, Secret>) -> String {
    let mut text = String::new();
    for (name, value) in env {
        let _infallible = writeln!(text, "export {name}={}", quote(value.expose()));
    }
    text
}

/// A word that the shell takes as it is.
fn quote(word: &str) -> String {
    format!("'{}'", word.replace('\'', "'\\''"))
}

/// Writes the file, which only we can read; whoever reads it meanwhile sees the whole of it.
///
/// # Errors
/// When the folder cannot be written.
pub(super) fn write_environment(folder: &Path, env: &BTreeMap<String, Secret>) -> io::Result<()> {
    let draft = folder.join(format!("{ENVIRONMENT}.{}", uuid::Uuid::new_v4().simple()));
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&draft)?;
    file.write_all(exports(env).as_bytes())?;
    file.sync_all()?;
    fs::rename(draft, folder.join(ENVIRONMENT))?;
    files::sync_dir(folder)
}

/// Removes the file of a job that never began.
pub(super) async fn remove_environment(folder: PathBuf) {
    let remove = move || fs::remove_file(folder.join(ENVIRONMENT));
    // It is not there if the job has begun.
    let _ = tokio::task::spawn_blocking(remove).await;
}
