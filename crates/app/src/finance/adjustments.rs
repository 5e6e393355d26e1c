//! Operators' movements of credits that two of them must agree to.
//!
//! One proposes and nothing moves; another one approves, and the credits move once, or rejects.
//! Who those are is checked where they come in; here they are names.

use domain::ids::{AccountId, AdjustmentId};
use domain::ledger::{AMOUNT_MAX, LedgerError, Wallet};
use domain::seam::Dice;
use store::adjustments::{self, Adjustment, AdjustmentState};
use store::{Error, Tx, audit, sweep};

use super::credits;
use crate::refusal::{Refusal, Result};

/// Keeps a movement for another operator to decide.
pub async fn propose(
    tx: &mut Tx,
    dice: &dyn Dice,
    account: AccountId,
    (amount, reason): (i64, &str),
    operator: &str,
) -> Result<Adjustment> {
    if amount == 0 || amount.unsigned_abs() > AMOUNT_MAX.unsigned_abs() {
        return Err(Error::Ledger(LedgerError::OutOfRange).into());
    }
    let one = Adjustment {
        account,
        id: AdjustmentId::new(tx.now(), dice),
        amount,
        reason: reason.to_owned(),
        state: AdjustmentState::Proposed,
        proposed_by: operator.to_owned(),
        decided_by: None,
        created_at: tx.now(),
        decided_at: None,
    };
    adjustments::insert_adjustment(tx, &one).await?;
    note(tx, dice, &one, operator, "adjustment.propose").await?;
    Ok(one)
}

/// What an operator decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The credits move.
    Approve,
    /// They do not.
    Reject,
}

impl Decision {
    const fn state(self) -> AdjustmentState {
        match self {
            Self::Approve => AdjustmentState::Approved,
            Self::Reject => AdjustmentState::Rejected,
        }
    }
}

/// Decides a proposed movement; asked again by the same operator, the answer is the same. The
/// wallet afterwards.
pub async fn decide(
    tx: &mut Tx,
    dice: &dyn Dice,
    id: AdjustmentId,
    decision: Decision,
    operator: &str,
) -> Result<(Adjustment, Wallet)> {
    let account =
        sweep::account_of_adjustment(tx, id).await?.ok_or(Refusal::NotFound("adjustment"))?;
    let mut one = adjustments::lock_adjustment(tx, account, id).await?;
    if one.state != AdjustmentState::Proposed {
        let by = one.decided_by.as_deref().unwrap_or_default();
        if one.state == decision.state() && by == operator {
            let wallet = store::wallets::wallet(tx, account).await?;
            return Ok((one, wallet));
        }
        let words = format!("{by} has {} this adjustment already", one.state.as_str());
        return Err(Refusal::State(words));
    }
    if one.proposed_by == operator {
        let words = "whoever proposed an adjustment cannot decide it; ask another operator";
        return Err(Refusal::State(words.to_owned()));
    }
    one.state = decision.state();
    (one.decided_by, one.decided_at) = (Some(operator.to_owned()), Some(tx.now()));
    adjustments::save_decision(tx, &one).await?;
    let verb = match decision {
        Decision::Approve => "adjustment.approve",
        Decision::Reject => "adjustment.reject",
    };
    note(tx, dice, &one, operator, verb).await?;
    let wallet = match decision {
        Decision::Approve => {
            let key = format!("adjustment:{id}");
            let actor = format!("{}, {operator}", one.proposed_by);
            credits::adjust(tx, account, key, one.amount, &actor, &one.reason).await?
        }
        Decision::Reject => store::wallets::wallet(tx, account).await?,
    };
    Ok((one, wallet))
}

async fn note(
    tx: &mut Tx,
    dice: &dyn Dice,
    one: &Adjustment,
    operator: &str,
    verb: &str,
) -> Result<()> {
    let mut event = [0; 16];
    dice.fill(&mut event);
    let detail = serde_json::json!({
        "adjustment": one.id, "amount": one.amount, "reason": one.reason,
    });
    Ok(audit::note(tx, one.account, event, (operator, verb, &detail.to_string())).await?)
}
