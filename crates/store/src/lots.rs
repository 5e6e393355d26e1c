//! Credits that expire. They are read and written under the lock of the account's wallet, which
//! moves with them.

use domain::ids::{AccountId, LotId};
use domain::instant::Instant;
use domain::lots::Lot;

use crate::db::{Result, Rows, Tx, expect_rows};
use crate::uuid;

/// Lots of an account that are open at once.
pub const LOTS_MAX: i64 = 10_000;

/// Adds a lot; `source` says what it came with, one lot each.
pub async fn insert_lot(tx: &mut Tx, account: AccountId, source: &str, lot: &Lot) -> Result<()> {
    let now = tx.now().0;
    tx.execute(
        "insert into lot (account_id, lot_id, source, start, size, expires_at, expired, expiries,
           state, look_at, created_at)
         values ($1, $2, $3, $4, $5, $6, 0, 0, 'open', $7, $8)",
        (
            account.0,
            lot.id.0.to_vec(),
            source.to_owned(),
            lot.start,
            lot.size,
            lot.expires_at.0,
            lot.look_at.0,
            now,
        ),
    )
    .await?;
    Ok(())
}

type LotRow = (Vec<u8>, i64, i64, i64, i64, i64, i64);

fn lot_of(row: LotRow) -> Result<Lot> {
    let (id, start, size, expires_at, expired, expiries, look_at) = row;
    Ok(Lot {
        id: LotId(uuid(id)?),
        start,
        size,
        expires_at: Instant(expires_at),
        expired,
        expiries,
        open: true,
        look_at: Instant(look_at),
    })
}

/// The open lots of an account, in the order of their use.
pub async fn open_lots(tx: &mut Tx, account: AccountId) -> Result<Vec<Lot>> {
    let rows: Vec<LotRow> = tx
        .all(
            "select lot_id, start, size, expires_at, expired, expiries, look_at from lot
             where account_id = $1 and state = 'open' order by start limit $2",
            (account.0, LOTS_MAX),
        )
        .await?;
    rows.into_iter().map(lot_of).collect()
}

/// Writes lots as they stand now.
pub async fn save_lots(tx: &mut Tx, account: AccountId, lots: &[Lot]) -> Result<()> {
    let state = |lot: &Lot| if lot.open { "open" } else { "closed" };
    let rows = Rows::of(lots.len())
        .bytes("lot_id", lots.iter().map(|lot| lot.id.0.to_vec()))
        .int("start", lots.iter().map(|lot| lot.start))
        .int("expired", lots.iter().map(|lot| lot.expired))
        .int("expiries", lots.iter().map(|lot| lot.expiries))
        .text("state", lots.iter().map(|lot| state(lot).to_owned()))
        .int("look_at", lots.iter().map(|lot| lot.look_at.0));
    let changed = tx
        .many(
            "update lot set start = r.start, expired = r.expired, expiries = r.expiries,
               state = r.state, look_at = r.look_at
             from {rows} where lot.account_id = $1 and lot.lot_id = r.lot_id",
            (account.0,),
            rows,
        )
        .await?;
    expect_rows("save lots", lots.len(), changed)
}
