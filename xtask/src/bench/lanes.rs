//! `cargo xtask bench lanes`: how long a code takes to its carrier while a campaign leaves through
//! the same sender.
//!
//! Codes are posted one by one through the API, by the campaign's account and by another one. How
//! long each took is the carrier's own word: from the start of its POST to the instant at which
//! the carrier's record has it accepted, both by this machine's clock.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, ensure};
use domain::instant::Instant;
use serde_json::Value;

use super::figures::{Spread, count};
use super::load::{Wire, request};
use super::processes::{cost_of, cost_of_machine, get, load};
use super::stage::{Carrying, Stage, build, engines};

/// What to measure.
#[derive(clap::Args)]
pub struct Wanted {
    /// Recipients of the campaign.
    #[arg(long, default_value_t = 100_000)]
    recipients: usize,
    /// Codes of each of the two accounts.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=5000))]
    codes: u32,
    /// Each account posts one so often.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=60_000))]
    every_ms: u32,
    /// Measure only these: sqlite, postgres.
    #[arg(long, value_delimiter = ',', default_value = "sqlite,postgres")]
    only: Vec<String>,
}

const RUN_MAX: Duration = Duration::from_secs(600);
const PAGE_ROWS: usize = 50_000;
/// What a code may take.
const GOAL: Duration = Duration::from_secs(1);
/// Who posts codes.
const WHOSE: [&str; 2] = ["the campaign's account", "another account"];

/// A code that was posted.
struct Code {
    /// Of whom, in [`WHOSE`].
    of: usize,
    to: String,
    began: Instant,
    /// From the start of its POST to the end of the answer.
    answered: Duration,
}

/// Measures and prints.
pub fn run(wanted: &Wanted) -> anyhow::Result<()> {
    let program = build()?;
    println!(
        "{} recipients, {} codes of each account every {} ms, {} cores",
        wanted.recipients,
        wanted.codes,
        wanted.every_ms,
        std::thread::available_parallelism()?
    );
    for engine in engines(&wanted.only) {
        measure(&program, engine, wanted)?;
    }
    Ok(())
}

fn measure(program: &Path, engine: &str, wanted: &Wanted) -> anyhow::Result<()> {
    let load = load()?;
    let stage = Stage::set(program, engine, Carrying::default())?;
    let codes = usize::try_from(wanted.codes)?;
    let campaign = stage.shop.open_campaign(stage.home(), 0, wanted.recipients)?;
    let other = stage.shop.open_account(codes)?;
    let granted = (codes * 2).to_string();
    let grant = ["credits", "grant", "--account", &campaign.account, &granted];
    stage.shop.run(&[&grant[..], &["--reason", "codes"]].concat())?;
    let keys = [stage.shop.make_key(&campaign.account)?, stage.shop.make_key(&other)?];
    let (before, machine_before) = (stage.costs(), cost_of_machine()?);
    let own_before = cost_of(std::process::id()).unwrap_or_default();
    stage.shop.start(&campaign)?;
    await_accepted(&stage, 1)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let posted = runtime.block_on(post_codes(stage.server.port, &keys, wanted))?;
    await_accepted(&stage, wanted.recipients + posted.len())?;
    let machine = cost_of_machine()?.saturating_sub(machine_before);
    let ours: Duration = stage.costs_since(&before).iter().map(|(_, cost)| cost.cpu).sum();
    let own = cost_of(std::process::id()).unwrap_or_default().since(own_before);
    let others = machine.saturating_sub(ours + own.cpu);
    stage.shop.await_end(&campaign)?;
    let accepted = Accepted::read(&stage, &posted)?;
    stage.strike()?;
    let took = accepted.last.since(accepted.first).as_secs_f64();
    println!(
        "{engine}: {} recipients in {took:.2} s = {:.0}/s; load {load} before, other programs \
         {:.2} cores",
        wanted.recipients,
        count(wanted.recipients) / took,
        others.as_secs_f64() / took,
    );
    for of in 0..WHOSE.len() {
        accepted.print(of, &posted)?;
    }
    Ok(())
}

