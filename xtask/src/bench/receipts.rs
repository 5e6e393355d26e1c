//! `cargo xtask bench receipts`: how fast signed receipts are taken in, and how long each waits.
//!
//! A campaign is sent to a carrier that sends no receipts; then this process plays the carrier and
//! posts `sent` and `delivered` for each text, signed, at a fixed rate. In the end every text must
//! be delivered, in the campaign's counts and in the stories of a sample.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::Value;
use twilio::signature;

use super::figures::{Spread, count, print_costs};
use super::load::{Answered, request, send_at_rate};
use super::processes::{Cost, cost_of, cost_of_machine, credentials, get_with_key, load};
use super::shop::Campaign;
use super::stage::{Carrying, Stage, build, engines};

/// What to measure.
#[derive(clap::Args)]
pub struct Wanted {
    /// Receipts per second.
    #[arg(long, default_value_t = 2000, value_parser = clap::value_parser!(u32).range(2..=50_000))]
    rate: u32,
    /// For how long.
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u32).range(1..=600))]
    seconds: u32,
    /// Accounts whose texts they are about, each with a campaign.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    accounts: u32,
    /// Connections they come over.
    #[arg(long, default_value_t = 256)]
    connections: usize,
    /// Measure only these: sqlite, postgres.
    #[arg(long, value_delimiter = ',', default_value = "sqlite,postgres")]
    only: Vec<String>,
}

/// `delivered` follows `sent` after this time.
const DELIVERY_SECS: usize = 1;
/// Texts whose stories are read in the end, per account.
const STORIES_MAX: usize = 50;

/// An accepted text, as the carrier's record has it.
struct Text {
    sid: String,
    to: String,
    from: String,
    callback: String,
}

