//! `cargo xtask bench life`: how many messages a second live through the database: claimed and
//! paid for, marked, settled, and two receipts kept, for one account, with durable commits.
//!
//! The measurement is a program of its own, `crates/bench`, because it claims, records and
//! takes receipts as the server does; here it is built for release and run.

use std::process::Command;

use anyhow::ensure;

use super::processes::load;
use super::stage::engines;

/// What to measure.
#[derive(clap::Args)]
pub struct Wanted {
    /// Recipients of the campaign.
    #[arg(long, default_value_t = 100_000)]
    recipients: usize,
    /// Measure only these: sqlite, postgres.
    #[arg(long, value_delimiter = ',', default_value = "sqlite,postgres")]
    only: Vec<String>,
}

/// Measures and prints.
pub fn run(wanted: &Wanted) -> anyhow::Result<()> {
    let cores = std::thread::available_parallelism()?;
    println!("{} messages, {cores} cores, load {} before", wanted.recipients, load()?);
    let ended = Command::new(env!("CARGO"))
        .args(["run", "--release", "--quiet", "--package", "bench"])
        .args(["--bin", "life", "--", &wanted.recipients.to_string()])
        .args(engines(&wanted.only))
        .status()?;
    ensure!(ended.success(), "the measurement failed: {ended}");
    Ok(())
}
