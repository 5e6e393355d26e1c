//! Purchases: bought credits and the money for them, and each refund and dispute of that money.

use domain::ids::{AccountId, PurchaseId};
use domain::instant::Instant;
use domain::payments::{Back, BackState, PurchaseState};

use crate::db::{Error, Result, Tx, dialects, expect_rows};
use crate::{damaged, uuid};

/// Who started a purchase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PurchaseKind {
    /// Somebody, who pays on a page.
    Checkout,
    /// The account's own rule, which pays with the saved card.
    Auto,
}

impl PurchaseKind {
    /// Every kind.
    pub const ALL: &[Self] = &[Self::Checkout, Self::Auto];

    /// The word used in SQL and JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Checkout => "checkout",
            Self::Auto => "auto",
        }
    }

    fn parse(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.as_str() == word)
    }
}

/// A purchase. What is bought and what it costs never changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Purchase {
    /// Its id; sorts by time.
    pub id: PurchaseId,
    /// Who started it.
    pub kind: PurchaseKind,
    /// Which pack, if it is one.
    pub pack: Option<String>,
    /// Credits.
    pub credits: i64,
    /// What they cost, in the currency's smallest unit.
    pub amount: i64,
    /// Three letters in lower case.
    pub currency: String,
    /// The card is kept for automatic purchases.
    pub save_card: bool,
    /// Which saved card pays an automatic one.
    pub payment_method: Option<String>,
    /// When it was started.
    pub created_at: Instant,
    /// The payment page's id, once it was made.
    pub checkout: Option<String>,
    /// Where it is.
    pub checkout_url: Option<String>,
    /// The payment's id, once it is known.
    pub payment_intent: Option<String>,
    /// Where it stands.
    pub state: PurchaseState,
    /// Why, in words, where that says more than the state.
    pub reason: Option<String>,
    /// When the money came.
    pub paid_at: Option<Instant>,
    /// The highest sum of refunds that the charge itself told.
    pub refund_seen: i64,
    /// Money that went back by refunds.
    pub refunded: i64,
    /// Money that is disputed or lost.
    pub disputed: i64,
    /// Credits granted so far.
    pub granted: i64,
    /// Credits taken back so far.
    pub clawed: i64,
    /// Credits frozen now.
    pub held: i64,
    /// Ledger lines posted for refunds and disputes so far.
    pub moves: i64,
    /// How often Stripe was asked about it.
    pub tries: i64,
    /// When it is looked at again as long as it is pending.
    pub next_at: Option<Instant>,
}

/// Adds a purchase. `false`: an automatic one of the account is in flight already.
pub async fn insert_purchase(tx: &mut Tx, account: AccountId, new: &Purchase) -> Result<bool> {
    let now = tx.now().0;
    let added = tx
        .execute(
            "insert into purchase (account_id, purchase_id, kind, pack, credits, amount, currency,
               save_card, payment_method, state, next_at, created_at, updated_at)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
             on conflict do nothing",
            (
                account.0,
                new.id.0.to_vec(),
                new.kind.as_str().to_owned(),
                new.pack.clone(),
                new.credits,
                new.amount,
                new.currency.clone(),
                i64::from(new.save_card),
                new.payment_method.clone(),
                new.state.as_str().to_owned(),
                new.next_at.map(|at| at.0),
                new.created_at.0,
                now,
            ),
        )
        .await?;
    Ok(added == 1)
}

type TermsRow = (
    Vec<u8>,
    String,
    Option<String>,
    i64,
    i64,
    String,
    i64,
    Option<String>,
    i64,
    Option<String>,
    Option<String>,
    Option<String>,
);
type StandingRow =
    (String, Option<String>, Option<i64>, i64, i64, i64, i64, i64, i64, i64, i64, Option<i64>);

