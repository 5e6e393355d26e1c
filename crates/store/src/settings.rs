//! What accounts have chosen, and their own words for contexts.
//!
//! The row of an account's settings is also the lock of its appointments, requests, threads and
//! tasks: whoever changes those takes it first, so that a booking, an answer and a reminder that
//! falls due never overtake each other.

use std::collections::BTreeMap;

use domain::ids::{AccountId, TemplateId};
use domain::instant::Instant;
use domain::settings::Settings;

use crate::db::{Error, Result, Tx, dialects, expect_rows};
use crate::{damaged, uuid};

/// Words of its own that an account has at most.
pub const TEMPLATES_MAX: i64 = 500;

fn settings_of((document,): (String,)) -> Result<Settings> {
    serde_json::from_str(&document).map_err(|_| damaged("the settings of an account"))
}

/// Adds an account's settings, all at their defaults.
pub(crate) async fn insert_settings(tx: &mut Tx, account: AccountId) -> Result<()> {
    let now = tx.now().0;
    tx.execute(
        "insert into settings (account_id, document, version, updated_at) values ($1, '{}', 1, $2)",
        (account.0, now),
    )
    .await?;
    Ok(())
}

/// An account's settings as they stand.
pub async fn settings(tx: &mut Tx, account: AccountId) -> Result<Settings> {
    tx.optional("select document from settings where account_id = $1", (account.0,))
        .await?
        .map_or(Err(Error::Missing("account")), settings_of)
}

/// An account's settings, locked until the transaction ends; comes before the lock of any stream.
pub async fn lock_settings(tx: &mut Tx, account: AccountId) -> Result<Settings> {
    // SQLite has no row locks and needs none: a writing transaction is alone.
    let text = dialects(
        "select document from settings where account_id = $1",
        "select document from settings where account_id = $1 for update",
    );
    tx.optional(text, (account.0,)).await?.map_or(Err(Error::Missing("account")), settings_of)
}

/// Which version of its settings an account has, from 1.
pub async fn settings_version(tx: &mut Tx, account: AccountId) -> Result<i64> {
    let text = "select version from settings where account_id = $1";
    let row: Option<(i64,)> = tx.optional(text, (account.0,)).await?;
    row.map(|(version,)| version).ok_or(Error::Missing("account"))
}

/// Writes settings this transaction has locked; their version grows by one.
pub async fn save_settings(tx: &mut Tx, account: AccountId, settings: &Settings) -> Result<()> {
    let document = serde_json::to_string(settings).expect("settings are valid JSON");
    let now = tx.now().0;
    let changed = tx
        .execute(
            "update settings set document = $2, version = version + 1, updated_at = $3
             where account_id = $1",
            (account.0, document, now),
        )
        .await?;
    expect_rows("save settings", 1, changed)
}

/// An account's own words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnTemplate {
    /// Its id.
    pub id: TemplateId,
    /// What staff call it.
    pub name: String,
    /// Its words by language, such as `en`.
    pub bodies: BTreeMap<String, String>,
    /// When it was last written.
    pub updated_at: Instant,
}

type TemplateRow = (Vec<u8>, String, String, i64);

fn template_of((id, name, bodies, updated_at): TemplateRow) -> Result<OwnTemplate> {
    Ok(OwnTemplate {
        id: TemplateId(uuid(id)?),
        name,
        bodies: serde_json::from_str(&bodies).map_err(|_| damaged("the words of a template"))?,
        updated_at: Instant(updated_at),
    })
}

/// Writes a template, a new one or one that is there.
pub async fn save_template(tx: &mut Tx, account: AccountId, one: &OwnTemplate) -> Result<()> {
    let bodies = serde_json::to_string(&one.bodies).expect("texts are valid JSON");
    let now = tx.now().0;
    tx.execute(
        "insert into template (account_id, template_id, name, bodies, created_at, updated_at)
         values ($1, $2, $3, $4, $5, $5)
         on conflict (account_id, template_id) do update set name = excluded.name,
           bodies = excluded.bodies, updated_at = excluded.updated_at",
        (account.0, one.id.0.to_vec(), one.name.clone(), bodies, now),
    )
    .await?;
    Ok(())
}

/// Removes a template; `false` when there is none.
pub async fn delete_template(tx: &mut Tx, account: AccountId, id: TemplateId) -> Result<bool> {
    let text = "delete from template where account_id = $1 and template_id = $2";
    Ok(tx.execute(text, (account.0, id.0.to_vec())).await? == 1)
}

/// An account's templates, oldest first.
pub async fn list_templates(tx: &mut Tx, account: AccountId) -> Result<Vec<OwnTemplate>> {
    let rows: Vec<TemplateRow> = tx
        .all(
            "select template_id, name, bodies, updated_at from template
             where account_id = $1 order by template_id limit $2",
            (account.0, TEMPLATES_MAX),
        )
        .await?;
    rows.into_iter().map(template_of).collect()
}

/// How far the reminders of an account's bookings were planned by its present choices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanPass {
    /// The version of the choices as it stands.
    pub version: i64,
    /// The choices by which all bookings were planned last.
    pub planned_by: String,
    /// Where the pass has come to, in the planner's own words.
    pub planned_to: Option<String>,
}

/// The planning of an account's reminders.
pub async fn plan_pass(tx: &mut Tx, account: AccountId) -> Result<PlanPass> {
    let text = "select version, planned_by, planned_to from settings where account_id = $1";
    let row: Option<(i64, String, Option<String>)> = tx.optional(text, (account.0,)).await?;
    row.map(|(version, planned_by, planned_to)| PlanPass { version, planned_by, planned_to })
        .ok_or(Error::Missing("account"))
}

/// Writes how far the planning has come; `done` when all bookings are planned by that version.
pub async fn save_plan_pass(
    tx: &mut Tx,
    account: AccountId,
    pass: &PlanPass,
    done: bool,
) -> Result<()> {
    let changed = tx
        .execute(
            "update settings set planned_by = $2, planned_to = $3,
               planned_version = case when $4 = 1 then $5 else planned_version end
             where account_id = $1",
            (
                account.0,
                pass.planned_by.clone(),
                pass.planned_to.clone(),
                i64::from(done),
                pass.version,
            ),
        )
        .await?;
    expect_rows("save the planning", 1, changed)
}
