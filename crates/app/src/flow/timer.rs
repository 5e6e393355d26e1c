//! What happens by itself: reminders fall due, lists are sealed, scheduled campaigns start, funded
//! ones resume, subscriptions renew, credits expire. Level-triggered: it looks at what is, so a
//! lost wake-up costs a moment.

use domain::campaign::{Event, PauseReason, State};
use domain::velocity::hour_of;
use store::{Db, campaigns, streams, sweep, velocity, wallets};

use super::sealing::seal_some;
use super::{Result, reminders};
use crate::delivery::dispatch::Desk;
use crate::delivery::senders::{self, From};
use crate::delivery::stages;
use crate::finance::{budgets, lots, subscriptions};

const PLACES_MAX: i64 = 200;

/// One look around. Answers whether something changed.
pub async fn look(desk: &Desk, magic_allowed: bool) -> Result<bool> {
    let (db, installation_sender) = (&desk.db, desk.claimant.installation_sender.as_ref());
    let mut tx = db.read().await?;
    let sealing = sweep::streams_in(&mut tx, [State::Sealing; 2], PLACES_MAX).await?;
    let waiting = sweep::streams_in(&mut tx, [State::Scheduled, State::Paused], PLACES_MAX).await?;
    drop(tx);
    let may_act = desk.may_act();
    let mut changed = may_act && reminders::look::look(desk, magic_allowed).await?;
    if may_act {
        changed |= subscriptions::look(db, &*desk.dice).await?;
        changed |= lots::look(db).await?;
    }
    forget_counts(db).await?;
    for (account, id) in sealing {
        while seal_some(db, account, id, installation_sender, magic_allowed).await? {}
        changed = true;
    }
    for (account, id) in waiting {
        let mut tx = db.begin().await?;
        let stream = streams::lock_stream(&mut tx, account, id).await?;
        let event = match (stream.state, stream.reason) {
            (State::Scheduled, _) if !may_act => None,
            (State::Scheduled, _) => {
                let campaign = campaigns::campaign(&mut tx, account, id).await?;
                campaign.starts_at.is_none_or(|at| at <= tx.now()).then_some(Event::Due)
            }
            (State::Paused, Some(PauseReason::Credits)) => {
                let campaign = campaigns::campaign(&mut tx, account, id).await?;
                let available = wallets::wallet(&mut tx, account).await?.books.available;
                let funded = available >= stream.need.max(1);
                (campaign.resume_when_funded && funded).then_some(Event::Resume)
            }
            (State::Paused, Some(PauseReason::Budget)) => {
                let has_room = budgets::has_room(&mut tx, account, stream.need.max(1)).await?;
                has_room.then_some(Event::Resume)
            }
            (State::Paused, Some(PauseReason::Subscription)) => {
                let allows = subscriptions::entitlement(&mut tx, account).await?.campaigns;
                allows.is_ok().then_some(Event::Resume)
            }
            (State::Paused, Some(PauseReason::Sender)) => {
                let campaign = campaigns::campaign(&mut tx, account, id).await?;
                let from =
                    senders::choose(&mut tx, account, campaign.sender, installation_sender).await?;
                let free = |from: From| desk.routes.blocked(&from, tx.now()).is_none();
                from.is_some_and(free).then_some(Event::Resume)
            }
            _ => None,
        };
        if let Some(event) = event {
            stages::apply(&mut tx, account, id, event, None).await?;
            tx.commit().await?;
            changed = true;
        }
    }
    Ok(changed)
}

/// Forgets how many texts went where in hours that are over.
async fn forget_counts(db: &Db) -> Result<()> {
    let mut tx = db.read().await?;
    let hour = hour_of(tx.now());
    let accounts = sweep::accounts_with_old_counts(&mut tx, hour, PLACES_MAX).await?;
    drop(tx);
    for account in accounts {
        let mut tx = db.begin().await?;
        velocity::forget_before(&mut tx, account, hour).await?;
        tx.commit().await?;
    }
    Ok(())
}
