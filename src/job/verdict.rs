//! Who decides how an attempt ended: one pure function weighs claim, exit record, the engine's word and silence.

use std::time::Duration;

use super::Cause;
use crate::job_dir::{Claim, Claimant, ExitRecord};

/// How long a killed command waits for its engine to say why: the cause decides about a retry.
pub const CAUSE_PATIENCE: Duration = Duration::from_secs(30);

/// How long a heart must be silent, at least, until an attempt is given up that is to stop and that no engine can be asked
/// about.
pub const STOP_PATIENCE: Duration = Duration::from_secs(120);

/// What an engine says of one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observation {
    /// Where it is.
    pub phase: Phase,
    /// The engine's reason, shown to people: "partition a100 is full".
    pub reason: Option<String>,
    /// Processes outlived what controlled them: the attempt is not over before `cleanup` has ended them.
    pub leftovers: bool,
}

/// Where an engine sees an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Phase {
    /// In the engine's queue.
    Queued,
    /// Being brought up.
    Starting,
    /// Its supervisor runs.
    Running,
    /// Being ended.
    Stopping,
    /// Ended, and the engine knows how.
    Exited(Exit),
    /// The engine knows of no such attempt, or that it is over, and no more.
    Gone,
    /// A word of the engine's that we do not know.
    Unknown(String),
}

/// How an engine saw an attempt end.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Exit {
    /// Exit code of the supervisor, as far as known.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// The engine's cause: out of memory, preempted, node lost.
    pub cause: Option<Cause>,
}

/// What the engine told at the last look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Engine {
    /// It answered.
    Said(Observation),
    /// It was asked and did not answer; the time since it last did.
    Silent(Duration),
    /// It was not asked: the executor points to another engine than the one that has the attempt.
    Elsewhere(String),
}

/// All that is known of an attempt.
#[derive(Debug, Clone, Copy)]
pub struct Evidence<'a> {
    /// Who may run the command, or that nobody may.
    pub claim: Option<&'a Claim>,
    /// The claimant's record of the end.
    pub exit: Option<&'a ExitRecord>,
    /// How long ago the exit record was first seen.
    pub record_age: Duration,
    /// The engine's word.
    pub engine: &'a Engine,
    /// How long the supervisor's heartbeat has not moved.
    pub silence: Duration,
    /// How much silence this engine's attempts are allowed once the engine has called them ended.
    pub settle: Duration,
    /// How long an engine may fail to answer before the attempt is given up.
    pub lost_after: Duration,
    /// Whether we asked the command to stop.
    pub we_stopped_it: bool,
    /// For how long the engine has been asked to end what the supervisor did not end in its time; zero where only the end
    /// itself counts.
    pub asked_in_vain: Duration,
}

/// What to make of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Look again later.
    Wait,
    /// The command runs.
    Running,
    /// The engine must be made to end what is left, then look again.
    Cleanup,
    /// The engine says it ended and nobody claimed it: win the claim as revoked, then it is `start_failed`.
    Revoke,
    /// It is over.
    Ended(Outcome),
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Exit code 0, by the claimant's own record.
    Succeeded,
    /// Anything else.
    Failed {
        /// Why.
        cause: Cause,
        /// How it ended, for people: "exit code 3", "killed by signal 9".
        how: String,
    },
}

/// Weighs the evidence.
///
/// 1. The claimant's exit record decides.
/// 2. Signal 9, a SIGTERM we did not send, however the command took it, or an end because the engine's own part of the attempt had ended: wait up to
///    [`CAUSE_PATIENCE`] for the engine's cause.
/// 3. The engine says ended or gone, and nobody claimed: revoke.
/// 4. Claimed, no record, ended or gone, silent for `settle`: the engine's cause, else `lost`.
/// 5. An engine that does not answer ends nothing before `lost_after`, and nothing whose heart beats.
/// 6. An engine that cannot be asked, since its executor points elsewhere, ends nothing but what is to stop and whose heart
///    has been silent for [`STOP_PATIENCE`].
/// 7. What is to stop, is silent, and goes on as its engine says, which was asked to end it for [`STOP_PATIENCE`], is given
///    up: the engine goes on being asked, and nobody waits for it.
#[must_use]
pub fn verdict(evidence: Evidence<'_>) -> Verdict {
    if let Engine::Said(Observation {
        leftovers: true, ..
    }) = evidence.engine
    {
        return Verdict::Cleanup;
    }
    let supervisor = evidence.claim.and_then(|claim| match &claim.by {
        Claimant::Supervisor { instance } => Some(instance),
        Claimant::Revoked { .. } => None,
    });
    match (supervisor, evidence.exit) {
        (Some(instance), Some(record)) if record.instance == *instance => {
            by_record(record, evidence)
        }
        (Some(_), _) => without_record(evidence),
        (None, _) => unclaimed(evidence),
    }
}

