//! Slurm's words (`squeue(1)`, job state codes and job reason codes), in ours.

use crate::job::{Cause, Exit, Observation, Phase};

/// What Slurm says of a job.
#[derive(Debug, Clone, Copy)]
pub(super) struct State<'a> {
    /// `RUNNING`; the accounting may add to it: `CANCELLED by 1000`.
    pub(super) word: &'a str,
    /// Where it is to run.
    pub(super) partition: &'a str,
    /// Why it waits, or ended.
    pub(super) reason: &'a str,
}

/// A state in our words; one that we do not know stays itself.
pub(super) fn observation(state: State<'_>) -> Observation {
    let mut words = state.word.split_whitespace();
    // A partial list of flags may follow a state: `COMPLETED+`.
    let word = words.next().unwrap_or_default().trim_end_matches('+');
    let ended = |cause: Option<Cause>| {
        Phase::Exited(Exit {
            cause,
            ..Exit::default()
        })
    };
    let (phase, reason) = match word {
        "PENDING" | "REQUEUED" | "REQUEUE_HOLD" | "REQUEUE_FED" | "RESV_DEL_HOLD"
        | "SPECIAL_EXIT" | "SUSPENDED" => (Phase::Queued, waiting(word, state)),
        "CONFIGURING" | "POWER_UP_NODE" => (Phase::Starting, None),
        "RUNNING" | "RESIZING" | "SIGNALING" | "STOPPED" => (Phase::Running, None),
        "COMPLETING" | "STAGE_OUT" | "STOPPING" | "UPDATE_DB" => (Phase::Stopping, None),
        "COMPLETED" => (
            Phase::Exited(Exit {
                code: Some(0),
                ..Exit::default()
            }),
            None,
        ),
        "FAILED" => (ended(None), failure(state.reason)),
        "CANCELLED" => (ended(Some(Cause::JobError)), Some(cancelled(words.last()))),
        "TIMEOUT" => (
            ended(Some(Cause::RunTimeout)),
            said("Slurm's time limit ended it"),
        ),
        "DEADLINE" => (
            ended(Some(Cause::RunTimeout)),
            said("its deadline in Slurm ended it"),
        ),
        "OUT_OF_MEMORY" => (
            ended(Some(Cause::OutOfMemory)),
            said("Slurm's memory limit ended it"),
        ),
        "NODE_FAIL" => (ended(Some(Cause::NodeLost)), said("Slurm lost its node")),
        "BOOT_FAIL" => (ended(Some(Cause::NodeLost)), said("its node did not boot")),
        "PREEMPTED" => (
            ended(Some(Cause::Preempted)),
            Some(format!("preempted in partition {}", state.partition)),
        ),
        "LAUNCH_FAILED" | "RECONFIG_FAIL" => (
            ended(Some(Cause::StartFailed)),
            said("Slurm could not launch it"),
        ),
        "REVOKED" => (ended(Some(Cause::Infra)), said("revoked by the federation")),
        _ => (Phase::Unknown(word.to_owned()), None),
    };
    Observation {
        phase,
        reason,
        leftovers: false,
    }
}

#[expect(clippy::unnecessary_wraps, reason = "a column of the table above")]
fn said(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn cancelled(by: Option<&str>) -> String {
    match by {
        Some(user) => format!("cancelled in Slurm by user {user}"),
        None => "cancelled in Slurm".to_owned(),
    }
}

/// What the record of the end does not say better.
fn failure(reason: &str) -> Option<String> {
    match reason {
        "" | "None" | "NonZeroExitCode" | "JobLaunchFailure" => None,
        other => Some(format!("Slurm says {other}")),
    }
}

/// Why a job waits.
fn waiting(
    word: &str,
    State {
        partition, reason, ..
    }: State<'_>,
) -> Option<String> {
    match word {
        "SUSPENDED" => return said("suspended in Slurm"),
        "REQUEUE_HOLD" | "SPECIAL_EXIT" | "RESV_DEL_HOLD" => {
            return said("held by Slurm: an operator must release it");
        }
        _ => {}
    }
    let limit = |of: &str| format!("a limit of its {of} is reached ({reason})");
    Some(match reason {
        "" | "None" => return None,
        "Resources" => format!("partition {partition} is full"),
        "Priority" => format!("others come first in partition {partition}"),
        "Dependency" | "DependencyNeverSatisfied" => {
            "it depends on another job of Slurm".to_owned()
        }
        "BeginTime" => "it may not begin yet".to_owned(),
        "Licenses" => "all licences are in use".to_owned(),
        "Reservation" => "its reservation has not begun".to_owned(),
        "ReservationDeleted" => "its reservation was deleted".to_owned(),
        "JobHeldUser" => "held by its user in Slurm".to_owned(),
        "JobHeldAdmin" => "held by an operator of Slurm".to_owned(),
        "PartitionDown" | "PartitionInactive" => {
            format!("partition {partition} takes no jobs at the moment")
        }
        "PartitionNodeLimit" | "PartitionTimeLimit" => {
            format!("it asks for more than partition {partition} allows ({reason})")
        }
        "NodeDown" | "FrontEndDown" => "its node is down".to_owned(),
        "BadConstraints" => "no node has what it asks for".to_owned(),
        "InvalidQOS" | "InvalidAccount" => format!("its QOS or account does not hold ({reason})"),
        reason if reason.starts_with("ReqNodeNotAvail") || reason.starts_with("Nodes required") => {
            format!("nodes that it needs are not available ({reason})")
        }
        reason if reason.starts_with("QOS") => limit("QOS"),
        reason if reason.starts_with("Assoc") => limit("account"),
        reason if reason.starts_with("launch failed") => {
            "held: Slurm could not launch it".to_owned()
        }
        other => format!("Slurm says {other}"),
    })
}
