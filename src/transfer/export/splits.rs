//! Which split each row belongs to: asked for page by page, kept on disk, and found by the row's id.
//!
//! A row takes eight bytes: 62 bits of its id's hash, and its split. A million rows take eight megabytes.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    os::unix::fs::OpenOptionsExt,
    time::{Duration, Instant},
};

use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};

use super::{Export, failure::Failure, on_disk};
use crate::{
    dataset::{Split, name_hash},
    job_dir::{JobDir, files},
    labelbox::SplitPage,
};

/// In the server's folder of the job: the rows, and how far they are.
pub(super) const ROWS_FILE: &str = "splits";
pub(super) const STATE_FILE: &str = "splits.json";

/// The longest state that is believed, in bytes.
const STATE_LIMIT: u64 = 1 << 20;

/// Bytes of a row.
const ENTRY: u64 = 8;

/// What tells the split in a row's number.
const SPLIT_BITS: u64 = 3;

/// Rows are looked for among those that begin with the same so many bits: a few, for hashes are spread evenly.
const BUCKET_BITS: u32 = 16;

/// Pages are written down this often.
const SAVE_INTERVAL: Duration = Duration::from_secs(1);

/// Where people read how far they are.
const PART: &str = "splits";

/// The splits of all rows, by their ids.
#[derive(Debug, Default)]
pub(super) struct Splits {
    sorted: Vec<u64>,
    /// Where in there each bucket begins; one more for the end.
    buckets: Vec<u32>,
}

/// The splits so far, and where they stand on disk.
#[derive(Debug)]
struct Collected {
    dir: JobDir,
    file: File,
    rows: Vec<u64>,
    saved: usize,
    state: State,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct State {
    rows: u64,
    /// Where the next page begins; the first one if none.
    cursor: Option<String>,
    /// Whether there is no further page.
    complete: bool,
}

impl Export<'_> {
    /// Asks for the pages that are not there yet.
    pub(super) async fn splits(&self) -> Result<Splits, Failure> {
        let dir = self.dir.clone();
        let mut collected = on_disk(move || Collected::open(dir)).await?;
        let run = &self.job.model_run_id;
        let mut saved_at = Instant::now();
        while !collected.state.complete {
            let cursor = collected.state.cursor.as_deref();
            let asked = self.ask("a page of the rows' splits", move |labelbox| async move {
                labelbox.data_splits(run, cursor).await
            });
            let page = asked.await?;
            collected.take(page);
            self.note(PART, format!("splits of {} rows", collected.rows.len()));
            if collected.state.complete || saved_at.elapsed() >= SAVE_INTERVAL {
                collected = on_disk(move || collected.save()).await?;
                saved_at = Instant::now();
            }
        }
        self.note(PART, None);
        on_disk(move || Ok(Splits::sorted(collected.rows))).await
    }
}

impl Collected {
    fn open(dir: JobDir) -> io::Result<Self> {
        let server = dir.server();
        let state: Option<State> = files::read_json(&server, STATE_FILE, STATE_LIMIT)?;
        let mut state = state.unwrap_or_default();
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
            .open(server.join(ROWS_FILE))?;
        let length = state.rows.saturating_mul(ENTRY);
        if file.metadata()?.len() < length {
            state = State::default();
        }
        file.set_len(state.rows.saturating_mul(ENTRY))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let (entries, _) = bytes.as_chunks();
        let rows: Vec<u64> = entries
            .iter()
            .map(|entry| u64::from_le_bytes(*entry))
            .collect();
        Ok(Self {
            dir,
            file,
            saved: rows.len(),
            rows,
            state,
        })
    }

    fn take(&mut self, page: SplitPage) {
        let entry = |(id, split): &(String, Split)| packed(name_hash(id), *split);
        self.rows.extend(page.rows.iter().map(entry));
        self.state.complete = page.next.is_none();
        self.state.cursor = page.next;
    }

    /// Makes what is new durable: first the rows, then that they are there.
    fn save(mut self) -> io::Result<Self> {
        let new = self.rows.get(self.saved..).unwrap_or_default();
        let bytes: Vec<u8> = new.iter().flat_map(|row| row.to_le_bytes()).collect();
        self.file.seek(SeekFrom::Start(self.saved as u64 * ENTRY))?;
        self.file.write_all(&bytes)?;
        self.file.sync_data()?;
        self.saved = self.rows.len();
        self.state.rows = self.saved as u64;
        let state = serde_json::to_vec(&self.state)?;
        files::write_atomic(&self.dir.server().join(STATE_FILE), &state)?;
        Ok(self)
    }
}

impl Splits {
    fn sorted(mut rows: Vec<u64>) -> Self {
        rows.sort_unstable();
        rows.shrink_to_fit();
        let begin = |bucket| {
            let at = rows.partition_point(|entry| bucket_of(*entry) < bucket);
            u32::try_from(at).unwrap_or(u32::MAX)
        };
        Self {
            buckets: (0..=1 << BUCKET_BITS).map(begin).collect(),
            sorted: rows,
        }
    }

    /// How many rows each split has, in the order of `Split::ALL`; a row that stood on two pages counts once.
    pub(super) fn counts(&self) -> [u64; 4] {
        let mut counts = [0; 4];
        let same_row = |one: &u64, other: &u64| one & !SPLIT_BITS == other & !SPLIT_BITS;
        for rows in self.sorted.chunk_by(same_row) {
            let split = rows.first().and_then(|row| split_of(*row));
            counts[split.unwrap_or(Split::Unassigned) as usize] += 1;
        }
        counts
    }

    /// The split of the row whose id has this hash; none if it was on no page.
    pub(super) fn of(&self, id: u64) -> Option<Split> {
        let bucket = bucket_of(id);
        let (begin, end) = (self.buckets.get(bucket)?, self.buckets.get(bucket + 1)?);
        let entries = self.sorted.get(*begin as usize..*end as usize)?;
        let wanted = id & !SPLIT_BITS;
        let found = entries.binary_search_by_key(&wanted, |entry| entry & !SPLIT_BITS);
        split_of(*entries.get(found.ok()?)?)
    }
}

fn split_of(entry: u64) -> Option<Split> {
    let split = usize::try_from(entry & SPLIT_BITS).ok()?;
    Split::ALL.get(split).copied()
}

fn bucket_of(id: u64) -> usize {
    usize::try_from(id >> (u64::BITS - BUCKET_BITS)).unwrap_or_default()
}

fn packed(id: u64, split: Split) -> u64 {
    id & !SPLIT_BITS | split as u64
}
