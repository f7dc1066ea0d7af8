//! How often each of very many keys came before, in bounded memory.
//!
//! Keys go to one of [`PARTS`] parts by their hash, each of which is a list of blocks in a file without a name. Then
//! part after part is counted in memory, and what was found is put back into the order of the lines.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap, hash_map::Entry},
    fs::{self, File},
    hash::{BuildHasher, RandomState},
    io,
    os::unix::fs::FileExt,
    path::Path,
};

/// Parts that are counted one after the other.
const PARTS: usize = 256;

/// Bytes of a block.
const BLOCK: usize = 16 * 1024;

/// Bytes of a finding's block: all parts are read at once in the end.
const FOUND_BLOCK: usize = 4 * 1024;

/// Bytes of a noted key: the line's number, the kind of key, the key.
const NOTED: usize = 4 + 1 + 16;

/// Bytes of a finding: the line's number, the kind of key, how often it came before.
const FOUND: usize = 4 + 1 + 4;

/// What a key stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A uuid that a line brought along.
    Uuid,
    /// The content of a line without one.
    Content,
    /// A row and a feature.
    Feature,
    /// A row's metrics.
    Metrics,
}

impl Kind {
    const ALL: [Self; 4] = [Self::Uuid, Self::Content, Self::Feature, Self::Metrics];
}

/// A line whose key came before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) line: u32,
    pub(super) kind: Kind,
    /// So many times.
    pub(super) before: u32,
}

/// Takes keys in.
#[derive(Debug)]
pub(super) struct Ledger {
    noted: Blocks,
    /// Nobody can choose keys that all belong to one part.
    hasher: RandomState,
    folder: std::path::PathBuf,
}

impl Ledger {
    /// A ledger whose files lie in `folder` and vanish with it.
    pub(super) fn create(folder: &Path) -> io::Result<Self> {
        Ok(Self {
            noted: Blocks::create(folder, "ledger", BLOCK, NOTED)?,
            hasher: RandomState::new(),
            folder: folder.to_owned(),
        })
    }

    /// Notes a key of a line; lines come in order.
    pub(super) fn note(&mut self, line: u32, kind: Kind, key: u128) -> io::Result<()> {
        let hash = self.hasher.hash_one((kind as u8, key));
        let part = usize::try_from(hash % PARTS as u64).unwrap_or_default();
        let mut record = [0; NOTED];
        let (number, rest) = record.split_at_mut(4);
        number.copy_from_slice(&line.to_le_bytes());
        rest[0] = kind as u8;
        rest[1..].copy_from_slice(&key.to_le_bytes());
        self.noted.push(part, &record)
    }

    /// Counts everything. `matters` says of how many times before on a line is worth a finding.
    pub(super) fn count(self, matters: impl Fn(Kind, u32) -> bool) -> io::Result<Findings> {
        let mut found = Blocks::create(&self.folder, "findings", FOUND_BLOCK, FOUND)?;
        for part in 0..PARTS {
            let mut times: HashMap<(u8, u128), u32> = HashMap::new();
            self.noted.each_of(part, |record| {
                let Some((line, kind, key)) = read_noted(record) else {
                    return Ok(());
                };
                let before = match times.entry((kind as u8, key)) {
                    Entry::Vacant(entry) => {
                        entry.insert(1);
                        0
                    }
                    Entry::Occupied(mut entry) => {
                        let before = *entry.get();
                        entry.insert(before.saturating_add(1));
                        before
                    }
                };
                match before > 0 && matters(kind, before) {
                    true => found.push(part, &write_found(line, kind, before)),
                    false => Ok(()),
                }
            })?;
        }
        Findings::of(found)
    }
}

fn read_noted(record: &[u8]) -> Option<(u32, Kind, u128)> {
    let (line, rest) = record.split_first_chunk::<4>()?;
    let (kind, key) = rest.split_first()?;
    let kind = *Kind::ALL.get(usize::from(*kind))?;
    let key = key.first_chunk::<16>()?;
    Some((u32::from_le_bytes(*line), kind, u128::from_le_bytes(*key)))
}

fn write_found(line: u32, kind: Kind, before: u32) -> [u8; FOUND] {
    let [a, b, c, d] = line.to_le_bytes();
    let [e, f, g, h] = before.to_le_bytes();
    [a, b, c, d, kind as u8, e, f, g, h]
}

fn read_found(record: &[u8]) -> Option<Finding> {
    let (line, rest) = record.split_first_chunk::<4>()?;
    let (kind, before) = rest.split_first()?;
    Some(Finding {
        line: u32::from_le_bytes(*line),
        kind: *Kind::ALL.get(usize::from(*kind))?,
        before: u32::from_le_bytes(*before.first_chunk::<4>()?),
    })
}

