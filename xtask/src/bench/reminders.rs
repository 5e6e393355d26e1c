//! `cargo xtask bench reminders`: what a due reminder costs with 10,000 and with 1,000,000
//! reminders still to come, on both engines.
//!
//! The measurement is a program of its own, `crates/bench`, because it fires reminders as the
//! timer does; here it is built for release and run.

use std::process::Command;

use anyhow::ensure;

/// What to measure.
#[derive(clap::Args)]
pub struct Wanted {}

/// Measures and prints.
pub fn run(_: &Wanted) -> anyhow::Result<()> {
    let ended = Command::new(env!("CARGO"))
        .args(["run", "--release", "--quiet", "--package", "bench"])
        .args(["--bin", "reminders"])
        .status()?;
    ensure!(ended.success(), "the measurement failed: {ended}");
    Ok(())
}
