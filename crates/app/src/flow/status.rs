//! How things stand: campaigns with their counts, single messages with their whole story.

use std::collections::BTreeMap;

use domain::campaign::{PauseReason, State};
use domain::ids::{AccountId, ContactId, MessageId, StreamId};
use domain::instant::Instant;
use domain::message::State as S;
use domain::permit::RULE_SET;
use serde::Serialize;
use store::campaigns::{self, Campaign};
use store::messages::EventKind;
use store::stories::StateFilter;
use store::streams::{self, Stream};
use store::{Db, Tx, messages, recipients, stories, unknowns};

use super::{Refusal, Result};

/// A campaign as callers see it.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
pub struct CampaignStatus {
    /// Its id.
    #[schema(value_type = String)]
    pub id: StreamId,
    /// Its name.
    pub name: String,
    /// `marketing` or `transactional`.
    pub category: &'static str,
    /// Its template.
    pub body: String,
    /// Where it stands.
    pub state: &'static str,
    /// Why it is paused.
    pub pause_reason: Option<&'static str>,
    /// Its recipients by what has become of them; every one is counted once.
    pub counts: Counts,
    /// Its credits.
    pub credits: Credits,
    /// Texts accepted per second of late.
    pub rate_per_second: f64,
    /// Not before.
    #[schema(value_type = Option<String>)]
    pub starts_at: Option<Instant>,
    /// Texts whose fate is unknown, and by when the last of them is decided.
    pub unknown: Option<Unknown>,
    /// Resumes by itself when credits come.
    pub resume_when_funded: bool,
    /// When it was made.
    #[schema(value_type = String)]
    pub created_at: Instant,
}

/// Recipients of a campaign; the parts add up to `total`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Counts {
    /// All recipients.
    pub total: i64,
    /// Not taken up yet.
    pub pending: i64,
    /// Waiting for a permitted time or the next attempt.
    pub deferred: i64,
    /// Paid and on their way to the carrier.
    pub sending: i64,
    /// Accepted by the carrier, final news still to come.
    pub sent: i64,
    /// On the phone.
    pub delivered: i64,
    /// Refused by the network.
    pub undelivered: i64,
    /// Refused by the carrier, or never left it.
    pub failed: i64,
    /// May have been accepted; waiting for evidence.
    pub unknown: i64,
    /// Not sent: refused by the gate, expired or canceled.
    pub skipped: i64,
}

// The states behind the counts that join several.
const SENT: &[S] = &[S::Accepted, S::Sent];
const DELIVERED: &[S] = &[S::Delivered, S::Read];
const FAILED: &[S] = &[S::Failed, S::Rejected, S::Absent];
const SKIPPED: &[S] = &[S::Suppressed, S::Invalid, S::Expired, S::Canceled];

impl Counts {
    fn of(stream: &Stream, tallies: &BTreeMap<S, i64>) -> Self {
        let sum = |states: &[S]| states.iter().filter_map(|state| tallies.get(state)).sum::<i64>();
        let untouched = stream.total - stream.position;
        // What a canceled campaign did not take up is canceled, without a row of its own.
        let over = is_canceled(stream.state);
        Self {
            total: stream.total,
            pending: if over { 0 } else { untouched },
            deferred: sum(&[S::Deferred]),
            sending: sum(&[S::Reserved]),
            sent: sum(SENT),
            delivered: sum(DELIVERED),
            undelivered: sum(&[S::Undelivered]),
            failed: sum(FAILED),
            unknown: sum(&[S::Unknown]),
            skipped: sum(SKIPPED) + if over { untouched } else { 0 },
        }
    }

    /// The recipients that are counted under `word`, or whose message stands in that state.
    fn filter(word: &str, campaign: State) -> Result<StateFilter> {
        let over = is_canceled(campaign);
        Ok(match word {
            "pending" if over => StateFilter::of(&[]),
            "pending" => StateFilter::UNTOUCHED,
            "sending" => StateFilter::of(&[S::Reserved]),
            "sent" => StateFilter::of(SENT),
            "delivered" => StateFilter::of(DELIVERED),
            "failed" => StateFilter::of(FAILED),
            "skipped" if over => StateFilter::of(SKIPPED).or(StateFilter::UNTOUCHED),
            "skipped" => StateFilter::of(SKIPPED),
            _ => StateFilter::of(&[S::parse(word).ok_or_else(|| {
                let words: Vec<&str> = S::ALL.iter().map(|one| one.as_str()).collect();
                let words = words.join(", ");
                super::invalid(
                    "state",
                    format!("write pending, sending, skipped or one of {words}"),
                )
            })?]),
        })
    }
}

const fn is_canceled(campaign: State) -> bool {
    matches!(campaign, State::Canceled | State::Canceling)
}

