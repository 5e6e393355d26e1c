//! Redelivery: a text that the carrier took and did not bring to its phone is sent again, when the
//! reason passes by itself.
//!
//! The new attempt is a text of its own: it names the one it repeats, is paid again and passes the
//! whole gate again. Lists are not repeated, because their quote says what they cost; codes are
//! not, because whoever waits asks for a new one.

use domain::backoff::ATTEMPTS_MAX;
use domain::carrier_errors;
use domain::ids::{AccountId, MessageId, StreamId};
use domain::lanes::Lane;
use domain::message::{Fact, Receipt};
use store::recipients::{self, Recipient};
use store::streams::{self, Stream};
use store::{Result, Tx};

use super::record::Report;

/// Locks the stream if these reports may lead to texts being sent again; its lock comes before
/// those of its messages.
pub async fn prepare(
    tx: &mut Tx,
    (account, stream): (AccountId, StreamId),
    reports: &[Report],
) -> Result<Option<Stream>> {
    if matches!(stream.lane(), Lane::Campaign | Lane::Code) {
        return Ok(None);
    }
    let now = tx.now();
    let failed = |report: &Report| {
        matches!(report.fact, Fact::Receipt(Receipt::Failed | Receipt::Undelivered))
            && carrier_errors::redelivery(report.code, 1, ATTEMPTS_MAX, now).is_some()
    };
    if !reports.iter().any(failed) {
        return Ok(None);
    }
    streams::lock_stream(tx, account, stream).await.map(Some)
}

/// Adds a text for each of the failed ones (position and the carrier's code) that is worth it.
pub async fn send_again(
    tx: &mut Tx,
    account: AccountId,
    before: Stream,
    failed: &[(i64, i64)],
) -> Result<()> {
    let now = tx.now();
    let ords: Vec<i64> = failed.iter().map(|(ord, _)| *ord).collect();
    let mut after = before;
    let mut again = Vec::new();
    for one in recipients::candidates_at(tx, account, before.id, "", &ords).await? {
        let one = one.recipient;
        let code = failed.iter().find(|(ord, _)| *ord == one.ord).map_or(0, |(_, code)| *code);
        let wait = carrier_errors::redelivery(code, one.tries, ATTEMPTS_MAX, now);
        let Some(send_at) = wait.map(|wait| now + wait).filter(|at| *at <= one.not_after) else {
            continue;
        };
        after.total += 1;
        let first = MessageId { account, stream: before.id, ord: one.ord };
        tracing::info!(
            component = "redelivery", %account, message = %first, code,
            again = %MessageId { ord: after.total, ..first }, tries = one.tries + 1,
            at = %send_at, "a text that was not delivered is sent again"
        );
        again.push(Recipient {
            ord: after.total,
            send_at,
            retry_of: Some(one.retry_of.clone().unwrap_or_else(|| first.to_string())),
            tries: one.tries + 1,
            ..one
        });
    }
    if again.is_empty() {
        return Ok(());
    }
    recipients::insert_recipients(tx, account, before.id, &again).await?;
    streams::save_stream(tx, account, &before, &after).await
}
