//! What an account subscribed to: how it stands, its credits period by period, what it may do.
//!
//! Where a standing comes from and what it entitles to is decided in [`domain::subscriptions`].
//! Here a standing is kept, its periods' credits are granted, and what changes is noted. Stripe's
//! news comes through [`apply`], an operator's word through [`give`]; an operator's subscriptions
//! go on by themselves in [`look`].

use domain::ids::AccountId;
use domain::instant::Instant;
use domain::plans::{self, Plan};
use domain::seam::Dice;
use domain::subscriptions::{
    self as rules, Entitlement, Heard, News, State, Subscription, Word, period_key,
};
use store::notices::{self, Notice, NoticeKind};
use store::subscriptions::{find_subscription, lock_subscription, save_subscription};
use store::{Db, Error, Tx, audit, sweep};
use stripe::objects;

use super::lots::{self, Grant};
use crate::refusal::{Refusal, Result, invalid};

/// What our plan is called in the metadata of Stripe's objects.
pub const PLAN: &str = "ledgerline_plan";

/// Accounts that one look takes up.
const ACCOUNTS_A_LOOK: i64 = 100;

/// What the account may do now.
pub async fn entitlement(tx: &mut Tx, account: AccountId) -> store::Result<Entitlement> {
    let found = find_subscription(tx, account).await?;
    Ok(rules::entitlement(found.as_ref(), tx.now()))
}

/// A plan by its key.
pub fn checked_plan(key: &str) -> Result<&'static Plan> {
    plans::find(key).ok_or_else(|| invalid("plan", format!("write one of {}", plans::keys())))
}

