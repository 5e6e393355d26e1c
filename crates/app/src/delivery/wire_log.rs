//! The wire log: which texts of a chunk were handed to a socket.
//!
//! One small file per chunk, one byte per text, written right before the first byte of the
//! request. It is not synced to disk: it only has to outlive the process, not the machine. When a
//! process was killed and the machine still runs (same boot id), a zero byte proves that the text
//! never left, although the durable mark had allowed it. Without that proof the text is unknown.
//!
//! The proof holds only if the old process is really dead. Each process therefore holds a lock on
//! its directory's `alive` file for as long as it lives; the kernel releases it at death.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use domain::ids::{AccountId, Incarnation, StreamId};
use rustix::fs::{FlockOperation, flock};

/// The wire logs of this process.
#[derive(Debug)]
pub struct WireLogs {
    root: PathBuf,
    own: PathBuf,
    /// Held locked until the process ends.
    _alive: File,
}

/// One chunk's log.
#[derive(Clone, Debug)]
pub struct WireLog {
    file: Arc<File>,
    path: PathBuf,
}

/// What is known of a process that owned a chunk.
#[derive(Debug, PartialEq, Eq)]
pub enum Owner {
    /// Its lock is held: it lives.
    Alive,
    /// Its lock is free: it is dead, and its log can be believed.
    Dead,
    /// It left no trace on this machine, or the machine was restarted since.
    Unseen,
}

fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

impl WireLogs {
    /// Logs under `root` for the process that runs as `incarnation`.
    pub fn open(root: &Path, incarnation: Incarnation) -> io::Result<Self> {
        let own = root.join(incarnation.to_string());
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&own)?;
        let alive = File::create(own.join("alive"))?;
        flock(&alive, FlockOperation::NonBlockingLockExclusive)?;
        fs::write(own.join("boot"), boot_id())?;
        Ok(Self { root: root.to_path_buf(), own, _alive: alive })
    }

    /// Begins the log of a chunk of `texts` texts.
    pub fn begin(
        &self,
        account: AccountId,
        stream: StreamId,
        chunk: i64,
        texts: usize,
    ) -> io::Result<WireLog> {
        let path = self.own.join(file_name(account, stream, chunk));
        let file = File::create(&path)?;
        file.set_len(u64::try_from(texts).unwrap_or(u64::MAX))?;
        Ok(WireLog { file: Arc::new(file), path })
    }

    /// What became of a process.
    pub fn owner(&self, incarnation: Incarnation) -> Owner {
        let dir = self.root.join(incarnation.to_string());
        if dir == self.own {
            return Owner::Alive;
        }
        let Ok(alive) = OpenOptions::new().write(true).open(dir.join("alive")) else {
            return Owner::Unseen;
        };
        if flock(&alive, FlockOperation::NonBlockingLockExclusive).is_err() {
            return Owner::Alive;
        }
        let boot = fs::read_to_string(dir.join("boot")).unwrap_or_default();
        if boot.is_empty() || boot != boot_id() { Owner::Unseen } else { Owner::Dead }
    }

    /// For each text of a chunk: was it handed to a socket? `None` without a log. Believe it only
    /// for an owner that is [`Owner::Dead`], or for a finished task of this process.
    pub fn read(
        &self,
        incarnation: Incarnation,
        account: AccountId,
        stream: StreamId,
        chunk: i64,
    ) -> Option<Vec<bool>> {
        let dir = self.root.join(incarnation.to_string());
        let bytes = fs::read(dir.join(file_name(account, stream, chunk))).ok()?;
        Some(bytes.into_iter().map(|byte| byte != 0).collect())
    }

    /// Removes what dead processes left, once their chunks are settled.
    pub fn clear_dead(&self) -> io::Result<()> {
        for entry in fs::read_dir(&self.root)? {
            let name = entry?.file_name();
            let incarnation = name.to_str().and_then(|text| Incarnation::parse(text).ok());
            if incarnation.is_some_and(|id| self.owner(id) != Owner::Alive) {
                fs::remove_dir_all(self.root.join(name))?;
            }
        }
        Ok(())
    }
}

impl Drop for WireLogs {
    fn drop(&mut self) {
        // Left behind by a killed process, removed by an orderly one whose chunks are closed.
        if fs::read_dir(&self.own).is_ok_and(|entries| entries.count() == 2) {
            drop(fs::remove_dir_all(&self.own));
        }
    }
}

impl WireLog {
    /// Notes that text `index` is about to be handed to a socket.
    pub fn note(&self, index: usize) -> io::Result<()> {
        self.file.write_all_at(&[1], u64::try_from(index).unwrap_or(u64::MAX))
    }

    /// Removes the log of a chunk whose outcomes are durable.
    pub fn remove(self) {
        // A log that stays is harmless: its chunk is closed and nobody asks for it again.
        drop(fs::remove_file(self.path));
    }
}

fn file_name(account: AccountId, stream: StreamId, chunk: i64) -> String {
    format!("{account}.{stream}.{chunk}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: Incarnation = Incarnation([1; 16]);
    const NEW: Incarnation = Incarnation([2; 16]);

    #[test]
    fn a_dead_process_leaves_what_it_handed_over() {
        let dir = tempfile::tempdir().expect("a directory");
        let place = (AccountId(5), StreamId(6), 7);
        let old = WireLogs::open(dir.path(), OLD).expect("opens");
        let log = old.begin(place.0, place.1, place.2, 3).expect("begins");
        log.note(1).expect("notes");
        let new = WireLogs::open(dir.path(), NEW).expect("opens");
        assert_eq!(new.owner(OLD), Owner::Alive);
        drop(old);
        assert_eq!(new.owner(OLD), Owner::Dead);
        assert_eq!(new.read(OLD, place.0, place.1, place.2), Some(vec![false, true, false]));
        assert_eq!(new.read(OLD, place.0, place.1, 8), None);
        assert_eq!(new.owner(Incarnation([3; 16])), Owner::Unseen);
        new.clear_dead().expect("clears");
        assert_eq!(new.owner(OLD), Owner::Unseen);
        assert_eq!(new.owner(NEW), Owner::Alive);
    }
}
