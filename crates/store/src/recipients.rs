//! Recipients: the sealed list of a stream. Rows are never changed after they are written.

use std::collections::BTreeSet;

use domain::ids::{AccountId, ContactId, StreamId};
use domain::instant::Instant;
use domain::message::State;
use domain::permit::{Category, Consent, Rule};
use domain::quiet_hours::QuietHours;

use crate::damaged;
use crate::db::{Result, Rows, Tx, expect_rows};

/// One intended text.
#[derive(Clone, Debug)]
pub struct Recipient {
    /// Its position in the stream.
    pub ord: i64,
    /// E.164.
    pub phone: String,
    /// Who it is, when known.
    pub contact: Option<ContactId>,
    /// The recipient's own zone, when known.
    pub timezone: Option<String>,
    /// Why the text is sent.
    pub context: String,
    /// What consent it needs.
    pub category: Category,
    /// The text; `None` when the campaign's body is the same for everybody.
    pub body: Option<String>,
    /// Billed parts.
    pub segments: i64,
    /// Credits.
    pub price: i64,
    /// Why it cannot be sent, found while it was rendered: the rule and its words.
    pub problem: Option<(Rule, String)>,
    /// Not before.
    pub send_at: Instant,
    /// Not after.
    pub not_after: Instant,
    /// The text it repeats, because the delivery of that one failed.
    pub retry_of: Option<String>,
    /// Which of these repetitions it is, from 1 for the first text.
    pub tries: u16,
}

/// A recipient with what the gate must know of it, read where the credits are reserved.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// The sealed row.
    pub recipient: Recipient,
    /// Consent in the category of the text.
    pub consent: Consent,
    /// The contact is blocked.
    pub blocked: bool,
    /// The contact's number is known to be theirs.
    pub verified: bool,
    /// Opted out of the sender that was asked about.
    pub sender_opted_out: bool,
    /// Why its reason is gone, if it is.
    pub withdrawn: Option<String>,
    /// The contact's own quiet hours.
    pub quiet_hours: Option<QuietHours>,
}

/// Appends recipients to a stream.
pub async fn insert_recipients(
    tx: &mut Tx,
    account: AccountId,
    stream: StreamId,
    list: &[Recipient],
) -> Result<()> {
    let now = tx.now().0;
    let rows = Rows::of(list.len())
        .int("ord", list.iter().map(|one| one.ord))
        .text("phone", list.iter().map(|one| one.phone.clone()))
        .bytes("contact_id", list.iter().map(|one| one.contact.map(|id| id.0.to_vec())))
        .text("timezone", list.iter().map(|one| one.timezone.clone()))
        .text("context", list.iter().map(|one| one.context.clone()))
        .int("category", list.iter().map(|one| one.category.code()))
        .text("body", list.iter().map(|one| one.body.clone()))
        .int("segments", list.iter().map(|one| one.segments))
        .int("price", list.iter().map(|one| one.price))
        .int(
            "problem_rule",
            list.iter().map(|one| one.problem.as_ref().map(|(rule, _)| rule.code())),
        )
        .text(
            "problem",
            list.iter().map(|one| one.problem.as_ref().map(|(_, words)| words.clone())),
        )
        .int("send_at", list.iter().map(|one| one.send_at.0))
        .int("not_after", list.iter().map(|one| one.not_after.0))
        .text("retry_of", list.iter().map(|one| one.retry_of.clone()))
        .int("tries", list.iter().map(|one| i64::from(one.tries)));
    let added = tx
        .many(
            "insert into recipient (account_id, stream_id, ord, phone, contact_id, timezone,
               context, category, body, segments, price, problem_rule, problem, send_at, not_after,
               retry_of, tries, created_at)
             select $1, $2, r.ord, r.phone, r.contact_id, r.timezone, r.context, r.category,
               r.body, r.segments, r.price, r.problem_rule, r.problem, r.send_at, r.not_after,
               r.retry_of, r.tries, $3
             from {rows}",
            (account.0, stream.0, now),
            rows,
        )
        .await?;
    expect_rows("add recipients", list.len(), added)
}

type CandidateRow = (
    i64,
    String,
    Option<String>,
    Option<String>,
    String,
    i64,
    Option<String>,
    i64,
    i64,
    Option<i64>,
    Option<String>,
    i64,
    i64,
    String,
    String,
    Option<String>,
);

