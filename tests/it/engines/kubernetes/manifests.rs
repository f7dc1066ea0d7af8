//! What is submitted, judged by the API's own schemas; and tables that are refused.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use trainhook::{
    config::Table,
    executor::{BuildContext, Registry},
};

use crate::support::{
    skip,
    stack::{API_KEY, SECRET, model, trainhook_in, workspace},
};

/// The newest version whose schemas the validator has.
const VERSION: &str = "1.37";

const BASE: &str = "image = \"localhost/job:1\"\nsupervisor = \"image:localhost/trainhook:1\"\n";

/// Everything that a table may say.
const ALL: &str = r#"
image = "localhost/job:1"
supervisor = "image:localhost/trainhook:1"
namespace = "train"
image_pull_policy = "Always"
image_pull_secrets = ["registry"]
service_account = "trainer"
node_selector = { "cloud.google.com/gke-accelerator" = "nvidia-l4" }
tolerations = [{ key = "nvidia.com/gpu", operator = "Exists", effect = "NoSchedule" }]
queue = "gpus"
priority_class = "low"
runtime_class = "nvidia"
gpu_resource = "amd.com/gpu"
shm_size = "8GiB"
volumes = { cache = { persistentVolumeClaim = { claimName = "cache" } }, node = { hostPath = { path = "/data", type = "Directory" } } }
mounts = ["cache:/root/.cache", "node/imagenet:/data:ro"]
env = { HF_HOME = "/root/.cache/hf" }
labels = { team = "vision" }
annotations = { "cluster-autoscaler.kubernetes.io/safe-to-evict" = "false" }
work_volume = { ephemeral = { volumeClaimTemplate = { spec = { accessModes = ["ReadWriteOnce"], resources = { requests = { storage = "200Gi" } } } } } }
pod = { hostIPC = true, securityContext = { runAsUser = 1000, fsGroup = 1000 }, containers = [{ name = "training", securityContext = { runAsNonRoot = true } }] }
"#;

/// The plan of a model on an executor with this table.
fn plan(table: &str, model_settings: &str) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let file = format!(
        "[server]\njobs_listen = \"127.0.0.1:0\"\njobs_dir = \"/srv/jobs\"\n[executors.local]\nkind = \"kubernetes\"\n{table}\n{}{}",
        workspace("main", "/", "http://127.0.0.1:1/graphql"),
        model("job", "true", model_settings)
    );
    for (name, text) in [
        ("models.toml", file.as_str()),
        ("secret", SECRET),
        ("key", API_KEY),
    ] {
        fs::write(folder.path().join(name), text).expect("writable");
    }
    let output = trainhook_in(folder.path(), &["plan", "job"]);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{errors}{}",
        String::from_utf8_lossy(&output.stdout)
    );
    String::from_utf8(output.stdout).expect("text")
}

fn validator() -> Option<PathBuf> {
    let made = || Path::new(env!("CARGO_MANIFEST_DIR")).join("target/conformance-venv");
    let venv = std::env::var_os("TRAINHOOK_TEST_VENV").map_or_else(made, PathBuf::from);
    let program = venv.join("bin/kubernetes-validate");
    if !program.exists() {
        skip(
            "schemas of Kubernetes: kubernetes-validate is not installed (tests/conformance/make-venv)",
        );
        return None;
    }
    Some(program)
}

