//! The database's part of a message's whole life: claimed and paid for, marked, settled, and two
//! receipts kept. `cargo xtask bench life`. Figures are printed, never judged.
//!
//! One account sends one campaign. Everything is done by the product's own functions, on a
//! database whose commits are durable; only the carrier is missing, so every text counts as
//! accepted the moment it may leave. First the steps are done one after the other, which tells
//! what each costs; then side by side, as in the server, which tells how many messages a second
//! live through. [`stage`] holds what both need, [`cost`] reads the processors' time.

mod cost;
mod stage;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant as Stopwatch};

use anyhow::{Context as _, ensure};
use cluster::Cluster;
use domain::ids::MessageId;
use domain::message::Receipt;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use ledgerline::delivery::receipts::{ReceiptIn, Receipts, keep_batch};
use ledgerline::delivery::worker::Piecework;
use store::combiner::{Combiner, ITEMS_MAX};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;

use cost::Meter;
use stage::{Accepted, Stage};

/// Chunks of one campaign that the worker sends from at once.
const CHUNKS: usize = 4;
/// Receipts on their way at once: enough to fill two batches.
const RECEIPTS_ON_WAY: usize = 2 * ITEMS_MAX;
/// Of the recipients, for the run of one step after the other.
const APART_PART: usize = 5;

/// Nanoseconds spent in each step, and how often.
#[derive(Default)]
struct Spans {
    nanos: [AtomicU64; 3],
    times: [AtomicU64; 3],
}

const STEPS: [&str; 3] = ["claims", "results", "receipts"];
const CLAIMS: usize = 0;
const RESULTS: usize = 1;
const RECEIPTS: usize = 2;

