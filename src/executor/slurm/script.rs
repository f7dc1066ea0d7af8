//! The batch script.
//!
//! Slurm shows a script to its owner and to operators, and may keep it in its accounting. So where files are shared the
//! variables, which may hold secrets, go into a file of the attempt's folder (see [`shell`]). Where they are not shared, a
//! launch holds no secret but a token that is good for the claim alone.

use std::{collections::BTreeMap, path::Path};

use crate::{config::Secret, executor::shell};

/// The file with the launch's variables, in the attempt's folder.
pub(super) const ENVIRONMENT: &str = ".slurm-environment";

/// The script of a launch that runs `argv`: with the variables in the file of this folder, or in the script itself.
pub(super) fn script(
    argv: &[String],
    env: &BTreeMap<String, Secret>,
    folder: Option<&Path>,
) -> String {
    let variables = match folder {
        None => shell::exports(env),
        Some(folder) => shell::take_variables(&folder.join(ENVIRONMENT)),
    };
    let argv: Vec<String> = argv.iter().map(|word| shell::quote(word)).collect();
    // Steps that the command begins with srun get its environment and its processors.
    format!(
        "#!/bin/sh -l\nexport SLURM_EXPORT_ENV=ALL\n\
         [ -z \"${{SLURM_CPUS_PER_TASK:-}}\" ] || export SRUN_CPUS_PER_TASK=\"$SLURM_CPUS_PER_TASK\"\n\
         {variables}exec {}\n",
        argv.join(" ")
    )
}
