//! Who pays for an account at Stripe, and with which card when nobody is there.

use domain::ids::AccountId;
use domain::instant::Instant;

use crate::db::{Result, Tx, dialects};

/// What may be shown of a saved card.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SavedCard {
    /// `visa` and others.
    pub brand: Option<String>,
    /// The last four digits.
    pub last4: Option<String>,
    /// Month and year, such as `12/2029`.
    pub expires: Option<String>,
}

/// Who pays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Payer {
    /// `cus_…`; made before the first payment, and kept for good.
    pub customer: Option<String>,
    /// `pm_…`: the card that pays when nobody is there.
    pub payment_method: Option<String>,
    /// What may be shown of it.
    pub card: SavedCard,
    /// When its owner agreed to that.
    pub consented_at: Option<Instant>,
    /// The card that was taken away last; late news of it does not bring it back.
    pub detached: Option<String>,
}

type PayerRow = (
    Option<String>,
    Option<String>,
    Option<String>,
    Option<String>,
    Option<String>,
    Option<i64>,
    Option<String>,
);

fn payer_of(row: PayerRow) -> Payer {
    let (customer, payment_method, brand, last4, expires, consented_at, detached) = row;
    let card = SavedCard { brand, last4, expires };
    let consented_at = consented_at.map(Instant);
    Payer { customer, payment_method, card, consented_at, detached }
}

/// Who pays for the account; nobody in particular when nothing was kept.
pub async fn payer(tx: &mut Tx, account: AccountId) -> Result<Payer> {
    let row: Option<PayerRow> = tx
        .optional(
            "select customer, payment_method, card_brand, card_last4, card_expires, consented_at,
               detached
             from payer where account_id = $1",
            (account.0,),
        )
        .await?;
    Ok(row.map(payer_of).unwrap_or_default())
}

/// The same, locked until the transaction ends. Taken before rules for top-ups
/// and purchases.
pub async fn lock_payer(tx: &mut Tx, account: AccountId) -> Result<Payer> {
    let now = tx.now().0;
    tx.execute(
        "insert into payer (account_id, updated_at) values ($1, $2)
         on conflict (account_id) do nothing",
        (account.0, now),
    )
    .await?;
    // SQLite has no row locks and needs none: a writing transaction is alone.
    let text = dialects(
        "select updated_at from payer where account_id = $1",
        "select updated_at from payer where account_id = $1 for update",
    );
    let _locked: Option<(i64,)> = tx.optional(text, (account.0,)).await?;
    payer(tx, account).await
}

/// Keeps who pays.
pub async fn save_payer(tx: &mut Tx, account: AccountId, payer: &Payer) -> Result<()> {
    let now = tx.now().0;
    tx.execute(
        "insert into payer (account_id, customer, payment_method, card_brand, card_last4,
           card_expires, consented_at, detached, updated_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
         on conflict (account_id) do update
           set customer = excluded.customer, payment_method = excluded.payment_method,
             card_brand = excluded.card_brand, card_last4 = excluded.card_last4,
             card_expires = excluded.card_expires, consented_at = excluded.consented_at,
             detached = excluded.detached, updated_at = excluded.updated_at",
        (
            account.0,
            payer.customer.clone(),
            payer.payment_method.clone(),
            payer.card.brand.clone(),
            payer.card.last4.clone(),
            payer.card.expires.clone(),
            payer.consented_at.map(|at| at.0),
            payer.detached.clone(),
            now,
        ),
    )
    .await?;
    Ok(())
}
