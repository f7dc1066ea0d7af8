//! The `trainhook` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    trainhook::cli::main_with(&trainhook::executor::Registry::default())
}
