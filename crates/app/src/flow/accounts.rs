//! Accounts, their keys, their credits, their senders.

use data_encoding::HEXLOWER;
use domain::ids::{AccountId, KeyId, SenderId, StreamId};
use domain::ledger::{AMOUNT_MAX, Wallet};
use domain::quiet_hours::{self, QuietHours};
use domain::rates::SenderKind;
use domain::seam::Dice;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use store::accounts::{self, Account, KeyHolder, KeyMode};
use store::adjustments::Adjustment;
use store::senders::{self, AnswersStop, Sender};
use store::{Tx, streams};

use super::{Refusal, Result, invalid};
use crate::finance::{adjustments, credits, subscriptions};

/// The longest name of anything.
pub const NAME_CHARS_MAX: usize = 200;
const SECRET_BYTES: usize = 24;

/// Checks a name.
pub fn checked_name(field: &str, name: &str) -> Result<String> {
    let name = name.trim();
    if name.is_empty() || name.chars().count() > NAME_CHARS_MAX {
        return Err(invalid(field, format!("write 1 to {NAME_CHARS_MAX} characters")));
    }
    if name.chars().any(char::is_control) {
        return Err(invalid(field, "leave out control characters"));
    }
    Ok(name.to_owned())
}

/// Checks a time zone's name.
pub fn checked_zone(field: &str, name: &str) -> Result<String> {
    quiet_hours::zone(name).map_err(|_| {
        invalid(field, format!("{name:?} is no IANA time zone such as America/New_York"))
    })?;
    Ok(name.to_owned())
}

/// A wanted account.
#[derive(Clone, Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AccountIn {
    /// Its name.
    pub name: String,
    /// IANA zone, such as `America/New_York`.
    pub timezone: String,
    /// Two-letter region for numbers typed without a country code, such as `US`.
    pub country: String,
    /// When contacts are left in peace: absent for 21:00 to 08:00, `null` for never.
    #[serde(default = "usual_nights")]
    #[schema(value_type = Option<Object>)]
    pub quiet_hours: Option<QuietHours>,
}

fn usual_nights() -> Option<QuietHours> {
    QuietHours::parse("21:00", "08:00").ok()
}

/// Opens an account with an empty wallet.
pub async fn open_account(tx: &mut Tx, dice: &dyn Dice, wanted: &AccountIn) -> Result<Account> {
    let country = wanted.country.trim().to_ascii_uppercase();
    if country.len() != 2 || !country.bytes().all(|byte| byte.is_ascii_uppercase()) {
        return Err(invalid("country", "write a two-letter region such as US"));
    }
    let account = Account {
        id: AccountId::new(tx.now(), dice),
        name: checked_name("name", &wanted.name)?,
        timezone: checked_zone("timezone", &wanted.timezone)?,
        country,
        quiet_hours: wanted.quiet_hours,
        active: true,
        created_at: tx.now(),
    };
    accounts::insert_account(tx, &account).await?;
    let running = domain::campaign::State::Running;
    for stream in StreamId::ENDLESS {
        streams::insert_stream(tx, account.id, stream, running).await?;
    }
    Ok(account)
}

/// A new key; the secret is shown this once.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct NewKey {
    /// Its public id.
    #[schema(value_type = String)]
    pub id: KeyId,
    /// The bearer token. Only its hash is kept.
    pub key: String,
}

/// Makes an API key.
pub async fn make_key(
    tx: &mut Tx,
    dice: &dyn Dice,
    account: AccountId,
    name: &str,
    mode: KeyMode,
) -> Result<NewKey> {
    let name = checked_name("name", name)?;
    accounts::account(tx, account).await?;
    let mut secret = [0; SECRET_BYTES];
    dice.fill(&mut secret);
    let key = format!("ll_{}_{}", mode.as_str(), HEXLOWER.encode(&secret));
    let id = KeyId::new(tx.now(), dice);
    accounts::insert_key(tx, account, id, &name, mode, digest(&key)).await?;
    Ok(NewKey { id, key })
}

