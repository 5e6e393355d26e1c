//! Accounts to measure with, opened through the command line.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use serde_json::Value;

/// The command line, on the benchmark's database.
pub struct Shop {
    pub program: PathBuf,
    pub database: String,
}

/// A campaign, ready to be started.
pub struct Campaign {
    pub account: String,
    pub id: String,
}

impl Shop {
    /// Runs one command; the last thing it answers.
    pub fn run(&self, arguments: &[&str]) -> anyhow::Result<Value> {
        Ok(self.list(arguments)?.pop().unwrap_or_default())
    }

    /// Runs one command; everything it answers.
    pub fn list(&self, arguments: &[&str]) -> anyhow::Result<Vec<Value>> {
        let output = Command::new(&self.program)
            .args(["--json"])
            .args(arguments)
            .env("LEDGERLINE_DATABASE_URL", &self.database)
            .output()?;
        if !output.status.success() {
            bail!("{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        }
        let text = String::from_utf8(output.stdout)?;
        Ok(text.lines().map(|line| serde_json::from_str(line).unwrap_or_default()).collect())
    }

    /// Opens an account with credits for `texts` texts and as many again.
    pub fn open_account(&self, texts: usize) -> anyhow::Result<String> {
        let made = self.run(&[
            "account",
            "create",
            "--name",
            "Bench",
            "--timezone",
            "UTC",
            "--quiet-hours",
            "off",
        ])?;
        let account = made["id"].as_str().context("the account's id")?.to_owned();
        let credits = (texts * 2).to_string();
        self.run(&["credits", "grant", "--account", &account, &credits, "--reason", "bench"])?;
        Ok(account)
    }

    /// Makes an API key of the account.
    pub fn make_key(&self, account: &str) -> anyhow::Result<String> {
        let made = self.run(&["key", "create", "--account", account, "--name", "bench"])?;
        Ok(made["key"].as_str().context("the key")?.to_owned())
    }

    /// Opens an account with a campaign to `recipients` people, phones counted from `first` on.
    pub fn open_campaign(
        &self,
        home: &Path,
        first: usize,
        recipients: usize,
    ) -> anyhow::Result<Campaign> {
        let account = self.open_account(recipients)?;
        let file = home.join("contacts.csv");
        let mut rows = String::from("phone,name,consent\n");
        for n in first..first + recipients {
            let (area, line) = (n / 1_000_000, n % 1_000_000);
            let phone = format!("+1{}{}{:04}", 212 + area, 200 + line / 10_000, line % 10_000);
            writeln!(rows, "{phone},Contact {n},opted_in")?;
        }
        std::fs::write(&file, rows)?;
        let file = file.to_string_lossy();
        let done = self.run(&["contacts", "import", &file, "--account", &account])?;
        ensure!(done["rejected_count"] == 0, "contacts were rejected: {done}");
        let made = self.run(&[
            "campaign",
            "create",
            "--account",
            &account,
            "--name",
            "Bench",
            "--category",
            "marketing",
            "--body",
            "Spring sale: everything must go. Reply STOP to opt out.",
            "--all",
        ])?;
        let id = made["id"].as_str().context("the campaign's id")?.to_owned();
        Ok(Campaign { account, id })
    }

    /// Starts a campaign.
    pub fn start(&self, campaign: &Campaign) -> anyhow::Result<()> {
        let Campaign { account, id } = campaign;
        self.run(&["campaign", "start", id, "--account", account]).map(drop)
    }

    /// How a campaign stands.
    pub fn status(&self, campaign: &Campaign) -> anyhow::Result<Value> {
        let mut all = self.run(&["campaign", "list", "--account", &campaign.account])?;
        let all = all.as_array_mut().context("a list of campaigns")?;
        let status = all.iter_mut().find(|one| one["id"] == campaign.id.as_str());
        status.map(Value::take).context("the campaign is listed")
    }

    /// Waits until the server has recorded what the carrier accepted.
    pub fn await_end(&self, campaign: &Campaign) -> anyhow::Result<()> {
        let deadline = Instant::now() + Duration::from_secs(120);
        loop {
            let status = self.status(campaign)?;
            if status["state"] == "completed" {
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "the campaign does not end: {status}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}
