//! Hashing and writing take as long as sorting does: a thread of their own takes them off the sorter.

use std::{
    io,
    sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel},
    thread::{self, JoinHandle},
};

use super::{
    ahead::SyncAhead,
    output::Output,
    record::{Part, Record},
};
use crate::{dataset::Split, job_dir::JobDir};

/// What each file collects before it is written, in bytes.
const BUFFER: usize = 256 << 10;

/// Full buffers that wait to be written; whoever brings one more waits as well.
const WAITING: usize = 4;

/// The files of all splits, behind a thread that writes them.
#[derive(Debug)]
pub(super) struct Writer {
    buffers: [Vec<u8>; 4],
    /// Emptied ones, to be filled again.
    spare: Receiver<Vec<u8>>,
    orders: Option<SyncSender<Order>>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

/// What the thread is told; each order is carried out once everything before is done.
#[derive(Debug)]
enum Order {
    Write(Split, Vec<u8>),
    Note(Box<Record>),
    Sync(SyncSender<()>),
    Digests(SyncSender<[String; 4]>),
}

impl Writer {
    /// Goes on behind what these parts say: what lies there was written in vain.
    pub(super) fn open(dir: &JobDir, parts: &[Part; 4]) -> io::Result<Self> {
        let [first, second, third, fourth] = Split::ALL.map(|split| {
            let path = dir.data().join(split.file_name());
            Output::open(&path, parts[split as usize].bytes)
        });
        let outputs = [first?, second?, third?, fourth?];
        let (dir, ahead) = (dir.clone(), SyncAhead::start(dir)?);
        let (orders, ordered) = sync_channel(WAITING);
        let (emptied, spare) = channel();
        let work = move || write(&dir, (outputs, ahead), &ordered, &emptied);
        let thread = thread::Builder::new().name("export-writer".to_owned());
        Ok(Self {
            buffers: Default::default(),
            spare,
            orders: Some(orders),
            thread: Some(thread.spawn(work)?),
        })
    }

    /// Adds a line to a file; answers how many bytes that were.
    pub(super) fn put(&mut self, split: Split, line: &[u8]) -> io::Result<u64> {
        let buffer = &mut self.buffers[split as usize];
        let before = buffer.len();
        buffer.extend_from_slice(line);
        if !line.ends_with(b"\n") {
            buffer.push(b'\n');
        }
        let added = buffer.len() - before;
        if buffer.len() >= BUFFER {
            self.hand_over(split)?;
        }
        Ok(added as u64)
    }

    /// Has it noted how far the rows are once the files hold everything, and waits for neither.
    pub(super) fn note(&mut self, record: Record) -> io::Result<()> {
        self.hand_over_all()?;
        self.order(Order::Note(Box::new(record)))
    }

    /// Returns when the files hold everything to stay.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        self.ask(Order::Sync)
    }

    /// Of all that is in each file, in hexadecimal digits.
    pub(super) fn digests(&mut self) -> io::Result<[String; 4]> {
        self.ask(Order::Digests)
    }

    fn ask<T>(&mut self, order: impl FnOnce(SyncSender<T>) -> Order) -> io::Result<T> {
        self.hand_over_all()?;
        let (sender, answer) = sync_channel(1);
        self.order(order(sender))?;
        answer.recv().map_err(|_| self.failure())
    }

    fn hand_over_all(&mut self) -> io::Result<()> {
        Split::ALL
            .into_iter()
            .try_for_each(|split| self.hand_over(split))
    }

    fn hand_over(&mut self, split: Split) -> io::Result<()> {
        let buffer = &mut self.buffers[split as usize];
        if buffer.is_empty() {
            return Ok(());
        }
        let empty = self.spare.try_recv().unwrap_or_default();
        let full = std::mem::replace(buffer, empty);
        self.order(Order::Write(split, full))
    }

    fn order(&mut self, order: Order) -> io::Result<()> {
        let sent = self.orders.as_ref().map(|orders| orders.send(order));
        match sent {
            Some(Ok(())) => Ok(()),
            _ => Err(self.failure()),
        }
    }

    /// Why the thread has ended.
    fn failure(&mut self) -> io::Error {
        let ended = self.thread.take().map(JoinHandle::join);
        match ended {
            Some(Ok(Err(error))) => error,
            _ => io::Error::other("the thread that writes the files has ended"),
        }
    }
}

/// Nothing is written any more once it is gone: another one may open the same files.
impl Drop for Writer {
    fn drop(&mut self) {
        drop(self.orders.take());
        let _ended = self.thread.take().map(JoinHandle::join);
    }
}

fn write(
    dir: &JobDir,
    (mut outputs, mut ahead): ([Output; 4], SyncAhead),
    orders: &Receiver<Order>,
    emptied: &Sender<Vec<u8>>,
) -> io::Result<()> {
    // Whoever does not wait for an answer any more is not there to miss it.
    for order in orders {
        match order {
            Order::Write(split, mut buffer) => {
                outputs[split as usize].write(&buffer)?;
                ahead.wrote(split, buffer.len());
                buffer.clear();
                buffer.shrink_to(2 * BUFFER);
                let _gone = emptied.send(buffer);
            }
            Order::Note(record) => record.write_unsynced_to(dir)?,
            Order::Sync(done) => {
                for output in &mut outputs {
                    output.sync()?;
                }
                let _gone = done.send(());
            }
            Order::Digests(done) => {
                let _gone = done.send(outputs.each_ref().map(Output::sha256));
            }
        }
    }
    Ok(())
}
