//! Processor time of this process and of a database server.

use std::fs;
use std::time::Duration;

/// Reads what this process and the server, with all its children, have used so far.
#[derive(Clone, Copy)]
pub struct Meter {
    /// The process all of the server's processes descend from.
    pub server: Option<u32>,
}

impl Meter {
    /// User and system time so far. The kernel counts it in nanoseconds; a server's process that
    /// has ended is no longer counted, those that serve us live as long as the connections.
    pub fn read(self) -> Duration {
        let own = of_process(std::process::id());
        own + self.server.map_or(Duration::ZERO, of_family)
    }
}

fn of_family(id: u32) -> Duration {
    let mut sum = Duration::ZERO;
    let mut family = vec![id];
    while let Some(id) = family.pop() {
        sum += of_process(id);
        let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children"));
        let children = children.unwrap_or_default();
        family.extend(children.split_whitespace().filter_map(|id| id.parse::<u32>().ok()));
    }
    sum
}

/// The threads of a process.
fn of_process(id: u32) -> Duration {
    let Ok(threads) = fs::read_dir(format!("/proc/{id}/task")) else { return Duration::ZERO };
    let nanos = threads.flatten().filter_map(|thread| {
        let line = fs::read_to_string(thread.path().join("schedstat")).ok()?;
        line.split(' ').next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(nanos.sum())
}
