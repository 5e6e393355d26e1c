//! `ledgerline credits`: an account's prepaid credits.

use std::fmt::Write as _;

use clap::Subcommand;
use data_encoding::HEXLOWER;
use domain::ledger::Wallet;
use serde_json::{Value, json};
use store::accounts::Account;
use store::wallets;

use super::failure::{Result, usage};
use super::outlet::{count, credits, faint, mark, strong};
use super::workplace::{Shared, Whose, Workplace};
use crate::flow::accounts::adjust_credits;

/// Who the ledger says moved the credits.
const ACTOR: &str = "operator (command line)";

/// What to do with credits.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Give credits
    Grant(Move),
    /// Give credits, or take them back (below zero)
    Adjust(Move),
    /// Show the wallet
    Show(Whose),
}

/// A movement of credits.
#[derive(clap::Args, Debug)]
pub struct Move {
    #[command(flatten)]
    whose: Whose,
    /// How many
    #[arg(value_name = "AMOUNT", allow_negative_numbers = true)]
    amount: i64,
    /// Why, for the ledger
    #[arg(long)]
    reason: String,
    /// A name for this movement: the same name a second time moves nothing
    #[arg(long, value_name = "NAME")]
    once: Option<String>,
}

/// Runs the command.
pub async fn run(verb: Verb, shared: &Shared) -> Result {
    match verb {
        Verb::Grant(wanted) if wanted.amount <= 0 => {
            Err(usage("AMOUNT: write how many credits to give; `credits adjust` takes them back"))
        }
        Verb::Grant(wanted) | Verb::Adjust(wanted) => {
            let work = Workplace::open(shared).await?;
            adjust(&work, &wanted).await
        }
        Verb::Show(whose) => {
            let work = Workplace::open(shared).await?;
            let account = work.account(whose).await?;
            let mut tx = work.db.read().await?;
            let wallet = wallets::wallet(&mut tx, account.id).await?;
            work.out.tell(&in_json(&account, &wallet), || in_words(&account, &wallet))
        }
    }
}

async fn adjust(work: &Workplace, wanted: &Move) -> Result {
    let account = work.account(wanted.whose).await?;
    let key = wanted.once.clone().unwrap_or_else(|| {
        let mut chance = [0; 16];
        work.dice.fill(&mut chance);
        HEXLOWER.encode(&chance)
    });
    let mut tx = work.db.begin().await?;
    let wallet =
        adjust_credits(&mut tx, account.id, &key, wanted.amount, ACTOR, &wanted.reason).await?;
    tx.commit().await?;
    work.out.tell(&in_json(&account, &wallet), || {
        let verb = if wanted.amount > 0 { "given" } else { "taken back" };
        let moved = credits(wanted.amount.saturating_abs());
        format!("{} {moved} {verb}\n{}", mark(true), in_words(&account, &wallet))
    })
}

fn in_json(account: &Account, wallet: &Wallet) -> Value {
    json!({
        "account": account.id,
        "available": wallet.books.available,
        "reserved": wallet.books.reserved,
        "spent": wallet.books.spent,
        "owed": wallet.books.owed,
        "ledger_lines": wallet.seq,
    })
}

fn in_words(account: &Account, wallet: &Wallet) -> String {
    let books = &wallet.books;
    let mut words = format!("\n  {}\n", strong(&account.name));
    for (name, amount, note) in [
        ("available", books.available, "may be spent"),
        ("reserved", books.reserved, "held for texts on their way"),
        ("spent", books.spent, "for texts a carrier took"),
        ("owed", books.owed, "the next credits pay this first"),
    ] {
        if name != "owed" || amount > 0 {
            writeln!(words, "  {name:<10} {:>14}  {}", strong(count(amount)), faint(note))
                .expect("writing to a String");
        }
    }
    let lines = if wallet.seq == 1 { "line" } else { "lines" };
    words + &faint(format!("  {} ledger {lines}", count(wallet.seq))).to_string()
}
