//! Texts that come in: each is kept once, on the thread of its phone, together with everything that
//! follows from it, before the carrier is answered.
//!
//! In this order a text is heeded as a keyword ([`super::keywords`]), heard as an answer
//! ([`super::replies`]), or left to staff. All of it is one transaction under the lock of the
//! account's settings, so that a text the carrier posts twice does nothing twice.

use std::collections::BTreeMap;
use std::sync::Arc;

use domain::ids::{AccountId, InboundId, ThreadId};
use domain::instant::Instant;
use domain::seam::Dice;
use store::combiner::Combiner;
use store::threads::{self, Inbound};
use store::{Db, Tx, accounts, contacts, settings, sweep};
use tokio::sync::Notify;
use twilio::wire::InboundMessage;

use super::keywords::{self, Came, Heeding};
use super::messages::Asking;
use super::replies::{self, Listening, Text};
use super::texts::{self, Composed};
use super::{Refusal, Result};
use crate::delivery::senders::From;

/// Transactions that meet others are run again this often.
const ATTEMPTS_MAX: u32 = 4;

/// What became of a text that came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// It is kept.
    New(AccountId, ThreadId),
    /// It was kept before.
    Before,
    /// The number it came to is no sender of ours, or shared by accounts none of which ever texted
    /// this phone.
    NotOurs,
}

/// It could not be kept; the carrier is asked to send it again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotKept;

/// Takes texts that come in by batches.
pub type Inbox = Combiner<InboundMessage, std::result::Result<Received, NotKept>>;

/// What taking texts in needs of the installation.
pub struct Reception {
    /// The database.
    pub db: Db,
    /// Chance.
    pub dice: Arc<dyn Dice>,
    /// What texts of accounts without senders leave from.
    pub installation_sender: Option<From>,
    /// Numbers that exist in tests only may be texted.
    pub magic_allowed: bool,
}

/// Starts taking texts that come in; `call` wakes whoever sends the answers. Accounts without a
/// sender share those of the installation.
pub fn start(reception: Reception, call: Arc<Notify>) -> Inbox {
    let reception = Arc::new(reception);
    Combiner::start(move |batch: Vec<InboundMessage>| {
        let (reception, call) = (Arc::clone(&reception), Arc::clone(&call));
        async move {
            let answers = receive_batch(&reception, batch).await;
            if answers.iter().any(|answer| matches!(answer, Ok(Received::New(..)))) {
                call.notify_one();
            }
            answers
        }
    })
}

/// Keeps texts that came in, those of one account in one transaction, and answers each.
pub async fn receive_batch(
    reception: &Reception,
    batch: Vec<InboundMessage>,
) -> Vec<std::result::Result<Received, NotKept>> {
    match route(reception, &batch).await {
        Ok(accounts) => keep_batch(reception, &batch, &accounts).await,
        Err(error) => {
            tracing::error!(component = "inbound", %error, "texts could not be kept");
            vec![Err(NotKept); batch.len()]
        }
    }
}

/// Whose text each is.
async fn route(reception: &Reception, batch: &[InboundMessage]) -> Result<Vec<Option<AccountId>>> {
    let shared = reception.installation_sender.as_ref().map(|from| &*from.address);
    let mut tx = reception.db.read().await?;
    let mut accounts = Vec::with_capacity(batch.len());
    for one in batch {
        accounts.push(account_of(&mut tx, shared, one).await?);
    }
    Ok(accounts)
}

/// The account that owns the number, or the service it belongs to; where several share it, the
/// one that texted this phone last. All accounts share the installation's own sender, and where
/// there is only one account, strangers' texts are for it.
async fn account_of(
    tx: &mut Tx,
    shared: Option<&str>,
    one: &InboundMessage,
) -> Result<Option<AccountId>> {
    let service = one.messaging_service_sid.as_deref();
    let mut owners = sweep::accounts_with_sender(tx, &one.to).await?;
    if let (true, Some(service)) = (owners.is_empty(), service) {
        owners = sweep::accounts_with_sender(tx, service).await?;
    }
    if owners.is_empty() {
        if shared.is_none_or(|address| address != one.to && Some(address) != service) {
            return Ok(None);
        }
        let two = accounts::list_accounts(tx, AccountId(i64::MIN), 2).await?;
        if let [only] = &two[..] {
            return Ok(Some(only.id));
        }
    }
    if let [owner] = owners[..] {
        return Ok(Some(owner));
    }
    let texts = sweep::texts_to(tx, &one.from, 50).await?;
    let last = texts
        .iter()
        .map(|text| text.message.account)
        .find(|account| owners.is_empty() || owners.contains(account));
    Ok(last)
}

