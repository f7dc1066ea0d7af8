//! What a job asks of Slurm: by the executor's table, the model's, and its resources.

use std::time::Duration;

use crate::{config::Table, executor::Launch};

/// Added to a command's own time: to start, to stop, to write its record. Our supervisor measures the time itself.
const TIME_SLACK: Duration = Duration::from_secs(600);

/// The same where files are not shared: data comes and outputs go within it, also while the server is away.
const TRAVEL_SLACK: Duration = Duration::from_secs(6 * 3600);

/// Options that are ours to give: with another value nothing would find or end a job again.
const OURS: [&str; 19] = [
    "--job-name",
    "--output",
    "--error",
    "--chdir",
    "--array",
    "--wait",
    "--wrap",
    "--clusters",
    "--uid",
    "--gid",
    "--export",
    "--export-file",
    "--requeue",
    "--no-requeue",
    "--parsable",
    "--test-only",
    "--help",
    "--usage",
    "--version",
];

/// Their short forms, which may have a value right behind them, `-Jx`, and flags before them: `-HJx`.
const OURS_IN_SHORT: &str = "JoeDaWMhV";

/// Short options without a value.
const FLAGS: &str = "HkOQsv";

/// Settings that executor and model both may give.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Options {
    pub(super) partition: Option<String>,
    account: Option<String>,
    qos: Option<String>,
    constraint: Option<String>,
    reservation: Option<String>,
    gpu_type: Option<String>,
    time: Option<String>,
    nodes: Option<u32>,
    exclusive: Option<bool>,
    args: Vec<String>,
}

impl Options {
    /// Takes its keys out of a table, and notes what is wrong with them.
    pub(super) fn from_table(table: &mut Table) -> Self {
        Self {
            partition: word(table, "partition"),
            account: word(table, "account"),
            qos: word(table, "qos"),
            constraint: word(table, "constraint"),
            reservation: word(table, "reservation"),
            gpu_type: word(table, "gpu_type"),
            time: word(table, "time"),
            nodes: table.integer("nodes", 1..10_001),
            exclusive: table.boolean("exclusive"),
            args: args(table),
        }
    }

    /// These, and where they say nothing, those of `others`; further arguments of both.
    fn or(self, others: &Self) -> Self {
        let text = |own: Option<String>, other: &Option<String>| own.or_else(|| other.clone());
        Self {
            partition: text(self.partition, &others.partition),
            account: text(self.account, &others.account),
            qos: text(self.qos, &others.qos),
            constraint: text(self.constraint, &others.constraint),
            reservation: text(self.reservation, &others.reservation),
            gpu_type: text(self.gpu_type, &others.gpu_type),
            time: text(self.time, &others.time),
            nodes: self.nodes.or(others.nodes),
            exclusive: self.exclusive.or(others.exclusive),
            args: [others.args.clone(), self.args].concat(),
        }
    }

    /// The arguments of `sbatch` that say what this launch asks for.
    pub(super) fn arguments(&self, launch: &Launch) -> Vec<String> {
        let options = Self::from_table(&mut Table::of_json(&launch.settings)).or(self);
        let mut arguments = Vec::new();
        let mut say = |name: &str, value: Option<String>| {
            arguments.extend(value.map(|value| format!("--{name}={value}")));
        };
        let resources = &launch.resources;
        say("gres", gpus(resources.gpus, options.gpu_type.as_deref()));
        say("cpus-per-task", resources.cpus.map(|cpus| cpus.to_string()));
        let mebibytes = |bytes: u64| format!("{}M", bytes.div_ceil(1 << 20));
        say("mem", resources.memory.map(mebibytes));
        say("time", options.time.or_else(|| time_limit(launch)));
        say("partition", options.partition);
        say("account", options.account);
        say("qos", options.qos);
        say("constraint", options.constraint);
        say("reservation", options.reservation);
        say("nodes", options.nodes.map(|nodes| nodes.to_string()));
        say("ntasks-per-node", options.nodes.map(|_| "1".to_owned()));
        if options.exclusive == Some(true) {
            arguments.push("--exclusive".to_owned());
        }
        arguments.extend(options.args);
        arguments
    }
}

fn gpus(count: u32, gpu_type: Option<&str>) -> Option<String> {
    (count > 0).then(|| match gpu_type {
        Some(gpu_type) => format!("gpu:{gpu_type}:{count}"),
        None => format!("gpu:{count}"),
    })
}

/// Longer than the supervisor ever lets it run, in minutes.
fn time_limit(launch: &Launch) -> Option<String> {
    let slack = match launch.mirror {
        Some(_) => TRAVEL_SLACK,
        None => TIME_SLACK,
    };
    let time = launch.run_timeout? + launch.cancel_grace + slack;
    Some(time.as_secs().div_ceil(60).to_string())
}

/// A text that can be the value of an argument.
fn word(table: &mut Table, key: &str) -> Option<String> {
    let word = table.string(key)?;
    if word.is_empty() || word.chars().any(|c| c.is_control() || c.is_whitespace()) {
        table.mistake(key, "must be a word without spaces");
    }
    Some(word)
}

fn args(table: &mut Table) -> Vec<String> {
    let args = table.strings("args").unwrap_or_default();
    for argument in &args {
        let name = argument.split('=').next().unwrap_or_default();
        if !argument.starts_with('-') || argument.chars().any(char::is_control) {
            let text = format!(
                "{argument:?} is no option: write each as one text, such as \"--mail-type=FAIL\""
            );
            table.mistake("args", text);
        } else if is_ours(name) {
            table.mistake(
                "args",
                format!("{name} is given by trainhook itself: take it out"),
            );
        }
    }
    args
}

/// Slurm takes the beginning of a long option for the whole of it.
fn is_ours(name: &str) -> bool {
    match name.starts_with("--") {
        true => OURS.iter().any(|ours| ours.starts_with(name)),
        false => {
            let letters = name.trim_start_matches('-');
            let letters = letters.trim_start_matches(|letter| FLAGS.contains(letter));
            letters.starts_with(|letter| OURS_IN_SHORT.contains(letter))
        }
    }
}
