//! Movements of credits that one operator proposes and another decides.

use domain::ids::{AccountId, AdjustmentId};
use domain::instant::Instant;

use crate::db::{Error, Result, Rows, Tx, dialects, expect_rows};
use crate::{damaged, uuid};

/// Where an adjustment stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AdjustmentState {
    /// It waits for a second operator; nothing moved.
    Proposed,
    /// It was posted.
    Approved,
    /// It will not be.
    Rejected,
}

impl AdjustmentState {
    /// Every state.
    pub const ALL: &[Self] = &[Self::Proposed, Self::Approved, Self::Rejected];

    /// The word used in SQL and JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Proposed => "proposed",
            Self::Approved => "approved",
            Self::Rejected => "rejected",
        }
    }

    /// Reads [`Self::as_str`].
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|state| state.as_str() == word)
    }
}

/// A movement of credits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Adjustment {
    /// Whose credits.
    pub account: AccountId,
    /// Its id.
    pub id: AdjustmentId,
    /// Credits to give, or below zero to take back.
    pub amount: i64,
    /// Why.
    pub reason: String,
    /// Where it stands.
    pub state: AdjustmentState,
    /// Which operator proposed it.
    pub proposed_by: String,
    /// Which operator decided.
    pub decided_by: Option<String>,
    /// When it was proposed.
    pub created_at: Instant,
    /// When it was decided.
    pub decided_at: Option<Instant>,
}

/// Adds a proposed adjustment.
pub async fn insert_adjustment(tx: &mut Tx, one: &Adjustment) -> Result<()> {
    tx.execute(
        "insert into adjustment (account_id, adjustment_id, amount, reason, state, proposed_by,
           created_at) values ($1, $2, $3, $4, $5, $6, $7)",
        (
            one.account.0,
            one.id.0.to_vec(),
            one.amount,
            one.reason.clone(),
            one.state.as_str().to_owned(),
            one.proposed_by.clone(),
            one.created_at.0,
        ),
    )
    .await?;
    Ok(())
}

type AdjustmentRow = (i64, Vec<u8>, i64, String, String, String, Option<String>, i64, Option<i64>);

fn adjustment_of(row: AdjustmentRow) -> Result<Adjustment> {
    let (account, id, amount, reason, state, proposed_by, decided_by, created_at, decided_at) = row;
    Ok(Adjustment {
        account: AccountId(account),
        id: AdjustmentId(uuid(id)?),
        amount,
        reason,
        state: AdjustmentState::parse(&state)
            .ok_or_else(|| damaged("the state of an adjustment"))?,
        proposed_by,
        decided_by,
        created_at: Instant(created_at),
        decided_at: decided_at.map(Instant),
    })
}

/// An adjustment, locked until the transaction ends; comes before the lock of the wallet.
pub async fn lock_adjustment(
    tx: &mut Tx,
    account: AccountId,
    id: AdjustmentId,
) -> Result<Adjustment> {
    // SQLite has no row locks and needs none: a writing transaction is alone.
    let text = dialects(
        "select account_id, adjustment_id, amount, reason, state, proposed_by, decided_by,
           created_at, decided_at
         from adjustment where account_id = $1 and adjustment_id = $2",
        "select account_id, adjustment_id, amount, reason, state, proposed_by, decided_by,
           created_at, decided_at
         from adjustment where account_id = $1 and adjustment_id = $2 for update",
    );
    tx.optional(text, (account.0, id.0.to_vec()))
        .await?
        .map_or(Err(Error::Missing("adjustment")), adjustment_of)
}

/// Decides an adjustment that this transaction has locked.
pub async fn save_decision(tx: &mut Tx, one: &Adjustment) -> Result<()> {
    let changed = tx
        .execute(
            "update adjustment set state = $3, decided_by = $4, decided_at = $5
             where account_id = $1 and adjustment_id = $2 and state = 'proposed'",
            (
                one.account.0,
                one.id.0.to_vec(),
                one.state.as_str().to_owned(),
                one.decided_by.clone(),
                one.decided_at.map(|at| at.0),
            ),
        )
        .await?;
    expect_rows("decide an adjustment", 1, changed)
}

/// These adjustments, oldest first.
pub async fn adjustments(
    tx: &mut Tx,
    places: &[(AccountId, AdjustmentId)],
) -> Result<Vec<Adjustment>> {
    let rows = Rows::of(places.len())
        .int("account_id", places.iter().map(|(account, _)| account.0))
        .bytes("adjustment_id", places.iter().map(|(_, id)| id.0.to_vec()));
    let found: Vec<AdjustmentRow> = tx
        .all_of(
            "select a.account_id, a.adjustment_id, a.amount, a.reason, a.state, a.proposed_by,
               a.decided_by, a.created_at, a.decided_at
             from {rows} {join adjustment as a on a.account_id = r.account_id
               and a.adjustment_id = r.adjustment_id}
             order by a.adjustment_id",
            (),
            rows,
        )
        .await?;
    found.into_iter().map(adjustment_of).collect()
}