async fn keep_batch(
    reception: &Reception,
    batch: &[InboundMessage],
    accounts: &[Option<AccountId>],
) -> Vec<std::result::Result<Received, NotKept>> {
    let mut answers = vec![Ok(Received::NotOurs); batch.len()];
    let mut places: BTreeMap<AccountId, Vec<usize>> = BTreeMap::new();
    for (index, account) in accounts.iter().enumerate() {
        if let Some(account) = account {
            places.entry(*account).or_default().push(index);
        }
    }
    for (account, indexes) in places {
        let texts: Vec<&InboundMessage> = indexes.iter().map(|&index| &batch[index]).collect();
        let kept = keep_or_retry(reception, account, &texts).await;
        if let Err(error) = &kept {
            tracing::error!(
                component = "inbound", %account, texts = texts.len(), %error,
                "texts could not be kept"
            );
        }
        for (at, index) in indexes.into_iter().enumerate() {
            answers[index] = kept.as_ref().map_or(Err(NotKept), |kept| Ok(kept[at]));
        }
    }
    answers
}

async fn keep_or_retry(
    reception: &Reception,
    account: AccountId,
    texts: &[&InboundMessage],
) -> Result<Vec<Received>> {
    let mut attempt = 1;
    loop {
        match keep(reception, account, texts).await {
            Err(Refusal::Store(store::Error::Conflict)) if attempt < ATTEMPTS_MAX => attempt += 1,
            outcome => return outcome,
        }
    }
}

async fn keep(
    reception: &Reception,
    account: AccountId,
    texts: &[&InboundMessage],
) -> Result<Vec<Received>> {
    let dice = &*reception.dice;
    let mut tx = reception.db.begin().await?;
    let choices = settings::lock_settings(&mut tx, account).await?;
    let asking = Asking {
        account,
        installation_sender: reception.installation_sender.as_ref(),
        magic_allowed: reception.magic_allowed,
    };
    let version = settings::settings_version(&mut tx, account).await?;
    let with = Listening { asking, dice, choices: &choices, version };
    let mut received = Vec::with_capacity(texts.len());
    let mut wanted = Vec::new();
    let mut kept: Vec<(&InboundMessage, Inbound)> = Vec::new();
    // Texts of one moment keep their order, and what answers them comes behind all of them.
    let mut at = Instant(tx.now().0 - i64::try_from(texts.len()).unwrap_or(0));
    for one in texts {
        at.0 += 1;
        let sid = one.sid.to_string();
        if threads::has_inbound(&mut tx, account, &sid).await? {
            received.push(Received::Before);
            continue;
        }
        let fresh = ThreadId::new(at, dice);
        let thread = threads::open_thread(&mut tx, account, fresh, &one.from).await?;
        let mut inbound = Inbound {
            id: InboundId::new(at, dice),
            sid,
            phone: one.from.clone(),
            sender: one.to.clone(),
            body: one.body.clone(),
            segments: i64::from(one.segments),
            media: one.media_urls.clone(),
            opt_out_type: one.opt_out_type.clone(),
            meaning: None,
            outcome: None,
            received_at: at,
        };
        let service = one.messaging_service_sid.as_deref();
        let heard = hear(&mut tx, &with, thread, &inbound, service, &mut wanted).await?;
        (inbound.meaning, inbound.outcome) = (Some(heard.0), Some(heard.1));
        threads::insert_inbound(&mut tx, account, thread, &inbound).await?;
        received.push(Received::New(account, thread));
        kept.push((one, inbound));
    }
    texts::append(&mut tx, account, wanted).await?;
    tx.commit().await?;
    for (one, inbound) in kept {
        tracing::info!(
            component = "inbound", %account, sid = %one.sid, opt_out_type = one.opt_out_type,
            meaning = inbound.meaning, outcome = inbound.outcome, "a text came in"
        );
    }
    Ok(received)
}

/// Has a text heeded, then heard: what it means, and what followed.
async fn hear(
    tx: &mut Tx,
    with: &Listening<'_>,
    thread: ThreadId,
    one: &Inbound,
    service: Option<&str>,
    wanted: &mut Vec<Composed>,
) -> Result<(String, String)> {
    let account = with.asking.account;
    let phones = [keywords::bare(&one.phone).to_owned()];
    let contact = contacts::contacts_by_phone(tx, account, &phones).await?.into_iter().next();
    let asked = replies::requests_of_phone(tx, account, &one.phone).await?;
    let heeding = Heeding { asking: with.asking, dice: with.dice, choices: with.choices };
    let came = Came {
        id: one.id,
        sid: &one.sid,
        phone: &one.phone,
        sender: &one.sender,
        service,
        body: &one.body,
        opt_out_type: one.opt_out_type.as_deref(),
        thread,
        contact: contact.as_ref(),
        asked_at: replies::waiting(&asked, tx.now()).map(|one| one.asked_at).max(),
    };
    let heard = keywords::heed(tx, &heeding, &came).await?;
    wanted.extend(heard.texts);
    if heard.done {
        return Ok((heard.meaning.to_owned(), heard.outcome.to_owned()));
    }
    let found = threads::find_thread(tx, account, thread).await?;
    let text = Text {
        id: one.id,
        thread: &found.ok_or(Refusal::NotFound("thread"))?,
        contact: contact.as_ref(),
        body: &one.body,
        media: one.media.len(),
    };
    let understood = replies::hear(tx, with, &text, &asked, wanted).await?;
    Ok((understood.meaning.as_str().to_owned(), understood.outcome.as_str().to_owned()))
}
