//! Which GPUs there are to hand out.

use std::{
    io::Read,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use toml::Value;

use super::spawn::list;

/// How long the driver may take to name its devices.
const DRIVER_PATIENCE: Duration = Duration::from_secs(10);

/// Between two looks whether it has.
const DRIVER_PAUSE: Duration = Duration::from_millis(10);

/// Reads the setting `gpus`: `"auto"` asks the driver, a list names them, none by default.
///
/// # Errors
/// What is wrong with the setting, and what to write.
pub fn gpus_from(setting: Option<Value>) -> Result<Vec<u32>, String> {
    match setting {
        None => Ok(Vec::new()),
        Some(Value::String(word)) if word == "auto" => ask_driver(),
        Some(Value::Array(numbers)) => named(&numbers),
        Some(_) => Err(usage()),
    }
}

pub(super) fn describe(gpus: &[u32]) -> String {
    match gpus {
        [] => "no GPUs".to_owned(),
        [one] => format!("1 GPU: {one}"),
        more => format!("{} GPUs: {}", more.len(), list(more).replace(',', ", ")),
    }
}

fn usage() -> String {
    "write \"auto\", or a list of device numbers as in [0, 1]".to_owned()
}

fn named(numbers: &[Value]) -> Result<Vec<u32>, String> {
    let mut gpus = Vec::new();
    for number in numbers {
        let number = number
            .as_integer()
            .and_then(|number| u32::try_from(number).ok());
        let number = number.ok_or_else(usage)?;
        if gpus.contains(&number) {
            return Err(format!("device {number} is named twice"));
        }
        gpus.push(number);
    }
    Ok(gpus)
}

/// A machine without the driver's program has no GPUs; one whose driver fails is told apart from it.
fn ask_driver() -> Result<Vec<u32>, String> {
    let started = Command::new("nvidia-smi")
        .args(["--query-gpu=index", "--format=csv,noheader"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    match started {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(format!("cannot ask nvidia-smi for the GPUs: {error}")),
        Ok(driver) => answer_of(driver),
    }
}

fn answer_of(mut driver: Child) -> Result<Vec<u32>, String> {
    let begun = Instant::now();
    let status = loop {
        match driver.try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) if begun.elapsed() < DRIVER_PATIENCE => thread::sleep(DRIVER_PAUSE),
            _ => {
                // Best effort on a program that hangs in its driver.
                let _ = driver.kill();
                return Err("nvidia-smi does not answer: name the GPUs, as in [0, 1]".to_owned());
            }
        }
    };
    if !status.success() {
        return Err(format!(
            "nvidia-smi failed ({status}): name the GPUs, as in [0, 1]"
        ));
    }
    let mut text = String::new();
    if let Some(output) = driver.stdout.take() {
        let read = output.take(64 * 1024).read_to_string(&mut text);
        read.map_err(|error| format!("cannot read what nvidia-smi says: {error}"))?;
    }
    let numbers = text.lines().map(|line| line.trim().parse::<u32>());
    numbers
        .collect::<Result<_, _>>()
        .map_err(|_| "nvidia-smi names GPUs in an unknown way: name them, as in [0, 1]".to_owned())
}
