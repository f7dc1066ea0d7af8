//! `supervisor = …` of an executor: how the program that supervises reaches a node.

use std::path::{Path, PathBuf};

use super::Table;

/// Where a node finds the program that supervises.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Supervisor {
    /// `"shared"`: at the server's own path, on a file system that the node has, too.
    #[default]
    Shared,
    /// `"path:/opt/trainhook"`: there, in the node's image or on its disk.
    Path(PathBuf),
    /// `"sent"`: the engine brings it along its own way: a mount, an init container, a package.
    Sent,
}

impl Supervisor {
    /// Understands the word of a settings file.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "shared" => Some(Self::Shared),
            "sent" => Some(Self::Sent),
            text => {
                let path = Path::new(text.strip_prefix("path:")?);
                path.is_absolute().then(|| Self::Path(path.to_owned()))
            }
        }
    }
}

impl Table {
    /// The key `supervisor`; an engine that cannot send the program along takes no `"sent"`.
    pub fn supervisor(&mut self, default: Supervisor, can_send: SendsProgram) -> Supervisor {
        let Some(text) = self.string("supervisor") else {
            return default;
        };
        let found = Supervisor::parse(&text)
            .filter(|found| *found != Supervisor::Sent || can_send == SendsProgram::Yes);
        found.unwrap_or_else(|| {
            let forms = match can_send {
                SendsProgram::Yes => "\"shared\", \"sent\" or \"path:/opt/trainhook\"",
                SendsProgram::No => "\"shared\" or \"path:/opt/trainhook\"",
            };
            self.mistake("supervisor", format!("must be {forms}"));
            default
        })
    }
}

/// Whether an engine can bring the program to a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SendsProgram {
    /// It has a way of its own.
    Yes,
    /// The program must be there.
    No,
}