fn by_record(record: &ExitRecord, evidence: Evidence<'_>) -> Verdict {
    let killed_by_others = match record.signal {
        Some(9) => !evidence.we_stopped_it,
        Some(15) => !record.asked_to_stop && !evidence.we_stopped_it,
        _ => record.interrupted && !evidence.we_stopped_it,
    };
    let how = record.describe();
    let failed = |cause| {
        Verdict::Ended(Outcome::Failed {
            cause,
            how: how.clone(),
        })
    };
    let engine_knows_better = |cause| match cause {
        Cause::JobError => killed_by_others,
        Cause::Infra => record.keeper_lost && !evidence.we_stopped_it,
        _ => false,
    };
    match record.cause() {
        None => Verdict::Ended(Outcome::Succeeded),
        Some(cause) if !engine_knows_better(cause) => failed(cause),
        Some(cause) => match evidence.engine {
            Engine::Said(said) => match &said.phase {
                Phase::Exited(exit) => failed(exit.cause.unwrap_or(cause)),
                Phase::Gone => failed(cause),
                _ if evidence.record_age < CAUSE_PATIENCE => Verdict::Wait,
                _ => failed(cause),
            },
            Engine::Silent(_) | Engine::Elsewhere(_) if evidence.record_age < CAUSE_PATIENCE => {
                Verdict::Wait
            }
            Engine::Silent(_) | Engine::Elsewhere(_) => failed(cause),
        },
    }
}

fn without_record(evidence: Evidence<'_>) -> Verdict {
    let lost = |cause: Option<Cause>, how: &str| {
        Verdict::Ended(Outcome::Failed {
            cause: cause.unwrap_or(Cause::Lost),
            how: how.to_owned(),
        })
    };
    let is_silent = evidence.silence >= evidence.settle.max(STOP_PATIENCE);
    let going_on = || {
        let in_vain = evidence.we_stopped_it && evidence.asked_in_vain >= STOP_PATIENCE;
        match in_vain && is_silent {
            true => lost(None, "neither its supervisor nor its engine has ended it"),
            false => Verdict::Running,
        }
    };
    match evidence.engine {
        // A heart that beats says more than an engine that does not answer.
        Engine::Silent(since)
            if *since >= evidence.lost_after && evidence.silence >= evidence.settle =>
        {
            lost(None, "its engine has not answered for too long")
        }
        Engine::Silent(_) => Verdict::Running,
        Engine::Elsewhere(why) if evidence.we_stopped_it && is_silent => lost(None, why),
        Engine::Elsewhere(_) => Verdict::Running,
        Engine::Said(said) => match &said.phase {
            Phase::Exited(_) | Phase::Gone if evidence.silence < evidence.settle => Verdict::Wait,
            Phase::Exited(exit) => lost(exit.cause, "it ended without a record of how"),
            Phase::Gone => lost(None, "it is gone without a record of how it ended"),
            _ => going_on(),
        },
    }
}

fn unclaimed(evidence: Evidence<'_>) -> Verdict {
    match evidence.engine {
        Engine::Said(said) if matches!(said.phase, Phase::Exited(_) | Phase::Gone) => {
            Verdict::Revoke
        }
        Engine::Silent(since) if *since >= evidence.lost_after => Verdict::Revoke,
        _ => Verdict::Wait,
    }
}
