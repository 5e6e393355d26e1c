//! `cargo xtask bench campaign`: what a campaign costs on this machine, beside what plain HTTP
//! costs, in one run, so that the ratios mean something on any machine.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::ensure;

use super::figures::{count, print_costs};
use super::processes::{Cost, get};
use super::raw;
use super::stage::{Carrying, Stage, build, engines};

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
pub struct Figures {
    pub name: String,
    pub texts: usize,
    pub elapsed: Duration,
    pub costs: Vec<(&'static str, Cost)>,
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
        print_costs(&self.costs, *texts, "texts");
    }
}

/// Measures and prints.
pub fn run(wanted: &Wanted) -> anyhow::Result<()> {
    let program = build()?;
    println!(
        "{} recipients, receipts {}, {} cores",
        wanted.recipients,
        if wanted.receipts { "on" } else { "off" },
        std::thread::available_parallelism()?
    );
    let mut ceiling = None;
    if wanted.only.iter().any(|only| only == "raw") {
        let figures = raw::measure(&program, wanted.recipients)?;
        figures.print(None);
        ceiling = Some(figures.per_second());
    }
    for engine in engines(&wanted.only) {
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

/// Runs one campaign from import to its last accepted text.
fn measure(
    program: &Path,
    engine: &str,
    recipients: usize,
    receipts: bool,
) -> anyhow::Result<Figures> {
    let stage = Stage::set(program, engine, Carrying { receipts, record: false })?;
    let campaign = stage.shop.open_campaign(stage.home(), 0, recipients)?;
    let started = Instant::now();
    let before = stage.costs();
    stage.shop.start(&campaign)?;
    let settled = |accepted: u64| accepted >= u64::try_from(recipients).unwrap_or(u64::MAX);
    let deadline = started + Duration::from_secs(600);
    loop {
        let summary: serde_json::Value =
            serde_json::from_str(&get(stage.carrier.port, "/sandbox/summary")?)?;
        let number = |name: &str| summary[name].as_u64().unwrap_or(0);
        let done = !receipts || number("receipts_pending") == 0;
        if settled(number("accepted")) && done {
            ensure!(number("duplicates") == 0, "texts were sent twice: {summary}");
            break;
        }
        ensure!(Instant::now() < deadline, "the campaign does not end: {summary}");
        std::thread::sleep(Duration::from_millis(20));
    }
    stage.shop.await_end(&campaign)?;
    let elapsed = started.elapsed();
    let costs = stage.costs_since(&before);
    let name = format!("{engine}, {recipients} recipients");
    stage.strike()?;
    Ok(Figures { name, texts: recipients, elapsed, costs })
}