#[test]
fn every_manifest_is_what_the_schemas_of_kubernetes_ask_for() {
    let Some(validator) = validator() else { return };
    let resources = "resources = { gpus = 2, cpus = 4, memory = \"16GB\" }\nenv = { A = \"b\" }";
    let of_model = format!(
        "{resources}\nkubernetes = {{ image = \"localhost/other:2\", queue = \"others\", mounts = [\"cache:/more\"], workdir = \"/app\" }}"
    );
    let shared = "image = \"localhost/job:1\"\nsupervisor = \"shared\"\nshared_files = true\n\
         volumes = { jobs = { nfs = { server = \"nfs\", path = \"/srv/jobs\" } } }\nmounts = [\"jobs:/srv/jobs\"]";
    let path = "image = \"localhost/job:1\"\nsupervisor = \"path:/usr/local/bin/trainhook\"";
    let tables = [
        (BASE, ""),
        (BASE, resources),
        (ALL, resources),
        (ALL, &of_model),
        (shared, resources),
        (path, "run_timeout = \"none\""),
    ];
    for (table, settings) in tables {
        let plan = plan(table, settings);
        let valid = |text: &str| {
            let folder = tempfile::tempdir().expect("a folder");
            let file = folder.path().join("plan.yaml");
            fs::write(&file, text).expect("writable");
            let mut judged = Command::new(&validator);
            let judged = judged.args(["-k", VERSION, "--strict"]).arg(&file).output();
            let judged = judged.expect("it runs");
            let words =
                String::from_utf8_lossy(&judged.stdout) + String::from_utf8_lossy(&judged.stderr);
            (judged.status.success(), words.into_owned())
        };
        let (is_valid, words) = valid(&plan);
        assert!(is_valid, "{words}\n{plan}");
        // It sees a mistake, too.
        let (is_valid, words) = valid(&plan.replace("backoffLimit", "backofLimit"));
        assert!(!is_valid, "{words}");
    }
}

#[test]
fn a_plan_says_what_the_tables_say() {
    let of_model = "resources = { gpus = 2 }\nkubernetes = { image = \"localhost/other:2\", mounts = [\"cache:/more\"] }";
    let plan = plan(ALL, of_model);
    let (_, job) = plan.split_once("\n---\n").expect("a Secret and a Job");
    let job: serde_json::Value = serde_json::from_str(job).expect("JSON");
    let pod = &job["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    assert_eq!(job["spec"]["backoffLimit"], 0);
    assert_eq!(job["spec"]["suspend"], true);
    assert_eq!(pod["restartPolicy"], "Never");
    assert_eq!(pod["terminationGracePeriodSeconds"], 90);
    assert_eq!(pod["hostIPC"], true);
    assert_eq!(container["image"], "localhost/other:2");
    assert_eq!(container["resources"]["limits"]["amd.com/gpu"], "2");
    // Joined by the container's name, not replaced.
    assert_eq!(container["securityContext"]["runAsNonRoot"], true);
    assert_eq!(
        container["securityContext"]["allowPrivilegeEscalation"],
        false
    );
    assert_eq!(pod["containers"].as_array().map(Vec::len), Some(1));
    let mounts = container["volumeMounts"].to_string();
    assert!(
        mounts.contains("/root/.cache") && mounts.contains("/more"),
        "{mounts}"
    );
    assert!(mounts.contains("\"subPath\":\"imagenet\""), "{mounts}");
}

fn complaint(table: &str) -> String {
    let mut table = Table::parse(table).expect("a table");
    let context = BuildContext {
        name: "mine",
        folder: Path::new("/"),
        state_dir: Path::new("/"),
        wake: Default::default(),
    };
    let built = Registry::default().build_kind("kubernetes", &mut table, &context);
    let mistakes = built.expect_err("mistakes");
    mistakes
        .iter()
        .map(|mistake| format!("{mistake}\n"))
        .collect()
}

#[test]
fn mistakes_of_a_table_are_located() {
    let cases = [
        ("image = \"a\"", "supervisor: is missing"),
        ("supervisor = \"sent\"", "supervisor: must be"),
        (
            &format!("{BASE}pod = {{ hostIpc = true }}"),
            "line 3: pod: the API has no hostIpc in a pod",
        ),
        (
            &format!("{BASE}pod = {{ restartPolicy = \"Always\" }}"),
            "restartPolicy is not to be changed",
        ),
        (
            &format!("{BASE}pod = {{ containers = [{{ name = \"training\", args = [] }}] }}"),
            "args is not to be changed",
        ),
        (
            &format!("{BASE}tolerations = [{{ kye = \"a\" }}]"),
            "the API has no tolerations.0.kye",
        ),
        (
            &format!("{BASE}mounts = [\"cache\"]"),
            "\"cache\" is no mount",
        ),
        (
            &format!("{BASE}namespace = \"My Team\""),
            "namespace: must be a name",
        ),
        (
            &format!("{BASE}image_pull_policy = \"never\""),
            "must be \"Always\"",
        ),
        (&format!("{BASE}quue = \"gpus\""), "did you mean `queue`?"),
    ];
    for (table, wanted) in cases {
        let told = complaint(table);
        assert!(told.contains(wanted), "{wanted}: {told}");
    }
}