/// The digest under which a key is kept. The key is 192 bits of chance, so a plain hash will do.
pub fn digest(key: &str) -> [u8; 32] {
    Sha256::digest(key.as_bytes()).into()
}

/// Whom a presented key speaks for.
pub async fn find_holder(tx: &mut Tx, key: &str) -> Result<Option<KeyHolder>> {
    Ok(accounts::find_key(tx, digest(key)).await?)
}

/// Gives or takes back credits. `key` names the effect: the same key twice is refused.
pub async fn adjust_credits(
    tx: &mut Tx,
    account: AccountId,
    key: &str,
    amount: i64,
    actor: &str,
    reason: &str,
) -> Result<Wallet> {
    let reason = checked_name("reason", reason)?;
    check_amount(amount)?;
    accounts::account(tx, account).await?;
    let key = format!("operator:{key}");
    match credits::adjust(tx, account, key, amount, actor, &reason).await {
        Err(store::Error::Exists { .. }) => {
            Err(Refusal::Exists("these credits were moved already".to_owned()))
        }
        other => Ok(other?),
    }
}

/// An operator who moves credits.
#[derive(Clone, Copy, Debug)]
pub struct Mover<'a> {
    /// The operator's name.
    pub name: &'a str,
    /// How the ledger names them.
    pub actor: &'a str,
    /// More credits than that wait for another operator's word.
    pub two_person_above: Option<i64>,
}

/// What came of a wanted movement of credits.
#[derive(Debug)]
pub enum Moved {
    /// They moved.
    Done(Wallet),
    /// Another operator must agree.
    Proposed(Adjustment),
}

/// Moves credits in an operator's name, or proposes to when one is not enough for so many.
pub async fn move_credits(
    tx: &mut Tx,
    dice: &dyn Dice,
    account: AccountId,
    key: &str,
    (amount, reason): (i64, &str),
    mover: Mover<'_>,
) -> Result<Moved> {
    let limit = mover.two_person_above.map(i64::unsigned_abs);
    if amount == 0 || limit.is_none_or(|limit| amount.unsigned_abs() <= limit) {
        return adjust_credits(tx, account, key, amount, mover.actor, reason)
            .await
            .map(Moved::Done);
    }
    let reason = checked_name("reason", reason)?;
    check_amount(amount)?;
    accounts::account(tx, account).await?;
    let wanted = (amount, reason.as_str());
    adjustments::propose(tx, dice, account, wanted, mover.name).await.map(Moved::Proposed)
}

fn check_amount(amount: i64) -> Result<()> {
    if amount == 0 || amount.unsigned_abs() > AMOUNT_MAX.unsigned_abs() {
        return Err(invalid(
            "amount",
            format!(
                "write a whole number of credits from 1 to {AMOUNT_MAX}, or below zero to take \
                 back"
            ),
        ));
    }
    Ok(())
}

/// A wanted sender.
#[derive(Clone, Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SenderIn {
    /// `long_code`, `toll_free`, `short_code`, `10dlc`, `messaging_service` or `whatsapp`.
    pub kind: String,
    /// E.164 number, short code, or `MG…` for a messaging service.
    pub address: String,
    /// What the carrier lets it send; absent for the usual pace of its kind.
    pub segments_per_second: Option<u32>,
    /// Who answers STOP, START and HELP: `carrier` or `ledgerline`; absent for the usual of its
    /// kind: the carrier, but for short codes and WhatsApp.
    pub answers_stop: Option<String>,
}

/// What is to change of a sender; what is left out stays.
#[derive(Clone, Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SenderPatch {
    /// What the carrier lets it send.
    pub segments_per_second: Option<u32>,
    /// Who answers STOP, START and HELP: `carrier` or `ledgerline`.
    pub answers_stop: Option<String>,
}

/// The fastest sender there may be.
const SEGMENTS_PER_SECOND_MAX: u32 = 1_000_000;

