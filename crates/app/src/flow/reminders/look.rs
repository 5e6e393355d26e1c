//! What the timer does for appointments: due reminders, texts to look after, requests that nobody
//! answered, series to write out, reminders to plan by new choices.
//!
//! Scans across accounts find only whose turn it is. The work is done account by account, a
//! bounded piece in each transaction under the account's lock.

use domain::contexts;
use domain::ids::{AccountId, AppointmentId};
use domain::instant::Instant;
use domain::settings::Settings;
use store::appointments::{self, AppointmentFilter};
use store::settings::{PlanPass, plan_pass, save_plan_pass};
use store::{Tx, requests, sweep};

use super::fire::{BATCH_MAX, fire_due};
use super::plan::{EVENT, replan};
use super::watch::watch_due;
use crate::delivery::dispatch::Desk;
use crate::flow::Result;
use crate::flow::appointments::booking::{Clerk, people_of, with_people};
use crate::flow::appointments::series;
use crate::flow::messages::Asking;

const ACCOUNTS_MAX: i64 = 200;
const SERIES_MAX: i64 = 20;
/// Appointments planned by new choices in one transaction.
const PLANNED_MAX: i64 = 200;

fn asking(desk: &Desk, account: AccountId, magic_allowed: bool) -> Asking<'_> {
    let installation_sender = desk.claimant.installation_sender.as_ref();
    Asking { account, installation_sender, magic_allowed }
}

/// One look around. Answers whether something changed.
pub async fn look(desk: &Desk, magic_allowed: bool) -> Result<bool> {
    let mut tx = desk.db.read().await?;
    let due = sweep::accounts_with_due_reminders(&mut tx, ACCOUNTS_MAX).await?;
    let watched = sweep::accounts_with_watched_reminders(&mut tx, ACCOUNTS_MAX).await?;
    let expired = sweep::accounts_with_expired_requests(&mut tx, ACCOUNTS_MAX).await?;
    let changed = sweep::accounts_to_plan(&mut tx, ACCOUNTS_MAX).await?;
    let ahead = tx.now() + series::AHEAD_MIN;
    let rolling = sweep::series_to_plan(&mut tx, ahead, SERIES_MAX).await?;
    drop(tx);
    let mut acted = false;
    for account in due {
        while fire_some(desk, asking(desk, account, magic_allowed)).await? {}
        acted = true;
    }
    for account in watched {
        let mut tx = desk.db.begin().await?;
        let clerk = Clerk::open(&mut tx, asking(desk, account, magic_allowed), &*desk.dice).await?;
        watch_due(&mut tx, &clerk).await?;
        tx.commit().await?;
    }
    for account in expired {
        let mut tx = desk.db.begin().await?;
        store::settings::lock_settings(&mut tx, account).await?;
        requests::expire_requests(&mut tx, account).await?;
        tx.commit().await?;
        acted = true;
    }
    for (account, id) in rolling {
        let mut tx = desk.db.begin().await?;
        let clerk = Clerk::open(&mut tx, asking(desk, account, magic_allowed), &*desk.dice).await?;
        series::roll(&mut tx, &clerk, id).await?;
        tx.commit().await?;
        acted = true;
    }
    for account in changed {
        let mut tx = desk.db.begin().await?;
        let clerk = Clerk::open(&mut tx, asking(desk, account, magic_allowed), &*desk.dice).await?;
        plan_some(&mut tx, &clerk).await?;
        tx.commit().await?;
        acted = true;
    }
    Ok(acted)
}

/// Fires a batch of an account; whether there may be more. Nothing leaves the process here.
pub async fn fire_some(desk: &Desk, asking: Asking<'_>) -> Result<bool> {
    let mut tx = desk.db.begin().await?;
    let clerk = Clerk::open(&mut tx, asking, &*desk.dice).await?;
    let decided = fire_due(&mut tx, &clerk).await?;
    tx.commit().await?;
    Ok(i64::try_from(decided).unwrap_or(i64::MAX) == BATCH_MAX)
}

/// What of the choices decides which reminders there are.
fn chosen(choices: &Settings) -> String {
    let mut offsets = choices.reminder_offsets_minutes.clone();
    offsets.sort_unstable();
    let offsets: Vec<String> = offsets.iter().map(ToString::to_string).collect();
    let sent = contexts::of_event(EVENT).filter(|context| choices.sends(context));
    let keys: Vec<&str> = sent.map(|context| context.key.as_str()).collect();
    format!("{} {} {:?}", offsets.join(","), keys.join(","), choices.state_hours)
}

/// Plans the reminders of some appointments to come by the present choices.
async fn plan_some(tx: &mut Tx, clerk: &Clerk<'_>) -> Result<()> {
    let account = clerk.account();
    let pass = plan_pass(tx, account).await?;
    let chosen = chosen(&clerk.choices);
    if pass.planned_by == chosen && pass.planned_to.is_none() {
        save_plan_pass(tx, account, &pass, true).await?;
        return Ok(());
    }
    let after = pass.planned_to.as_deref().and_then(|text| place(text, pass.version));
    let filter = AppointmentFilter { from: tx.now(), ..AppointmentFilter::default() };
    let list = appointments::list_appointments(tx, account, &filter, after, PLANNED_MAX).await?;
    let done = i64::try_from(list.len()).unwrap_or(i64::MAX) < PLANNED_MAX;
    let last = list.last().map(|one| (one.starts_at, one.id));
    let bookings = with_people(tx, account, list).await?;
    let people = people_of(tx, account, &bookings).await?;
    replan(tx, clerk, &bookings, &people, "the account's choices changed").await?;
    let planned_to = last.filter(|_| !done);
    let pass = PlanPass {
        planned_by: chosen,
        planned_to: planned_to.map(|(at, id)| format!("{} {} {id}", pass.version, at.0)),
        ..pass
    };
    save_plan_pass(tx, account, &pass, done).await?;
    Ok(())
}

/// Where a pass of this version has come to; one of another version begins anew.
fn place(text: &str, version: i64) -> Option<(Instant, AppointmentId)> {
    let mut words = text.split(' ');
    let of: i64 = words.next()?.parse().ok()?;
    let at: i64 = words.next()?.parse().ok()?;
    let id = AppointmentId::parse(words.next()?).ok()?;
    (of == version).then_some((Instant(at), id))
}
