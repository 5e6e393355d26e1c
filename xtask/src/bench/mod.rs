//! `cargo xtask bench campaign`: what a campaign costs on this machine, beside what plain HTTP
//! costs, in one run, so that the ratios mean something on any machine.
//!
//! Real processes talk over loopback: the sandbox carrier, the server, PostgreSQL with durable
//! commits on a real disk. Figures are printed as measured.

mod processes;
mod raw;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use cluster::Cluster;

use processes::{Cost, Program, get};

/// What to measure.
#[derive(clap::Args)]
pub struct Wanted {
    /// Recipients of the large campaign.
    #[arg(long, default_value_t = 100_000)]
    recipients: usize,
    /// Receipts are sent and taken in while the campaign runs.
    #[arg(long)]
    receipts: bool,
    /// Measure only these: raw, sqlite, postgres.
    #[arg(long, value_delimiter = ',', default_value = "raw,sqlite,postgres")]
    only: Vec<String>,
    /// Leave the comparison with a tenth of the recipients out.
    #[arg(long)]
    no_memory_check: bool,
}

/// What was measured.
struct Figures {
    name: String,
    texts: usize,
    elapsed: Duration,
    costs: Vec<(&'static str, Cost)>,
}

impl Figures {
    fn per_second(&self) -> f64 {
        count(self.texts) / self.elapsed.as_secs_f64()
    }

