//! Directory tables: the installation, its accounts, their API keys.

use domain::ids::{AccountId, KeyId};
use domain::instant::Instant;
use domain::quiet_hours::QuietHours;
use domain::token::Secret;

use crate::db::{Error, Result, Tx, expect_rows};
use crate::{damaged, hash, uuid};

/// A tenant business.
#[derive(Clone, Debug)]
pub struct Account {
    /// Its id.
    pub id: AccountId,
    /// Its name.
    pub name: String,
    /// IANA zone of contacts that have none of their own.
    pub timezone: String,
    /// Region for numbers typed without a country code, such as `US`.
    pub country: String,
    /// When its contacts are left in peace; `None` for never.
    pub quiet_hours: Option<QuietHours>,
    /// It may send.
    pub active: bool,
    /// When it was made.
    pub created_at: Instant,
}

/// What an API key may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyMode {
    /// Everything.
    Live,
    /// Everything, on the sandbox carrier only.
    Test,
}

impl KeyMode {
    /// `live` or `test`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Test => "test",
        }
    }
}

/// Whom a presented key speaks for.
#[derive(Clone, Copy, Debug)]
pub struct KeyHolder {
    /// The key's public id.
    pub key: KeyId,
    /// The account it opens.
    pub account: AccountId,
    /// What it may do.
    pub mode: KeyMode,
}

/// The installation's secret; `fresh` becomes it when there is none yet.
pub async fn installation_secret(tx: &mut Tx, fresh: Secret) -> Result<Secret> {
    let now = tx.now().0;
    tx.execute(
        "insert into installation (id, secret, open, created_at) values (1, $1, 1, $2)
         on conflict (id) do nothing",
        (fresh.0.to_vec(), now),
    )
    .await?;
    let (secret,): (Vec<u8>,) = tx.one("select secret from installation where id = 1", ()).await?;
    hash(secret).map(Secret)
}

/// Keeps where people reach the server, without a slash at its end.
pub async fn set_public_url(tx: &mut Tx, url: &str) -> Result<()> {
    let text = "update installation set public_url = $1 where id = 1";
    expect_rows("keep the public address", 1, tx.execute(text, (url.to_owned(),)).await?)
}

/// The installation's secret and where people reach it, once a server ran.
pub async fn public_place(tx: &mut Tx) -> Result<Option<(Secret, String)>> {
    let row: Option<(Vec<u8>, Option<String>)> =
        tx.optional("select secret, public_url from installation where id = 1", ()).await?;
    let Some((secret, Some(url))) = row else { return Ok(None) };
    Ok(Some((Secret(hash(secret)?), url)))
}

/// 1 while the installation `i` is open: a carrier that knew more than the database closes it too.
macro_rules! is_open {
    () => {
        "i.open * (case when exists (select 1 from carrier_watch w
           where w.quarantined_at is not null) then 0 else 1 end)"
    };
}
pub(crate) use is_open;

/// Whether the installation may send at all (the kill switch).
pub async fn installation_open(tx: &mut Tx) -> Result<bool> {
    let text = concat!("select ", is_open!(), " from installation i where i.id = 1");
    let (open,): (i64,) = tx.one(text, ()).await?;
    Ok(open == 1)
}

/// Adds an account with an empty wallet and settings at their defaults.
pub async fn insert_account(tx: &mut Tx, account: &Account) -> Result<()> {
    let quiet = account.quiet_hours.map(|quiet| (quiet.start.to_string(), quiet.end.to_string()));
    let (start, end) = quiet.unzip();
    tx.execute(
        "insert into account (account_id, name, timezone, country, quiet_start, quiet_end, state,
           created_at) values ($1, $2, $3, $4, $5, $6, 'active', $7)",
        (
            account.id.0,
            account.name.clone(),
            account.timezone.clone(),
            account.country.clone(),
            start,
            end,
            account.created_at.0,
        ),
    )
    .await?;
    crate::settings::insert_settings(tx, account.id).await?;
    crate::wallets::insert_wallet(tx, account.id).await
}