/// Adds a sender to an account.
pub async fn add_sender(
    tx: &mut Tx,
    dice: &dyn Dice,
    account: AccountId,
    wanted: &SenderIn,
) -> Result<Sender> {
    let kind = SenderKind::parse(&wanted.kind).ok_or_else(|| {
        let kinds: Vec<&str> = SenderKind::ALL.iter().map(|kind| kind.as_str()).collect();
        invalid("kind", format!("write one of {}", kinds.join(", ")))
    })?;
    let pace = wanted.segments_per_second.unwrap_or_else(|| kind.segments_per_second());
    let pace = checked_pace(pace)?;
    let sender = Sender {
        id: SenderId::new(tx.now(), dice),
        kind,
        address: checked_address(kind, &wanted.address)?,
        segments_per_second: pace,
        active: true,
        answers_stop: match &wanted.answers_stop {
            None => AnswersStop::Ledgerline,
            Some(word) => checked_answers(word)?,
        },
    };
    check_senders(tx, account).await?;
    match senders::insert_sender(tx, account, &sender).await {
        Err(store::Error::Exists { .. }) => {
            Err(Refusal::Exists("the account has a sender with this address already".to_owned()))
        }
        other => Ok(other.map(|()| sender)?),
    }
}

/// Refuses a sender beyond those that the account's plan allows.
async fn check_senders(tx: &mut Tx, account: AccountId) -> Result<()> {
    let Some(most) = subscriptions::entitlement(tx, account).await?.senders_max else {
        return Ok(());
    };
    // Whoever adds one at the same time waits here.
    store::settings::lock_settings(tx, account).await?;
    let found = senders::list_senders(tx, account).await?.len();
    if found < usize::try_from(most).unwrap_or(usize::MAX) {
        return Ok(());
    }
    let senders = if most == 1 { "sender" } else { "senders" };
    let words = format!("the account's plan allows {most} {senders}; change the plan for more");
    Err(Refusal::State(words))
}

/// Changes a sender.
pub async fn patch_sender(
    tx: &mut Tx,
    account: AccountId,
    id: SenderId,
    patch: &SenderPatch,
) -> Result<Sender> {
    senders::sender(tx, account, id).await?;
    if let Some(pace) = patch.segments_per_second {
        set_pace(tx, account, id, pace).await?;
    }
    if let Some(word) = &patch.answers_stop {
        senders::set_answers_stop(tx, account, id, checked_answers(word)?).await?;
    }
    Ok(senders::sender(tx, account, id).await?)
}

fn checked_answers(word: &str) -> Result<AnswersStop> {
    AnswersStop::parse(word).ok_or_else(|| invalid("answers_stop", "write carrier or ledgerline"))
}

/// Changes what a sender may send a second; texts that are claimed from here on keep to it.
pub async fn set_pace(tx: &mut Tx, account: AccountId, id: SenderId, pace: u32) -> Result<()> {
    let pace = checked_pace(pace)?;
    senders::sender(tx, account, id).await?;
    Ok(senders::set_pace(tx, account, id, pace).await?)
}

fn checked_pace(pace: u32) -> Result<u32> {
    if (1..=SEGMENTS_PER_SECOND_MAX).contains(&pace) {
        return Ok(pace);
    }
    let problem = format!("write a number from 1 to {SEGMENTS_PER_SECOND_MAX}");
    Err(invalid("segments_per_second", problem))
}

fn checked_address(kind: SenderKind, text: &str) -> Result<String> {
    let text = text.trim();
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let (fits, example) = match kind {
        SenderKind::ShortCode => (digits(text) && (3..=8).contains(&text.len()), "72345"),
        SenderKind::MessagingService => (
            text.strip_prefix("MG").is_some_and(|rest| {
                rest.len() == 32 && rest.bytes().all(|byte| byte.is_ascii_hexdigit())
            }),
            "MG followed by 32 hexadecimal digits",
        ),
        SenderKind::Whatsapp => {
            (text.strip_prefix("whatsapp:+").is_some_and(digits), "whatsapp:+13125550100")
        }
        SenderKind::LongCode | SenderKind::TollFree | SenderKind::TenDlc => (
            text.strip_prefix('+').is_some_and(|rest| digits(rest) && rest.len() <= 15),
            "+13125550100",
        ),
    };
    if fits { Ok(text.to_owned()) } else { Err(invalid("address", format!("write {example}"))) }
}