/// The columns of a [`CandidateRow`]: a row has sixteen at most, so two hold several words each.
macro_rules! candidate_columns {
    () => {
        "select {pack t.ord, t.phone, {hex t.contact_id}, t.timezone, t.context, t.category, t.body,
           t.segments, t.price, t.problem_rule, t.problem, t.send_at, t.not_after,
           cast(t.tries as text) || coalesce(' ' || t.retry_of, ''),
           cast(coalesce((select c.state from consent c
               where c.account_id = t.account_id and c.phone = t.phone
                 and c.category = t.category), 0) * 2
             + case when exists (select 1 from sender_opt_out o
               where o.account_id = t.account_id and o.phone = t.phone
                 and o.sender_address = $3) then 1 else 0 end as text)
           || coalesce((select ' ' || cast(k.blocked * 2 + k.verified as text)
                 || coalesce(' ' || k.quiet_start || ' ' || k.quiet_end, '') from contact k
               where k.account_id = t.account_id and k.phone = t.phone), ''),
           (select w.why from withdrawal w where w.account_id = t.account_id
             and w.stream_id = t.stream_id and w.ord = t.ord)}"
    };
}

#[rustfmt::skip]
fn candidate_of(row: CandidateRow) -> Result<Candidate> {
    let (
        ord, phone, contact, timezone, context, category, body, segments, price, rule, words,
        send_at, not_after, tries, standing, withdrawn,
    ) = row;
    let (tries, retry_of) = match tries.split_once(' ') {
        Some((tries, text)) => (tries, Some(text.to_owned())),
        None => (&*tries, None),
    };
    let recipient = Recipient {
        ord,
        phone,
        contact: contact.filter(|id| !id.is_empty()).map(|id| contact_of(&id)).transpose()?,
        timezone,
        context,
        category: Category::from_code(category).ok_or_else(|| damaged("a category"))?,
        body,
        segments,
        price,
        problem: rule.and_then(Rule::from_code).zip(words),
        send_at: Instant(send_at),
        not_after: Instant(not_after),
        retry_of,
        tries: tries.parse().map_err(|_| damaged("the tries of a text"))?,
    };
    let mut words = standing.split(' ');
    let mut number = || words.next().and_then(|bits| bits.parse().ok()).unwrap_or(0_i64);
    let (of_phone, of_contact) = (number(), number());
    let quiet = words.next().zip(words.next());
    let quiet = quiet.map(|(start, end)| QuietHours::parse(start, end)).transpose();
    Ok(Candidate {
        recipient,
        consent: Consent::from_code(of_phone / 2).ok_or_else(|| damaged("a consent"))?,
        blocked: of_contact & 2 != 0,
        verified: of_contact & 1 != 0,
        sender_opted_out: of_phone & 1 != 0,
        withdrawn,
        quiet_hours: quiet.map_err(|_| damaged("the quiet hours of a contact"))?,
    })
}

fn contact_of(hex: &str) -> Result<ContactId> {
    let number = u128::from_str_radix(hex, 16).map_err(|_| damaged("a contact's id"))?;
    Ok(ContactId(number.to_be_bytes()))
}

fn in_order(rows: Vec<CandidateRow>) -> Result<Vec<Candidate>> {
    let mut list = rows.into_iter().map(candidate_of).collect::<Result<Vec<_>>>()?;
    list.sort_unstable_by_key(|one| one.recipient.ord);
    Ok(list)
}

/// The next `limit` candidates after `position`, in order; `sender` is what they would leave from.
pub async fn candidates_after(
    tx: &mut Tx,
    account: AccountId,
    stream: StreamId,
    sender: &str,
    position: i64,
    limit: i64,
) -> Result<Vec<Candidate>> {
    let rows: Vec<CandidateRow> = tx
        .packed(
            concat!(
                candidate_columns!(),
                " from recipient t
                 where t.account_id = $1 and t.stream_id = $2 and t.ord > $4 and t.ord <= $4 + $5"
            ),
            (account.0, stream.0, sender.to_owned(), position, limit),
        )
        .await?;
    in_order(rows)
}

