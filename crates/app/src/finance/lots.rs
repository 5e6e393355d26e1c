//! Credits that expire: they are granted with a lot, and expire when its time has come.
//!
//! Which credits those are is decided in [`domain::lots`], from the wallet's books alone, so that
//! no claim and no settlement knows of lots. Only the timer looks, under the wallet's lock.

use domain::ids::{AccountId, LotId};
use domain::instant::Instant;
use domain::lots::{self, Lot};
use domain::seam::Dice;
use store::{Db, Result, Tx, sweep};

use super::credits::OpenWallet;

/// Accounts that one look takes up.
const ACCOUNTS_A_LOOK: i64 = 100;

/// Credits that are granted once.
#[derive(Clone, Debug)]
pub struct Grant<'a> {
    /// The effect in the ledger, and the source of the lot.
    pub key: String,
    /// How many credits.
    pub amount: i64,
    /// What is left of them expires here; `None` for never.
    pub expires_at: Option<Instant>,
    /// Why, for the ledger.
    pub why: &'a str,
}

/// Grants credits once, however often it is asked; debt is paid first and never expires. Whether
/// they came now.
pub async fn grant(
    tx: &mut Tx,
    dice: &dyn Dice,
    account: AccountId,
    wanted: Grant<'_>,
) -> Result<bool> {
    let mut wallet = OpenWallet::lock(tx, account).await?;
    if wallet.has(tx, &wanted.key).await? {
        return Ok(false);
    }
    let before = wallet.available();
    wallet.grant(tx, wanted.key.clone(), wanted.amount, wanted.why).await?;
    let size = wallet.available() - before;
    if let Some(expires_at) = wanted.expires_at.filter(|_| size > 0) {
        let open = store::lots::open_lots(tx, account).await?;
        let lot = Lot {
            id: LotId::new(tx.now(), dice),
            start: lots::place(&open, wallet.books()),
            size,
            expires_at,
            expired: 0,
            expiries: 0,
            open: true,
            look_at: expires_at,
        };
        store::lots::insert_lot(tx, account, &wanted.key, &lot).await?;
    }
    Ok(true)
}

/// Lets expire what is due. Answers whether something changed.
pub async fn look(db: &Db) -> Result<bool> {
    let mut tx = db.read().await?;
    let due = sweep::accounts_with_due_lots(&mut tx, ACCOUNTS_A_LOOK).await?;
    drop(tx);
    let mut changed = false;
    for account in due {
        match expire_in(db, account).await {
            Ok(expired) => changed |= expired,
            Err(error) => tracing::error!(component = "lots", %account, %error, "not expired yet"),
        }
    }
    Ok(changed)
}

async fn expire_in(db: &Db, account: AccountId) -> Result<bool> {
    let mut tx = db.begin().await?;
    let expired = expire(&mut tx, account).await?;
    tx.commit().await?;
    Ok(expired)
}

/// Lets expire what is due of one account. Answers whether credits expired.
pub async fn expire(tx: &mut Tx, account: AccountId) -> Result<bool> {
    let mut wallet = OpenWallet::lock(tx, account).await?;
    let mut open = store::lots::open_lots(tx, account).await?;
    let before = open.clone();
    let postings = lots::expire(&mut open, wallet.books(), tx.now());
    for &(at, amount) in &postings {
        let lot = &open[at];
        let key = format!("exp:{}:{}", lot.id, lot.expiries);
        wallet.expire(tx, key, amount, "not used in time").await?;
    }
    let changed: Vec<Lot> = open.into_iter().filter(|lot| !before.contains(lot)).collect();
    store::lots::save_lots(tx, account, &changed).await?;
    Ok(!postings.is_empty())
}
