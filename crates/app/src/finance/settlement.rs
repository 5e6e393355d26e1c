//! Known money becomes credits.
//!
//! [`settle`] takes news of a purchase, joins it to what was known before, asks
//! [`domain::payments::target`] what must have happened to the credits by now, and posts the
//! difference, all in the caller's transaction. So news may come late, twice and in any order, and
//! the same news again posts nothing.
//!
//! Locks, in this order: who pays, the account's rule for top-ups, the purchase, the wallet.

use domain::ids::{AccountId, PurchaseId};
use domain::instant::Instant;
use domain::packs::money;
use domain::payments::{Back, BackState, Bought, DisputeState, PurchaseState, Target};
use domain::payments::{state_of, target};
use store::notices::{Notice, NoticeKind};
use store::purchases::{MoneyBack, Purchase, PurchaseKind};
use store::stripe_events::{Owner, bind_references, wake_events};
use store::{Result, Tx, notices, purchases, topups};

use super::credits::OpenWallet;
use super::news::News;
use super::payments::Payments;
use super::{payers, topup_payments};

/// What news came to.
#[derive(Clone, Debug)]
pub struct Settled {
    /// The purchase afterwards.
    pub purchase: Purchase,
    /// Credits were added.
    pub is_funded: bool,
    /// What is odd about the news.
    pub note: Option<String>,
}

fn bought(it: &Purchase) -> Bought {
    Bought {
        credits: it.credits,
        amount: it.amount,
        is_paid: it.paid_at.is_some(),
        refund_seen: it.refund_seen,
    }
}

/// Joins news to what is known of a purchase, and moves the credits that follow.
pub async fn settle(
    payments: &Payments,
    tx: &mut Tx,
    account: AccountId,
    id: PurchaseId,
    news: &News,
) -> Result<Settled> {
    if let (Some(card), Some(at)) = (&news.payment_method, news.paid_at) {
        let known = purchases::find_purchase(tx, account, id).await?;
        if known.is_some_and(|known| known.save_card) {
            payers::keep_card(tx, account, card, news.card.as_ref(), at).await?;
        }
    }
    let mut rule = topups::lock_topup(tx, account).await?;
    let mut it = purchases::lock_purchase(tx, account, id).await?;
    let was = it.clone();
    let backs = join(tx, account, &mut it, news).await?;
    let target = target(bought(&it), &backs);
    post(tx, account, &mut it, &target, news).await?;
    it.refunded = target.refunded;
    it.disputed = target.disputed;
    it.state = state_of(bought(&it), &target, it.state);
    if it.state != PurchaseState::Pending {
        it.next_at = None;
        it.reason = reason(&it, &target);
    }
    purchases::save_purchase(tx, account, &it).await?;
    name_things(tx, account, id, news).await?;
    if let Some(rule) = &mut rule {
        follow(payments, tx, account, rule, (&was, &it), news).await?;
    }
    let is_funded = it.granted - it.clawed - it.held > was.granted - was.clawed - was.held;
    Ok(Settled { note: odd(&it, news), purchase: it, is_funded })
}

/// Joins the news to the purchase, its refunds and its disputes; all of the latter.
async fn join(
    tx: &mut Tx,
    account: AccountId,
    it: &mut Purchase,
    news: &News,
) -> Result<Vec<Back>> {
    it.checkout = it.checkout.take().or_else(|| news.checkout.clone());
    it.payment_intent = it.payment_intent.take().or_else(|| news.payment_intent.clone());
    it.refund_seen = it.refund_seen.max(news.refund_seen);
    it.paid_at = match (it.paid_at, news.paid_at) {
        (Some(known), Some(told)) => Some(known.min(told)),
        (known, told) => known.or(told),
    };
    if it.paid_at.is_none()
        && let Some((state, why)) = ended(it, news)
    {
        // A failure says more than a closed page, whichever is told first.
        let weight = |state| match state {
            PurchaseState::Failed => 2,
            PurchaseState::Expired => 1,
            _ => 0,
        };
        if weight(state) > weight(it.state) {
            it.state = state;
            it.reason = Some(why);
        }
    }
    let mut known = purchases::money_back(tx, account, it.id).await?;
    for (object, told) in &news.backs {
        let at = known.iter().position(|back| back.object == *object);
        let before = at.map(|at| known[at].back);
        let back = before.map_or(*told, |before| before.join(*told));
        if before == Some(back) {
            continue;
        }
        let kept = MoneyBack { object: object.clone(), back };
        purchases::save_money_back(tx, account, it.id, &kept).await?;
        tell_of_dispute(tx, account, it, &kept).await?;
        match at {
            Some(at) => known[at] = kept,
            None => known.push(kept),
        }
    }
    Ok(known.into_iter().map(|kept| kept.back).collect())
}

/// Whether the money will not come. A declined card ends an automatic purchase; on a page its
/// owner may take another one.
fn ended(it: &Purchase, news: &News) -> Option<(PurchaseState, String)> {
    let declined = || {
        let decline = news.decline.as_ref().filter(|_| it.kind == PurchaseKind::Auto)?;
        Some((PurchaseState::Failed, format!("the card was declined: {decline}")))
    };
    news.ended.clone().or_else(declined)
}