    fn print(&self, ceiling: Option<f64>) {
        let ratio = ceiling.map_or(String::new(), |ceiling| {
            format!("  {:.2} of the ceiling", self.per_second() / ceiling)
        });
        let Self { name, texts, elapsed, .. } = self;
        let secs = elapsed.as_secs_f64();
        println!("{name}: {texts} texts in {secs:.2} s = {:.0}/s{ratio}", self.per_second());
        for (process, cost) in &self.costs {
            println!(
                "    {process:<11} {:.3} CPU s per 1,000 texts, peak memory {:.1} MiB",
                cost.cpu.as_secs_f64() * 1000.0 / count(*texts),
                count(usize::try_from(cost.peak_kib).unwrap_or(0)) / 1024.0,
            );
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn count(n: usize) -> f64 {
    n as f64
}

/// Measures and prints.
pub fn campaign(wanted: &Wanted) -> anyhow::Result<()> {
    let program = build()?;
    let has = |name: &str| wanted.only.iter().any(|only| only == name);
    println!(
        "{} recipients, receipts {}, {} cores",
        wanted.recipients,
        if wanted.receipts { "on" } else { "off" },
        std::thread::available_parallelism()?
    );
    let mut ceiling = None;
    if has("raw") {
        let figures = raw::measure(&program, wanted.recipients)?;
        figures.print(None);
        ceiling = Some(figures.per_second());
    }
    for engine in ["sqlite", "postgres"].into_iter().filter(|engine| has(engine)) {
        let mut peaks = Vec::new();
        let small = (!wanted.no_memory_check).then_some(wanted.recipients / 10);
        for recipients in small.into_iter().chain([wanted.recipients]) {
            let figures = measure(&program, engine, recipients, wanted.receipts)?;
            figures.print(ceiling);
            let server = figures.costs.iter().find(|(name, _)| *name == "server");
            peaks.extend(server.map(|(_, cost)| cost.peak_kib));
        }
        if let [small, large] = peaks[..] {
            println!(
                "    the server's peak memory grew by {:.1} % from a tenth of the recipients",
                (count(usize::try_from(large)?) / count(usize::try_from(small)?) - 1.0) * 100.0
            );
        }
    }
    Ok(())
}

fn build() -> anyhow::Result<PathBuf> {
    let built = Command::new(env!("CARGO"))
        .args(["build", "--release", "--quiet", "--package", "ledgerline"])
        .status()?;
    ensure!(built.success(), "the release build failed");
    let here = std::env::current_exe()?;
    let program = here.parent().context("xtask runs from the target directory")?;
    Ok(program.join("ledgerline"))
}

/// Runs one campaign from import to its last accepted text.
fn measure(
    program: &Path,
    engine: &str,
    recipients: usize,
    receipts: bool,
) -> anyhow::Result<Figures> {
    let home = tempfile::Builder::new().prefix("ledgerline-bench").tempdir()?;
    let cluster = (engine == "postgres").then(Cluster::start_on_disk).transpose()?;
    let database = match &cluster {
        Some(cluster) => cluster.url().to_owned(),
        None => format!("sqlite://{}", home.path().join("bench.db").display()),
    };
    let carrier = Program::carrier(program, receipts)?;
    let server = Program::server(program, &database, home.path(), carrier.port)?;
    let shop = Shop { program, database: &database };
    let account = shop.open(home.path(), recipients)?;
    let campaign = shop.campaign(&account)?;
    let started = Instant::now();
    let before = [carrier.cost(), server.cost(), postgres_cost(cluster.as_ref())];
    shop.run(&["campaign", "start", &campaign, "--account", &account])?;
    let settled = |accepted: u64| accepted >= u64::try_from(recipients).unwrap_or(u64::MAX);
    let deadline = started + Duration::from_secs(600);
    loop {
        let summary: serde_json::Value =
            serde_json::from_str(&get(carrier.port, "/sandbox/summary")?)?;
        let number = |name: &str| summary[name].as_u64().unwrap_or(0);
        let done = !receipts || number("receipts_pending") == 0;
        if settled(number("accepted")) && done {
            ensure!(number("duplicates") == 0, "texts were sent twice: {summary}");
            break;
        }
        ensure!(Instant::now() < deadline, "the campaign does not end: {summary}");
        std::thread::sleep(Duration::from_millis(20));
    }
    shop.await_end(&account, &campaign)?;
    let elapsed = started.elapsed();
    let after = [carrier.cost(), server.cost(), postgres_cost(cluster.as_ref())];
    let names = ["carrier", "server", "postgres"];
    let costs = names.into_iter().zip(before.into_iter().zip(after));
    let costs = costs.filter_map(|(name, (before, after))| Some((name, after?.since(before?))));
    let figures = Figures {
        name: format!("{engine}, {recipients} recipients"),
        texts: recipients,
        elapsed,
        costs: costs.collect(),
    };
    shop.run(&["audit"]).context("the audit after the run")?;
    server.stop()?;
    carrier.stop()?;
    Ok(figures)
}

fn postgres_cost(cluster: Option<&Cluster>) -> Option<Cost> {
    cluster.map(|cluster| processes::cost_of_family(cluster.keeper_id()))
}

/// The command line, on the benchmark's database.
struct Shop<'a> {
    program: &'a Path,
    database: &'a str,
}

impl Shop<'_> {
    fn run(&self, arguments: &[&str]) -> anyhow::Result<serde_json::Value> {
        let output = Command::new(self.program)
            .args(["--json"])
            .args(arguments)
            .env("LEDGERLINE_DATABASE_URL", self.database)
            .output()?;
        if !output.status.success() {
            bail!("{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        }
        let text = String::from_utf8(output.stdout)?;
        Ok(serde_json::from_str(text.lines().last().unwrap_or("null")).unwrap_or_default())
    }

    fn open(&self, home: &Path, recipients: usize) -> anyhow::Result<String> {
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
        let credits = (recipients * 2).to_string();
        self.run(&["credits", "grant", "--account", &account, &credits, "--reason", "bench"])?;
        let file = home.join("contacts.csv");
        let mut rows = String::from("phone,name,consent\n");
        for n in 0..recipients {
            use std::fmt::Write as _;
            let (area, line) = (n / 1_000_000, n % 1_000_000);
            let phone = format!("+1{}{}{:04}", 212 + area, 200 + line / 10_000, line % 10_000);
            writeln!(rows, "{phone},Contact {n},opted_in")?;
        }
        std::fs::write(&file, rows)?;
        let file = file.to_string_lossy();
        let done = self.run(&["contacts", "import", &file, "--account", &account])?;
        ensure!(done["rejected_count"] == 0, "contacts were rejected: {done}");
        Ok(account)
    }

    fn campaign(&self, account: &str) -> anyhow::Result<String> {
        let made = self.run(&[
            "campaign",
            "create",
            "--account",
            account,
            "--name",
            "Bench",
            "--category",
            "marketing",
            "--body",
            "Spring sale: everything must go. Reply STOP to opt out.",
            "--all",
        ])?;
        Ok(made["id"].as_str().context("the campaign's id")?.to_owned())
    }

    /// Waits until the server has recorded what the carrier accepted.
    fn await_end(&self, account: &str, campaign: &str) -> anyhow::Result<()> {
        let deadline = Instant::now() + Duration::from_secs(120);
        loop {
            let all = self.run(&["campaign", "list", "--account", account])?;
            let all = all.as_array().context("a list of campaigns")?;
            let state = all.iter().find(|one| one["id"] == campaign).map(|one| &one["state"]);
            if state.is_some_and(|state| state == "completed") {
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "the campaign does not end: {state:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}
