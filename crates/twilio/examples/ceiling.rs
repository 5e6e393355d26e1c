//! How many texts a second the client can put to the sandbox carrier, each in its own process,
//! with no database and no rules: `cargo run --release -p twilio --example ceiling [TEXTS]`.

use std::io::{BufRead as _, BufReader, Error, Result};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use domain::seam::{SeededDice, VirtualClock};
use twilio::client::{Client, Config, Timeouts};
use twilio::outcome::Outcome;
use twilio::sandbox::{Knobs, Options, Sandbox};
use twilio::wire::{CreateMessage, Sender};

const ACCOUNT: &str = "AC0123456789abcdef0123456789abcdef";
const TOKEN: &str = "secret-token";
const CARRIER: &str = "carrier";
const TEXTS: usize = 400_000;
const LANES: usize = 64;

fn main() -> Result<()> {
    let argument = std::env::args().nth(1);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    if argument.as_deref() == Some(CARRIER) {
        return runtime.block_on(serve());
    }
    let texts = argument.and_then(|text| text.parse().ok()).unwrap_or(TEXTS);
    let (mut carrier, base) = start_carrier()?;
    let started = Instant::now();
    let accepted = runtime.block_on(send_all(&base, texts));
    let seconds = started.elapsed().as_secs_f64();
    let memory = resident_mb(carrier.id());
    carrier.kill()?;
    let pace = f64::from(u32::try_from(accepted).unwrap_or(u32::MAX)) / seconds;
    println!("{accepted} of {texts} accepted in {seconds:.2} s: {pace:.0} texts/s; {memory}");
    Ok(())
}

/// The carrier's process: prints its address and runs until it is killed.
async fn serve() -> Result<()> {
    let receipts = std::env::var_os("RECEIPTS").is_some();
    let sandbox = Sandbox::start(Options {
        bind: ([127, 0, 0, 1], 0).into(),
        credentials: Some((ACCOUNT.to_owned(), TOKEN.to_owned())),
        knobs: Knobs { receipts, ..Knobs::default() },
        record: std::env::var_os("RECORD").map(Into::into),
        clock: Arc::new(VirtualClock::default()),
        dice: Arc::new(SeededDice::new(7)),
    })
    .await?;
    println!("http://{}", sandbox.addr());
    std::future::pending().await
}

fn start_carrier() -> Result<(Child, String)> {
    let mut child =
        Command::new(std::env::current_exe()?).arg(CARRIER).stdout(Stdio::piped()).spawn()?;
    let out = child.stdout.take().ok_or_else(|| Error::other("no output"))?;
    let mut base = String::new();
    BufReader::new(out).read_line(&mut base)?;
    Ok((child, base.trim().to_owned()))
}

async fn send_all(base: &str, texts: usize) -> usize {
    let client = Client::new(Config {
        base: base.to_owned(),
        account_sid: ACCOUNT.to_owned(),
        username: ACCOUNT.to_owned(),
        password: TOKEN.to_owned().into(),
        concurrency: LANES,
        timeouts: Timeouts::default(),
    });
    let client = Arc::new(client.expect("the configuration is sound"));
    let next = Arc::new(AtomicUsize::new(0));
    let lane = || tokio::spawn(send_some(Arc::clone(&client), Arc::clone(&next), texts));
    let lanes: Vec<_> = (0..LANES).map(|_| lane()).collect();
    let mut accepted = 0;
    for lane in lanes {
        accepted += lane.await.unwrap_or(0);
    }
    accepted
}

async fn send_some(client: Arc<Client>, next: Arc<AtomicUsize>, texts: usize) -> usize {
    let mut accepted = 0;
    loop {
        let n = next.fetch_add(1, Ordering::Relaxed);
        if n >= texts {
            return accepted;
        }
        let to = format!("+1212{n:07}");
        let callback = format!("http://127.0.0.1:9/hooks/twilio/status/{n:0>52}");
        let body = format!("Hello {n}, everything must go this spring. Reply STOP to opt out.");
        let message = CreateMessage {
            status_callback: Some(&callback),
            validity_period_secs: Some(14_400),
            ..CreateMessage::new(&to, Sender::From("+15005550006"), &body)
        };
        let outcome = client.create_message_marked(&message, || Ok(())).await;
        accepted += usize::from(matches!(outcome, Outcome::Accepted { .. }));
    }
}

/// What a process holds in memory, as the kernel words it.
fn resident_mb(pid: u32) -> String {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM"));
    line.unwrap_or("memory unknown").split_whitespace().collect::<Vec<_>>().join(" ")
}