/// What one of Stripe's events is about.
#[derive(Clone, Copy, Debug)]
pub enum Told<'a> {
    /// `customer.subscription.…`
    Subscription(&'a objects::Subscription),
    /// `invoice.…`
    Invoice(&'a objects::Invoice),
}

/// Takes in what an event of this kind tells of an account's subscription. `version` is when the
/// object was as it is, in microseconds: when the event was made, or now if the object was fetched
/// anew. The same events in any order, and more than once, come to the same. Answers in words what
/// it did, if that is worth knowing.
pub async fn apply(
    tx: &mut Tx,
    dice: &dyn Dice,
    account: AccountId,
    (kind, version): (&str, i64),
    told: Told<'_>,
) -> Result<Option<String>> {
    match (told, kind) {
        (Told::Subscription(object), _) => {
            let words = hear(tx, dice, account, (kind, version), object).await?;
            if kind == "customer.subscription.trial_will_end" {
                tell_trial(tx, account, object).await?;
            }
            Ok(words)
        }
        (Told::Invoice(invoice), "invoice.paid" | "invoice.payment_succeeded") => {
            paid(tx, dice, account, invoice).await
        }
        (Told::Invoice(invoice), "invoice.payment_failed" | "invoice.payment_action_required") => {
            tell_unpaid(tx, account, kind, invoice).await?;
            Ok(None)
        }
        (Told::Invoice(_), _) => Ok(None),
    }
}

async fn hear(
    tx: &mut Tx,
    dice: &dyn Dice,
    account: AccountId,
    (kind, version): (&str, i64),
    object: &objects::Subscription,
) -> Result<Option<String>> {
    let news = news_of(kind, version, object)?;
    let (before, mut heard) = lock_subscription(tx, account).await?;
    if !rules::hear(&mut heard, &news) {
        return Ok(Some("the subscription names no plan of ours".to_owned()));
    }
    let Some(after) = rules::standing(before.as_ref(), &heard) else { return Ok(None) };
    keep(tx, dice, account, ("stripe", before.as_ref()), &after, &heard).await?;
    if before.as_ref() == Some(&after) {
        return Ok(Some("older than what is known, or the same".to_owned()));
    }
    Ok(None)
}

fn news_of(kind: &str, version: i64, object: &objects::Subscription) -> Result<News> {
    let state = State::parse(&object.status).ok_or_else(|| {
        Refusal::State(format!("a subscription cannot be {:?} here", object.status))
    })?;
    let state = if kind == "customer.subscription.deleted" { State::Canceled } else { state };
    let seconds = |at: i64| Instant(at.saturating_mul(1_000_000));
    let told = Instant(version);
    let start = object.current_period_start.map_or(told, seconds);
    let end = object.current_period_end.map_or(start, seconds);
    // Whoever is canceled at once has no period left.
    let ended = object.ended_at.filter(|_| state == State::Canceled).map(seconds);
    let ends_with = |at: i64| seconds(at) <= end;
    Ok(News {
        id: object.id.clone(),
        plan: plan_named(object).map(str::to_owned),
        state,
        period_start: start,
        period_end: ended.map_or(end, |ended| ended.min(end)),
        cancel_at_period_end: object.cancel_at_period_end
            || object.cancel_at.is_some_and(ends_with),
        version,
    })
}

/// The plan that we wrote on a subscription, else the one that its price is called by.
fn plan_named(object: &objects::Subscription) -> Option<&str> {
    let by_price = || {
        let mut names = object.items.iter().filter_map(|item| item.lookup_key.as_deref());
        names.find(|name| plans::find(name).is_some())
    };
    object.metadata.get(PLAN).map(String::as_str).or_else(by_price)
}

/// Keeps a standing and notes what changed of it.
async fn keep(
    tx: &mut Tx,
    dice: &dyn Dice,
    account: AccountId,
    (actor, before): (&str, Option<&Subscription>),
    after: &Subscription,
    heard: &[Heard],
) -> Result<()> {
    save_subscription(tx, account, after, heard).await?;
    let shown = |one: &Subscription| {
        serde_json::json!({
            "plan": one.plan, "state": one.state, "source": one.source,
            "period_start": one.period_start, "period_end": one.period_end,
            "cancel_at_period_end": one.cancel_at_period_end,
        })
    };
    let (from, to) = (before.map(shown), shown(after));
    if from.as_ref() == Some(&to) {
        return Ok(());
    }
    let detail = serde_json::json!({ "from": from, "to": to }).to_string();
    let mut event = [0; 16];
    dice.fill(&mut event);
    audit::note(tx, account, event, (actor, "subscription.change", &detail)).await?;
    if let (Some(words), from) = (rules::entitlement(Some(after), tx.now()).sends.err(), before)
        && from.is_none_or(|from| from.state != after.state)
    {
        give_notice(tx, account, after, &words).await?;
    }
    Ok(())
}

async fn give_notice(
    tx: &mut Tx,
    account: AccountId,
    one: &Subscription,
    words: &str,
) -> Result<()> {
    let notice = Notice {
        kind: NoticeKind::Subscription,
        subject: format!("subscription:{}:{}", one.period_key(), one.state),
        title: "Texts no longer leave".to_owned(),
        detail: format!("No text leaves and campaigns pause: {words}."),
        link: None,
    };
    notices::give(tx, account, notice).await?;
    Ok(())
}

/// Grants the credits of the period that an invoice paid for. They are those of our plan.
async fn paid(
    tx: &mut Tx,
    dice: &dyn Dice,
    account: AccountId,
    invoice: &objects::Invoice,
) -> Result<Option<String>> {
    let reason = invoice.billing_reason.as_deref().unwrap_or_default();
    let Some(id) = invoice.subscription.as_deref() else {
        return Ok(Some("the invoice is of no subscription".to_owned()));
    };
    if !matches!(reason, "subscription_create" | "subscription_cycle") {
        return Ok(Some(format!("an invoice for {reason:?} brings no credits")));
    }
    let named = invoice.subscription_metadata.get(PLAN).or_else(|| {
        let of_subscription = invoice.lines.iter().filter(|line| line.subscription.is_some());
        of_subscription.filter(|line| !line.proration).find_map(|line| line.metadata.get(PLAN))
    });
    let (_, heard) = lock_subscription(tx, account).await?;
    let Some(key) = named.map(String::as_str).or_else(|| rules::plan_of(&heard, id)) else {
        return Err(Refusal::State(format!("it is not known which plan {id} is for")));
    };
    let plan = plans::find(key)
        .ok_or_else(|| Refusal::State(format!("the plan {key:?} is not in the list of plans")))?;
    let seconds = |at: i64| Instant(at.saturating_mul(1_000_000));
    let Some(start) = invoice.period_start.map(seconds) else {
        return Err(Refusal::State("the invoice does not say for which period".to_owned()));
    };
    let end = invoice.period_end.map_or_else(|| rules::add_months(start, 1), seconds);
    if is_trial(invoice, plan) && !plan.trial_credits {
        return Ok(Some(format!("a trial of {} brings no credits", plan.name)));
    }
    let came = grant(tx, dice, account, plan, (period_key(Some(id), start), end)).await?;
    Ok((!came).then(|| "the credits of this period came already".to_owned()))
}

/// The invoice is the zero one with which a trial begins, not one that a discount made zero.
fn is_trial(invoice: &objects::Invoice, plan: &Plan) -> bool {
    invoice.billing_reason.as_deref() == Some("subscription_create")
        && invoice.amount_paid == 0
        && plan.amount > 0
        && invoice.lines.iter().all(|line| line.amount == 0)
}

/// Grants a period's credits once.
async fn grant(
    tx: &mut Tx,
    dice: &dyn Dice,
    account: AccountId,
    plan: &Plan,
    (key, period_end): (String, Instant),
) -> Result<bool> {
    if plan.monthly_credits == 0 {
        return Ok(false);
    }
    let why = format!("the credits of {} until {period_end}", plan.name);
    let wanted =
        Grant { key, amount: plan.monthly_credits, expires_at: plan.expiry(period_end), why: &why };
    Ok(lots::grant(tx, dice, account, wanted).await?)
}

async fn tell_unpaid(
    tx: &mut Tx,
    account: AccountId,
    kind: &str,
    invoice: &objects::Invoice,
) -> Result<()> {
    let (title, detail) = match kind {
        "invoice.payment_failed" => (
            "The subscription could not be paid",
            "The card was declined. Pay the invoice, or change the card, before texts stop.",
        ),
        _ => (
            "The subscription's payment must be confirmed",
            "The bank wants to ask the owner of the card. Open the invoice and confirm it.",
        ),
    };
    let notice = Notice {
        kind: NoticeKind::Subscription,
        subject: format!("{kind}:{}", invoice.id),
        title: title.to_owned(),
        detail: detail.to_owned(),
        link: invoice.hosted_invoice_url.clone(),
    };
    notices::give(tx, account, notice).await?;
    Ok(())
}

async fn tell_trial(tx: &mut Tx, account: AccountId, object: &objects::Subscription) -> Result<()> {
    let day = object.trial_end.map(|at| Instant(at.saturating_mul(1_000_000)));
    let day =
        day.map_or_else(String::new, |at| at.timestamp().strftime(" on %Y-%m-%d").to_string());
    let notice = Notice {
        kind: NoticeKind::Subscription,
        subject: format!("trial_will_end:{}", object.id),
        title: format!("The trial ends{day}"),
        detail: "From then on the plan is paid with the card that was given.".to_owned(),
        link: None,
    };
    notices::give(tx, account, notice).await?;
    Ok(())
}

/// Takes an operator's word: it holds at once, and brings the credits of the period it begins.
pub async fn give(
    tx: &mut Tx,
    dice: &dyn Dice,
    account: AccountId,
    operator: &str,
    word: &Word,
) -> Result<Subscription> {
    let plan = checked_plan(&word.plan)?;
    store::accounts::account(tx, account).await?;
    let now = tx.now();
    if word.period_end.is_some_and(|end| end <= now || end > rules::add_months(now, 120)) {
        return Err(invalid("period_end", "write a time within ten years from now"));
    }
    let (before, mut heard) = lock_subscription(tx, account).await?;
    let after = rules::given(before.as_ref(), &mut heard, word, now);
    keep(tx, dice, account, (operator, before.as_ref()), &after, &heard).await?;
    begin_period(tx, dice, account, plan, &after).await?;
    Ok(after)
}

/// Grants the credits of a period that is paid for, or that is a trial with credits.
async fn begin_period(
    tx: &mut Tx,
    dice: &dyn Dice,
    account: AccountId,
    plan: &Plan,
    one: &Subscription,
) -> Result<()> {
    let comes = match one.state {
        State::Active => true,
        State::Trialing => plan.trial_credits,
        _ => false,
    };
    if comes {
        grant(tx, dice, account, plan, (one.period_key(), one.period_end)).await?;
    }
    Ok(())
}

/// Takes operators' subscriptions from period to period. Answers whether something changed.
pub async fn look(db: &Db, dice: &dyn Dice) -> Result<bool> {
    let mut tx = db.read().await?;
    let due = sweep::accounts_with_due_subscriptions(&mut tx, ACCOUNTS_A_LOOK).await?;
    drop(tx);
    let mut changed = false;
    for account in due {
        match renew(db, dice, account).await {
            Ok(()) => changed = true,
            Err(error) => {
                tracing::error!(component = "subscriptions", %account, %error, "not renewed yet");
            }
        }
    }
    Ok(changed)
}

async fn renew(db: &Db, dice: &dyn Dice, account: AccountId) -> Result<()> {
    let mut tx = db.begin().await?;
    let (before, heard) = lock_subscription(&mut tx, account).await?;
    let before = before.ok_or(Error::Missing("subscription"))?;
    if before.next_at().is_none_or(|at| at > tx.now()) {
        return Ok(());
    }
    let after = before.renewed();
    keep(&mut tx, dice, account, ("system", Some(&before)), &after, &heard).await?;
    if let Some(plan) = plans::find(&after.plan) {
        begin_period(&mut tx, dice, account, plan, &after).await?;
    } else {
        let plan = after.plan;
        let words = "renewed without credits: the plan is not in the list";
        tracing::error!(component = "subscriptions", %account, plan, "{words}");
    }
    Ok(tx.commit().await?)
}