/// What was found, in the order of the lines.
pub(super) struct Findings {
    found: Blocks,
    parts: Vec<Reading>,
    /// The next line of each part that has one.
    next: BinaryHeap<Reverse<(u32, usize)>>,
}

/// How far a part has been read.
#[derive(Default)]
struct Reading {
    /// The block that is being read, and how many were.
    block: Vec<u8>,
    blocks: usize,
    at: usize,
}

impl Findings {
    fn of(found: Blocks) -> io::Result<Self> {
        let mut findings = Self {
            found,
            parts: (0..PARTS).map(|_| Reading::default()).collect(),
            next: BinaryHeap::new(),
        };
        for part in 0..PARTS {
            findings.queue(part)?;
        }
        Ok(findings)
    }

    /// The findings of a line; lines are asked for in order.
    pub(super) fn of_line(&mut self, line: u32) -> io::Result<Vec<Finding>> {
        let mut findings = Vec::new();
        while let Some(Reverse((next, part))) = self.next.peek().copied() {
            if next > line {
                break;
            }
            self.next.pop();
            findings.extend(self.take(part));
            self.queue(part)?;
        }
        Ok(findings)
    }

    fn take(&mut self, part: usize) -> Option<Finding> {
        let reading = self.parts.get_mut(part)?;
        let record = reading.block.get(reading.at..reading.at + FOUND)?;
        let finding = read_found(record);
        reading.at += FOUND;
        finding
    }

    /// Puts the next line of a part among those of the others.
    fn queue(&mut self, part: usize) -> io::Result<()> {
        let Some(reading) = self.parts.get_mut(part) else {
            return Ok(());
        };
        if reading.at >= reading.block.len() {
            reading.at = 0;
            reading.block.clear();
            self.found
                .read_block(part, reading.blocks, &mut reading.block)?;
            reading.blocks += 1;
        }
        let record = reading.block.get(reading.at..reading.at + FOUND);
        if let Some(finding) = record.and_then(read_found) {
            self.next.push(Reverse((finding.line, part)));
        }
        Ok(())
    }
}

/// Lists of records of one size, whose full blocks lie in one file.
#[derive(Debug)]
struct Blocks {
    file: File,
    end: u64,
    block: usize,
    record: usize,
    parts: Vec<Part>,
}

#[derive(Debug, Default, Clone)]
struct Part {
    /// Where its blocks lie.
    places: Vec<u64>,
    /// The one that is not full yet.
    last: Vec<u8>,
}

impl Blocks {
    fn create(folder: &Path, name: &str, block: usize, record: usize) -> io::Result<Self> {
        Ok(Self {
            file: nameless(folder, name)?,
            end: 0,
            block: block / record * record,
            record,
            parts: vec![Part::default(); PARTS],
        })
    }

    fn push(&mut self, part: usize, record: &[u8]) -> io::Result<()> {
        let Some(part) = self.parts.get_mut(part) else {
            return Ok(());
        };
        part.last.extend_from_slice(record);
        if part.last.len() >= self.block {
            self.file.write_all_at(&part.last, self.end)?;
            part.places.push(self.end);
            self.end += part.last.len() as u64;
            part.last.clear();
        }
        Ok(())
    }

    /// Appends the block of that number to `into`; nothing if there are no more.
    fn read_block(&self, part: usize, number: usize, into: &mut Vec<u8>) -> io::Result<()> {
        let Some(part) = self.parts.get(part) else {
            return Ok(());
        };
        match part.places.get(number) {
            Some(place) => {
                let from = into.len();
                into.resize(from + self.block, 0);
                self.file.read_exact_at(&mut into[from..], *place)
            }
            None if number == part.places.len() => {
                into.extend_from_slice(&part.last);
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn each_of(
        &self,
        part: usize,
        mut use_it: impl FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        let blocks = self.parts.get(part).map_or(0, |part| part.places.len() + 1);
        let mut block = Vec::new();
        for number in 0..blocks {
            block.clear();
            self.read_block(part, number, &mut block)?;
            block.chunks_exact(self.record).try_for_each(&mut use_it)?;
        }
        Ok(())
    }
}

/// A file that is gone with the process, whatever ends it.
pub(super) fn nameless(folder: &Path, name: &str) -> io::Result<File> {
    let path = folder.join(format!(".{name}"));
    let mut options = File::options();
    let options = options.read(true).write(true).create(true).truncate(true);
    let file = options.open(&path)?;
    fs::remove_file(&path)?;
    Ok(file)
}
