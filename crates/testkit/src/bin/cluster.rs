//! Runs a command with a `PostgreSQL` cluster of its own: `cluster -- cargo nextest run`.
//!
//! The command finds the cluster's address in `LEDGERLINE_TEST_POSTGRES` and a temporary directory
//! in `TMPDIR`; both go when it ends. The exit code is the command's. If the variable is set
//! already, that server is used and none is started.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitCode, ExitStatus};

use rustix::process::{Pid, Signal, kill_process};
use testkit::postgres::{Cluster, URL_VARIABLE};
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let mut words = std::env::args_os().skip(1).peekable();
    words.next_if(|word| word == "--");
    let Some(program) = words.next() else {
        eprintln!("usage: cluster -- <command> [argument]…");
        return ExitCode::from(2);
    };
    match run(program, words.collect()).await {
        Ok(status) => ExitCode::from(exit_code(status)),
        Err(error) => {
            eprintln!("cluster: {error}");
            ExitCode::from(2)
        }
    }
}

async fn run(program: OsString, arguments: Vec<OsString>) -> io::Result<ExitStatus> {
    let mut command = Command::new(program);
    command.args(arguments);
    let cluster = match std::env::var_os(URL_VARIABLE) {
        Some(_) => None,
        None => Some(Cluster::start()?),
    };
    if let Some(cluster) = &cluster {
        command.env(URL_VARIABLE, cluster.url()).env("TMPDIR", cluster.temp_dir());
    }
    await_end(command.spawn()?).await
}

/// Outlives the command. Ctrl-C and a closed terminal reach the command by themselves, so they are
/// only outlasted; a request to terminate reaches us alone, so it is passed on.
async fn await_end(mut child: Child) -> io::Result<ExitStatus> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let mut terminate = signal(SignalKind::terminate())?;
    loop {
        tokio::select! {
            status = child.wait() => return status,
            _ = interrupt.recv() => {}
            _ = hangup.recv() => {}
            _ = terminate.recv() => {
                let id = child.id().and_then(|id| Pid::from_raw(id.try_into().ok()?));
                if let Some(id) = id {
                    kill_process(id, Signal::TERM)?;
                }
            }
        }
    }
}

/// The command's exit code, or what a shell would say of the signal that ended it.
fn exit_code(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| status.signal().map(|it| 128 + it));
    code.and_then(|it| u8::try_from(it).ok()).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_are_a_shells() {
        for (raw, expected) in [(0, 0), (100 << 8, 100), (9, 137), (15, 143)] {
            assert_eq!(exit_code(ExitStatus::from_raw(raw)), expected, "wait status {raw}");
        }
    }
}
