//! The trail of rules that act by themselves: what each did, for whom, and when it looks again.

use domain::ids::{AccountId, RunId};
use domain::instant::Instant;

use crate::db::{Result, Rows, Tx};
use crate::uuid;

/// One run of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// Its id; sorts by time.
    pub id: RunId,
    /// Which rule, such as `reminder.due`, `reply.answer`, `keyword.stop`.
    pub rule: String,
    /// The version of the account's settings it ran under.
    pub version: i64,
    /// For whom or what: an id.
    pub subject: String,
    /// What came of it, one word such as `sent`, `skipped`, `confirmed`.
    pub outcome: String,
    /// Why, in words.
    pub detail: String,
    /// When it looks at the same thing again.
    pub next_at: Option<Instant>,
    /// When it ran.
    pub at: Instant,
}

/// Keeps runs; their `at` is the present.
pub async fn insert_runs(tx: &mut Tx, account: AccountId, runs: &[Run]) -> Result<()> {
    let now = tx.now().0;
    let rows = Rows::of(runs.len())
        .bytes("run_id", runs.iter().map(|run| run.id.0.to_vec()))
        .text("rule", runs.iter().map(|run| run.rule.clone()))
        .int("version", runs.iter().map(|run| run.version))
        .text("subject", runs.iter().map(|run| run.subject.clone()))
        .text("outcome", runs.iter().map(|run| run.outcome.clone()))
        .text("detail", runs.iter().map(|run| run.detail.clone()))
        .int("next_at", runs.iter().map(|run| run.next_at.map(|at| at.0)));
    tx.many(
        "insert into automation_run (account_id, run_id, rule, version, subject, outcome, detail,
           next_at, at)
         select $1, r.run_id, r.rule, r.version, r.subject, r.outcome, r.detail, r.next_at, $2
         from {rows}",
        (account.0, now),
        rows,
    )
    .await?;
    Ok(())
}

type RunRow = (Vec<u8>, String, i64, String, String, String, Option<i64>, i64);

/// The latest runs of a rule, or of all rules when it is empty, the newest first.
pub async fn recent_runs(
    tx: &mut Tx,
    account: AccountId,
    rule: &str,
    limit: i64,
) -> Result<Vec<Run>> {
    runs_before(tx, account, rule, None, limit).await
}

/// The runs of a rule, or of all rules when it is empty, behind `after`, the newest first.
pub async fn runs_before(
    tx: &mut Tx,
    account: AccountId,
    rule: &str,
    after: Option<RunId>,
    limit: i64,
) -> Result<Vec<Run>> {
    let after = after.map_or_else(|| vec![0xFF; 16], |id| id.0.to_vec());
    let rows: Vec<RunRow> = tx
        .all(
            "select run_id, rule, version, subject, outcome, detail, next_at, at
             from automation_run where account_id = $1 and ($2 = '' or rule = $2)
               and run_id < $4
             order by run_id desc limit $3",
            (account.0, rule.to_owned(), limit, after),
        )
        .await?;
    rows.into_iter()
        .map(|(id, rule, version, subject, outcome, detail, next_at, at)| {
            Ok(Run {
                id: RunId(uuid(id)?),
                rule,
                version,
                subject,
                outcome,
                detail,
                next_at: next_at.map(Instant),
                at: Instant(at),
            })
        })
        .collect()
}

/// A rule that has run, and how often.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleFires {
    /// Which rule.
    pub rule: String,
    /// Its runs since the instant that was asked about.
    pub runs: i64,
    /// When it last ran.
    pub last_at: Instant,
}

/// The rules that ran since `since`, by name.
pub async fn rules_since(
    tx: &mut Tx,
    account: AccountId,
    since: Instant,
) -> Result<Vec<RuleFires>> {
    let rows: Vec<(String, i64, i64)> = tx
        .all(
            "select rule, count(*), max(at) from automation_run
             where account_id = $1 and at >= $2 group by rule order by rule limit $3",
            (account.0, since.0, crate::PAGE_ROWS_MAX),
        )
        .await?;
    Ok(rows
        .into_iter()
        .map(|(rule, runs, last)| RuleFires { rule, runs, last_at: Instant(last) })
        .collect())
}