fn purchase_of(terms: TermsRow, standing: StandingRow) -> Result<Purchase> {
    let (id, kind, pack, credits, amount, currency, save_card, ..) = terms;
    let (payment_method, created_at) = (terms.7, terms.8);
    let (checkout, checkout_url, payment_intent) = (terms.9, terms.10, terms.11);
    let (state, reason, paid_at, refund_seen, refunded, disputed, ..) = standing;
    let (granted, clawed, held) = (standing.6, standing.7, standing.8);
    let (moves, tries, next_at) = (standing.9, standing.10, standing.11);
    Ok(Purchase {
        id: PurchaseId(uuid(id)?),
        kind: PurchaseKind::parse(&kind).ok_or_else(|| damaged("the kind of a purchase"))?,
        pack,
        credits,
        amount,
        currency,
        save_card: save_card == 1,
        payment_method,
        created_at: Instant(created_at),
        checkout,
        checkout_url,
        payment_intent,
        state: PurchaseState::parse(&state).ok_or_else(|| damaged("the state of a purchase"))?,
        reason,
        paid_at: paid_at.map(Instant),
        refund_seen,
        refunded,
        disputed,
        granted,
        clawed,
        held,
        moves,
        tries,
        next_at: next_at.map(Instant),
    })
}

/// Purchases behind `after`, the newest first. Reads twice: call it on one snapshot.
pub async fn list_purchases(
    tx: &mut Tx,
    account: AccountId,
    after: Option<PurchaseId>,
    limit: i64,
) -> Result<Vec<Purchase>> {
    let after = after.map_or_else(|| vec![0xFF; 16], |id| id.0.to_vec());
    // Two halves, because a row is decoded into a tuple of at most sixteen fields.
    let terms: Vec<TermsRow> = tx
        .all(
            "select purchase_id, kind, pack, credits, amount, currency, save_card, payment_method,
               created_at, checkout, checkout_url, payment_intent
             from purchase where account_id = $1 and purchase_id < $2
             order by purchase_id desc limit $3",
            (account.0, after.clone(), limit),
        )
        .await?;
    let standings: Vec<StandingRow> = tx
        .all(
            "select state, reason, paid_at, refund_seen, refunded, disputed, granted, clawed, held,
               moves, tries, next_at
             from purchase where account_id = $1 and purchase_id < $2
             order by purchase_id desc limit $3",
            (account.0, after, limit),
        )
        .await?;
    terms.into_iter().zip(standings).map(|(terms, rest)| purchase_of(terms, rest)).collect()
}

/// One purchase.
pub async fn find_purchase(
    tx: &mut Tx,
    account: AccountId,
    id: PurchaseId,
) -> Result<Option<Purchase>> {
    let terms: Option<TermsRow> = tx
        .optional(
            "select purchase_id, kind, pack, credits, amount, currency, save_card, payment_method,
               created_at, checkout, checkout_url, payment_intent
             from purchase where account_id = $1 and purchase_id = $2",
            (account.0, id.0.to_vec()),
        )
        .await?;
    let Some(terms) = terms else { return Ok(None) };
    let standing: StandingRow = tx
        .one(
            "select state, reason, paid_at, refund_seen, refunded, disputed, granted, clawed, held,
               moves, tries, next_at
             from purchase where account_id = $1 and purchase_id = $2",
            (account.0, id.0.to_vec()),
        )
        .await?;
    purchase_of(terms, standing).map(Some)
}

/// One purchase, locked until the transaction ends. Taken before the wallet.
pub async fn lock_purchase(tx: &mut Tx, account: AccountId, id: PurchaseId) -> Result<Purchase> {
    // SQLite has no row locks and needs none: a writing transaction is alone.
    let text = dialects(
        "select created_at from purchase where account_id = $1 and purchase_id = $2",
        "select created_at from purchase where account_id = $1 and purchase_id = $2 for update",
    );
    let _locked: Option<(i64,)> = tx.optional(text, (account.0, id.0.to_vec())).await?;
    find_purchase(tx, account, id).await?.ok_or(Error::Missing("purchase"))
}