/// Posts what is missing to the target, first what comes back to the customer.
async fn post(
    tx: &mut Tx,
    account: AccountId,
    it: &mut Purchase,
    target: &Target,
    news: &News,
) -> Result<()> {
    let mut buys = target.granted - it.granted;
    let mut claws = target.clawed - it.clawed;
    let mut freezes = target.held - it.held;
    if domain::mutant!(M37) {
        freezes = freezes.max(0);
    }
    let mut key = format!("purchase:{}", it.id);
    if domain::mutant!(M40) && news.paid_at.is_some() {
        buys = it.credits;
        key = format!("purchase:{}", news.event.as_deref().unwrap_or("none"));
    }
    if (buys, claws, freezes) == (0, 0, 0) {
        return Ok(());
    }
    let paid_with = it.payment_intent.as_ref().or(it.checkout.as_ref());
    let payment = paid_with.map_or_else(|| it.id.to_string(), Clone::clone);
    let mut wallet = OpenWallet::lock(tx, account).await?;
    if buys > 0 {
        let why = format!("{}, payment {payment}", money(it.amount, &it.currency));
        wallet.buy(tx, key, buys, &why).await?;
        it.granted = target.granted;
    }
    // At most one of both signs each; giving back first keeps debts from coming and going.
    for is_giving in [true, false] {
        if freezes != 0 && (freezes < 0) == is_giving {
            it.moves += 1;
            let key = format!("dispute:{}:{}", it.id, it.moves);
            let why = format!("dispute of payment {payment}");
            wallet.freeze(tx, key, freezes, &why).await?;
            it.held += freezes;
            freezes = 0;
        }
        if claws != 0 && (claws < 0) == is_giving {
            it.moves += 1;
            let key = format!("clawback:{}:{}", it.id, it.moves);
            wallet.claw(tx, key, claws, &format!("refund of payment {payment}")).await?;
            it.clawed += claws;
            claws = 0;
        }
    }
    Ok(())
}

/// What the state does not say.
fn reason(it: &Purchase, target: &Target) -> Option<String> {
    let paid = |amount| money(amount, &it.currency);
    match it.state {
        PurchaseState::Failed | PurchaseState::Expired
            if target.refunded + target.disputed == 0 =>
        {
            it.reason.clone()
        }
        PurchaseState::Failed | PurchaseState::Expired => {
            Some("money went back before it was known to have come".to_owned())
        }
        _ if target.twice > 0 => Some(format!(
            "{} of it went back twice, by refund and by dispute; its credits were taken once",
            paid(target.twice)
        )),
        _ => None,
    }
}

/// Enters whose Stripe's things are, and takes up the events that wait for them.
async fn name_things(tx: &mut Tx, account: AccountId, id: PurchaseId, news: &News) -> Result<()> {
    let things = [&news.checkout, &news.payment_intent];
    let mut references: Vec<String> = things.into_iter().flatten().cloned().collect();
    references.extend(news.backs.iter().map(|(object, _)| object.clone()));
    bind(tx, Owner { account, purchase: Some(id) }, &references).await
}

/// Enters whose things these are, and takes up the events that wait for them.
pub async fn bind(tx: &mut Tx, owner: Owner, references: &[String]) -> Result<()> {
    bind_references(tx, references, owner).await?;
    wake_events(tx, references).await?;
    Ok(())
}

/// What the account's rule for top-ups makes of it.
async fn follow(
    payments: &Payments,
    tx: &mut Tx,
    account: AccountId,
    rule: &mut topups::AutoTopup,
    (was, is): (&Purchase, &Purchase),
    news: &News,
) -> Result<()> {
    let came = was.paid_at.is_none() && is.paid_at.is_some();
    let failed = was.state == PurchaseState::Pending && is.state == PurchaseState::Failed;
    match is.kind {
        PurchaseKind::Auto if came && was.state == PurchaseState::Pending => rule.failures = 0,
        PurchaseKind::Auto if failed => {
            topup_payments::note_failure(payments, tx, account, rule, is, news.decline.as_ref())
                .await?;
        }
        // Somebody paid who began to after it was halted. An older payment proves nothing.
        PurchaseKind::Checkout if came && rule.halted_at.is_some_and(|at| is.created_at >= at) => {
            (rule.halted, rule.halted_at, rule.failures) = (None, None, 0);
            rule.next_at = Instant(0);
        }
        _ => return Ok(()),
    }
    topups::save_topup(tx, account, rule).await
}

/// Says what does not fit our own record, which counts.
fn odd(it: &Purchase, news: &News) -> Option<String> {
    let (amount, currency) = news.amount.as_ref()?;
    let fits = *amount == it.amount && (currency.is_empty() || *currency == it.currency);
    (!fits).then(|| {
        let (told, ours) = (money(*amount, currency), money(it.amount, &it.currency));
        format!("it tells of {told}, the purchase is of {ours}; our own record counts")
    })
}

async fn tell_of_dispute(
    tx: &mut Tx,
    account: AccountId,
    it: &Purchase,
    kept: &MoneyBack,
) -> Result<()> {
    let BackState::Dispute(state) = kept.back.state else { return Ok(()) };
    let amount = money(kept.back.amount, &it.currency);
    let (title, detail) = match state {
        DisputeState::Open => (
            "A payment is disputed",
            "Its credits are frozen until the bank decides. Answer the dispute at Stripe in time.",
        ),
        DisputeState::Lost => {
            ("A dispute was lost", "The money stays with the cardholder, the credits are gone.")
        }
        DisputeState::Won => ("A dispute was won", "Its credits can be used again."),
        DisputeState::Watched | DisputeState::Prevented => return Ok(()),
    };
    let notice = Notice {
        kind: NoticeKind::Dispute,
        subject: format!("dispute:{}:{}", kept.object, state.as_str()),
        title: title.to_owned(),
        detail: format!("{amount} of purchase {}: {detail}", it.id),
        link: None,
    };
    notices::give(tx, account, notice).await?;
    Ok(())
}
