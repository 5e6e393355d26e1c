//! Buying credits by themselves: an account's rule, where it stands, and the look that follows it.
//!
//! Nothing here pays. The look writes an automatic purchase down when one is due; that the
//! database holds one in flight per account at most is what keeps two servers from buying twice.

use domain::budget::{Span, SpanKind};
use domain::ids::{AccountId, PurchaseId};
use domain::instant::Instant;
use domain::packs::{self, Pack};
use domain::quiet_hours::zone;
use jiff::tz::TimeZone;
use store::payers::{SavedCard, payer};
use store::purchases::{PurchaseKind, auto_credits_since, auto_in_flight, insert_purchase};
use store::stripe_events::Owner;
use store::topups::{AutoTopup, find_topup, lock_topup, save_topup};
use store::{Tx, accounts, wallets};

use super::payments::Payments;
use super::purchases::begun;
use super::settlement::bind;
use crate::refusal::{Refusal, Result, invalid};

/// A threshold is no more than this.
const THRESHOLD_MAX: i64 = 1_000_000_000;

/// The rule that somebody wants.
#[derive(Clone, Debug, Default)]
pub struct RuleIn {
    /// It buys.
    pub enabled: bool,
    /// It buys when fewer credits may be spent; the one before when `None`.
    pub threshold: Option<i64>,
    /// What it buys; the one before when `None`.
    pub pack: Option<String>,
    /// Credits it buys in a day at most.
    pub daily_cap: Option<i64>,
    /// Credits it buys in a month at most.
    pub monthly_cap: Option<i64>,
}

/// Where a rule stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is switched off.
    Off,
    /// It buys when credits run low.
    Ready,
    /// There is no saved card.
    NeedsCard,
    /// A payment is on its way.
    InFlight,
    /// It buys nothing before a certain time.
    Waiting,
    /// It buys nothing until a person does something.
    Halted,
}

impl Standing {
    /// The word used in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Ready => "ready",
            Self::NeedsCard => "needs_card",
            Self::InFlight => "in_flight",
            Self::Waiting => "waiting",
            Self::Halted => "halted",
        }
    }
}

/// A rule with where it stands.
#[derive(Clone, Debug)]
pub struct Shown {
    /// The rule, if one was ever written.
    pub rule: Option<AutoTopup>,
    /// Where it stands.
    pub standing: Standing,
    /// Why, in words.
    pub reason: Option<String>,
    /// The saved card.
    pub card: Option<SavedCard>,
    /// Credits bought automatically today.
    pub bought_today: i64,
    /// Credits bought automatically this month.
    pub bought_this_month: i64,
}

/// What was bought in the present day and month of the account's clock.
struct Bought {
    day: Span,
    month: Span,
    today: i64,
    this_month: i64,
}

impl Bought {
    async fn read(tx: &mut Tx, account: AccountId) -> store::Result<Self> {
        let name = accounts::account(tx, account).await?.timezone;
        let zone = zone(&name).unwrap_or(TimeZone::UTC);
        let day = Span::around(SpanKind::Day, tx.now(), &zone);
        let month = Span::around(SpanKind::Month, tx.now(), &zone);
        let today = auto_credits_since(tx, account, day.start).await?;
        let this_month = auto_credits_since(tx, account, month.start).await?;
        Ok(Self { day, month, today, this_month })
    }

    /// The cap that keeps `credits` more from being bought, with the time when it ends.
    fn bar(&self, rule: &AutoTopup, credits: i64) -> Option<(String, Instant)> {
        let caps = [
            (rule.monthly_cap, self.this_month, &self.month),
            (rule.daily_cap, self.today, &self.day),
        ];
        caps.into_iter().find_map(|(cap, bought, span)| {
            let cap = cap.filter(|cap| bought + credits > *cap)?;
            let words = format!(
                "{bought} of at most {cap} credits were bought in {}; more from {}",
                span.name, span.end
            );
            Some((words, span.end))
        })
    }
}

/// Where the account's rule stands.
pub async fn shown(tx: &mut Tx, account: AccountId) -> Result<Shown> {
    let rule = find_topup(tx, account).await?;
    let payer = payer(tx, account).await?;
    let bought = Bought::read(tx, account).await?;
    let in_flight = auto_in_flight(tx, account).await?;
    let has_card = payer.payment_method.is_some();
    let pack = rule.as_ref().and_then(|rule| packs::find(&rule.pack));
    let (standing, reason) = match &rule {
        None => (Standing::Off, None),
        Some(_) if in_flight.is_some() => (Standing::InFlight, None),
        Some(rule) if !rule.enabled => (Standing::Off, None),
        Some(AutoTopup { halted: Some(why), .. }) => (Standing::Halted, Some(why.clone())),
        Some(_) if !has_card => {
            (Standing::NeedsCard, Some("save a card on the page of setup_url".to_owned()))
        }
        Some(rule) => match pack {
            None => (Standing::Halted, Some(unsold(&rule.pack))),
            Some(pack) => match bought.bar(rule, pack.credits) {
                Some((words, _)) => (Standing::Waiting, Some(words)),
                None if rule.next_at > tx.now() => {
                    let words =
                        format!("the last payment failed; the next try is at {}", rule.next_at);
                    (Standing::Waiting, Some(words))
                }
                None => (Standing::Ready, None),
            },
        },
    };
    Ok(Shown {
        rule,
        standing,
        reason,
        card: has_card.then_some(payer.card),
        bought_today: bought.today,
        bought_this_month: bought.this_month,
    })
}

