//! All that may be known of an attempt.

use std::time::Duration;

use jiff::Timestamp;
use proptest::{
    option,
    prelude::{Just, Strategy, any, prop_oneof},
};
use trainhook::{
    job::{
        CAUSE_PATIENCE, Cause, Engine, Evidence, Exit, JobId, LaunchId, Observation, Phase,
        Verdict, verdict,
    },
    job_dir::{Claim, Claimant, ExitRecord},
};
use uuid::Uuid;

pub(super) const SETTLE: Duration = Duration::from_secs(120);

pub(super) const LOST_AFTER: Duration = Duration::from_secs(24 * 3600);

/// All that is known of an attempt, owned.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub(super) claim: Option<Claim>,
    pub(super) exit: Option<ExitRecord>,
    pub(super) record_age: Duration,
    pub(super) engine: Engine,
    pub(super) silence: Duration,
    pub(super) we_stopped_it: bool,
    pub(super) asked_in_vain: Duration,
}

impl Known {
    pub(super) fn verdict(&self) -> Verdict {
        verdict(Evidence {
            claim: self.claim.as_ref(),
            exit: self.exit.as_ref(),
            record_age: self.record_age,
            engine: &self.engine,
            silence: self.silence,
            settle: SETTLE,
            lost_after: LOST_AFTER,
            we_stopped_it: self.we_stopped_it,
            asked_in_vain: self.asked_in_vain,
        })
    }

    pub(super) fn phase(&self) -> Option<&Phase> {
        match &self.engine {
            Engine::Said(said) => Some(&said.phase),
            Engine::Silent(_) | Engine::Elsewhere(_) => None,
        }
    }

    /// The record of the supervisor that won the claim.
    pub(super) fn own_record(&self) -> Option<&ExitRecord> {
        let Claimant::Supervisor { instance } = &self.claim.as_ref()?.by else {
            return None;
        };
        self.exit
            .as_ref()
            .filter(|record| record.instance == *instance)
    }

    pub(super) fn claimed(&self) -> bool {
        let by = self.claim.as_ref().map(|claim| &claim.by);
        matches!(by, Some(Claimant::Supervisor { .. }))
    }
}

pub(super) fn known() -> impl Strategy<Value = Known> {
    let parts = (
        option::of(claims()),
        option::of(exits()),
        times(),
        engines(),
        times(),
        any::<bool>(),
        prop_oneof![3 => Just(Duration::ZERO), 1 => times()],
    );
    parts.prop_map(
        |(claim, exit, record_age, engine, silence, we_stopped_it, asked_in_vain)| Known {
            claim,
            exit,
            record_age,
            engine,
            silence,
            we_stopped_it,
            asked_in_vain,
        },
    )
}

fn launch_id() -> LaunchId {
    LaunchId {
        job: JobId::new(Timestamp::UNIX_EPOCH),
        attempt: 1,
    }
}

fn claims() -> impl Strategy<Value = Claim> {
    let by = prop_oneof![
        3 => (0..2u128).prop_map(|n| Claimant::Supervisor { instance: Uuid::from_u128(n) }),
        1 => Just(Claimant::Revoked { reason: "given up".to_owned() }),
    ];
    by.prop_map(|by| Claim {
        launch_id: launch_id(),
        by,
        boot_id: "boot".to_owned(),
        machine_id: "machine".to_owned(),
        engine_id: None,
        stage: None,
    })
}

pub(super) fn exits() -> impl Strategy<Value = ExitRecord> {
    let end = prop_oneof![
        prop_oneof![Just(0), Just(1), Just(75)].prop_map(|code| (Some(code), None)),
        prop_oneof![Just(9), Just(15), Just(11)].prop_map(|signal| (None, Some(signal))),
    ];
    (end, 0..2u128, any::<[bool; 6]>()).prop_map(|((code, signal), instance, flags)| ExitRecord {
        launch_id: launch_id(),
        instance: Uuid::from_u128(instance),
        code,
        signal,
        start_error: None,
        outputs_refused: None,
        asked_to_stop: flags[0],
        run_timeout: flags[1],
        out_of_memory: flags[2],
        wants_retry: flags[3],
        keeper_lost: flags[4],
        interrupted: flags[5],
        reason: None,
        started_at: Timestamp::UNIX_EPOCH,
        ended_at: Timestamp::UNIX_EPOCH,
    })
}

fn engines() -> impl Strategy<Value = Engine> {
    let exit = (
        option::of(0..2),
        option::of(prop_oneof![Just(9), Just(15)]),
        option::of(prop_oneof![
            Just(Cause::Preempted),
            Just(Cause::OutOfMemory)
        ]),
    );
    let phase = prop_oneof![
        Just(Phase::Queued),
        Just(Phase::Starting),
        Just(Phase::Running),
        Just(Phase::Stopping),
        Just(Phase::Gone),
        Just(Phase::Unknown("REVOKED".to_owned())),
        exit.prop_map(|(code, signal, cause)| Phase::Exited(Exit {
            code,
            signal,
            cause
        })),
    ];
    let said = (phase, prop_oneof![4 => Just(false), 1 => Just(true)]);
    prop_oneof![
        4 => said.prop_map(|(phase, leftovers)| Engine::Said(Observation {
            phase,
            reason: None,
            leftovers,
        })),
        1 => times().prop_map(Engine::Silent),
        1 => Just(Engine::Elsewhere("another cluster has it".to_owned())),
    ]
}

fn times() -> impl Strategy<Value = Duration> {
    prop_oneof![
        Just(Duration::ZERO),
        Just(CAUSE_PATIENCE),
        Just(SETTLE),
        Just(LOST_AFTER),
        (0..200_000u64).prop_map(Duration::from_secs),
    ]
}
