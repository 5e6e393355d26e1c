//! Notices: what an account should know of its money and its sending, given once each.
//!
//! A notice is written in the transaction of what it tells of. Whoever gives one needs nothing
//! but that transaction: its id follows from the account and the subject, so a notice given again
//! changes nothing. When the account has an address for mail, the notice waits to be mailed.

use domain::ids::{AccountId, NoticeId};
use domain::instant::Instant;
use domain::ledger::leaf;
use domain::seam::SeededDice;

use crate::db::{Result, Tx, dialects, expect_rows};
use crate::settings::settings;
use crate::{damaged, uuid};

/// What a notice is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NoticeKind {
    /// What may be spent in a day or a month.
    Budget,
    /// Credits bought by themselves.
    Topup,
    /// Money that was paid, failed or went back.
    Payment,
    /// What the account's plan allows.
    Subscription,
    /// Texts that look like somebody else's gain.
    Fraud,
    /// Money whose payer disputes it.
    Dispute,
    /// Credits that moved, or will: granted, expired, taken back.
    Credits,
}

impl NoticeKind {
    /// Every kind.
    pub const ALL: &[Self] = &[
        Self::Budget,
        Self::Topup,
        Self::Payment,
        Self::Subscription,
        Self::Fraud,
        Self::Dispute,
        Self::Credits,
    ];

    /// The word used in SQL, JSON and on pages.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Budget => "budget",
            Self::Topup => "topup",
            Self::Payment => "payment",
            Self::Subscription => "subscription",
            Self::Fraud => "fraud",
            Self::Dispute => "dispute",
            Self::Credits => "credits",
        }
    }

    /// Reads [`Self::as_str`].
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.as_str() == word)
    }
}

/// Something an account should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// What it is about.
    pub kind: NoticeKind,
    /// What exactly, such as `budget:day:2026-11-21:80`; a second notice of it is not given.
    pub subject: String,
    /// One line.
    pub title: String,
    /// What happened and what can be done.
    pub detail: String,
    /// Where to do it.
    pub link: Option<String>,
}

/// What became of the mail about a notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mailing {
    /// There is nobody to write to.
    None,
    /// It waits to be mailed.
    Due,
    /// It was mailed.
    Sent,
    /// It was tried often enough, and given up.
    Failed,
}

impl Mailing {
    /// Every state.
    pub const ALL: &[Self] = &[Self::None, Self::Due, Self::Sent, Self::Failed];

    /// The word used in SQL, JSON and on pages.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Due => "due",
            Self::Sent => "sent",
            Self::Failed => "failed",
        }
    }

    fn parse(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|state| state.as_str() == word)
    }
}

/// A notice as kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    /// Its id; sorts by time.
    pub id: NoticeId,
    /// What it says.
    pub notice: Notice,
    /// When it was given.
    pub created_at: Instant,
    /// When somebody saw it.
    pub seen_at: Option<Instant>,
    /// What became of the mail about it.
    pub mail: Mailing,
    /// How often it was tried to mail it.
    pub tries: i64,
    /// When it is mailed, or tried again.
    pub next_at: Option<Instant>,
}

/// Tells the account something, unless it was told already; `true` when it is news.
pub async fn give(tx: &mut Tx, account: AccountId, notice: Notice) -> Result<bool> {
    let now = tx.now();
    let seed = leaf(&[&account.0.to_be_bytes(), notice.subject.as_bytes()]);
    let seed = seed.first_chunk().map_or(0, |first| u64::from_be_bytes(*first));
    let id = NoticeId::new(now, &SeededDice::new(seed));
    let mailed = settings(tx, account).await?.billing_email.is_some();
    let (mail, next_at) = if mailed { (Mailing::Due, Some(now.0)) } else { (Mailing::None, None) };
    let given = tx
        .execute(
            "insert into notice (account_id, notice_id, kind, subject, title, detail, link,
               created_at, mail, next_at)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
             on conflict (account_id, subject) do nothing",
            (
                account.0,
                id.0.to_vec(),
                notice.kind.as_str().to_owned(),
                notice.subject,
                notice.title,
                notice.detail,
                notice.link,
                now.0,
                mail.as_str().to_owned(),
                next_at,
            ),
        )
        .await?;
    Ok(given == 1)
}

