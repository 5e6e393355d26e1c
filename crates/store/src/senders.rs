//! What an account's texts come from.

use domain::ids::{AccountId, SenderId};
use domain::rates::SenderKind;

use crate::db::{Error, Result, Tx, expect_rows};
use crate::{damaged, sender_id};

/// Senders an account has at most.
pub const SENDERS_MAX: i64 = 1000;

/// A sender.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sender {
    /// Its id.
    pub id: SenderId,
    /// What it is.
    pub kind: SenderKind,
    /// E.164 number, short code, or the SID of a messaging service (`MG…`).
    pub address: String,
    /// What the carrier lets it send.
    pub segments_per_second: u32,
    /// It may be used.
    pub active: bool,
    /// Who answers STOP, START and HELP that come to it.
    pub answers_stop: AnswersStop,
}

/// Who answers keywords.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnswersStop {
    /// The carrier does so by itself.
    Carrier,
    /// We do.
    Ledgerline,
}

impl AnswersStop {
    /// The word used in SQL and JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Carrier => "carrier",
            Self::Ledgerline => "ledgerline",
        }
    }

    /// Reads [`Self::as_str`].
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Carrier, Self::Ledgerline].into_iter().find(|one| one.as_str() == word)
    }
}

/// Adds a sender.
pub async fn insert_sender(tx: &mut Tx, account: AccountId, sender: &Sender) -> Result<()> {
    let now = tx.now().0;
    tx.execute(
        "insert into sender (account_id, sender_id, kind, address, segments_per_second, state,
           answers_stop, created_at) values ($1, $2, $3, $4, $5, 'active', $6, $7)",
        (
            account.0,
            sender.id.0.to_vec(),
            sender.kind.as_str().to_owned(),
            sender.address.clone(),
            i64::from(sender.segments_per_second),
            sender.answers_stop.as_str().to_owned(),
            now,
        ),
    )
    .await?;
    Ok(())
}

type SenderRow = (Vec<u8>, String, String, i64, String, String);

fn sender_of((id, kind, address, rate, state, answers): SenderRow) -> Result<Sender> {
    Ok(Sender {
        id: sender_id(id)?,
        kind: SenderKind::parse(&kind).ok_or_else(|| damaged("the kind of a sender"))?,
        address,
        segments_per_second: u32::try_from(rate).map_err(|_| damaged("the rate of a sender"))?,
        active: state == "active",
        answers_stop: AnswersStop::parse(&answers)
            .ok_or_else(|| damaged("who answers for a sender"))?,
    })
}

/// All senders of an account, oldest first.
pub async fn list_senders(tx: &mut Tx, account: AccountId) -> Result<Vec<Sender>> {
    let rows: Vec<SenderRow> = tx
        .all(
            "select sender_id, kind, address, segments_per_second, state, answers_stop from sender
             where account_id = $1 order by sender_id limit $2",
            (account.0, SENDERS_MAX),
        )
        .await?;
    rows.into_iter().map(sender_of).collect()
}

/// One sender.
pub async fn sender(tx: &mut Tx, account: AccountId, id: SenderId) -> Result<Sender> {
    tx.optional(
        "select sender_id, kind, address, segments_per_second, state, answers_stop from sender
         where account_id = $1 and sender_id = $2",
        (account.0, id.0.to_vec()),
    )
    .await?
    .map_or(Err(Error::Missing("sender")), sender_of)
}

/// Changes the pace of a sender.
pub async fn set_pace(
    tx: &mut Tx,
    account: AccountId,
    id: SenderId,
    segments_per_second: u32,
) -> Result<()> {
    let changed = tx
        .execute(
            "update sender set segments_per_second = $3 where account_id = $1 and sender_id = $2",
            (account.0, id.0.to_vec(), i64::from(segments_per_second)),
        )
        .await?;
    expect_rows("set the pace of a sender", 1, changed)
}

/// Changes who answers keywords that come to a sender.
pub async fn set_answers_stop(
    tx: &mut Tx,
    account: AccountId,
    id: SenderId,
    answers: AnswersStop,
) -> Result<()> {
    let changed = tx
        .execute(
            "update sender set answers_stop = $3 where account_id = $1 and sender_id = $2",
            (account.0, id.0.to_vec(), answers.as_str().to_owned()),
        )
        .await?;
    expect_rows("set who answers for a sender", 1, changed)
}
