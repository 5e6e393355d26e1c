//! `ledgerline credits`: an account's prepaid credits.

use std::fmt::Write as _;

use clap::Subcommand;
use data_encoding::HEXLOWER;
use domain::ids::AdjustmentId;
use domain::ledger::Wallet;
use serde_json::{Value, json};
use store::accounts::Account;
use store::adjustments::Adjustment;
use store::wallets;

use super::failure::{Result, usage};
use super::outlet::{count, credits, doable, faint, mark, strong};
use super::workplace::{Shared, Whose, Workplace};
use crate::entry::operators::OPERATOR;
use crate::finance::adjustments::{Decision, decide};
use crate::flow::accounts::{Moved, Mover, move_credits};

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
    #[arg(
        value_name = "AMOUNT",
        allow_negative_numbers = true,
        required_unless_present = "approve"
    )]
    amount: Option<i64>,
    /// Why, for the ledger
    #[arg(long, required_unless_present = "approve")]
    reason: Option<String>,
    /// Which operator you are, as in `LEDGERLINE_OPERATORS`
    #[arg(long = "as", value_name = "NAME", default_value = OPERATOR)]
    name: String,
    /// Agree to a movement that another operator proposed, instead
    #[arg(long, value_name = "ADJUSTMENT", conflicts_with_all = ["amount", "reason", "once"])]
    approve: Option<AdjustmentId>,
    /// A name for this movement: the same name a second time moves nothing
    #[arg(long, value_name = "NAME")]
    once: Option<String>,
}

/// Runs the command.
pub async fn run(verb: Verb, shared: &Shared) -> Result {
    match verb {
        Verb::Grant(wanted) | Verb::Adjust(wanted) if wanted.approve.is_some() => {
            let work = Workplace::open(shared).await?;
            approve(&work, &wanted).await
        }
        Verb::Grant(wanted) if wanted.amount.is_none_or(|amount| amount <= 0) => {
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
    let name = known(work, &wanted.name)?;
    let actor = format!("{name} (command line)");
    let two_person_above = work.settings.operators.two_person_above;
    let mover = Mover { name, actor: &actor, two_person_above };
    let amount = wanted.amount.unwrap_or_default();
    let movement = (amount, wanted.reason.as_deref().unwrap_or_default());
    let mut tx = work.db.begin().await?;
    let moved = move_credits(&mut tx, &*work.dice, account.id, &key, movement, mover).await?;
    tx.commit().await?;
    let wallet = match moved {
        Moved::Done(wallet) => wallet,
        Moved::Proposed(one) => return propose(work, &account, &one),
    };
    work.out.tell(&in_json(&account, &wallet), || {
        let verb = if amount > 0 { "given" } else { "taken back" };
        let moved = credits(amount.saturating_abs());
        format!("{} {moved} {verb}\n{}", mark(true), in_words(&account, &wallet))
    })
}

/// The name of an operator that there is.
fn known<'a>(work: &Workplace, name: &'a str) -> Result<&'a str> {
    if work.settings.operators.knows(name) {
        return Ok(name);
    }
    let words = "there is no operator of this name; LEDGERLINE_OPERATORS names them";
    Err(usage(format!("--as: {words}")))
}

fn propose(work: &Workplace, account: &Account, one: &Adjustment) -> Result {
    let answer = json!({
        "account": account.id, "adjustment": one.id, "amount": one.amount,
        "state": one.state.as_str(), "proposed_by": one.proposed_by,
    });
    work.out.tell(&answer, || {
        let command = format!("ledgerline credits adjust --approve {} --as NAME", one.id);
        format!(
            "Nothing moved yet: so many credits take two operators.\n\nNext, by another one: {}",
            doable(command)
        )
    })
}

async fn approve(work: &Workplace, wanted: &Move) -> Result {
    let name = known(work, &wanted.name)?;
    let id = wanted.approve.ok_or_else(|| usage("--approve: write which adjustment"))?;
    let mut tx = work.db.begin().await?;
    let (one, wallet) = decide(&mut tx, &*work.dice, id, Decision::Approve, name).await?;
    let account = store::accounts::account(&mut tx, one.account).await?;
    tx.commit().await?;
    work.out.tell(&in_json(&account, &wallet), || {
        let moved = credits(one.amount.saturating_abs());
        let verb = if one.amount > 0 { "given" } else { "taken back" };
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