type NoticeRow = (
    Vec<u8>,
    String,
    String,
    String,
    String,
    Option<String>,
    i64,
    Option<i64>,
    String,
    i64,
    Option<i64>,
);

fn given_of(row: NoticeRow) -> Result<Given> {
    let (id, kind, subject, title, detail, link, created_at, seen_at, mail, tries, next_at) = row;
    let kind = NoticeKind::parse(&kind).ok_or_else(|| damaged("the kind of a notice"))?;
    Ok(Given {
        id: NoticeId(uuid(id)?),
        notice: Notice { kind, subject, title, detail, link },
        created_at: Instant(created_at),
        seen_at: seen_at.map(Instant),
        mail: Mailing::parse(&mail).ok_or_else(|| damaged("the mail of a notice"))?,
        tries,
        next_at: next_at.map(Instant),
    })
}

/// Notices behind `after`, the newest first; `unseen` for those nobody has seen.
pub async fn list_notices(
    tx: &mut Tx,
    account: AccountId,
    unseen: bool,
    after: Option<NoticeId>,
    limit: i64,
) -> Result<Vec<Given>> {
    let after = after.map_or_else(|| vec![0xFF; 16], |id| id.0.to_vec());
    let rows: Vec<NoticeRow> = tx
        .all(
            "select notice_id, kind, subject, title, detail, link, created_at, seen_at, mail, tries,
               next_at
             from notice where account_id = $1 and notice_id < $2 and ($3 = 0 or seen_at is null)
             order by notice_id desc limit $4",
            (account.0, after, i64::from(unseen), limit),
        )
        .await?;
    rows.into_iter().map(given_of).collect()
}

/// One notice.
pub async fn find_notice(tx: &mut Tx, account: AccountId, id: NoticeId) -> Result<Option<Given>> {
    let row: Option<NoticeRow> = tx
        .optional(
            "select notice_id, kind, subject, title, detail, link, created_at, seen_at, mail, tries,
               next_at
             from notice where account_id = $1 and notice_id = $2",
            (account.0, id.0.to_vec()),
        )
        .await?;
    row.map(given_of).transpose()
}

/// One notice, locked until the transaction ends.
pub async fn lock_notice(tx: &mut Tx, account: AccountId, id: NoticeId) -> Result<Option<Given>> {
    // SQLite has no row locks and needs none: a writing transaction is alone.
    let text = dialects(
        "select notice_id, kind, subject, title, detail, link, created_at, seen_at, mail, tries,
           next_at
         from notice where account_id = $1 and notice_id = $2",
        "select notice_id, kind, subject, title, detail, link, created_at, seen_at, mail, tries,
           next_at
         from notice where account_id = $1 and notice_id = $2 for update",
    );
    let row: Option<NoticeRow> = tx.optional(text, (account.0, id.0.to_vec())).await?;
    row.map(given_of).transpose()
}

/// Notes that somebody saw a notice; the first time counts. `false` when there is no such notice.
pub async fn see(tx: &mut Tx, account: AccountId, id: NoticeId) -> Result<bool> {
    let now = tx.now().0;
    let text = "update notice set seen_at = coalesce(seen_at, $3)
                where account_id = $1 and notice_id = $2";
    Ok(tx.execute(text, (account.0, id.0.to_vec(), now)).await? == 1)
}

/// Notes what became of the mail about a notice; `next_at` is when it is tried again.
pub async fn save_mailing(
    tx: &mut Tx,
    account: AccountId,
    id: NoticeId,
    (mail, tries): (Mailing, i64),
    next_at: Option<Instant>,
) -> Result<()> {
    let changed = tx
        .execute(
            "update notice set mail = $3, tries = $4, next_at = $5
             where account_id = $1 and notice_id = $2",
            (account.0, id.0.to_vec(), mail.as_str().to_owned(), tries, next_at.map(|at| at.0)),
        )
        .await?;
    expect_rows("save a notice's mail", 1, changed)
}