/// Posts codes of both accounts in turns; each at its instant, whether or not earlier ones are
/// answered.
async fn post_codes(port: u16, keys: &[String; 2], wanted: &Wanted) -> anyhow::Result<Vec<Code>> {
    let step = Duration::from_millis(wanted.every_ms.into()) / 2;
    let started = tokio::time::Instant::now();
    let mut posts = Vec::new();
    for n in 0..wanted.codes * 2 {
        let of = usize::try_from(n)? % 2;
        let key = keys[of].clone();
        tokio::time::sleep_until(started + step * n).await;
        posts.push(tokio::spawn(async move {
            // Numbers of all kinds: codes to numbers that begin alike look like fraud.
            let to = format!("+1646{:03}{n:04}", 200 + n % 700);
            let body = serde_json::json!({
                "to": to, "body": format!("Your code is {:06}.", 100_000 + n),
                "context": "message.code",
            });
            let head = format!("POST /v1/messages HTTP/1.1\r\nAuthorization: Bearer {key}");
            let text = request(&head, "application/json", &body.to_string());
            let (began, since) = (now(), tokio::time::Instant::now());
            let answer = Wire::open(port).await?.ask(&text).await?;
            let answered = since.elapsed();
            let words = String::from_utf8_lossy(&answer.body);
            ensure!(answer.status == 202, "a code was answered {}: {words}", answer.status);
            Ok(Code { of, to, began, answered })
        }));
    }
    let mut codes = Vec::new();
    for post in posts {
        codes.push(post.await??);
    }
    Ok(codes)
}

#[expect(clippy::disallowed_methods, reason = "compared with the carrier's record")]
fn now() -> Instant {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Instant(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

fn await_accepted(stage: &Stage, texts: usize) -> anyhow::Result<()> {
    let deadline = std::time::Instant::now() + RUN_MAX;
    loop {
        let summary: Value = serde_json::from_str(&get(stage.carrier.port, "/sandbox/summary")?)?;
        if summary["accepted"].as_u64().is_some_and(|n| n >= u64::try_from(texts).unwrap_or(n)) {
            ensure!(summary["duplicates"] == 0, "texts were sent twice: {summary}");
            return Ok(());
        }
        ensure!(std::time::Instant::now() < deadline, "{texts} texts do not come: {summary}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// When the carrier accepted what.
struct Accepted {
    codes: HashMap<String, Instant>,
    /// The campaign's first and last text.
    first: Instant,
    last: Instant,
}

impl Accepted {
    fn read(stage: &Stage, posted: &[Code]) -> anyhow::Result<Self> {
        let mut codes: HashMap<String, Instant> = HashMap::new();
        let expected: HashSet<&str> = posted.iter().map(|code| code.to.as_str()).collect();
        let mut campaign = (Instant::MAX, Instant(0));
        let mut cursor = 0;
        loop {
            let path = format!("/sandbox/messages?cursor={cursor}&limit={PAGE_ROWS}");
            let page = get(stage.carrier.port, &path)?;
            for line in page.lines() {
                cursor += 1;
                let text: Value = serde_json::from_str(line)?;
                let to = text["to"].as_str().context("a recipient")?;
                let at = text["accepted_at"].as_str().and_then(Instant::parse);
                let at = at.context("the instant of its acceptance")?;
                if expected.contains(to) {
                    codes.insert(to.to_owned(), at);
                } else {
                    campaign = (campaign.0.min(at), campaign.1.max(at));
                }
            }
            if page.lines().count() < PAGE_ROWS {
                break;
            }
        }
        ensure!(codes.len() == posted.len(), "{} of {} codes left", codes.len(), posted.len());
        Ok(Self { codes, first: campaign.0, last: campaign.1 })
    }

    /// Prints what codes of one account took that were posted while the campaign ran.
    fn print(&self, of: usize, posted: &[Code]) -> anyhow::Result<()> {
        let (beside, after): (Vec<&Code>, Vec<&Code>) =
            posted.iter().filter(|code| code.of == of).partition(|code| code.began <= self.last);
        let name = WHOSE[of];
        let left = Spread::of(beside.iter().map(|code| self.codes[&code.to].since(code.began)))
            .with_context(|| format!("codes of {name} beside the campaign"))?;
        let answered = Spread::of(beside.iter().map(|code| code.answered))?;
        println!("    {name}: {} codes; {} later than 1 s", beside.len(), left.longer_than(GOAL));
        println!("        from the POST to the carrier's acceptance: {left}");
        println!("        from the POST to its answer: {answered}");
        if !after.is_empty() {
            println!("        {} more came after the campaign's end; left out", after.len());
        }
        Ok(())
    }
}
