//! What a due reminder costs, with few and with very many reminders still to come: `cargo xtask
//! bench reminders`. Figures are printed, never judged.

use std::sync::Arc;
use std::time::{Duration, Instant as Stopwatch};

use anyhow::Context as _;
use domain::contexts::Party;
use domain::ids::{AccountId, AppointmentId, AttendeeId, ReminderId};
use domain::instant::Instant;
use domain::seam::{Clock, SeededDice, VirtualClock};
use ledgerline::delivery::senders::From;
use ledgerline::flow::accounts::{self, AccountIn};
use ledgerline::flow::appointments::booking::{Booking, Clerk};
use ledgerline::flow::appointments::change::blank;
use ledgerline::flow::appointments::turn::{Turn, carry_out};
use ledgerline::flow::messages::Asking;
use ledgerline::flow::reminders::fire::fire_due;
use store::appointments::{Appointment, AppointmentState, Attendee};
use store::reminders::{Reminder, ReminderState, save_reminders};
use store::{Db, Options, sweep};

const DUE: usize = 2_000;
const ROWS_A_BATCH: usize = 20_000;
const SCANS: u32 = 200;
const NOON: &str = "2026-11-21T17:00:00Z";

/// Everything one measurement needs.
struct Stage {
    db: Db,
    clock: Arc<VirtualClock>,
    dice: SeededDice,
    account: AccountId,
}

impl Stage {
    async fn open(url: &str) -> anyhow::Result<Self> {
        let clock = Arc::new(VirtualClock::at(Instant::parse(NOON).context("a time")?));
        let shared: Arc<dyn Clock> = Arc::<VirtualClock>::clone(&clock);
        let db = Db::open(&Options::new(url), shared).await?;
        let dice = SeededDice::new(7);
        let wanted: AccountIn = serde_json::from_value(serde_json::json!({
            "name": "Clinic", "timezone": "America/New_York", "country": "US", "quiet_hours": null
        }))?;
        let mut tx = db.begin().await?;
        let account = accounts::open_account(&mut tx, &dice, &wanted).await?.id;
        tx.commit().await?;
        Ok(Self { db, clock, dice, account })
    }

