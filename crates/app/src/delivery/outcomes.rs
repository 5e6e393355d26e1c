//! What came of a call, as a report to be recorded: the classes of the carrier's errors decide
//! what happens next, to the text and to everything that leaves by the same way.

use domain::backoff::{self, ATTEMPTS_MAX};
use domain::breaker::Outcome as Call;
use domain::carrier_errors::{self, Class, Refusal};
use domain::ids::MessageId;
use domain::instant::Instant;
use domain::message::Fact;
use domain::permit::Rule;
use twilio::outcome::{NotSentReason, Outcome};

use super::dispatch::Desk;
use super::gate::Permit;
use super::record::{Lost, Report};
use super::routes::Way;

/// The report on a call that began at `since`. Tells the way what came of it.
pub fn report(
    desk: &Desk,
    way: &Way<'_>,
    message: MessageId,
    permit: &Permit,
    since: Instant,
    outcome: Outcome,
) -> Report {
    let now = desk.clock.now();
    let attempt = permit.attempt();
    let report = |fact| Report::new(message.ord, attempt, fact);
    let answered = Call::Answered { took: now.since(since) };
    let report = match outcome {
        Outcome::Accepted { sid, segments, .. } => {
            desk.routes.note(way, now, answered);
            compare(way, message, permit, segments);
            Report { sid: Some(sid.to_string()), ..report(Fact::Accepted) }
        }
        Outcome::Rejected { code, http, message } => {
            desk.routes.note(way, now, answered);
            let words = format!("the carrier refused it ({http}, {code}): {message}");
            refused(desk, way, report(Fact::Rejected), (i64::from(code), http), words)
        }
        Outcome::NotSent { reason } => {
            let limited = reason == NotSentReason::RateLimited;
            desk.routes.note(way, now, if limited { Call::RateLimited } else { Call::Failed });
            let retry_at = now + backoff::wait(attempt, &*desk.dice);
            Report { retry_at, ..report(Fact::NotSent) }.because(Rule::Retry, reason.to_string())
        }
        Outcome::Unknown { reason } => {
            desk.routes.note(way, now, Call::Failed);
            let lost = Lost {
                carrier: way.line.name.clone(),
                since,
                dead_at: now,
                resolve_by: desk.bounds.resolve_by(message.stream.lane(), now),
            };
            Report { lost: Some(lost), ..report(Fact::Lost) }
                .because(Rule::Retry, reason.to_string())
        }
    };
    tracing::debug!(
        component = "dispatch", account = %message.account, campaign = %message.stream,
        message = %message, attempt, carrier = way.line.name, fact = ?report.fact,
        sid = report.sid, code = report.code, "a call ended"
    );
    report
}

/// The customer pays as quoted. When the carrier counts other segments, the difference is a cost
/// of the house and an alarm (CORE B27), never a second debit.
fn compare(way: &Way<'_>, message: MessageId, permit: &Permit, counted: Option<u32>) {
    let Some(counted) = counted.filter(|counted| *counted != permit.segments()) else { return };
    metrics::counter!("ledgerline_segments_differ_total", "carrier" => way.line.name.clone())
        .increment(u64::from(counted.abs_diff(permit.segments())));
    tracing::error!(
        component = "dispatch", account = %message.account, campaign = %message.stream,
        message = %message, carrier = way.line.name, counted, priced = permit.segments(),
        "the carrier counts other segments than were priced"
    );
}

/// The carrier's own refusal.
fn refused(
    desk: &Desk,
    way: &Way<'_>,
    mut report: Report,
    (code, http): (i64, u16),
    words: String,
) -> Report {
    let now = desk.clock.now();
    report.code = code;
    count(code, way);
    match carrier_errors::refusal(code, http, now) {
        Refusal::Retry { at_least } if report.attempt < ATTEMPTS_MAX => {
            let wait = backoff::wait(report.attempt, &*desk.dice).max(at_least);
            (report.fact, report.retry_at) = (Fact::NotSent, now + wait);
            report.because(Rule::Retry, words)
        }
        Refusal::Hold(what) => {
            desk.routes.hold(way, now, what, words.clone());
            // A backup takes it at once; without one it waits for the end of the hold.
            let blocked = desk.routes.blocked(&way.wanted, now);
            report.fact = Fact::NotSent;
            report.retry_at = blocked.map_or(now, |blocked| blocked.until);
            report.because(Rule::Sender, words)
        }
        Refusal::OptedOut => report.because(Rule::OptOut, words),
        Refusal::Final | Refusal::Retry { .. } => {
            let of_number = carrier_errors::class_of(code) == Class::PermanentNumber;
            report.because(if of_number { Rule::Number } else { Rule::Carrier }, words)
        }
    }
}

/// Counts a code of the carrier's. One nobody listed is told to people: what it means decides
/// whether its texts may ever be tried again.
fn count(code: i64, way: &Way<'_>) {
    let class = carrier_errors::class_of(code);
    metrics::counter!(
        "ledgerline_carrier_errors_total",
        "carrier" => way.line.name.clone(), "class" => class.as_str(), "code" => code.to_string()
    )
    .increment(1);
    if carrier_errors::find(code).is_none() {
        tracing::error!(
            component = "dispatch",
            carrier = way.line.name,
            code,
            "the carrier refused with a code that is not in the table; it is not tried again"
        );
    }
}
