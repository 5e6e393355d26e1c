//! Campaigns: what a person wrote, beside the stream it becomes.

use domain::ids::{AccountId, ContactId, SenderId, StreamId};
use domain::instant::Instant;
use domain::permit::Category;

use crate::db::{Error, Result, Tx, expect_rows};
use crate::{contact_id, damaged, sender_id};

/// A campaign.
#[derive(Clone, Debug)]
pub struct Campaign {
    /// Its stream.
    pub id: StreamId,
    /// Its name.
    pub name: String,
    /// What consent it needs.
    pub category: Category,
    /// The template of its text.
    pub body: String,
    /// The text itself once sealed, when it is the same for everybody.
    pub sealed_body: Option<String>,
    /// To whom, as JSON.
    pub audience: String,
    /// From what; `None` for the account's first sender.
    pub sender: Option<SenderId>,
    /// Not before.
    pub starts_at: Option<Instant>,
    /// No text of it leaves after this instant.
    pub not_after: Instant,
    /// Resumes by itself when credits come.
    pub resume_when_funded: bool,
    /// The last contact that was looked at while sealing.
    pub sealed_to: Option<ContactId>,
    /// The price of all its texts, known once sealed.
    pub credits_quoted: i64,
    /// The segments of all its texts, known once sealed.
    pub segments_quoted: i64,
    /// When it was made.
    pub created_at: Instant,
}

/// Adds a campaign; its stream is added separately.
pub async fn insert_campaign(tx: &mut Tx, account: AccountId, campaign: &Campaign) -> Result<()> {
    tx.execute(
        "insert into campaign (account_id, stream_id, name, category, body, audience, sender_id,
           starts_at, not_after, resume_when_funded, credits_quoted, segments_quoted, created_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 0, 0, $11)",
        (
            account.0,
            campaign.id.0,
            campaign.name.clone(),
            campaign.category.code(),
            campaign.body.clone(),
            campaign.audience.clone(),
            campaign.sender.map(|id| id.0.to_vec()),
            campaign.starts_at.map(|at| at.0),
            campaign.not_after.0,
            i64::from(campaign.resume_when_funded),
            campaign.created_at.0,
        ),
    )
    .await?;
    Ok(())
}

type CampaignRow = (
    i64,
    String,
    i64,
    String,
    Option<String>,
    String,
    Option<Vec<u8>>,
    Option<i64>,
    i64,
    i64,
    Option<Vec<u8>>,
    i64,
    i64,
    i64,
);

fn campaign_of(row: CampaignRow) -> Result<Campaign> {
    let (
        id,
        name,
        category,
        body,
        sealed_body,
        audience,
        sender,
        starts_at,
        not_after,
        resume,
        sealed_to,
        credits_quoted,
        segments_quoted,
        created_at,
    ) = row;
    Ok(Campaign {
        id: StreamId(id),
        name,
        category: Category::from_code(category).ok_or_else(|| damaged("a category"))?,
        body,
        sealed_body,
        audience,
        sender: sender.map(sender_id).transpose()?,
        starts_at: starts_at.map(Instant),
        not_after: Instant(not_after),
        resume_when_funded: resume == 1,
        sealed_to: sealed_to.map(contact_id).transpose()?,
        credits_quoted,
        segments_quoted,
        created_at: Instant(created_at),
    })
}

/// A campaign of the account.
pub async fn campaign(tx: &mut Tx, account: AccountId, id: StreamId) -> Result<Campaign> {
    tx.optional(
        "select stream_id, name, category, body, sealed_body, audience, sender_id, starts_at,
           not_after, resume_when_funded, sealed_to, credits_quoted, segments_quoted, created_at
         from campaign where account_id = $1 and stream_id = $2",
        (account.0, id.0),
    )
    .await?
    .map_or(Err(Error::Missing("campaign")), campaign_of)
}

/// Campaigns made before `before`, newest first.
pub async fn list_campaigns(
    tx: &mut Tx,
    account: AccountId,
    before: StreamId,
    limit: i64,
) -> Result<Vec<Campaign>> {
    let rows: Vec<CampaignRow> = tx
        .all(
            "select stream_id, name, category, body, sealed_body, audience, sender_id, starts_at,
               not_after, resume_when_funded, sealed_to, credits_quoted, segments_quoted, created_at
             from campaign where account_id = $1 and stream_id < $2
             order by stream_id desc limit $3",
            (account.0, before.0, limit),
        )
        .await?;
    rows.into_iter().map(campaign_of).collect()
}

/// Keeps how far sealing has come.
pub async fn save_sealing(tx: &mut Tx, account: AccountId, campaign: &Campaign) -> Result<()> {
    let changed = tx
        .execute(
            "update campaign set sealed_to = $3, sealed_body = $4, credits_quoted = $5,
               segments_quoted = $6
             where account_id = $1 and stream_id = $2",
            (
                account.0,
                campaign.id.0,
                campaign.sealed_to.map(|id| id.0.to_vec()),
                campaign.sealed_body.clone(),
                campaign.credits_quoted,
                campaign.segments_quoted,
            ),
        )
        .await?;
    expect_rows("save sealing", 1, changed)
}

/// Starts a campaign at once instead of later.
pub async fn clear_start(tx: &mut Tx, account: AccountId, id: StreamId) -> Result<()> {
    let changed = tx
        .execute(
            "update campaign set starts_at = null where account_id = $1 and stream_id = $2",
            (account.0, id.0),
        )
        .await?;
    expect_rows("clear a start time", 1, changed)
}
