//! The ceiling: the same client against the same carrier, with no database and no rules.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use anyhow::ensure;
use twilio::client::{Client, Config, Timeouts};
use twilio::outcome::Outcome;
use twilio::wire::{CreateMessage, Sender};

use super::campaign::Figures;
use super::processes::{Program, cost_of, credentials};

/// As many requests at once as the server allows itself.
const REQUESTS_AT_ONCE: usize = 64;

/// Sends `texts` texts as fast as it goes.
pub fn measure(program: &Path, texts: usize) -> anyhow::Result<Figures> {
    let carrier = Program::carrier(program, false, None)?;
    let (account_sid, token) = credentials();
    let client = Arc::new(Client::new(Config {
        base: format!("http://127.0.0.1:{}", carrier.port),
        account_sid: account_sid.to_owned(),
        username: account_sid.to_owned(),
        password: token.into(),
        concurrency: REQUESTS_AT_ONCE,
        timeouts: Timeouts::default(),
    })?);
    let own = std::process::id();
    let before = [carrier.cost(), cost_of(own)];
    let started = Instant::now();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let accepted = runtime.block_on(send_all(client, texts));
    let elapsed = started.elapsed();
    ensure!(accepted == texts, "the carrier accepted {accepted} of {texts}");
    let after = [carrier.cost(), cost_of(own)];
    let costs = ["carrier", "client"].into_iter().zip(before.into_iter().zip(after));
    let costs = costs.filter_map(|(name, (before, after))| Some((name, after?.since(before?))));
    let name = "plain HTTP, no database".to_owned();
    Ok(Figures { name, texts, elapsed, costs: costs.collect() })
}

async fn send_all(client: Arc<Client>, texts: usize) -> usize {
    let next = Arc::new(AtomicUsize::new(0));
    let lanes: Vec<_> = (0..REQUESTS_AT_ONCE)
        .map(|_| {
            let (client, next) = (Arc::clone(&client), Arc::clone(&next));
            tokio::spawn(async move {
                let mut accepted = 0;
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    if n >= texts {
                        return accepted;
                    }
                    let to = format!("+1{}{:07}", 212, n);
                    let callback = format!("http://127.0.0.1:9/hooks/twilio/status/{n:0>52}");
                    let body = "Spring sale: everything must go. Reply STOP to opt out.";
                    let mut message = CreateMessage::new(&to, Sender::From("+15005550006"), body);
                    message.status_callback = Some(&callback);
                    message.validity_period_secs = Some(14_400);
                    let outcome = client.create_message(&message).await;
                    accepted += usize::from(matches!(outcome, Outcome::Accepted { .. }));
                }
            })
        })
        .collect();
    let mut accepted = 0;
    for lane in lanes {
        accepted += lane.await.unwrap_or(0);
    }
    accepted
}
