//! Chores of the repository: `cargo xtask <chore>`.
//!
//! Each chore is one module; nothing here is part of the product.

mod bench;
mod mutants;
mod tidy;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Chores of the Ledgerline repository")]
struct Cli {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Checks what the compiler cannot: layers, sizes, names, paths in the docs, test manners.
    Tidy {
        /// The repository; by default the one this program was built in.
        #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/.."))]
        root: PathBuf,
    },
    /// Measures what things cost on this machine.
    #[command(subcommand)]
    Bench(Bench),
    /// Plants known bugs, one at a time: would our tests have caught them?
    Mutants(mutants::Wanted),
}

#[derive(Subcommand)]
enum Bench {
    /// A campaign from its start to its last accepted text, beside plain HTTP.
    Campaign(bench::campaign::Wanted),
    /// Signed receipts at a fixed rate: accepted per second, and how long each waits.
    Receipts(bench::receipts::Wanted),
    /// Single codes beside a campaign: how long each takes to the carrier.
    Lanes(bench::lanes::Wanted),
    /// Due reminders with few and very many still to come: what each costs.
    Reminders(bench::reminders::Wanted),
    /// The database's part of a message's life: messages per second.
    Life(bench::life::Wanted),
}

fn main() -> anyhow::Result<ExitCode> {
    match Cli::parse().chore {
        Chore::Tidy { root } => tidy::run(&root),
        Chore::Mutants(wanted) => mutants::run(&wanted),
        Chore::Bench(bench) => run_bench(&bench).map(|()| ExitCode::SUCCESS),
    }
}

fn run_bench(bench: &Bench) -> anyhow::Result<()> {
    match bench {
        Bench::Campaign(wanted) => bench::campaign::run(wanted),
        Bench::Receipts(wanted) => bench::receipts::run(wanted),
        Bench::Lanes(wanted) => bench::lanes::run(wanted),
        Bench::Reminders(wanted) => bench::reminders::run(wanted),
        Bench::Life(wanted) => bench::life::run(wanted),
    }
}
