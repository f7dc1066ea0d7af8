//! What is handed to `sbatch`, and what its refusals mean.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use trainhook::{
    config::{Secret, Table},
    executor::SubmitError,
    mirror::MirrorAccess,
};

use super::Played;
use crate::engines::{build, launch};

#[tokio::test]
async fn what_a_refusal_means() {
    let slurm = Played::new();
    for (said, code, text) in [
        (
            "sbatch: error: invalid partition specified: nope\nsbatch: error: Batch job submission failed: Invalid partition name specified",
            1,
            "rejected",
        ),
        (
            "sbatch: error: Batch job submission failed: Requested node configuration is not available",
            1,
            "rejected",
        ),
        (
            "sbatch: error: Invalid --time specification",
            255,
            "rejected",
        ),
        (
            "sbatch: error: Batch job submission failed: Unable to contact slurm controller (connect failure)",
            1,
            "transient",
        ),
        (
            "sbatch: error: Batch job submission failed: Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)",
            1,
            "transient",
        ),
        (
            "sbatch: error: Batch job submission failed: Socket timed out on send/recv operation",
            1,
            "ambiguous",
        ),
        (
            "ssh: connect to host login port 22: Connection refused",
            255,
            "ambiguous",
        ),
    ] {
        slurm.plays(
            "sbatch",
            &format!("printf '%s\\n' \"{said}\" >&2; exit {code}"),
        );
        let refused = slurm.submit().await.expect_err(said);
        let word = match &refused {
            SubmitError::Rejected(_) => "rejected",
            SubmitError::Transient(_) => "transient",
            SubmitError::Ambiguous(_) => "ambiguous",
        };
        assert_eq!(word, text, "{refused}");
        assert!(refused.to_string().starts_with("sbatch: "), "{refused}");
    }
    slurm.plays("sbatch", "echo done");
    let submitted = slurm.submit().await;
    assert!(
        matches!(submitted, Err(SubmitError::Ambiguous(_))),
        "{submitted:?}"
    );
    slurm.plays("sbatch", "echo '41;big'");
    assert_eq!(slurm.submit().await.expect("taken").data["job_id"], "41");
}

#[tokio::test]
async fn resources_and_settings_become_arguments() {
    let slurm =
        Played::with("partition = \"a100\"\naccount = \"ml\"\nargs = [\"--mail-type=FAIL\"]");
    let mut launch = launch(slurm.folder.path());
    launch.resources.gpus = 2;
    launch.resources.cpus = Some(8);
    launch.resources.memory = Some(16_000_000_000);
    let table = Table::parse(
        "qos = \"high\"\ngpu_type = \"a100\"\nnodes = 2\naccount = \"cv\"\nargs = [\"--nice=10\"]",
    );
    launch.settings = table.expect("a table").as_json();
    launch
        .env
        .insert("KEY".to_owned(), Secret::new("s3cret-value"));
    slurm.plays("sbatch", "cat > script; echo 5");
    slurm.executor.submit(&launch).await.expect("taken");
    let arguments = slurm.arguments("sbatch");
    for argument in [
        "--job-name=th-019a00000000700080000000000000ab-a1",
        "--no-requeue",
        "--export=NONE",
        "--gres=gpu:a100:2",
        "--cpus-per-task=8",
        "--mem=15259M",
        "--time=71",
        "--partition=a100",
        "--account=cv",
        "--qos=high",
        "--nodes=2 --ntasks-per-node=1",
        "--mail-type=FAIL --nice=10",
    ] {
        assert!(arguments.contains(argument), "{argument}: {arguments}");
    }
    let read = |name: &str| fs::read_to_string(slurm.folder.path().join(name)).expect(name);
    assert!(!read("script").contains("s3cret") && !arguments.contains("s3cret"));
    assert!(read(".slurm-environment").contains("export KEY='s3cret-value'\n"));
    let mode = fs::metadata(slurm.folder.path().join(".slurm-environment")).expect("it is there");
    assert_eq!(mode.permissions().mode() & 0o777, 0o600);
}