fn unsold(pack: &str) -> String {
    format!("the pack {pack} is not sold any more; choose another one")
}

fn pack_named(key: &str) -> Result<&'static Pack> {
    packs::find(key).ok_or_else(|| {
        let known: Vec<&str> = packs::all().iter().map(|pack| pack.key.as_str()).collect();
        invalid("pack", format!("write one of {}", known.join(", ")))
    })
}

/// Writes the account's rule. Whoever switches it on lifts a halt.
pub async fn write(tx: &mut Tx, account: AccountId, wanted: &RuleIn) -> Result<()> {
    let known = lock_topup(tx, account).await?;
    let threshold = wanted.threshold.or(known.as_ref().map(|rule| rule.threshold));
    let pack = wanted.pack.clone().or_else(|| known.as_ref().map(|rule| rule.pack.clone()));
    let (threshold, pack) = match (threshold, pack) {
        (Some(threshold), Some(pack)) => (threshold, pack),
        // Switched off before anything was ever chosen: nothing to keep.
        _ if !wanted.enabled && wanted.threshold.is_none() && wanted.pack.is_none() => {
            return Ok(());
        }
        (None, _) => return Err(invalid("threshold", "write below how many credits it buys")),
        (_, None) => return Err(invalid("pack", "write what it buys; see GET /v1/packs")),
    };
    if !(0..=THRESHOLD_MAX).contains(&threshold) {
        let words = format!("write a number from 0 to {THRESHOLD_MAX}");
        return Err(invalid("threshold", words));
    }
    let pack = pack_named(&pack)?;
    for (field, cap) in [("daily_cap", wanted.daily_cap), ("monthly_cap", wanted.monthly_cap)] {
        if cap.is_some_and(|cap| cap < pack.credits) {
            let words = format!(
                "the pack {} has {} credits: write that many at least, or null for no cap",
                pack.key, pack.credits
            );
            return Err(invalid(field, words));
        }
    }
    let lifted = wanted.enabled;
    let known = known.filter(|_| !lifted);
    let rule = AutoTopup {
        enabled: wanted.enabled,
        threshold,
        pack: pack.key.clone(),
        daily_cap: wanted.daily_cap,
        monthly_cap: wanted.monthly_cap,
        failures: known.as_ref().map_or(0, |rule| rule.failures),
        halted: known.as_ref().and_then(|rule| rule.halted.clone()),
        halted_at: known.as_ref().and_then(|rule| rule.halted_at),
        next_at: known.as_ref().map_or(Instant(0), |rule| rule.next_at),
    };
    save_topup(tx, account, &rule).await?;
    Ok(())
}

impl Payments {
    /// Buys for an account that runs low, if its rule lets it. Answers whether it did.
    pub async fn top_up(&self, account: AccountId) -> Result<bool> {
        let mut tx = self.db.begin().await?;
        let Some(id) = begin_due(self, &mut tx, account).await? else {
            tx.commit().await?;
            return Ok(false);
        };
        tx.commit().await?;
        match self.pay_saved(account, id).await {
            // It stays pending, and the next look asks again.
            Err(Refusal::Unavailable(_)) => Ok(true),
            outcome => outcome.map(|_| true),
        }
    }
}

/// Writes an automatic purchase down if one is due, under the lock of the account's rule.
async fn begin_due(
    payments: &Payments,
    tx: &mut Tx,
    account: AccountId,
) -> Result<Option<PurchaseId>> {
    let Some(mut rule) = lock_topup(tx, account).await? else { return Ok(None) };
    let now = tx.now();
    let available = wallets::wallet(tx, account).await?.books.available;
    let Some(card) = payer(tx, account).await?.payment_method else { return Ok(None) };
    let may = rule.enabled && rule.halted.is_none() && rule.next_at <= now;
    if !may || available >= rule.threshold || auto_in_flight(tx, account).await?.is_some() {
        return Ok(None);
    }
    let Some(pack) = packs::find(&rule.pack) else {
        (rule.halted, rule.halted_at) = (Some(unsold(&rule.pack)), Some(now));
        save_topup(tx, account, &rule).await?;
        return Ok(None);
    };
    if let Some((_, ends)) = Bought::read(tx, account).await?.bar(&rule, pack.credits) {
        rule.next_at = ends;
        save_topup(tx, account, &rule).await?;
        return Ok(None);
    }
    let mut it = begun(payments, now, PurchaseKind::Auto);
    it.pack = Some(pack.key.clone());
    (it.credits, it.amount) = (pack.credits, pack.amount);
    it.currency.clone_from(&pack.currency);
    it.payment_method = Some(card);
    if !insert_purchase(tx, account, &it).await? {
        return Ok(None);
    }
    bind(tx, Owner { account, purchase: Some(it.id) }, &[it.id.to_string()]).await?;
    Ok(Some(it.id))
}