type AccountRow = (i64, String, String, String, Option<String>, Option<String>, String, i64);

fn account_of(row: AccountRow) -> Result<Account> {
    let (id, name, timezone, country, start, end, state, created_at) = row;
    let quiet_hours = start
        .zip(end)
        .map(|(start, end)| QuietHours::parse(&start, &end))
        .transpose()
        .map_err(|_| damaged("the quiet hours of an account"))?;
    Ok(Account {
        id: AccountId(id),
        name,
        timezone,
        country,
        quiet_hours,
        active: state == "active",
        created_at: Instant(created_at),
    })
}

/// An account by id.
pub async fn find_account(tx: &mut Tx, id: AccountId) -> Result<Option<Account>> {
    tx.optional(
        "select account_id, name, timezone, country, quiet_start, quiet_end, state, created_at
         from account where account_id = $1",
        (id.0,),
    )
    .await?
    .map(account_of)
    .transpose()
}

/// An account that must exist.
pub async fn account(tx: &mut Tx, id: AccountId) -> Result<Account> {
    find_account(tx, id).await?.ok_or(Error::Missing("account"))
}

/// Accounts after `after`, oldest first.
pub async fn list_accounts(tx: &mut Tx, after: AccountId, limit: i64) -> Result<Vec<Account>> {
    let rows: Vec<AccountRow> = tx
        .all(
            "select account_id, name, timezone, country, quiet_start, quiet_end, state, created_at
             from account where account_id > $1 order by account_id limit $2",
            (after.0, limit),
        )
        .await?;
    rows.into_iter().map(account_of).collect()
}

/// Changes when an account's contacts are left in peace.
pub async fn set_quiet_hours(
    tx: &mut Tx,
    id: AccountId,
    quiet_hours: Option<QuietHours>,
) -> Result<()> {
    let (start, end) =
        quiet_hours.map(|quiet| (quiet.start.to_string(), quiet.end.to_string())).unzip();
    let text = "update account set quiet_start = $2, quiet_end = $3 where account_id = $1";
    let changed = tx.execute(text, (id.0, start, end)).await?;
    expect_rows("set the quiet hours of an account", 1, changed)
}

/// Opens or suspends an account.
pub async fn set_account_active(tx: &mut Tx, id: AccountId, active: bool) -> Result<()> {
    let state = if active { "active" } else { "suspended" };
    let changed = tx
        .execute("update account set state = $2 where account_id = $1", (id.0, state.to_owned()))
        .await?;
    expect_rows("set account state", 1, changed)
}

/// Adds an API key; only the hash of its secret is kept.
pub async fn insert_key(
    tx: &mut Tx,
    account: AccountId,
    key: KeyId,
    name: &str,
    mode: KeyMode,
    secret_hash: [u8; 32],
) -> Result<()> {
    let now = tx.now().0;
    tx.execute(
        "insert into api_key (key_id, account_id, name, mode, secret_hash, created_at)
         values ($1, $2, $3, $4, $5, $6)",
        (
            key.0.to_vec(),
            account.0,
            name.to_owned(),
            mode.as_str().to_owned(),
            secret_hash.to_vec(),
            now,
        ),
    )
    .await?;
    Ok(())
}

/// Whom the key with this secret's hash speaks for; `None` when unknown or revoked.
pub async fn find_key(tx: &mut Tx, secret_hash: [u8; 32]) -> Result<Option<KeyHolder>> {
    let row: Option<(Vec<u8>, i64, String)> = tx
        .optional(
            "select key_id, account_id, mode from api_key
             where secret_hash = $1 and revoked_at is null",
            (secret_hash.to_vec(),),
        )
        .await?;
    row.map(|(key, account, mode)| {
        let mode = if mode == "live" { KeyMode::Live } else { KeyMode::Test };
        Ok(KeyHolder { key: KeyId(uuid(key)?), account: AccountId(account), mode })
    })
    .transpose()
}