/// Credits of a campaign.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Credits {
    /// The price of every text on the list, skipped ones included; 0 before it is sealed.
    pub quoted: i64,
    /// Held now.
    pub reserved: i64,
    /// Spent.
    pub spent: i64,
}

/// How a campaign stands. `rate_per_second` comes from whoever sends.
pub async fn campaign_status(
    tx: &mut Tx,
    account: AccountId,
    id: StreamId,
    rate_per_second: f64,
) -> Result<CampaignStatus> {
    let campaign = campaigns::campaign(tx, account, id).await?;
    status_of(tx, account, campaign, rate_per_second).await
}

/// Like [`campaign_status`], for a campaign that was read already.
pub async fn status_of(
    tx: &mut Tx,
    account: AccountId,
    campaign: Campaign,
    rate_per_second: f64,
) -> Result<CampaignStatus> {
    let id = campaign.id;
    let stream =
        streams::find_stream(tx, account, id).await?.ok_or(Refusal::NotFound("campaign"))?;
    let tallies = messages::tallies(tx, account, id).await?;
    let (reserved, spent) = stories::credits_of_stream(tx, account, id).await?;
    Ok(CampaignStatus {
        id,
        name: campaign.name,
        category: campaign.category.as_str(),
        body: campaign.body,
        state: stream.state.as_str(),
        pause_reason: stream
            .reason
            .filter(|_| matches!(stream.state, State::Pausing | State::Paused))
            .map(PauseReason::as_str),
        counts: Counts::of(&stream, &tallies),
        credits: Credits { quoted: campaign.credits_quoted, reserved, spent },
        rate_per_second,
        starts_at: campaign.starts_at,
        unknown: Unknown::of_stream(tx, account, id).await?,
        resume_when_funded: campaign.resume_when_funded,
        created_at: campaign.created_at,
    })
}

/// Texts a carrier may have taken without our knowing; evidence is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Unknown {
    /// How many.
    pub texts: i64,
    /// From here on the absence of the last of them may be proven: it is decided by then, or one
    /// listing of the carrier's later.
    #[schema(value_type = String)]
    pub decided_by: Instant,
}

impl std::fmt::Display for Unknown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let texts = if self.texts == 1 { "text" } else { "texts" };
        write!(f, "{} {texts} of unknown fate, decided by {}", self.texts, self.decided_by)
    }
}

impl Unknown {
    async fn of_stream(tx: &mut Tx, account: AccountId, id: StreamId) -> Result<Option<Self>> {
        let (texts, last) = unknowns::unknowns_of_stream(tx, account, id).await?;
        Ok(last.map(|decided_by| Self { texts, decided_by }))
    }
}

/// One text and its whole story.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct MessageStatus {
    /// Its id.
    #[schema(value_type = String)]
    pub id: MessageId,
    /// To whom.
    pub to: String,
    /// Who that is, when known.
    #[schema(value_type = Option<String>)]
    pub contact_id: Option<ContactId>,
    /// The text.
    pub body: String,
    /// Why it was sent.
    pub context: String,
    /// Where it stands.
    pub state: &'static str,
    /// Billed parts.
    pub segments: i64,
    /// Credits it costs.
    pub credits: i64,
    /// The carrier's id.
    pub sid: Option<String>,
    /// The carrier's error code.
    pub error_code: Option<i64>,
    /// Calls to a carrier so far.
    pub attempts: u16,
    /// While its fate is unknown: by when it is decided.
    #[schema(value_type = Option<String>)]
    pub decided_by: Option<Instant>,
    /// The text it repeats, because the delivery of that one failed.
    pub retry_of: Option<String>,
    /// What decided about it.
    pub why: Why,
    /// What happened, oldest first.
    pub events: Vec<StoryEvent>,
}

/// The gate's last decision about a text.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct Why {
    /// `send`, `defer`, `refuse`, or `pending` before the gate was asked.
    pub decision: &'static str,
    /// The rule that decided; none when all rules let it pass.
    pub rule: Option<&'static str>,
    /// Its inputs, in words.
    pub inputs: Option<String>,
    /// The version of the rules.
    pub rule_set: &'static str,
    /// A deferred text is asked about again from here on.
    #[schema(value_type = Option<String>)]
    pub until: Option<Instant>,
}

/// Something that happened to a text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct StoryEvent {
    /// When.
    #[schema(value_type = String)]
    pub at: Instant,
    /// What: `queued`, a state it turned to, or `receipt:` and a state.
    pub event: String,
    /// Which attempt.
    pub attempt: u16,
    /// The carrier's error code.
    pub code: Option<i64>,
    /// The ledger line that moved its credits.
    pub ledger_seq: Option<i64>,
    /// More, in words.
    pub detail: Option<String>,
}

