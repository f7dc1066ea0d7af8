//! The verdict over an attempt: what holds whatever claim, record, engine and silence say.

mod known;

use trainhook::job::{
    CAUSE_PATIENCE, Cause, Engine, Observation, Outcome, Phase, STOP_PATIENCE, Verdict,
};

use super::always;
use known::{Known, LOST_AFTER, SETTLE, exits, known};

#[test]
fn only_the_claimants_own_record_makes_a_success() {
    always(known(), |known| {
        if known.verdict() == Verdict::Ended(Outcome::Succeeded) {
            let record = known.own_record().expect("the claimant's record");
            assert_eq!(record.code, Some(0));
            assert!(!record.interrupted, "it may be half done");
        }
    });
}

#[test]
fn a_record_of_another_instance_changes_nothing() {
    always((known(), exits()), |(known, other)| {
        let without = Known {
            exit: None,
            ..known.clone()
        };
        let with = Known {
            exit: Some(other),
            ..known
        };
        if with.own_record().is_none() {
            assert_eq!(with.verdict(), without.verdict());
        }
    });
}

#[test]
fn nothing_is_over_while_processes_are_left() {
    always(known(), |known| {
        if let Engine::Said(Observation {
            leftovers: true, ..
        }) = known.engine
        {
            assert_eq!(known.verdict(), Verdict::Cleanup);
        }
    });
}

#[test]
fn what_nobody_claimed_is_revoked_before_it_is_given_up() {
    always(known(), |known| {
        if !known.claimed() {
            assert!(!matches!(
                known.verdict(),
                Verdict::Ended(_) | Verdict::Running
            ));
        }
    });
}

#[test]
fn silence_alone_ends_nothing_before_its_time() {
    always(known(), |known| {
        let unrecorded = known.own_record().is_none();
        if let Engine::Silent(since) = known.engine
            && unrecorded
            && since < LOST_AFTER
        {
            assert!(matches!(known.verdict(), Verdict::Wait | Verdict::Running));
        }
    });
}

#[test]
fn an_executor_that_points_elsewhere_ends_only_what_is_to_stop_and_has_no_heart() {
    always(known(), |known| {
        let elsewhere = matches!(known.engine, Engine::Elsewhere(_));
        if elsewhere && known.own_record().is_none() {
            let may_end = known.claimed() && known.we_stopped_it && known.silence >= STOP_PATIENCE;
            match known.verdict() {
                Verdict::Ended(_) => assert!(may_end),
                Verdict::Wait | Verdict::Running => assert!(!may_end),
                other => panic!("{other:?}"),
            }
        }
    });
}

#[test]
fn an_engine_that_never_answers_ends_nothing_whose_heart_beats() {
    always(known(), |known| {
        let silent = matches!(known.engine, Engine::Silent(_));
        if silent && known.claimed() && known.own_record().is_none() && known.silence < SETTLE {
            assert_eq!(known.verdict(), Verdict::Running);
        }
    });
}

#[test]
fn what_ended_without_a_record_is_lost_only_after_the_heart_was_silent() {
    always(known(), |known| {
        let ended = matches!(known.phase(), Some(Phase::Exited(_) | Phase::Gone));
        if known.claimed() && known.own_record().is_none() && ended {
            match known.verdict() {
                Verdict::Wait => assert!(known.silence < SETTLE),
                Verdict::Ended(Outcome::Failed { cause, .. }) => {
                    assert!(known.silence >= SETTLE);
                    let engines = match known.phase() {
                        Some(Phase::Exited(exit)) => exit.cause,
                        _ => None,
                    };
                    assert_eq!(cause, engines.unwrap_or(Cause::Lost));
                }
                Verdict::Cleanup => {}
                other => panic!("{other:?}"),
            }
        }
    });
}

#[test]
fn what_is_asked_to_end_in_vain_and_silent_is_given_up_and_nothing_else_that_runs_is() {
    always(known(), |known| {
        let runs = matches!(
            known.phase(),
            Some(
                Phase::Queued
                    | Phase::Starting
                    | Phase::Running
                    | Phase::Stopping
                    | Phase::Unknown(_)
            )
        );
        let leftovers = matches!(known.verdict(), Verdict::Cleanup);
        if known.claimed() && known.own_record().is_none() && runs && !leftovers {
            let in_vain = known.we_stopped_it && known.asked_in_vain >= STOP_PATIENCE;
            let given_up = in_vain && known.silence >= STOP_PATIENCE.max(SETTLE);
            match known.verdict() {
                Verdict::Running => assert!(!given_up),
                Verdict::Ended(Outcome::Failed { .. }) => assert!(given_up),
                other => panic!("{other:?}"),
            }
        }
    });
}

#[test]
fn a_kill_that_we_did_not_send_waits_a_while_for_the_engines_cause() {
    always(known(), |known| {
        let Some(record) = known.own_record() else {
            return;
        };
        let killed = match record.signal {
            Some(9) => true,
            Some(15) => !record.asked_to_stop,
            _ => record.interrupted,
        };
        let killed = killed || record.keeper_lost && record.cause() == Some(Cause::Infra);
        let asked = [
            Some(Cause::JobError),
            record.keeper_lost.then_some(Cause::Infra),
        ];
        let own = record.cause();
        let ours = known.we_stopped_it || own.is_none() || !asked.contains(&own);
        match known.verdict() {
            Verdict::Wait => assert!(killed && !ours && known.record_age < CAUSE_PATIENCE),
            Verdict::Ended(Outcome::Failed { cause, .. }) if killed && !ours => {
                match known.phase() {
                    Some(Phase::Exited(exit)) => {
                        assert_eq!(Some(cause), exit.cause.or(own));
                    }
                    Some(Phase::Gone) => assert_eq!(Some(cause), own),
                    _ => assert!(known.record_age >= CAUSE_PATIENCE),
                }
            }
            Verdict::Ended(outcome) => {
                let expected = record.cause();
                let told = match outcome {
                    Outcome::Succeeded => None,
                    Outcome::Failed { cause, .. } => Some(cause),
                };
                assert_eq!(told, expected);
            }
            Verdict::Cleanup => {}
            other => panic!("{other:?}"),
        }
    });
}