/// What was measured.
struct Figures {
    answers: Vec<Answered>,
    elapsed: Duration,
    costs: Vec<(&'static str, Cost)>,
    /// What other programs used of the processors meanwhile.
    others: Duration,
}

/// Measures and prints.
pub fn run(wanted: &Wanted) -> anyhow::Result<()> {
    let program = build()?;
    println!(
        "{} receipts per second for {} s over {} connections, accounts {}, {} cores",
        wanted.rate,
        wanted.seconds,
        wanted.connections,
        wanted.accounts,
        std::thread::available_parallelism()?
    );
    for engine in engines(&wanted.only) {
        let load = load()?;
        let figures = measure(&program, engine, wanted)?;
        println!("{engine}: load {load} before");
        figures.print()?;
    }
    Ok(())
}

impl Figures {
    fn print(&self) -> anyhow::Result<()> {
        let accepted = self.answers.iter().filter(|one| one.is_accepted()).count();
        let secs = self.elapsed.as_secs_f64();
        println!(
            "    {accepted} receipts accepted in {secs:.2} s = {:.0}/s, {} refused",
            count(accepted) / secs,
            self.answers.len() - accepted
        );
        let took = Spread::of(self.answers.iter().map(|one| one.took))?;
        let late = Spread::of(self.answers.iter().map(|one| one.late))?;
        println!("    from when it was due to the end of its answer: {took}");
        println!("    of that before its first byte left this process: {late}");
        print_costs(&self.costs, self.answers.len(), "receipts");
        let cores = |cpu: Duration| format!("{:.2}", cpu.as_secs_f64() / secs);
        for (process, cost) in &self.costs {
            print!("    {process} {}", cores(cost.cpu));
        }
        println!("    other programs {} cores", cores(self.others));
        Ok(())
    }
}

fn measure(program: &Path, engine: &str, wanted: &Wanted) -> anyhow::Result<Figures> {
    let stage = Stage::set(program, engine, Carrying { receipts: false, record: true })?;
    let texts = usize::try_from(wanted.rate * wanted.seconds)? / 2;
    let accounts = usize::try_from(wanted.accounts)?;
    let share = texts.div_ceil(accounts);
    let mut campaigns = Vec::new();
    for n in 0..accounts {
        let recipients = share.min(texts - n * share);
        campaigns
            .push((stage.shop.open_campaign(stage.home(), n * share, recipients)?, recipients));
    }
    for (campaign, _) in &campaigns {
        stage.shop.start(campaign)?;
    }
    for (campaign, _) in &campaigns {
        stage.shop.await_end(campaign)?;
    }
    let accepted = accepted_texts(&stage.record())?;
    ensure!(accepted.len() == texts, "the carrier accepted {} of {texts}", accepted.len());
    let requests =
        requests(&by_turns(accepted, share), usize::try_from(wanted.rate)? / 2 * DELIVERY_SECS)?;
    let own = std::process::id();
    let (before, own_before) = (stage.costs(), cost_of(own).unwrap_or_default());
    let machine_before = cost_of_machine()?;
    // One thread is enough for the client, and the server needs the others.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let load = send_at_rate(stage.server.port, requests, wanted.rate, wanted.connections);
    let (answers, elapsed) = runtime.block_on(load)?;
    let machine = cost_of_machine()?.saturating_sub(machine_before);
    let mut costs = stage.costs_since(&before);
    costs.push(("this client", cost_of(own).unwrap_or_default().since(own_before)));
    let ours = costs.iter().map(|(_, cost)| cost.cpu).sum();
    let others = machine.saturating_sub(ours);
    if answers.iter().all(Answered::is_accepted) {
        for (campaign, recipients) in &campaigns {
            check_kept(&stage, campaign, *recipients)?;
        }
        println!("{engine}: every receipt was kept");
    }
    stage.strike()?;
    Ok(Figures { answers, elapsed, costs, others })
}

/// What the carrier accepted, in order.
fn accepted_texts(record: &Path) -> anyhow::Result<Vec<Text>> {
    let mut texts = Vec::new();
    for line in BufReader::new(File::open(record)?).lines() {
        let line: Value = serde_json::from_str(&line?)?;
        let field = |name: &str| line[name].as_str().map(str::to_owned);
        let Some(callback) = field("callback") else { continue };
        texts.push(Text {
            sid: field("sid").context("a SID")?,
            to: field("to").context("a recipient")?,
            from: field("from").context("a sender")?,
            callback,
        });
    }
    Ok(texts)
}

/// One text of each account, then the next of each: an account's phones are a range of `share`.
fn by_turns(mut texts: Vec<Text>, share: usize) -> Vec<Text> {
    texts.sort_by(|a, b| a.to.cmp(&b.to));
    let mut turns: Vec<(usize, Text)> = texts.into_iter().enumerate().collect();
    turns.sort_by_key(|(n, _)| n % share);
    turns.into_iter().map(|(_, text)| text).collect()
}

/// Signed receipts: `sent` for each text, `delivered` once `gap` more texts were `sent`.
fn requests(texts: &[Text], gap: usize) -> anyhow::Result<Vec<Vec<u8>>> {
    let mut requests = Vec::with_capacity(texts.len() * 2);
    for n in 0..texts.len() + gap {
        if let Some(text) = texts.get(n) {
            requests.push(receipt(text, "sent")?);
        }
        if let Some(text) = n.checked_sub(gap).and_then(|n| texts.get(n)) {
            requests.push(receipt(text, "delivered")?);
        }
    }
    Ok(requests)
}

/// A receipt as Twilio posts it (FACTS 3.1).
fn receipt(text: &Text, status: &str) -> anyhow::Result<Vec<u8>> {
    let (account_sid, token) = credentials();
    let mut params = vec![
        ("SmsSid", text.sid.as_str()),
        ("SmsStatus", status),
        ("MessageStatus", status),
        ("To", &text.to),
        ("MessageSid", &text.sid),
        ("AccountSid", account_sid),
        ("From", &text.from),
        ("ApiVersion", "2010-04-01"),
    ];
    if status == "delivered" {
        params.push(("RawDlrDoneDate", "2611210900"));
    }
    let url = text.callback.split('#').next().unwrap_or_default();
    let path = url.splitn(4, '/').nth(3).context("a callback has a path")?;
    let signed = signature::sign(token, url, &params);
    let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(params).finish();
    let head = format!("POST /{path} HTTP/1.1\r\nX-Twilio-Signature: {signed}");
    Ok(request(&head, "application/x-www-form-urlencoded", &form))
}

/// All texts of the campaign are delivered, and both receipts stand in the stories of a sample.
fn check_kept(stage: &Stage, campaign: &Campaign, recipients: usize) -> anyhow::Result<()> {
    let counts = stage.shop.status(campaign)?["counts"].take();
    ensure!(counts["delivered"] == recipients, "{recipients} texts were delivered: {counts}");
    let Campaign { account, id } = campaign;
    let limit = recipients.to_string();
    let verb = ["campaign", "recipients", id, "--account", account, "--limit", &limit];
    let listed = stage.shop.list(&verb)?;
    let key = stage.shop.make_key(account)?;
    for one in listed.iter().step_by(recipients.div_ceil(STORIES_MAX)) {
        let id = one["id"].as_str().context("a message's id")?;
        let story = get_with_key(stage.server.port, &format!("/v1/messages/{id}"), &key)?;
        let story: Value = serde_json::from_str(&story)?;
        let events = story["events"].as_array().context("events")?;
        for event in ["receipt:sent", "receipt:delivered"] {
            ensure!(events.iter().any(|it| it["event"] == event), "{event} is missing: {story}");
        }
    }
    Ok(())
}