/// Keeps what changed of a purchase that this transaction has locked.
pub async fn save_purchase(tx: &mut Tx, account: AccountId, it: &Purchase) -> Result<()> {
    let now = tx.now().0;
    let changed = tx
        .execute(
            "update purchase set checkout = $3, checkout_url = $4, payment_intent = $5, state = $6,
               reason = $7, paid_at = $8, refund_seen = $9, refunded = $10, disputed = $11,
               granted = $12, clawed = $13, held = $14, moves = $15, tries = $16, next_at = $17,
               updated_at = $18
             where account_id = $1 and purchase_id = $2",
            (
                account.0,
                it.id.0.to_vec(),
                it.checkout.clone(),
                it.checkout_url.clone(),
                it.payment_intent.clone(),
                it.state.as_str().to_owned(),
                it.reason.clone(),
                it.paid_at.map(|at| at.0),
                it.refund_seen,
                it.refunded,
                it.disputed,
                it.granted,
                it.clawed,
                it.held,
                it.moves,
                it.tries,
                it.next_at.map(|at| at.0),
                now,
            ),
        )
        .await?;
    expect_rows("save a purchase", 1, changed)
}

/// The automatic purchase that is in flight, if one is.
pub async fn auto_in_flight(tx: &mut Tx, account: AccountId) -> Result<Option<PurchaseId>> {
    let row: Option<(Vec<u8>,)> = tx
        .optional(
            "select purchase_id from purchase
             where account_id = $1 and kind = 'auto' and state = 'pending'",
            (account.0,),
        )
        .await?;
    row.map(|(id,)| Ok(PurchaseId(uuid(id)?))).transpose()
}

/// Credits bought automatically since `since`, in purchases that were not given up.
pub async fn auto_credits_since(tx: &mut Tx, account: AccountId, since: Instant) -> Result<i64> {
    let (sum,): (i64,) = tx
        .one(
            "select cast(coalesce(sum(credits), 0) as bigint) from purchase
             where account_id = $1 and created_at >= $2 and kind = 'auto'
               and state not in ('failed', 'expired')",
            (account.0, since.0),
        )
        .await?;
    Ok(sum)
}

/// A refund or dispute as kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MoneyBack {
    /// Stripe's id of it.
    pub object: String,
    /// What is known of it.
    pub back: Back,
}

/// Refunds and disputes of a purchase that are read; there are a handful.
const BACKS_MAX: i64 = 1000;

/// Every refund and dispute of a purchase.
pub async fn money_back(tx: &mut Tx, account: AccountId, id: PurchaseId) -> Result<Vec<MoneyBack>> {
    let rows: Vec<(String, String, i64, String, i64)> = tx
        .all(
            "select object_id, kind, amount, state, version from money_back
             where account_id = $1 and purchase_id = $2 order by object_id limit $3",
            (account.0, id.0.to_vec(), BACKS_MAX),
        )
        .await?;
    rows.into_iter()
        .map(|(object, kind, amount, word, version)| {
            let state = BackState::parse(&kind, &word)
                .ok_or_else(|| damaged("the state of a refund or dispute"))?;
            Ok(MoneyBack { object, back: Back { state, amount, version } })
        })
        .collect()
}

/// Keeps what is known of a refund or dispute, under the lock of its purchase.
pub async fn save_money_back(
    tx: &mut Tx,
    account: AccountId,
    id: PurchaseId,
    it: &MoneyBack,
) -> Result<()> {
    let now = tx.now().0;
    let Back { state, amount, version } = it.back;
    let changed = tx
        .execute(
            "insert into money_back (account_id, purchase_id, object_id, kind, amount, state,
               version, updated_at) values ($1, $2, $3, $4, $5, $6, $7, $8)
             on conflict (account_id, purchase_id, object_id) do update
               set amount = excluded.amount, state = excluded.state, version = excluded.version,
                 updated_at = excluded.updated_at",
            (
                account.0,
                id.0.to_vec(),
                it.object.clone(),
                state.kind().to_owned(),
                amount,
                state.as_str().to_owned(),
                version,
                now,
            ),
        )
        .await?;
    expect_rows("keep a refund or dispute", 1, changed)
}
