//! Metrics in Prometheus' text form.

use std::fmt::Write;

use jiff::Timestamp;

use crate::meters::{BOUNDS, Durations};

/// Metrics in Prometheus' text form.
#[derive(Debug, Default)]
pub(super) struct Page {
    pub(super) text: String,
    name: &'static str,
}

impl Page {
    /// Begins a metric; the lines that follow are its own.
    pub(super) fn begin(&mut self, name: &'static str, kind: &str, help: &str) {
        self.name = name;
        self.put(format_args!(
            "# HELP trainhook_{name} {help}.\n# TYPE trainhook_{name} {kind}\n"
        ));
    }

    pub(super) fn line(&mut self, labels: &[(&str, &str)], value: impl std::fmt::Display) {
        self.line_of("", labels, value);
    }

    pub(super) fn durations(&mut self, labels: &[(&str, &str)], durations: &Durations) {
        let up_to = durations.up_to();
        let bounds = BOUNDS.iter().map(f64::to_string).chain(["+Inf".to_owned()]);
        for (bound, count) in bounds.zip(&up_to) {
            let labels = [labels, &[("le", &*bound)]].concat();
            self.line_of("_bucket", &labels, count);
        }
        self.line_of("_sum", labels, durations.sum_seconds());
        self.line_of("_count", labels, up_to.last().copied().unwrap_or(0));
    }

    fn line_of(&mut self, suffix: &str, labels: &[(&str, &str)], value: impl std::fmt::Display) {
        let name = self.name;
        let labels: Vec<String> = labels
            .iter()
            .map(|(key, text)| format!("{key}=\"{}\"", escape(text)))
            .collect();
        match labels.as_slice() {
            [] => self.put(format_args!("trainhook_{name}{suffix} {value}\n")),
            labels => {
                let labels = labels.join(",");
                self.put(format_args!(
                    "trainhook_{name}{suffix}{{{labels}}} {value}\n"
                ));
            }
        }
    }

    fn put(&mut self, line: std::fmt::Arguments<'_>) {
        // Writing into memory cannot fail.
        let _ = self.text.write_fmt(line);
    }
}

fn escape(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

pub(super) fn seconds_since(at: Timestamp) -> f64 {
    Timestamp::now().duration_since(at).as_secs_f64().max(0.0)
}
