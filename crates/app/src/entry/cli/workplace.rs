//! What a command on the database works with.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use domain::ids::AccountId;
use domain::seam::{Clock, Dice};
use store::accounts::{self, Account};
use store::{Db, Options};

use super::failure::{Result, bad_database, usage};
use super::log;
use super::outlet::Outlet;
use crate::entry::app::install_plans;
use crate::entry::settings::Settings;
use crate::seam::{SystemClock, SystemDice};

/// Accounts that are named to somebody who has to choose one.
const CHOICES: i64 = 10;

/// What every command takes.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Options of every command")]
pub struct Shared {
    /// TOML file with settings; the environment goes first
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// How the log is written to the error output; `LEDGERLINE_LOG` says what it holds
    #[arg(long, global = true, value_enum, value_name = "FORM")]
    pub log: Option<log::Form>,
    /// Answer in JSON, for scripts
    #[arg(long, global = true)]
    pub json: bool,
}

/// Which account is meant.
#[derive(Args, Clone, Copy, Debug)]
pub struct Whose {
    /// The account; not needed while there is only one
    #[arg(long, value_name = "ID")]
    pub account: Option<AccountId>,
}

/// The open database and what goes with it.
pub struct Workplace {
    /// What is set.
    pub settings: Settings,
    /// The database.
    pub db: Db,
    /// Chance.
    pub dice: Arc<dyn Dice>,
    /// Where the answer goes.
    pub out: Outlet,
}

impl Workplace {
    /// Reads the settings and opens the database they name.
    pub async fn open(shared: &Shared) -> Result<Self> {
        log::start(log::Stream::quiet(shared.log))?;
        let settings = Settings::read(shared.config.as_deref())?;
        install_plans(&settings).map_err(|error| usage(format!("{error:#}")))?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let db = open_database(&settings, clock).await?;
        Ok(Self { settings, db, dice: Arc::new(SystemDice), out: Outlet { json: shared.json } })
    }

    /// The account that is meant.
    pub async fn account(&self, whose: Whose) -> Result<Account> {
        let mut tx = self.db.read().await?;
        if let Some(id) = whose.account {
            return accounts::find_account(&mut tx, id)
                .await?
                .ok_or_else(|| usage(format!("--account: there is no account {id}")));
        }
        let mut all = accounts::list_accounts(&mut tx, AccountId(i64::MIN), CHOICES).await?;
        match all.len() {
            0 => Err(usage("there is no account yet; make one with `ledgerline account create`")),
            1 => Ok(all.swap_remove(0)),
            _ => {
                let choices: Vec<String> =
                    all.iter().map(|one| format!("  --account {}  {}", one.id, one.name)).collect();
                Err(usage(format!(
                    "there are several accounts; choose one (`ledgerline account list` shows \
                     all):\n{}",
                    choices.join("\n")
                )))
            }
        }
    }
}

/// Opens the database, and brings its schema up to date.
pub async fn open_database(settings: &Settings, clock: Arc<dyn Clock>) -> Result<Db> {
    match Db::open(&Options::new(&settings.database_url), clock).await {
        Ok(db) => Ok(db),
        Err(store::Error::Setting(problem)) => Err(bad_database(&problem)),
        Err(error) => Err(error.into()),
    }
}
