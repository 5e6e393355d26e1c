//! How accounts stand with their plans: a row for each account that ever subscribed.

use domain::ids::AccountId;
use domain::instant::Instant;
use domain::subscriptions::{Heard, Source, State, Subscription};

use crate::damaged;
use crate::db::{Result, Tx, dialects};

type Row = (String, String, String, Option<String>, i64, i64, i64, Option<i64>, i64);

fn subscription_of(row: Row) -> Result<Subscription> {
    let (plan, state, source, stripe_subscription, start, end, cancels, due_since, version) = row;
    Ok(Subscription {
        plan,
        state: State::parse(&state).ok_or_else(|| damaged("the state of a subscription"))?,
        source: Source::parse(&source).ok_or_else(|| damaged("the source of a subscription"))?,
        stripe_subscription,
        period_start: Instant(start),
        period_end: Instant(end),
        cancel_at_period_end: cancels == 1,
        past_due_since: due_since.map(Instant),
        version,
    })
}

/// How the account stands; `None` when it never subscribed.
pub async fn find_subscription(tx: &mut Tx, account: AccountId) -> Result<Option<Subscription>> {
    tx.optional(
        "select plan, state, source, stripe_subscription, period_start, period_end,
           cancel_at_period_end, past_due_since, version
         from subscription where account_id = $1",
        (account.0,),
    )
    .await?
    .map(subscription_of)
    .transpose()
}

/// The same, locked until the transaction ends, with what Stripe said. Comes before the lock of
/// the wallet. Who has no row yet is held by the lock of the account's settings.
pub async fn lock_subscription(
    tx: &mut Tx,
    account: AccountId,
) -> Result<(Option<Subscription>, Vec<Heard>)> {
    // SQLite has no row locks and needs none: a writing transaction is alone.
    let text = dialects(
        "select heard from subscription where account_id = $1",
        "select heard from subscription where account_id = $1 for update",
    );
    let mut row: Option<(String,)> = tx.optional(text, (account.0,)).await?;
    if row.is_none() {
        crate::settings::lock_settings(tx, account).await?;
        row = tx.optional(text, (account.0,)).await?;
    }
    let Some((heard,)) = row else { return Ok((None, Vec::new())) };
    let heard = serde_json::from_str(&heard).map_err(|_| damaged("what Stripe said"))?;
    Ok((find_subscription(tx, account).await?, heard))
}

/// Writes a standing that this transaction has locked.
pub async fn save_subscription(
    tx: &mut Tx,
    account: AccountId,
    one: &Subscription,
    heard: &[Heard],
) -> Result<()> {
    let now = tx.now().0;
    tx.execute(
        "insert into subscription (account_id, plan, state, source, stripe_subscription,
           period_start, period_end, cancel_at_period_end, past_due_since, version, heard, next_at,
           updated_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
         on conflict (account_id) do update set plan = excluded.plan, state = excluded.state,
           source = excluded.source, stripe_subscription = excluded.stripe_subscription,
           period_start = excluded.period_start, period_end = excluded.period_end,
           cancel_at_period_end = excluded.cancel_at_period_end,
           past_due_since = excluded.past_due_since, version = excluded.version,
           heard = excluded.heard, next_at = excluded.next_at, updated_at = excluded.updated_at",
        (
            account.0,
            one.plan.clone(),
            one.state.as_str().to_owned(),
            one.source.as_str().to_owned(),
            one.stripe_subscription.clone(),
            one.period_start.0,
            one.period_end.0,
            i64::from(one.cancel_at_period_end),
            one.past_due_since.map(|at| at.0),
            one.version,
            serde_json::to_string(heard).expect("what was heard is valid JSON"),
            one.next_at().map(|at| at.0),
            now,
        ),
    )
    .await?;
    Ok(())
}
