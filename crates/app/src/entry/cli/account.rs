//! `ledgerline account`: tenant businesses.

use clap::Subcommand;
use domain::ids::AccountId;
use domain::quiet_hours::QuietHours;
use serde_json::{Value, json};
use store::accounts::{self, Account};
use store::wallets;

use super::failure::Result;
use super::outlet::{answer, count, doable, faint, say, strong};
use super::workplace::{Shared, Workplace};
use crate::flow::accounts::{AccountIn, open_account};

const ACCOUNTS_A_PAGE: i64 = 1000;

/// What to do with accounts.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Open an account
    Create(Create),
    /// Show all accounts with their credits
    List,
}

/// A wanted account.
#[derive(clap::Args, Debug)]
pub struct Create {
    /// The business's name
    #[arg(long)]
    name: String,
    /// Where it is at home: an IANA zone such as `America/New_York`
    #[arg(long, value_name = "ZONE")]
    timezone: String,
    /// The country of numbers typed without a country code
    #[arg(long, value_name = "REGION", default_value = "US")]
    country: String,
    /// When its contacts are left in peace: FROM-TO on their clocks, or off
    #[arg(long, value_name = "TIMES|off", default_value = "21:00-08:00", value_parser = nights)]
    quiet_hours: Nights,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Nights(Option<QuietHours>);

fn nights(text: &str) -> std::result::Result<Nights, String> {
    if text == "off" {
        return Ok(Nights(None));
    }
    let (start, end) = text.split_once('-').ok_or("write two times such as 21:00-08:00, or off")?;
    QuietHours::parse(start.trim(), end.trim())
        .map(|hours| Nights(Some(hours)))
        .map_err(|error| error.to_string())
}

/// Runs the command.
pub async fn run(verb: Verb, shared: &Shared) -> Result {
    let work = Workplace::open(shared).await?;
    match verb {
        Verb::Create(wanted) => create(&work, wanted).await,
        Verb::List => list(&work).await,
    }
}

async fn create(work: &Workplace, wanted: Create) -> Result {
    let wanted = AccountIn {
        name: wanted.name,
        timezone: wanted.timezone,
        country: wanted.country,
        quiet_hours: wanted.quiet_hours.0,
    };
    let mut tx = work.db.begin().await?;
    let account = open_account(&mut tx, &*work.dice, &wanted).await?;
    tx.commit().await?;
    work.out.tell(&in_json(&account, None), || {
        format!(
            "{}  {}  {}\n\nNext: {}",
            doable(account.id),
            strong(&account.name),
            faint(quiet(&account)),
            doable(format!("ledgerline key create --account {} --name NAME", account.id)),
        )
    })
}

async fn list(work: &Workplace) -> Result {
    let mut after = AccountId(i64::MIN);
    let mut all = Vec::new();
    loop {
        let mut tx = work.db.read().await?;
        let page = accounts::list_accounts(&mut tx, after, ACCOUNTS_A_PAGE).await?;
        let Some(last) = page.last() else { break };
        after = last.id;
        for account in page {
            let available = wallets::wallet(&mut tx, account.id).await?.books.available;
            if work.out.json {
                all.push(in_json(&account, Some(available)));
                continue;
            }
            say(format!(
                "{}  {:<28}  {:>12} credits  {}",
                doable(account.id),
                strong(&account.name),
                count(available),
                faint(format!(
                    "{} {}, {}{}",
                    account.country,
                    account.timezone,
                    quiet(&account),
                    if account.active { "" } else { ", suspended" }
                )),
            ))?;
        }
    }
    match (work.out.json, after.0 == i64::MIN) {
        (true, _) => answer(&all),
        (false, true) => say("There is no account yet."),
        (false, false) => Ok(()),
    }
}

fn quiet(account: &Account) -> String {
    match account.quiet_hours {
        Some(hours) => format!("quiet from {} to {}", hours.start, hours.end),
        None => "no quiet hours".to_owned(),
    }
}

fn in_json(account: &Account, available: Option<i64>) -> Value {
    let mut value = json!({
        "id": account.id,
        "name": account.name,
        "timezone": account.timezone,
        "country": account.country,
        "quiet_hours": account.quiet_hours,
        "active": account.active,
        "created_at": account.created_at,
    });
    if let Some(available) = available {
        value["available"] = available.into();
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quiet_hours_are_read() {
        let usual = QuietHours::parse("21:00", "08:00").expect("times of day");
        for (text, expected) in [
            ("off", Ok(Nights(None))),
            ("21:00-08:00", Ok(Nights(Some(usual)))),
            ("21:00 - 08:00", Ok(Nights(Some(usual)))),
            ("21:00", Err(())),
            ("9pm-8am", Err(())),
            ("", Err(())),
        ] {
            assert_eq!(nights(text).map_err(drop), expected, "{text:?}");
        }
    }
}
