//! What was measured of one export, and how it is told.

use crate::LINE;

/// One export of all rows with their splits.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Measured {
    /// From the task, which lies ready, to the last row in a file.
    pub(crate) rows_seconds: f64,
    /// From the beginning to the end, splits and all.
    pub(crate) seconds: f64,
    /// Processor time of whoever exported.
    pub(crate) processor: f64,
    /// Processor time of the emulator meanwhile.
    pub(crate) emulator: f64,
    /// Most memory of whoever exported, in bytes.
    pub(crate) peak: u64,
}

impl Measured {
    /// The least of each: whatever else the machine did made them longer.
    pub(crate) fn best(self, other: Self) -> Self {
        Self {
            rows_seconds: self.rows_seconds.min(other.rows_seconds),
            seconds: self.seconds.min(other.seconds),
            processor: self.processor.min(other.processor),
            emulator: self.emulator.min(other.emulator),
            peak: self.peak.max(other.peak),
        }
    }

    pub(crate) fn print(&self, who: &str, rows: u64) {
        let each = |seconds: f64| format!("{:.1} µs", seconds * 1e6 / rows as f64);
        row(
            &format!("{who}: rows alone"),
            &pace(rows, self.rows_seconds),
        );
        row(
            &format!("{who}: rows and splits"),
            &pace(rows, self.seconds),
        );
        row(
            &format!("{who}: processor time a row, and the emulator's"),
            &format!("{}, {}", each(self.processor), each(self.emulator)),
        );
        row(&format!("{who}: most memory"), &megabytes(self.peak));
    }
}

/// How many times as fast one was as another.
pub(crate) fn print_ratios(ours: &Measured, theirs: &Measured) {
    let ratio = |what: &str, time: fn(&Measured) -> f64| {
        let ratio = time(theirs) / time(ours);
        row(&format!("times the SDK, {what}"), &format!("{ratio:.1}"));
    };
    ratio("rows alone", |measured| measured.rows_seconds);
    ratio("rows and splits", |measured| measured.seconds);
    ratio("processor time", |measured| measured.processor);
}

fn pace(rows: u64, seconds: f64) -> String {
    let rate = rows as f64 / seconds;
    let bytes = rate * LINE as f64 / 1e6;
    format!("{seconds:.2} s, {rate:.0} rows/s, {bytes:.0} MB/s")
}

pub(crate) fn row(what: &str, measured: &str) {
    println!("| {what} | {measured} |");
}

pub(crate) fn megabytes(bytes: u64) -> String {
    format!("{:.0} MB", bytes as f64 / 1e6)
}
