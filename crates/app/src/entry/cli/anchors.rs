//! `ledgerline audit --export` and `--against`: what the ledgers say, written down and compared.

use std::fs::File;
use std::io::BufWriter;
use std::path::Path;

use domain::ids::AccountId;
use domain::token::Secret;
use serde_json::json;
use store::accounts;

use super::audit::ACCOUNTS_A_PAGE;
use super::failure::{Failure, Result, failed, usage};
use super::outlet::{answer, count, count_of, doable, faint, mark, say, strong};
use super::workplace::Workplace;
use crate::entry::app::installation_secret;
use crate::finance::anchors::{self, Difference, WriteError, Writer};

/// Writes down what the ledgers of all accounts, or of one, say today.
pub async fn export(work: &Workplace, file: &Path, only: Option<AccountId>) -> Result {
    let secret = secret(work).await?;
    let cannot = |error: std::io::Error| failed(format!("{}: {error}", file.display()));
    let out = BufWriter::new(File::create(file).map_err(cannot)?);
    let now = work.db.read().await?.now();
    let mut writer = Writer::begin(out, secret, now).map_err(cannot)?;
    let (mut after, mut written, mut lines) = (AccountId(i64::MIN), 0, 0);
    loop {
        let mut tx = work.db.read().await?;
        let page = accounts::list_accounts(&mut tx, after, ACCOUNTS_A_PAGE).await?;
        drop(tx);
        let Some(last) = page.last() else { break };
        after = last.id;
        for account in page.iter().filter(|one| only.is_none_or(|only| only == one.id)) {
            let mut tx = work.db.read().await?;
            let head = writer.account(&mut tx, account.id).await.map_err(|error| match error {
                WriteError::Store(error) => Failure::from(error),
                WriteError::File(error) => cannot(error),
            })?;
            (written, lines) = (written + 1, lines + head.seq);
        }
    }
    let digest = writer.end().map_err(cannot)?;
    let told = json!({
        "file": file, "accounts": written, "lines": lines, "at": now, "digest": digest,
    });
    work.out.tell(&told, || {
        format!(
            "{} {} lines of {written} accounts written down in {}\n  digest {}\n  {}",
            mark(true),
            strong(count(lines)),
            doable(file.display()),
            strong(&digest),
            faint("Keep the file, or at least the digest, where nobody of this machine can write."),
        )
    })
}

/// Compares the ledgers with what they were.
pub async fn compare(work: &Workplace, file: &Path, only: Option<AccountId>) -> Result {
    let text = std::fs::read_to_string(file)
        .map_err(|error| usage(format!("{}: {error}", file.display())))?;
    let secret = secret(work).await?;
    let was = anchors::read(&text, &secret)
        .map_err(|error| failed(format!("{}: {error}", file.display())))?;
    let mut found: Vec<(AccountId, Option<Difference>)> = Vec::new();
    let mut lines = 0;
    for anchor in was.accounts.iter().filter(|one| only.is_none_or(|id| id == one.head.account)) {
        let mut tx = work.db.read().await?;
        lines += anchor.head.seq;
        found.push((anchor.head.account, anchors::compare(&mut tx, anchor).await?));
    }
    let ok = was.is_ours && found.iter().all(|(_, difference)| difference.is_none());
    if work.out.json {
        let accounts: Vec<_> = found
            .iter()
            .map(|(account, difference)| {
                json!({"account": account, "ok": difference.is_none(), "difference": difference})
            })
            .collect();
        answer(&json!({
            "ok": ok, "at": was.at, "digest": was.digest, "signed_here": was.is_ours,
            "lines": lines, "accounts": accounts,
        }))?;
    } else {
        for (account, difference) in &found {
            if let Some(difference) = difference {
                say(format!("{} {}  {}", mark(false), strong(account), difference.detail))?;
            }
        }
        if !was.is_ours {
            say(format!("{} another installation wrote this file", mark(false)))?;
        }
        let verdict = if ok { "is as it was" } else { "is not what it was" };
        say(format!(
            "{} what {} lines of {} accounts said at {} {verdict}\n  digest {}",
            mark(ok),
            count(lines),
            count_of(found.len()),
            was.at,
            strong(&was.digest),
        ))?;
    }
    if ok { Ok(()) } else { Err(Failure::Told) }
}

async fn secret(work: &Workplace) -> Result<Secret> {
    Ok(installation_secret(&work.db, &*work.dice).await?)
}
