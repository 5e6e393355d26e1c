//! Stripe's events: kept when they come, applied afterwards.
//!
//! [`take_in`] keeps an event as it was signed, once. [`Payments::apply_events`] applies the kept
//! ones, the oldest first, each in one transaction with its effects. Whose an event is follows from
//! what we wrote on its object, else from the things of Stripe's that it names; one that finds
//! nobody is kept, reported, and taken up again when one of its things turns out to be somebody's.
//! What refunds and disputes tell is asked for anew, outside of any transaction, before it is
//! applied; the event itself is applied beside it, for both are true and the order is nothing.

use std::time::Duration;

use domain::ids::{AccountId, PurchaseId};
use domain::instant::Instant;
use store::notices::{Notice, NoticeKind};
use store::stripe_events::{
    EventState, Fate, NewEvent, Owner, due_events, event_tries, find_owner, insert_event,
    new_event, put_event_off, settle_event, take_event,
};
use store::{Error, Tx, accounts, notices, payers as kept_payers, purchases};
use stripe::event::{Event, ParseError};
use stripe::objects::{EarlyFraudWarning, Object, PaymentMethod, Subscription};

use super::news::{Matter, News, Reading, back_of_dispute, back_of_refund, instant, read};
use super::payers;
use super::payments::{ATTEMPTS_MAX, Payments};
use super::settlement::{bind, settle};
use super::subscriptions::{self, Told};
use crate::refusal::{Refusal, Result, invalid};

/// Events taken up in one go.
const EVENTS_MAX: i64 = 100;
/// The wait after a failure, doubled with every one.
const WAIT_FIRST: Duration = Duration::from_secs(2);
const WAIT_LAST: Duration = Duration::from_secs(3600);
/// After so many failures (about a day) a person must look.
const TRIES_MAX: i64 = 36;
const NOTE_CHARS_MAX: usize = 1000;
const ID_BYTES_MAX: usize = 255;

