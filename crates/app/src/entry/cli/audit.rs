//! `ledgerline audit`: every invariant of money and messages, account by account.

use std::path::PathBuf;

use clap::Args;
use domain::ids::AccountId;
use serde::Serialize;
use store::accounts::{self, Account};

use super::anchors;
use super::failure::{Failure, Result};
use super::outlet::{Outlet, answer, faint, mark, say, strong};
use super::workplace::{Shared, Whose, Workplace};
use crate::flow::audit::{Audit, audit};

/// Accounts read at once.
pub const ACCOUNTS_A_PAGE: i64 = 1000;

/// Which accounts to audit.
#[derive(Args, Debug)]
pub struct Wanted {
    /// Only this account; all if there is none
    #[arg(long, value_name = "ID")]
    account: Option<AccountId>,
    /// Write down what the ledgers say today, to be kept where nobody of this machine can change it
    #[arg(long, value_name = "FILE", conflicts_with = "against")]
    export: Option<PathBuf>,
    /// Prove that nothing changed of what a file from --export says
    #[arg(long, value_name = "FILE")]
    against: Option<PathBuf>,
}

#[derive(Serialize)]
struct Answer<'a> {
    account: AccountId,
    name: &'a str,
    #[serde(flatten)]
    audit: &'a Audit,
}

/// Runs the command.
pub async fn run(wanted: Wanted, shared: &Shared) -> Result {
    let work = Workplace::open(shared).await?;
    if let Some(file) = &wanted.export {
        return anchors::export(&work, file, wanted.account).await;
    }
    if let Some(file) = &wanted.against {
        return anchors::compare(&work, file, wanted.account).await;
    }
    if wanted.account.is_some() {
        let account = work.account(Whose { account: wanted.account }).await?;
        return if audit_one(&work, &account).await? { Ok(()) } else { Err(Failure::Told) };
    }
    let (mut after, mut ok) = (AccountId(i64::MIN), true);
    loop {
        let mut tx = work.db.read().await?;
        let page = accounts::list_accounts(&mut tx, after, ACCOUNTS_A_PAGE).await?;
        drop(tx);
        let Some(last) = page.last() else { break };
        after = last.id;
        for account in &page {
            ok &= audit_one(&work, account).await?;
        }
    }
    if after.0 == i64::MIN && !work.out.json {
        say("There is no account yet.")?;
    }
    if ok { Ok(()) } else { Err(Failure::Told) }
}

async fn audit_one(work: &Workplace, account: &Account) -> Result<bool> {
    let found = audit(&work.db, account.id).await?;
    show(work.out, account, &found)?;
    Ok(found.ok)
}

fn show(out: Outlet, account: &Account, found: &Audit) -> Result {
    if out.json {
        return answer(&Answer { account: account.id, name: &account.name, audit: found });
    }
    say(format!("\n{}  {}", strong(&account.name), faint(account.id)))?;
    for check in &found.checks {
        say(format!(
            "  {} {:<22} {}",
            mark(check.ok),
            check.name.replace('_', " "),
            if check.ok { faint(&check.detail) } else { strong(&check.detail) },
        ))?;
    }
    Ok(())
}
