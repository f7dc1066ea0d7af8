//! Log lines on standard error: text for people, JSON for programs.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum LogFormat {
    /// One readable line each.
    Text,
    /// One JSON object a line.
    Json,
}

impl LogFormat {
    /// Installs the log of this process. `TRAINHOOK_LOG` chooses what is logged: `debug`, or
    /// `info,trainhook::reporter=debug`; `info` if it is not set.
    pub(super) fn install(self) {
        let filter =
            EnvFilter::try_from_env("TRAINHOOK_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
        let log = tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(std::io::stderr)
            // A line that cannot be written, as on a full disk, is lost; to complain of it in the same place would panic.
            .log_internal_errors(false);
        // A program that embeds us may have installed its own; then that one stays.
        let _installed = match self {
            Self::Text => log
                .with_ansi(std::io::stderr().is_terminal())
                .with_target(false)
                .try_init(),
            Self::Json => log
                .json()
                .flatten_event(true)
                .with_current_span(false)
                .try_init(),
        };
    }
}