/// A message with its story. An id of another account is not found.
pub async fn message_status(db: &Db, account: AccountId, id: MessageId) -> Result<MessageStatus> {
    let missing = || Refusal::NotFound("message");
    if id.account != account {
        return Err(missing());
    }
    let mut tx = db.read().await?;
    let stream = id.stream;
    let found = recipients::candidates_at(&mut tx, account, stream, "", &[id.ord]).await?;
    let one = found.into_iter().next().ok_or_else(missing)?.recipient;
    let message = stories::find_message(&mut tx, account, stream, id.ord).await?;
    let story = stories::story(&mut tx, account, stream, id.ord).await?;
    let queued_at = stories::recipient_created_at(&mut tx, account, stream, id.ord).await?;
    let mut events = vec![StoryEvent {
        at: queued_at,
        event: "queued".to_owned(),
        attempt: 0,
        code: None,
        ledger_seq: None,
        detail: None,
    }];
    events.extend(story.into_iter().map(|event| StoryEvent {
        at: event.at,
        event: match event.kind {
            EventKind::Turned(state) => state.as_str().to_owned(),
            EventKind::Receipt(state) => format!("receipt:{state}"),
            EventKind::Listed => "listed".to_owned(),
            EventKind::NotListed => "not_listed".to_owned(),
        },
        attempt: event.attempt,
        code: Some(event.code).filter(|code| *code != 0),
        ledger_seq: Some(event.seq).filter(|seq| *seq != 0),
        detail: event.detail,
    }));
    let body = match one.body {
        Some(body) => body,
        None => {
            campaigns::campaign(&mut tx, account, stream).await?.sealed_body.unwrap_or_default()
        }
    };
    let until = stories::due_at(&mut tx, account, stream, id.ord).await?;
    let unknown = unknowns::find_unknown(&mut tx, id).await?;
    Ok(MessageStatus {
        id,
        to: one.phone,
        contact_id: one.contact,
        body,
        context: one.context,
        state: message.as_ref().map_or("queued", |message| message.state.as_str()),
        segments: one.segments,
        credits: one.price,
        sid: message.as_ref().and_then(|message| message.sid.clone()),
        error_code: message.as_ref().map(|message| message.code).filter(|code| *code != 0),
        attempts: message.as_ref().map_or(0, |message| message.attempt),
        decided_by: unknown.map(|text| text.resolve_by),
        retry_of: one.retry_of,
        why: why(message.as_ref(), until),
        events,
    })
}

/// The gate's last decision, as kept with a message.
pub fn why(message: Option<&messages::Message>, until: Option<Instant>) -> Why {
    let decision = match message.map(|message| message.state) {
        None => "pending",
        Some(S::Deferred) => "defer",
        Some(S::Suppressed | S::Invalid | S::Expired | S::Canceled) => "refuse",
        Some(_) => "send",
    };
    Why {
        decision,
        rule: message.and_then(|message| message.rule).map(domain::permit::Rule::as_str),
        inputs: message.and_then(|message| message.why.clone()),
        rule_set: RULE_SET,
        until,
    }
}

/// A recipient of a campaign with what has become of it.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct RecipientStatus {
    /// The id of its message.
    #[schema(value_type = String)]
    pub id: MessageId,
    /// To whom.
    pub phone: String,
    /// Who that is.
    #[schema(value_type = Option<String>)]
    pub contact_id: Option<ContactId>,
    /// Where its text stands; `pending` before it was taken up.
    pub state: &'static str,
    /// Credits its text costs.
    pub credits: i64,
    /// The carrier's id.
    pub sid: Option<String>,
    /// The carrier's error code.
    pub error_code: Option<i64>,
    /// What decided about it.
    pub why: Why,
}

/// Recipients after position `after`, in order; all, or those that [`Counts`] counts under the
/// word `state`, or whose message stands in it.
pub async fn list_recipients(
    tx: &mut Tx,
    account: AccountId,
    id: StreamId,
    state: Option<&str>,
    after: i64,
    limit: i64,
) -> Result<Vec<RecipientStatus>> {
    let stream =
        streams::find_stream(tx, account, id).await?.ok_or(Refusal::NotFound("campaign"))?;
    let untouched = if stream.state.is_over() { "canceled" } else { "pending" };
    let filter = state.map_or(Ok(StateFilter::ANY), |word| Counts::filter(word, stream.state))?;
    let rows = stories::recipients_with_messages(tx, account, id, filter, after, limit).await?;
    Ok(rows
        .into_iter()
        .map(|row| RecipientStatus {
            id: MessageId { account, stream: id, ord: row.ord },
            phone: row.phone,
            contact_id: row.contact,
            state: row.message.as_ref().map_or(untouched, |message| message.state.as_str()),
            credits: row.price,
            sid: row.message.as_ref().and_then(|message| message.sid.clone()),
            error_code: row.message.as_ref().map(|one| one.code).filter(|code| *code != 0),
            why: why(row.message.as_ref(), None),
        })
        .collect())
}
