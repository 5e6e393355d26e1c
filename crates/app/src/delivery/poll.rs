//! Polling: a carrier that lost its receipts, or could not deliver them, is asked what became of
//! texts that had no final news for long.

use std::collections::HashMap;
use std::time::Duration;

use domain::ids::{AccountId, StreamId};
use domain::instant::Instant;
use domain::message::Fact;
use store::{Result, sweep};

use super::dispatch::Desk;
use super::receipts;
use super::record::Report;

/// Streams looked at in one look.
const STREAMS_MAX: i64 = 50;
/// Texts of a stream asked about in one look.
const TEXTS_MAX: i64 = 20;
/// Older texts are final at every carrier; what is not known by then never will be.
const AGE_MAX: Duration = Duration::from_secs(48 * 3600);

/// How far each stream was looked through, and when it is looked through again.
#[derive(Debug, Default)]
pub struct Polls(HashMap<(AccountId, StreamId), (i64, Instant)>);

/// One look: asks about some texts that had no final news for [`Desk::poll_after`].
pub async fn look(desk: &Desk, polls: &mut Polls) -> Result<()> {
    let now = desk.clock.now();
    let mut tx = desk.db.read().await?;
    let places = sweep::streams_without_end(&mut tx, STREAMS_MAX).await?;
    drop(tx);
    polls.0.retain(|place, _| places.contains(place));
    for place in places {
        let (after, again_at) = polls.0.get(&place).copied().unwrap_or((0, now));
        if now < again_at {
            continue;
        }
        let mut tx = desk.db.read().await?;
        let window = (now - AGE_MAX)..(now - desk.poll_after);
        let texts = sweep::texts_without_end(&mut tx, place, after, window, TEXTS_MAX).await?;
        drop(tx);
        match texts.last() {
            Some((last, ..)) => polls.0.insert(place, (*last, now)),
            None => polls.0.insert(place, (0, now + desk.poll_after)),
        };
        let mut reports = Vec::new();
        for (ord, attempt, sid) in texts {
            if let Some(report) = ask(desk, ord, attempt, &sid).await {
                reports.push(report);
            }
        }
        if !reports.is_empty() {
            receipts::keep(desk, place, &reports).await?;
        }
    }
    Ok(())
}

async fn ask(desk: &Desk, ord: i64, attempt: u16, sid: &str) -> Option<Report> {
    for line in desk.routes.lines() {
        match line.carrier.fetch(sid).await {
            Ok(Some(listed)) => {
                let mut report = Report::new(ord, attempt, Fact::Receipt(listed.receipt?));
                (report.sid, report.code) = (Some(listed.sid), listed.code);
                return Some(report);
            }
            Ok(None) => {}
            Err(error) => tracing::debug!(
                component = "poll", carrier = line.name, sid, %error, "the carrier did not answer"
            ),
        }
    }
    None
}