    fn asking(&self) -> Asking<'static> {
        Asking { account: self.account, installation_sender: None::<&From>, magic_allowed: true }
    }

    /// Adds reminders that are due a month from now and later.
    async fn add_future(&self, rows: usize) -> anyhow::Result<()> {
        let first = self.clock.now() + Duration::from_secs(30 * 24 * 3600);
        for from in (0..rows).step_by(ROWS_A_BATCH) {
            let many = ROWS_A_BATCH.min(rows - from);
            let mut tx = self.db.begin().await?;
            let list: Vec<Reminder> = (from..from + many)
                .map(|n| {
                    let due_at = first + Duration::from_secs(u64::try_from(n).unwrap_or(0));
                    self.reminder(due_at)
                })
                .collect();
            save_reminders(&mut tx, self.account, &list).await?;
            tx.commit().await?;
        }
        Ok(())
    }

    fn reminder(&self, due_at: Instant) -> Reminder {
        let starts_at = due_at + Duration::from_secs(7200);
        Reminder {
            id: ReminderId::new(self.clock.now(), &self.dice),
            appointment: AppointmentId::new(self.clock.now(), &self.dice),
            attendee: AttendeeId::new(self.clock.now(), &self.dice),
            party: Party::Client,
            context: "appointment.reminder".to_owned(),
            offset_minutes: 120,
            starts_at,
            due_at,
            not_after: starts_at,
            state: ReminderState::Planned,
            reason: None,
            message: None,
            watch_at: None,
            updated_at: self.clock.now(),
        }
    }

    /// Books appointments whose first reminder is due an hour from now.
    async fn book(&self) -> anyhow::Result<()> {
        for from in (0..DUE).step_by(500) {
            let mut tx = self.db.begin().await?;
            let clerk = Clerk::open(&mut tx, self.asking(), &self.dice).await?;
            let now = tx.now();
            let turns = (from..from + 500).map(|n| Turn::new(self.booking(&clerk, n, now), false));
            let turns = turns.collect();
            carry_out(&mut tx, &clerk, turns, "booked").await?;
            tx.commit().await?;
        }
        Ok(())
    }

    fn booking(&self, clerk: &Clerk<'_>, n: usize, now: Instant) -> Booking {
        let appointment = Appointment {
            title: "Session".to_owned(),
            starts_at: now + Duration::from_secs(3 * 3600),
            ..blank(clerk, now, None)
        };
        let attendee = Attendee {
            id: AttendeeId::new(now, &self.dice),
            appointment: appointment.id,
            contact: None,
            phone: Some(format!("+1312{}{:04}", 200 + n / 10_000, n % 10_000)),
            name: String::new(),
            timezone: None,
            state: AppointmentState::Scheduled,
            problem: None,
        };
        Booking { appointment, attendees: vec![attendee] }
    }

    /// How long a look takes that finds nothing due.
    async fn idle(&self) -> anyhow::Result<Duration> {
        let began = Stopwatch::now();
        for _ in 0..SCANS {
            let mut tx = self.db.read().await?;
            let found = sweep::accounts_with_due_reminders(&mut tx, 200).await?;
            anyhow::ensure!(found.is_empty(), "nothing is due yet");
        }
        Ok(began.elapsed() / SCANS)
    }

    /// How long the scan for due rows takes, and all of firing them, for each due row.
    async fn fire(&self) -> anyhow::Result<(Duration, Duration)> {
        self.clock.advance(Duration::from_secs(3600));
        let rows = u32::try_from(DUE)?;
        let began = Stopwatch::now();
        let mut tx = self.db.read().await?;
        let found = sweep::accounts_with_due_reminders(&mut tx, 200).await?;
        anyhow::ensure!(found == [self.account], "they are due");
        let most = i64::from(rows);
        let due = store::reminders::due_reminders(&mut tx, self.account, most).await?;
        anyhow::ensure!(due.len() == DUE, "all of them");
        let scan = began.elapsed() / rows;
        drop(tx);
        let (mut fired, began) = (0, Stopwatch::now());
        loop {
            let mut tx = self.db.begin().await?;
            let clerk = Clerk::open(&mut tx, self.asking(), &self.dice).await?;
            let decided = fire_due(&mut tx, &clerk).await?;
            tx.commit().await?;
            fired += decided;
            if decided == 0 {
                break;
            }
        }
        anyhow::ensure!(fired == DUE, "{fired} were fired");
        Ok((scan, began.elapsed() / rows))
    }
}

async fn measure(engine: &str, url: &str, future: usize) -> anyhow::Result<(Duration, Duration)> {
    let stage = Stage::open(url).await?;
    stage.add_future(future).await?;
    stage.book().await?;
    let idle = stage.idle().await?;
    let (scan, all) = stage.fire().await?;
    println!(
        "{engine}: {future} to come, {DUE} due: an idle look {:.0} us, per due row {:.1} us to \
         find and {:.1} us in all",
        idle.as_secs_f64() * 1e6,
        scan.as_secs_f64() * 1e6,
        all.as_secs_f64() * 1e6,
    );
    Ok((scan, all))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let cluster = cluster::Cluster::start_on_disk()?;
    for engine in ["sqlite", "postgres"] {
        let mut figures = Vec::new();
        for (nth, future) in [10_000, 1_000_000].into_iter().enumerate() {
            let home = tempfile::tempdir()?;
            let url = if engine == "sqlite" {
                format!("sqlite://{}", home.path().join("bench.db").display())
            } else {
                let name = format!("bench_{nth}");
                cluster::query(cluster.url(), &format!("create database {name}"))?;
                database_url(cluster.url(), &name)
            };
            figures.push(measure(engine, &url, future).await?);
        }
        if let [(scan, all), (scan_many, all_many)] = figures[..] {
            println!(
                "{engine}: a hundred times as many to come: {:.2} times as long to find, {:.2} \
                 times in all",
                scan_many.as_secs_f64() / scan.as_secs_f64(),
                all_many.as_secs_f64() / all.as_secs_f64(),
            );
        }
    }
    Ok(())
}

/// The address of another database of the same server.
fn database_url(url: &str, name: &str) -> String {
    let (base, query) = url.split_once('?').map_or((url, ""), |(base, query)| (base, query));
    let head = base.rsplit_once('/').map_or(base, |(head, _)| head);
    if query.is_empty() { format!("{head}/{name}") } else { format!("{head}/{name}?{query}") }
}