#[tokio::test]
async fn whoever_acts_for_others_takes_the_configuration_along() {
    let prefix = "conf = \"cluster.conf\"\ncommand_prefix = [\"env\", \"-u\", \"SLURM_CONF\"]";
    let slurm = Played::with(prefix);
    slurm.plays(
        "sbatch",
        "cat > script; echo \"$SLURM_CONF\" > seen; echo 5",
    );
    slurm.submit().await.expect("taken");
    let seen = fs::read_to_string(slurm.folder.path().join("seen")).expect("it was called");
    assert!(seen.ends_with("/cluster.conf\n"), "{seen}");
}

#[tokio::test]
async fn another_user_who_shall_share_our_files_is_found() {
    let prefix = "command_prefix = [\"./as\"]";
    for (more, is_well) in [("", false), ("\nshared_files = false", true)] {
        let slurm = Played::with(&format!("{prefix}{more}"));
        slurm.plays(
            "as",
            "[ \"$1\" != id ] || { echo 123456; exit; }; exec \"$@\"",
        );
        slurm.plays("sinfo", "echo up");
        slurm.plays("scontrol", "echo up");
        let checked = slurm.executor.check().await;
        let refused = checked
            .as_ref()
            .is_err_and(|error| error.to_string().contains("shared_files = false"));
        assert_eq!(refused, !is_well, "{checked:?}");
    }
}

#[tokio::test]
async fn a_job_that_shares_no_files_has_hours_more_to_fetch_and_to_deliver() {
    let slurm = Played::with("");
    let mut launch = launch(slurm.folder.path());
    launch.mirror = Some(MirrorAccess {
        url: "http://127.0.0.1:1".to_owned(),
        token: Secret::new("a token"),
    });
    slurm.plays("sbatch", "cat > script; echo 5");
    slurm.executor.submit(&launch).await.expect("taken");
    let arguments = slurm.arguments("sbatch");
    assert!(arguments.contains("--time=421"), "{arguments}");
}

#[test]
fn options_that_are_ours_are_known_in_each_of_their_forms() {
    for argument in [
        "-a0-3",
        "--arr=0-3",
        "-Jx",
        "--job-n=x",
        "--wra=x",
        "--clusters=other",
        "-Mother",
        "--uid=1",
        "--gid=1",
        "-HJx",
    ] {
        let mut table = Table::parse(&format!("args = [\"{argument}\"]")).expect("a table");
        build("slurm", Path::new("/"), "").check_model(&mut table);
        let mistakes: Vec<String> = table.finish().iter().map(ToString::to_string).collect();
        let refused = mistakes
            .iter()
            .any(|one| one.contains("by trainhook itself"));
        assert!(refused, "{argument}: {mistakes:?}");
    }
}

#[tokio::test]
async fn a_plan_can_be_pasted_into_a_shell() {
    let slurm = Played::with("args = [\"--comment=my job; touch here\"]");
    let plan = slurm.executor.plan(&launch(slurm.folder.path())).await;
    let plan = plan.expect("a plan");
    assert!(plan.contains(" '--comment=my job; touch here' "), "{plan}");
}

#[test]
fn its_tables_are_checked() {
    let folder = Path::new("/");
    let mut table =
        Table::parse("args = [\"--job-name=x\", \"mail\"]\npartition = \"a b\"\nnode = 2")
            .expect("a table");
    build("slurm", folder, "").check_model(&mut table);
    let mistakes: Vec<String> = table.finish().iter().map(ToString::to_string).collect();
    let mistakes = mistakes.join("\n");
    for expected in [
        "line 1: args: --job-name is given by trainhook itself",
        "line 1: args: \"mail\" is no option",
        "line 2: partition: must be a word",
        "line 3: node: unknown key; did you mean `nodes`?",
    ] {
        assert!(mistakes.contains(expected), "{expected}: {mistakes}");
    }
}
