//! Holds: shown, and lifted by a person. What opens them is `delivery::limits`.

use domain::ids::{AccountId, HoldId};
use domain::instant::Instant;
use domain::seam::Dice;
use domain::velocity::hour_of;
use serde::Serialize;
use store::holds::{self, Hold};
use store::{Tx, audit, velocity};

use super::{Refusal, Result};
use crate::finance::credits::OpenWallet;

/// What keeps texts from leaving.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct HoldOut {
    /// Its id.
    #[schema(value_type = String)]
    pub id: HoldId,
    /// `velocity`: too many texts to numbers that begin alike; `sequential`: to too many numbers
    /// that follow one another.
    pub kind: &'static str,
    /// `open` or `lifted`.
    pub state: &'static str,
    /// Which texts it holds: the guard, their kind, and how their numbers begin.
    pub subject: String,
    /// Why, in words.
    pub reason: String,
    /// Since when.
    #[schema(value_type = String)]
    pub since: Instant,
    /// When it was lifted.
    #[schema(value_type = Option<String>)]
    pub lifted_at: Option<Instant>,
    /// By whom.
    pub lifted_by: Option<String>,
}

impl From<Hold> for HoldOut {
    fn from(hold: Hold) -> Self {
        Self {
            id: hold.id,
            kind: hold.kind.as_str(),
            state: if hold.lifted_at.is_some() { "lifted" } else { "open" },
            subject: hold.subject,
            reason: hold.reason,
            since: hold.since,
            lifted_at: hold.lifted_at,
            lifted_by: hold.lifted_by,
        }
    }
}

/// Lifts a hold: its texts leave when the gate is asked again, and counting begins anew. Lifted
/// twice is lifted once.
pub async fn lift(
    tx: &mut Tx,
    dice: &dyn Dice,
    account: AccountId,
    id: HoldId,
    actor: &str,
) -> Result<HoldOut> {
    // Claims count under the lock of the wallet.
    OpenWallet::lock(tx, account).await?;
    let hold = holds::lock_hold(tx, account, id).await?.ok_or(Refusal::NotFound("hold"))?;
    if hold.lifted_at.is_some() {
        return Ok(hold.into());
    }
    holds::lift_hold(tx, account, id, actor).await?;
    velocity::forget_count(tx, account, hour_of(tx.now()), &hold.subject).await?;
    let mut event = [0; 16];
    dice.fill(&mut event);
    let detail = format!("{id}: {}", hold.reason);
    audit::note(tx, account, event, (actor, "hold.lift", &detail)).await?;
    tracing::info!(component = "holds", %account, hold = %id, actor, "a hold was lifted");
    let (lifted_at, lifted_by) = (Some(tx.now()), Some(actor.to_owned()));
    Ok(Hold { lifted_at, lifted_by, ..hold }.into())
}