/// The candidates at these ordinals, in order; `sender` is what they would leave from.
pub async fn candidates_at(
    tx: &mut Tx,
    account: AccountId,
    stream: StreamId,
    sender: &str,
    ords: &[i64],
) -> Result<Vec<Candidate>> {
    let rows: Vec<CandidateRow> = tx
        .packed_of(
            concat!(
                candidate_columns!(),
                " from {rows}
                 {join recipient as t on t.account_id = $1 and t.stream_id = $2 and t.ord = r.ord}"
            ),
            (account.0, stream.0, sender.to_owned()),
            Rows::of(ords.len()).int("ord", ords.iter().copied()),
        )
        .await?;
    in_order(rows)
}

/// Words against texts that one look at the recent ones lists at most.
const RECENT_STOPS_MAX: i64 = 1000;

/// What came in of late that may keep texts from leaving.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecentStops {
    /// Phones with an opt-out.
    pub phones: BTreeSet<String>,
    /// Positions of texts that were withdrawn.
    pub ords: BTreeSet<i64>,
}

/// Opt-outs and withdrawals recorded at or after `since`: whichever text they are not about is not
/// stopped by them. `None` when there are too many to list.
pub async fn recent_stops(
    tx: &mut Tx,
    account: AccountId,
    stream: StreamId,
    sender: &str,
    since: Instant,
) -> Result<Option<RecentStops>> {
    let rows: Vec<(String, i64)> = tx
        .all(
            "select e.phone, 0 from consent_event e
             where e.account_id = $1 and e.state = 2 and e.at >= $4
             union all
             select o.phone, 0 from sender_opt_out o
             where o.account_id = $1 and o.sender_address = $3 and o.since >= $4
             union all
             select '', w.ord from withdrawal w
             where w.account_id = $1 and w.stream_id = $2 and w.at >= $4
             limit $5",
            (account.0, stream.0, sender.to_owned(), since.0, RECENT_STOPS_MAX + 1),
        )
        .await?;
    if i64::try_from(rows.len()).unwrap_or(i64::MAX) > RECENT_STOPS_MAX {
        return Ok(None);
    }
    let mut stops = RecentStops::default();
    for (phone, ord) in rows {
        if phone.is_empty() {
            stops.ords.insert(ord);
        } else {
            stops.phones.insert(phone);
        }
    }
    Ok(Some(stops))
}

/// Which of these texts may not leave any more although they were claimed: opted out since, or
/// withdrawn. Answers their ordinals and why.
pub async fn stopped_since(
    tx: &mut Tx,
    account: AccountId,
    stream: StreamId,
    sender: &str,
    ords: &[i64],
) -> Result<Vec<(i64, Option<String>)>> {
    tx.all_of(
        "select t.ord, (select w.why from withdrawal w where w.account_id = t.account_id
             and w.stream_id = t.stream_id and w.ord = t.ord)
         from {rows}
         {join recipient as t on t.account_id = $1 and t.stream_id = $2 and t.ord = r.ord}
         where exists (select 1 from consent c where c.account_id = t.account_id
             and c.phone = t.phone and c.category = t.category and c.state = $4)
           or exists (select 1 from sender_opt_out o where o.account_id = t.account_id
             and o.phone = t.phone and o.sender_address = $3)
           or exists (select 1 from withdrawal w where w.account_id = t.account_id
             and w.stream_id = t.stream_id and w.ord = t.ord)",
        (account.0, stream.0, sender.to_owned(), Consent::OptedOut.code()),
        Rows::of(ords.len()).int("ord", ords.iter().copied()),
    )
    .await
}

/// How many texts of the account left for each of these phones, or may have, since its instant.
pub async fn texts_since(
    tx: &mut Tx,
    account: AccountId,
    phones: &[(String, Instant)],
) -> Result<Vec<(String, i64)>> {
    tx.all_of(
        "select r.phone, count(*) from {rows}
         join recipient t on t.phone = r.phone and t.account_id = $1
         join message m on m.account_id = t.account_id and m.stream_id = t.stream_id
           and m.ord = t.ord
         where m.updated_at >= r.since and m.state in ($2, $3, $4, $5, $6, $7, $8)
         group by r.phone",
        (
            account.0,
            State::Reserved.code(),
            State::Unknown.code(),
            State::Accepted.code(),
            State::Sent.code(),
            State::Delivered.code(),
            State::Undelivered.code(),
            State::Failed.code(),
        ),
        Rows::of(phones.len())
            .text("phone", phones.iter().map(|(phone, _)| phone.clone()))
            .int("since", phones.iter().map(|(_, since)| since.0)),
    )
    .await
}
