//! The claim: what makes a double start impossible.
//!
//! Before it spawns the command, a supervisor must win `claim.json`; the server gives an attempt up
//! only by winning the same file as revoked. The file appears with its whole content or not at all.

use std::{fs, io};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{AttemptDir, ExitRecord, files};
use crate::{
    job::{LaunchId, Stage},
    process,
};

/// The longest claim file believed, in bytes.
const CLAIM_LIMIT: u64 = 16 * 1024;

/// The content of `claim.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// The attempt that is claimed.
    pub launch_id: LaunchId,
    /// Who won it.
    #[serde(flatten)]
    pub by: Claimant,
    /// The boot during which it was won.
    pub boot_id: String,
    /// The machine on which it was won.
    pub machine_id: String,
    /// The engine's own name of the attempt, as far as it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine_id: Option<String>,
    /// What the winner does first, if that is not training: over HTTP it fetches what the command needs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<Stage>,
}

/// Who may run the command: one supervisor, or nobody any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "by", rename_all = "snake_case")]
pub enum Claimant {
    /// This supervisor and no other.
    Supervisor {
        /// Random, made anew by each supervisor.
        instance: Uuid,
    },
    /// The server gave the attempt up.
    Revoked {
        /// Why, for people.
        reason: String,
    },
}

/// Whether a claim was won.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClaimOutcome {
    /// It is ours.
    Won,
    /// Another was first.
    Lost(Claim),
}

impl AttemptDir {
    /// Tries to become the one claimant of this attempt; durable when it returns [`ClaimOutcome::Won`].
    /// Trying again with the same claim wins again.
    ///
    /// # Errors
    /// When the folder cannot be written, or the winner's claim cannot be read.
    pub fn try_claim(&self, claim: &Claim) -> io::Result<ClaimOutcome> {
        let draft = self
            .path()
            .join(format!(".claim-{}", Uuid::new_v4().simple()));
        files::write_synced(
            &draft,
            &serde_json::to_vec(claim).map_err(io::Error::other)?,
        )?;
        let linked = fs::hard_link(&draft, self.claim());
        fs::remove_file(&draft)?;
        match linked {
            Ok(()) => {
                files::sync_dir(self.path())?;
                Ok(ClaimOutcome::Won)
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                match self.read_claim()? {
                    Some(winner) if winner == *claim => Ok(ClaimOutcome::Won),
                    Some(winner) => Ok(ClaimOutcome::Lost(winner)),
                    None => Err(io::Error::other("claim.json exists and cannot be read")),
                }
            }
            Err(error) => Err(error),
        }
    }

    /// Gives the attempt up for the server of this machine: if it wins, nothing of the attempt will ever start. An
    /// attempt that was given up before its folder was made is given one.
    ///
    /// # Errors
    /// As [`try_claim`](Self::try_claim).
    pub fn revoke(&self, launch_id: LaunchId, reason: &str) -> io::Result<ClaimOutcome> {
        fs::create_dir_all(self.path())?;
        self.try_claim(&Claim {
            launch_id,
            by: Claimant::Revoked {
                reason: reason.to_owned(),
            },
            boot_id: process::boot_id(),
            machine_id: process::machine_id(),
            engine_id: None,
            stage: None,
        })
    }

    /// The claim as it stands; none if there is none. Absence is only believed after an own
    /// [`try_claim`](Self::try_claim): network file systems cache.
    ///
    /// # Errors
    /// When the file is there but unreadable or no claim.
    pub fn read_claim(&self) -> io::Result<Option<Claim>> {
        files::read_json(self.path(), "claim.json", CLAIM_LIMIT)
    }

    /// Reads the `exit.json` of whoever holds the claim; none if there is none, or if it is another's.
    ///
    /// # Errors
    /// When either is there but unreadable.
    pub fn read_claimants_exit(&self) -> io::Result<Option<ExitRecord>> {
        let (Some(claim), Some(record)) = (self.read_claim()?, self.read_exit()?) else {
            return Ok(None);
        };
        let by_claimant =
            matches!(claim.by, Claimant::Supervisor { instance } if instance == record.instance);
        Ok(by_claimant.then_some(record))
    }
}
