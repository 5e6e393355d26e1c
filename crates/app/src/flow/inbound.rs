//! Texts that come in: each is kept once, on the thread of its phone, before the carrier is
//! answered.

use std::collections::BTreeMap;
use std::sync::Arc;

use domain::ids::{AccountId, InboundId, ThreadId};
use domain::seam::Dice;
use store::combiner::Combiner;
use store::sweep;
use store::threads::{self, Inbound};
use store::{Db, Tx};
use twilio::wire::InboundMessage;

/// What became of a text that came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// It is kept.
    New(AccountId, ThreadId),
    /// It was kept before.
    Before,
    /// The number it came to is no sender of any account, or shared by accounts none of which ever
    /// texted this phone.
    NotOurs,
}

/// It could not be kept; the carrier is asked to send it again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotKept;

/// Takes texts that come in by batches.
pub type Inbox = Combiner<InboundMessage, Result<Received, NotKept>>;

/// Starts taking texts that come in. Accounts without a sender share those of the installation.
pub fn start(db: Db, dice: Arc<dyn Dice>) -> Inbox {
    let shared = Arc::new((db, dice));
    Combiner::start(move |batch: Vec<InboundMessage>| {
        let shared = Arc::clone(&shared);
        async move { receive_batch(&shared.0, &*shared.1, batch).await }
    })
}

/// Keeps texts that came in, those of one account in one transaction, and answers each.
pub async fn receive_batch(
    db: &Db,
    dice: &dyn Dice,
    batch: Vec<InboundMessage>,
) -> Vec<Result<Received, NotKept>> {
    match route(db, &batch).await {
        Ok(accounts) => keep_batch(db, dice, &batch, &accounts).await,
        Err(error) => {
            tracing::error!(component = "inbound", %error, "texts could not be kept");
            vec![Err(NotKept); batch.len()]
        }
    }
}

/// Whose text each is.
async fn route(db: &Db, batch: &[InboundMessage]) -> store::Result<Vec<Option<AccountId>>> {
    let mut tx = db.read().await?;
    let mut accounts = Vec::with_capacity(batch.len());
    for one in batch {
        accounts.push(account_of(&mut tx, one).await?);
    }
    Ok(accounts)
}

/// The account that owns the number, or the service it belongs to; where several share it, the
/// one that texted this phone last.
async fn account_of(tx: &mut Tx, one: &InboundMessage) -> store::Result<Option<AccountId>> {
    let mut owners = sweep::accounts_with_sender(tx, &one.to).await?;
    if let (true, Some(service)) = (owners.is_empty(), &one.messaging_service_sid) {
        owners = sweep::accounts_with_sender(tx, service).await?;
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
    db: &Db,
    dice: &dyn Dice,
    batch: &[InboundMessage],
    accounts: &[Option<AccountId>],
) -> Vec<Result<Received, NotKept>> {
    let mut answers = vec![Ok(Received::NotOurs); batch.len()];
    let mut places: BTreeMap<AccountId, Vec<usize>> = BTreeMap::new();
    for (index, account) in accounts.iter().enumerate() {
        if let Some(account) = account {
            places.entry(*account).or_default().push(index);
        }
    }
    for (account, indexes) in places {
        let texts: Vec<&InboundMessage> = indexes.iter().map(|&index| &batch[index]).collect();
        let kept = keep(db, dice, account, &texts).await;
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

async fn keep(
    db: &Db,
    dice: &dyn Dice,
    account: AccountId,
    texts: &[&InboundMessage],
) -> store::Result<Vec<Received>> {
    let mut tx = db.begin().await?;
    let mut received = Vec::with_capacity(texts.len());
    for one in texts {
        let sid = one.sid.to_string();
        if threads::has_inbound(&mut tx, account, &sid).await? {
            received.push(Received::Before);
            continue;
        }
        let now = tx.now();
        let fresh = ThreadId::new(now, dice);
        let thread = threads::open_thread(&mut tx, account, fresh, &one.from).await?;
        let inbound = Inbound {
            id: InboundId::new(now, dice),
            sid,
            phone: one.from.clone(),
            sender: one.to.clone(),
            body: one.body.clone(),
            segments: i64::from(one.segments),
            media: one.media_urls.clone(),
            opt_out_type: one.opt_out_type.clone(),
        };
        let is_new = threads::insert_inbound(&mut tx, account, thread, &inbound).await?;
        received.push(if is_new { Received::New(account, thread) } else { Received::Before });
    }
    tx.commit().await?;
    for (one, received) in texts.iter().zip(&received) {
        if let Received::New(account, thread) = received {
            tracing::info!(
                component = "inbound", %account, %thread, sid = %one.sid,
                opt_out_type = one.opt_out_type, "a text came in"
            );
        }
    }
    Ok(received)
}