/// Keeps an event whose signature was checked; `false` when it came before.
pub async fn take_in(payments: &Payments, body: &[u8]) -> Result<bool> {
    let text = std::str::from_utf8(body).map_err(|_| invalid("body", "it is not UTF-8"))?;
    let (parsed, problem) = match Event::parse(body) {
        Ok(event) => (event, None),
        Err(ParseError::Object { kind, words }) => {
            let problem = format!("its {kind} cannot be read: {words}");
            (bare(body).ok_or_else(|| invalid("body", problem.clone()))?, Some(problem))
        }
        Err(error) => return Err(invalid("body", error.to_string())),
    };
    let is_name = |text: &str| {
        (1..=ID_BYTES_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
    };
    if !is_name(&parsed.id) || !is_name(&parsed.kind) {
        return Err(invalid("body", "an event has an id and a type of visible ASCII"));
    }
    let is_other = parsed.api_version.as_deref().is_some_and(|one| one != stripe::API_VERSION);
    let version_note = || {
        let other = parsed.api_version.as_deref().unwrap_or_default();
        format!("written in version {other}; set the webhook endpoint to {}", stripe::API_VERSION)
    };
    let event = NewEvent {
        note: problem.clone().or_else(|| is_other.then(version_note)),
        id: parsed.id,
        kind: parsed.kind,
        created: parsed.created,
        api_version: parsed.api_version,
        livemode: parsed.livemode,
        body: text.to_owned(),
        state: if problem.is_some() { EventState::Failed } else { EventState::New },
    };
    let mut tx = payments.db.begin().await?;
    let is_new = insert_event(&mut tx, &event).await?;
    tx.commit().await?;
    if let (true, Some(problem)) = (is_new, problem) {
        metrics::counter!("ledgerline_stripe_events_total", "outcome" => "failed").increment(1);
        tracing::error!(component = "payments", event = event.id, problem, "kept, not applied");
    }
    payments.call.notify_one();
    Ok(is_new)
}

/// An event without its object.
fn bare(body: &[u8]) -> Option<Event> {
    let mut value: serde_json::Value = serde_json::from_slice(body).ok()?;
    *value.pointer_mut("/data/object")? = serde_json::json!({"object": "unread"});
    Event::parse(value.to_string().as_bytes()).ok()
}

/// Whose an event is.
enum Whose {
    Somebodys(Owner),
    /// What it waits for, if that can come.
    Nobodys(Option<String>, String),
}

async fn whose(tx: &mut Tx, reading: &Reading) -> store::Result<Whose> {
    let nobody = |words: String| Ok(Whose::Nobodys(None, words));
    let mut named: Option<Owner> = None;
    if let Some(text) = &reading.account {
        let account = match AccountId::parse(text) {
            Ok(account) => accounts::find_account(tx, account).await?,
            Err(_) => None,
        };
        let Some(account) = account else {
            return nobody(format!("it names the account {text}, which is not here"));
        };
        named = Some(Owner { account: account.id, purchase: None });
    }
    if let Some(text) = &reading.purchase {
        let owner = match PurchaseId::parse(text) {
            Ok(id) => find_owner(tx, &id.to_string()).await?,
            Err(_) => None,
        };
        let Some(owner) = owner else {
            return nobody(format!("it names the purchase {text}, which is not here"));
        };
        if named.is_some_and(|named| named.account != owner.account) {
            return nobody(format!("it names the purchase {text}, which is another account's"));
        }
        named = Some(owner);
    }
    let mut known: Option<Owner> = None;
    for reference in reading.references.iter().chain(&reading.customer) {
        let Some(owner) = find_owner(tx, reference).await? else { continue };
        let mut all = known.iter().chain(&named);
        if all.any(|other| !is_one(*other, owner)) {
            return nobody(format!("{reference} is not whose it says it is"));
        }
        known = known.filter(|known| known.purchase.is_some()).or(Some(owner));
    }
    let found = named.filter(|named| named.purchase.is_some()).or(known).or(named);
    Ok(found.map_or_else(
        || {
            let words = "nothing that it names is known here".to_owned();
            Whose::Nobodys(reading.references.first().cloned(), words)
        },
        Whose::Somebodys,
    ))
}

fn is_one(one: Owner, other: Owner) -> bool {
    let purchases = one.purchase.zip(other.purchase);
    one.account == other.account && purchases.is_none_or(|(one, other)| one == other)
}

/// What was asked for anew before an event is applied.
#[derive(Default)]
struct Asked {
    news: News,
    card: Option<PaymentMethod>,
    subscription: Option<(Subscription, i64)>,
    note: Option<String>,
}

impl Payments {
    /// Applies the events that wait. Answers whether there were some.
    pub async fn apply_events(&self) -> Result<bool> {
        let mut any = false;
        loop {
            let mut tx = self.db.read().await?;
            let due = due_events(&mut tx, EVENTS_MAX).await?;
            drop(tx);
            if due.is_empty() {
                return Ok(any);
            }
            any = true;
            for id in due {
                self.apply_event(&id).await?;
            }
        }
    }

    async fn apply_event(&self, id: &str) -> Result<()> {
        let mut attempt = 1;
        let outcome = loop {
            match self.try_apply(id).await {
                Err(Refusal::Store(Error::Conflict)) if attempt < ATTEMPTS_MAX => attempt += 1,
                outcome => break outcome,
            }
        };
        let Err(refusal) = outcome else { return Ok(()) };
        let mut tx = self.db.begin().await?;
        let tries = event_tries(&mut tx, id).await?;
        let wait =
            (WAIT_FIRST * 2_u32.pow(u32::try_from(tries.min(12)).unwrap_or(0))).min(WAIT_LAST);
        let next_at = (tries + 1 < TRIES_MAX).then_some(tx.now() + wait);
        let outcome = if next_at.is_some() { "put_off" } else { "failed" };
        tracing::error!(component = "payments", event = id, error = %refusal, outcome, "event");
        metrics::counter!("ledgerline_stripe_events_total", "outcome" => outcome).increment(1);
        put_event_off(&mut tx, id, &short(&refusal.to_string()), next_at).await?;
        tx.commit().await?;
        Ok(())
    }

    async fn try_apply(&self, id: &str) -> Result<()> {
        let mut tx = self.db.read().await?;
        let Some(body) = new_event(&mut tx, id).await? else { return Ok(()) };
        let event =
            Event::parse(body.as_bytes()).map_err(|error| invalid("body", error.to_string()))?;
        let reading = read(&event);
        let whose = whose(&mut tx, &reading).await?;
        let now = tx.now();
        drop(tx);
        let asked = match whose {
            Whose::Somebodys(owner) => self.ask_anew(owner, &event, &reading, now).await,
            Whose::Nobodys(..) => Asked::default(),
        };
        let mut tx = self.db.begin().await?;
        if !take_event(&mut tx, id).await? {
            return Ok(());
        }
        let (fate, is_funded) = self.apply(&mut tx, &event, reading, asked).await?;
        settle_event(&mut tx, id, &fate).await?;
        tx.commit().await?;
        report(id, &event, &fate);
        if is_funded {
            self.tell_funded();
        }
        Ok(())
    }

    /// Asks Stripe for what an event is about, where news may have overtaken one another.
    async fn ask_anew(
        &self,
        owner: Owner,
        event: &Event,
        reading: &Reading,
        now: Instant,
    ) -> Asked {
        let mut asked = Asked::default();
        let Ok(stripe) = self.stripe() else { return asked };
        // To the second, as events are: what happens later in this second must not seem older.
        let at = instant(now.seconds());
        let outcome = match &reading.matter {
            Matter::Card { payment_method, setup_intent } => {
                self.ask_card(payment_method.as_deref(), setup_intent.as_deref(), &mut asked).await
            }
            Matter::Money(news) if reading.is_sensitive => {
                let known = self.payment_of(owner, news).await;
                match known {
                    Some(payment) => self.ask_backs(&payment, at, &mut asked.news).await,
                    None => Ok(()),
                }
            }
            Matter::Money(news) if news.payment_method.is_some() && news.paid_at.is_some() => {
                // The card matters only where it is to be kept.
                let card = news.payment_method.as_deref();
                let card = if self.keeps_card(owner).await { card } else { None };
                self.ask_card(card, None, &mut asked).await
            }
            Matter::Plan => match &event.object {
                Object::Subscription(it) => match stripe.subscription(&it.id).await {
                    Ok(it) => {
                        asked.subscription = Some((it, at.0));
                        Ok(())
                    }
                    Err(error) => Err(error),
                },
                _ => Ok(()),
            },
            _ => Ok(()),
        };
        if let Err(error) = outcome {
            asked.note = Some(format!("applied as it was told, for {error}"));
        }
        asked
    }

    async fn payment_of(&self, owner: Owner, news: &News) -> Option<String> {
        if let Some(payment) = &news.payment_intent {
            return Some(payment.clone());
        }
        self.purchase_of(owner).await?.payment_intent
    }

    async fn keeps_card(&self, owner: Owner) -> bool {
        self.purchase_of(owner).await.is_some_and(|purchase| purchase.save_card)
    }

    async fn purchase_of(&self, owner: Owner) -> Option<purchases::Purchase> {
        let mut tx = self.db.read().await.ok()?;
        purchases::find_purchase(&mut tx, owner.account, owner.purchase?).await.ok()?
    }

    async fn ask_backs(
        &self,
        payment: &str,
        at: Instant,
        news: &mut News,
    ) -> std::result::Result<(), stripe::Error> {
        let Ok(stripe) = self.stripe() else { return Ok(()) };
        let refunds = stripe.refunds_of(payment).await?;
        let disputes = stripe.disputes_of(payment).await?;
        news.backs.extend(refunds.iter().map(|it| back_of_refund(it, "", at)));
        news.backs.extend(disputes.iter().map(|it| back_of_dispute(it, "", at)));
        Ok(())
    }

    async fn ask_card(
        &self,
        payment_method: Option<&str>,
        setup_intent: Option<&str>,
        asked: &mut Asked,
    ) -> std::result::Result<(), stripe::Error> {
        let Ok(stripe) = self.stripe() else { return Ok(()) };
        let card = match (payment_method, setup_intent) {
            (Some(card), _) => Some(card.to_owned()),
            (None, Some(setup)) => stripe.setup_intent(setup).await?.payment_method,
            (None, None) => None,
        };
        if let Some(card) = card {
            asked.card = Some(stripe.payment_method(&card).await?);
        }
        Ok(())
    }

    /// Applies an event; what became of it, and whether credits came.
    async fn apply(
        &self,
        tx: &mut Tx,
        event: &Event,
        reading: Reading,
        asked: Asked,
    ) -> Result<(Fate, bool)> {
        let reference = reading.references.first().cloned();
        let fate = |state, account, reference, note| Fate { state, note, account, reference };
        if matches!(reading.matter, Matter::Nothing) {
            return Ok((fate(EventState::Ignored, None, None, None), false));
        }
        let owner = match whose(tx, &reading).await? {
            Whose::Somebodys(owner) => owner,
            Whose::Nobodys(reference, words) => {
                return Ok((fate(EventState::Unmatched, None, reference, Some(words)), false));
            }
        };
        let Owner { account, purchase } = owner;
        let mut note = asked.note.clone();
        let mut is_funded = false;
        let is_ours = purchase.is_some() || !matches!(reading.matter, Matter::Money(_));
        if let Some(customer) = reading.customer.as_ref().filter(|_| is_ours) {
            enter_customer(tx, account, customer).await?;
        }
        match &reading.matter {
            Matter::Money(news) => {
                let Some(purchase) = purchase else {
                    let words = "it is about money that bought no credits".to_owned();
                    let ignored = EventState::Ignored;
                    return Ok((fate(ignored, Some(account), reference, Some(words)), false));
                };
                let mut news = (**news).clone();
                news.backs.extend(asked.news.backs);
                news.card = asked.card;
                let settled = settle(self, tx, account, purchase, &news).await?;
                is_funded = settled.is_funded;
                note = settled.note.or(note).or(settled.purchase.reason);
            }
            Matter::Card { payment_method, .. } => {
                let told = payment_method.as_ref();
                match told.or(asked.card.as_ref().map(|card| &card.id)) {
                    Some(card) => {
                        let at = instant(event.created);
                        let known = asked.card.as_ref();
                        // One that belongs to nobody any more was taken away since.
                        if known.is_none_or(|known| known.customer.is_some()) {
                            payers::keep_card(tx, account, card, known, at).await?;
                        }
                    }
                    None => note = note.or(Some("it names no card".to_owned())),
                }
            }
            Matter::CardChanged(card) => payers::renew_card(tx, account, card).await?,
            Matter::CardGone(card) => payers::forget_card(tx, account, card).await?,
            Matter::Warning(warning) => warn(tx, account, purchase, warning).await?,
            Matter::Plan => {
                let version = instant(event.created).0;
                let told = match &event.object {
                    Object::Subscription(it) => Some(Told::Subscription(it)),
                    Object::Invoice(it) => Some(Told::Invoice(it)),
                    _ => None,
                };
                if let Some(told) = told {
                    let words = (event.kind.as_str(), version);
                    let said = subscriptions::apply(tx, &*self.dice, account, words, told).await?;
                    note = said.or(note);
                }
                if let Some((it, version)) = &asked.subscription {
                    let told = Told::Subscription(it);
                    let words = ("customer.subscription.updated", *version);
                    subscriptions::apply(tx, &*self.dice, account, words, told).await?;
                }
            }
            Matter::Names | Matter::Nothing => {}
        }
        bind(tx, owner, &reading.references).await?;
        Ok((fate(EventState::Applied, Some(account), reference, note), is_funded))
    }
}

/// Enters who pays, if nobody was known to.
async fn enter_customer(tx: &mut Tx, account: AccountId, customer: &str) -> store::Result<()> {
    let mut payer = kept_payers::lock_payer(tx, account).await?;
    if payer.customer.is_none() {
        payer.customer = Some(customer.to_owned());
        kept_payers::save_payer(tx, account, &payer).await?;
    }
    bind(tx, Owner { account, purchase: None }, &[customer.to_owned()]).await
}

fn short(text: &str) -> String {
    text.chars().take(NOTE_CHARS_MAX).collect()
}

fn report(id: &str, event: &Event, fate: &Fate) {
    let outcome = fate.state.as_str();
    metrics::counter!("ledgerline_stripe_events_total", "outcome" => outcome).increment(1);
    let (kind, note) = (event.kind.as_str(), fate.note.as_deref().unwrap_or_default());
    if fate.state == EventState::Unmatched {
        tracing::warn!(component = "payments", event = id, kind, note, "nobody's event is kept");
    } else {
        tracing::info!(component = "payments", event = id, kind, outcome, note, "an event");
    }
}

async fn warn(
    tx: &mut Tx,
    account: AccountId,
    purchase: Option<PurchaseId>,
    warning: &EarlyFraudWarning,
) -> store::Result<()> {
    let which = purchase.map_or_else(|| "a payment".to_owned(), |id| format!("purchase {id}"));
    let hint = if warning.actionable { " A refund now can prevent a dispute." } else { "" };
    let notice = Notice {
        kind: NoticeKind::Dispute,
        subject: format!("warning:{}", warning.id),
        title: "A bank believes that a payment was fraud".to_owned(),
        detail: format!("It is about {which} ({}). Nothing has moved.{hint}", warning.fraud_type),
        link: None,
    };
    notices::give(tx, account, notice).await?;
    Ok(())
}
