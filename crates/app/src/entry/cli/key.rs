//! `ledgerline key`: an account's API keys.

use clap::{Subcommand, ValueEnum};
use store::accounts::KeyMode;

use super::failure::Result;
use super::outlet::{doable, faint, strong};
use super::workplace::{Shared, Whose, Workplace};
use crate::flow::accounts::make_key;

/// What to do with keys.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Make an API key; it is shown this once
    Create(Create),
}

/// A wanted key.
#[derive(clap::Args, Debug)]
pub struct Create {
    #[command(flatten)]
    whose: Whose,
    /// What it is for
    #[arg(long)]
    name: String,
    /// What it may do
    #[arg(long, value_enum, default_value = "live")]
    mode: Mode,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Mode {
    /// Everything
    Live,
    /// Everything, on the sandbox carrier only
    Test,
}

/// Runs the command.
pub async fn run(verb: Verb, shared: &Shared) -> Result {
    let Verb::Create(wanted) = verb;
    let work = Workplace::open(shared).await?;
    let account = work.account(wanted.whose).await?;
    let mode = match wanted.mode {
        Mode::Live => KeyMode::Live,
        Mode::Test => KeyMode::Test,
    };
    let mut tx = work.db.begin().await?;
    let key = make_key(&mut tx, &*work.dice, account.id, &wanted.name, mode).await?;
    tx.commit().await?;
    work.out.tell(&key, || {
        format!(
            "{}\n{}",
            doable(&key.key),
            faint(format!("opens {}; keep it now, it is not shown again", strong(&account.name))),
        )
    })
}