impl Spans {
    fn note(&self, step: usize, since: Stopwatch) {
        let nanos = u64::try_from(since.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.nanos[step].fetch_add(nanos, Ordering::Relaxed);
        self.times[step].fetch_add(1, Ordering::Relaxed);
    }
}

/// One step after the other on one connection: what each costs.
async fn apart(stage: &Stage, meter: Meter) -> anyhow::Result<()> {
    let (texts, mut spent) = (stage.texts, [(Duration::ZERO, Duration::ZERO); 3]);
    let mut commits = [0u32; 3];
    let began = Stopwatch::now();
    let mut last = (Stopwatch::now(), meter.read());
    let mut note = |step: usize, times: u32| {
        let now = (Stopwatch::now(), meter.read());
        spent[step].0 += now.0 - last.0;
        spent[step].1 += now.1.saturating_sub(last.1);
        commits[step] += times;
        last = now;
    };
    while let Piecework::Chunk(claimed, log) = stage.claim().await? {
        note(CLAIMS, 1);
        let accepted = stage.send(&claimed, |_| {}).await?;
        log.remove();
        note(RESULTS, 8);
        for receipt in [Receipt::Sent, Receipt::Delivered] {
            for batch in accepted.chunks(ITEMS_MAX) {
                let batch = batch.iter().map(|one| receipt_in(one, receipt)).collect();
                let kept = keep_batch(&stage.desk, batch).await;
                ensure!(kept.iter().all(Result::is_ok), "receipts were not kept");
                note(RECEIPTS, 1);
            }
        }
    }
    let elapsed = began.elapsed();
    let cpu: Duration = spent.iter().map(|(_, cpu)| *cpu).sum();
    println!("    one after the other: {}", rate(texts, elapsed, cpu));
    for ((step, (wall, cpu)), commits) in STEPS.iter().zip(spent).zip(commits) {
        println!(
            "        {step:<9}{:>4.0} % of the time, {:.1} us and {:.1} us CPU per message, \
             {commits} commits",
            wall.as_secs_f64() * 100.0 / elapsed.as_secs_f64(),
            micros_each(wall, texts),
            micros_each(cpu, texts),
        );
    }
    stage.check().await
}

/// Side by side, as the server does it: claims one by one, a few chunks sent at once, receipts
/// gathered into batches.
async fn together(stage: Arc<Stage>, meter: Meter) -> anyhow::Result<()> {
    let spans = Arc::new(Spans::default());
    let (accepted, news) = mpsc::unbounded_channel();
    let (began, before) = (Stopwatch::now(), meter.read());
    let receipts = tokio::spawn(post_receipts(start_receipts(&stage, &spans), news));
    let room = Arc::new(Semaphore::new(CHUNKS));
    let mut sending = JoinSet::new();
    loop {
        let place = Arc::clone(&room).acquire_owned().await?;
        let claim = Stopwatch::now();
        let Piecework::Chunk(claimed, log) = stage.claim().await? else { break };
        spans.note(CLAIMS, claim);
        let (stage, spans, accepted) = (Arc::clone(&stage), Arc::clone(&spans), accepted.clone());
        sending.spawn(async move {
            let mut beat = Stopwatch::now();
            let told = stage.send(&claimed, |some| {
                spans.note(RESULTS, beat);
                beat = Stopwatch::now();
                for one in some {
                    drop(accepted.send(one.clone()));
                }
            });
            told.await?;
            log.remove();
            drop(place);
            anyhow::Ok(())
        });
    }
    drop(accepted);
    while let Some(sent) = sending.join_next().await {
        sent??;
    }
    let kept = receipts.await??;
    let (elapsed, cpu) = (began.elapsed(), meter.read().saturating_sub(before));
    ensure!(kept == 2 * stage.texts, "{kept} receipts were kept");
    println!("    side by side: {}", rate(stage.texts, elapsed, cpu));
    println!(
        "        {:.2} cores were used; with both to itself at that cost: {:.0}/s",
        cpu.as_secs_f64() / elapsed.as_secs_f64(),
        2e6 / micros_each(cpu, stage.texts),
    );
    for (n, step) in STEPS.iter().enumerate() {
        let (nanos, times) = (&spans.nanos[n], spans.times[n].load(Ordering::Relaxed).max(1));
        let each = Duration::from_nanos(nanos.load(Ordering::Relaxed) / times);
        println!("        {step:<9}{times} times, each {:.1} ms", each.as_secs_f64() * 1000.0);
    }
    stage.check().await
}

/// The combiner of the server's receipts, with a stopwatch beside it.
fn start_receipts(stage: &Arc<Stage>, spans: &Arc<Spans>) -> Receipts {
    let (stage, spans) = (Arc::clone(stage), Arc::clone(spans));
    Combiner::start(move |batch: Vec<ReceiptIn>| {
        let (stage, spans) = (Arc::clone(&stage), Arc::clone(&spans));
        async move {
            let began = Stopwatch::now();
            let kept = keep_batch(&stage.desk, batch).await;
            spans.note(RECEIPTS, began);
            kept
        }
    })
}

/// Has two receipts kept for each text, the second once the first one is durable.
async fn post_receipts(
    receipts: Receipts,
    mut news: mpsc::UnboundedReceiver<Accepted>,
) -> anyhow::Result<usize> {
    let mut kept = 0;
    let mut on_way = FuturesUnordered::new();
    loop {
        tokio::select! {
            Some(both) = on_way.next(), if !on_way.is_empty() => kept += both?,
            one = news.recv(), if on_way.len() < RECEIPTS_ON_WAY => match one {
                Some(one) => {
                    let receipts = receipts.clone();
                    on_way.push(async move {
                        for receipt in [Receipt::Sent, Receipt::Delivered] {
                            let kept = receipts.apply(receipt_in(&one, receipt)).await?;
                            ensure!(kept.is_ok(), "a receipt was not kept");
                        }
                        anyhow::Ok(2)
                    });
                }
                None if on_way.is_empty() => return Ok(kept),
                None => {
                    while let Some(both) = on_way.next().await {
                        kept += both?;
                    }
                    return Ok(kept);
                }
            },
        }
    }
}

fn receipt_in(one: &Accepted, receipt: Receipt) -> ReceiptIn {
    let (account, stream, ord) = one.place;
    let message = MessageId { account, stream, ord };
    ReceiptIn { message, attempt: one.attempt, receipt, sid: one.sid.clone(), code: 0 }
}

fn rate(texts: usize, elapsed: Duration, cpu: Duration) -> String {
    let secs = elapsed.as_secs_f64();
    format!(
        "{texts} messages in {secs:.2} s = {:.0}/s, {:.1} us CPU per message",
        1e6 / micros_each(elapsed, texts),
        micros_each(cpu, texts)
    )
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn micros_each(span: Duration, texts: usize) -> f64 {
    span.as_secs_f64() * 1e6 / texts.max(1) as f64
}

async fn measure(engine: &str, url: &str, server: Option<u32>, texts: usize) -> anyhow::Result<()> {
    let meter = Meter { server };
    let stage = Stage::open(url).await?;
    println!("{engine}: {}", stage.reference(meter).await?);
    let first = stage.campaign(0, texts / APART_PART).await?;
    apart(&first, meter).await?;
    let second = first.campaign(texts / APART_PART, texts).await?;
    together(Arc::new(second), meter).await
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut words = std::env::args().skip(1);
    let texts: usize = words.next().context("how many messages")?.parse()?;
    for engine in words {
        let home = tempfile::Builder::new().prefix("ledgerline-bench").tempdir()?;
        if engine == "postgres" {
            let cluster = Cluster::start_on_disk()?;
            measure(&engine, cluster.url(), Some(cluster.keeper_id()), texts).await?;
        } else {
            let url = format!("sqlite://{}", home.path().join("bench.db").display());
            measure(&engine, &url, None, texts).await?;
        }
    }
    Ok(())
}
