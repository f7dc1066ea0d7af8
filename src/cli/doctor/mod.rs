//! `trainhook doctor`: whether everything is as it should be, from the settings to the way from outside.

mod inside;
mod outside;

use std::{path::PathBuf, process::ExitCode};

use super::{
    admin_client::{AdminClient, ServerArgs},
    check,
    terminal::{plain, say},
};
use crate::{
    config::{self, Config},
    executor::Registry,
};

/// Looks at everything that must be right, and says what is not.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "With --url it calls itself through the address that is registered in Labelbox, and says what \
                  arrived. It starts no job.\n\nExit code 0: nothing is wrong. 1: something is. 2: the settings have \
                  mistakes."
)]
pub(super) struct Args {
    /// The settings.
    #[arg(long, value_name = "FILE", default_value = "models.toml")]
    config: PathBuf,
    /// The address as it is registered in Labelbox: the way from outside is tried, too.
    #[arg(long)]
    url: Option<reqwest::Url>,
    /// Whose secret signs what is sent to --url; needed only where there are several workspaces.
    #[arg(long, value_name = "NAME", requires = "url")]
    workspace: Option<String>,
}

/// What was found, one line each.
#[derive(Debug, Default)]
struct Findings {
    wrong: u32,
}

impl Findings {
    /// Takes one, with the words for both ways it may have gone.
    fn tell(&mut self, what: &str, found: Result<String, String>) {
        match found {
            Ok(words) => say(&format!("ok     {what}: {}", plain(&words))),
            Err(words) => {
                self.wrong += 1;
                say(&format!("WRONG  {what}: {}", plain(&words)));
            }
        }
    }

    /// Something doubtful that may be meant so.
    fn warn(&self, words: &str) {
        say(&format!("note   {}", plain(words)));
    }
}

impl Args {
    pub(super) fn run(self, registry: &Registry) -> ExitCode {
        let parsed = match config::read(&self.config) {
            Ok(parsed) => parsed,
            Err(error) => {
                eprintln!("trainhook: {error}");
                return ExitCode::from(2);
            }
        };
        let (config, mistakes, warnings) = check::judge(parsed, registry);
        let Some(config) = config else {
            check::print_mistakes(&self.config, &mistakes);
            return ExitCode::from(2);
        };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build();
        match runtime {
            Ok(runtime) => runtime.block_on(self.examine(config, warnings, registry)),
            Err(error) => {
                eprintln!("trainhook: cannot start: {error}");
                ExitCode::FAILURE
            }
        }
    }

    async fn examine(self, config: Config, warnings: Vec<String>, registry: &Registry) -> ExitCode {
        let mut findings = Findings::default();
        let models = config.models.len();
        findings.tell(
            "settings",
            Ok(format!(
                "{} is fine, models: {models}",
                self.config.display()
            )),
        );
        for warning in warnings {
            findings.warn(&warning);
        }
        inside::folders(&config, &mut findings);
        inside::executors(&config, registry, &mut findings).await;
        inside::secrets(&config, &mut findings);
        inside::labelbox(&config, &mut findings).await;
        let server = ServerArgs::of(self.config.clone()).connect();
        let server = inside::server(server, &mut findings).await;
        if server.is_some() {
            inside::jobs_url(&config, &mut findings).await;
        }
        if let Some(url) = &self.url {
            match outside::find_workspace(&config, self.workspace.as_deref(), url) {
                Ok(workspace) => {
                    outside::examine(url, workspace, server.as_ref(), &mut findings).await;
                }
                Err(error) => findings.tell("the way from outside", Err(error)),
            }
        }
        match findings.wrong {
            0 => {
                say("nothing is wrong");
                ExitCode::SUCCESS
            }
            wrong => {
                say(&format!("wrong: {wrong}"));
                ExitCode::FAILURE
            }
        }
    }
}
