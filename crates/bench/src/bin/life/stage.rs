//! An account with a campaign that is ready to leave, and the steps of its messages.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant as Stopwatch};

use anyhow::{Context as _, ensure};
use domain::clock_guard::ClockGuard;
use domain::ids::{AccountId, Incarnation, StreamId};
use domain::instant::Instant;
use domain::ledger;
use domain::message::Fact;
use domain::permit::Consent;
use domain::rates::SenderKind;
use domain::seam::{Clock, Dice, SeededDice, VirtualClock};
use domain::token::Secret;
use ledgerline::delivery::beat::{self, Ahead, Beat, GoOn, Wish};
use ledgerline::delivery::beats::Beats;
use ledgerline::delivery::bounds::Bounds;
use ledgerline::delivery::carrier::{Answer, Carrier, Listed, Listing, Mark, Outgoing, Search};
use ledgerline::delivery::claim::{Claimant, Claimed, Piece};
use ledgerline::delivery::conversations::Conversations;
use ledgerline::delivery::dispatch::Desk;
use ledgerline::delivery::pace::Paces;
use ledgerline::delivery::record::Report;
use ledgerline::delivery::routes::{Line, Routes};
use ledgerline::delivery::senders::From;
use ledgerline::delivery::throttle::Throttles;
use ledgerline::delivery::wire_log::WireLogs;
use ledgerline::delivery::worker::{Piecework, claim_piece};
use ledgerline::flow::accounts::{self, AccountIn};
use ledgerline::flow::campaigns::{self, AudienceIn, CampaignIn};
use ledgerline::flow::contacts::{Source, Word, keep_words};
use ledgerline::flow::status::campaign_status;
use ledgerline::flow::{audit, timer};
use store::{Db, Options, Rows, wallets};

use super::cost::Meter;
use super::micros_each;

const NOON: &str = "2026-11-21T17:00:00Z";
/// As in the server: texts in one chunk, texts on the wire at once.
const CHUNK_TEXTS_MAX: i64 = 1000;
const WINDOW_MAX: usize = 250;
const CONTACTS_A_BATCH: usize = 1000;
const REFERENCE_BATCHES: usize = 40;
const REFERENCE_ROWS: usize = 500;
const REFERENCE_HASHES: usize = 200_000;

/// No text ever gets as far as the carrier.
struct NoCarrier;

impl Carrier for NoCarrier {
    fn send<'a>(&'a self, _: Outgoing<'a>, _: Mark) -> Answer<'a> {
        unreachable!("nothing is sent here")
    }
    fn list<'a>(&'a self, _: Option<&'a str>, _: Instant) -> Search<'a, Listing> {
        unreachable!("nothing is searched here")
    }
    fn newest(&self) -> Search<'_, Vec<Listed>> {
        unreachable!("nothing is searched here")
    }
    fn fetch<'a>(&'a self, _: &'a str) -> Search<'a, Option<Listed>> {
        unreachable!("nothing is searched here")
    }
}

/// A text the carrier took.
#[derive(Clone)]
pub struct Accepted {
    pub place: (AccountId, StreamId, i64),
    pub attempt: u16,
    pub sid: String,
}

/// One campaign, ready to leave.
pub struct Stage {
    pub desk: Arc<Desk>,
    pub texts: usize,
    account: AccountId,
    stream: StreamId,
    /// Holds the wire logs; gone with the last stage.
    wire: Arc<tempfile::TempDir>,
}

impl Stage {
    /// Opens an empty database.
    pub async fn open(url: &str) -> anyhow::Result<Self> {
        let clock: Arc<dyn Clock> =
            Arc::new(VirtualClock::at(Instant::parse(NOON).context("a time")?));
        let dice: Arc<dyn Dice> = Arc::new(SeededDice::new(7));
        let db = Db::open(&Options::new(url), Arc::clone(&clock)).await?;
        let mut tx = db.begin().await?;
        let secret = store::accounts::installation_secret(&mut tx, Secret([9; 32])).await?;
        let wanted: AccountIn = serde_json::from_value(serde_json::json!({
            "name": "Clinic", "timezone": "America/New_York", "country": "US",
        }))?;
        let account = accounts::open_account(&mut tx, &*dice, &wanted).await?.id;
        tx.commit().await?;
        let wire = tempfile::tempdir()?;
        let owner = Incarnation::new(clock.now(), &*dice);
        let desk = Desk {
            db,
            routes: Routes::new(vec![Line::new("primary", Arc::new(NoCarrier), None, 64)]),
            bounds: Bounds::default(),
            poll_after: Duration::from_secs(900),
            witness: None,
            secret,
            public_url: None,
            throttles: Throttles::default(),
            conversations: Conversations::default(),
            beats: Beats::default(),
            paces: Paces::default(),
            wire_logs: WireLogs::open(wire.path(), owner)?,
            claimant: Claimant {
                owner,
                lease: Bounds::default().lease,
                installation_sender: Some(From {
                    kind: SenderKind::ShortCode,
                    address: "72345".to_owned(),
                    segments_per_second: 1_000_000,
                }),
                texts_max: CHUNK_TEXTS_MAX,
                window_max: WINDOW_MAX,
            },
            guard: ClockGuard::default(),
            stopping: AtomicBool::new(false),
            clock,
            dice,
        };
        let (desk, wire) = (Arc::new(desk), Arc::new(wire));
        Ok(Self { desk, texts: 0, account, stream: StreamId(0), wire })
    }

    /// Has a campaign to `texts` people, counted from `first` on, ready to leave: of an account of
    /// its own where this one has people already.
    pub async fn campaign(&self, first: usize, texts: usize) -> anyhow::Result<Self> {
        let (desk, mut account) = (Arc::clone(&self.desk), self.account);
        let (db, dice) = (&desk.db, &*desk.dice);
        if self.texts > 0 {
            let mut tx = db.begin().await?;
            let wanted: AccountIn = serde_json::from_value(serde_json::json!({
                "name": "Shop", "timezone": "America/New_York", "country": "US",
            }))?;
            account = accounts::open_account(&mut tx, dice, &wanted).await?.id;
            tx.commit().await?;
        }
        let mut tx = db.begin().await?;
        accounts::adjust_credits(&mut tx, account, "b", 1_000_000_000, "operator", "a bench")
            .await?;
        tx.commit().await?;
        for from in (first..first + texts).step_by(CONTACTS_A_BATCH) {
            let to = (from + CONTACTS_A_BATCH).min(first + texts);
            let words: Vec<Word> = (from..to).map(word).collect();
            let source =
                Source { name: "import", actor: "b", evidence: "b", may_opt_in_again: true };
            let mut tx = db.begin().await?;
            keep_words(&mut tx, dice, account, &words, source).await?;
            tx.commit().await?;
        }
        let wanted = CampaignIn {
            name: "Spring".to_owned(),
            category: "marketing".to_owned(),
            body: "Spring sale: everything must go. Reply STOP to opt out.".to_owned(),
            audience: AudienceIn { all: Some(true), ..AudienceIn::default() },
            sender_id: None,
            starts_at: None,
            resume_when_funded: false,
        };
        let mut tx = db.begin().await?;
        let stream = campaigns::create(&mut tx, dice, account, &wanted).await?.id;
        campaigns::wish(&mut tx, account, stream, campaigns::Wish::Start).await?;
        tx.commit().await?;
        while timer::look(&desk, true).await? {}
        Ok(Self { desk, texts, account, stream, wire: Arc::clone(&self.wire) })
    }

    /// Takes up the next chunk.
    pub async fn claim(&self) -> store::Result<Piecework> {
        claim_piece(&self.desk, (self.account, self.stream), Piece::Next).await
    }

    /// Has all texts of a chunk accepted, with a beat whenever half a window of answers waits, as
    /// dispatch does. `told` hears of them once they are durable.
    pub async fn send(
        &self,
        claimed: &Claimed,
        mut told: impl FnMut(&[Accepted]),
    ) -> anyhow::Result<Vec<Accepted>> {
        let Self { desk, account, stream, .. } = self;
        let window = desk.claimant.window(&claimed.from);
        let texts = claimed.permits.len();
        let mut mark = usize::try_from(claimed.chunk.mark)?;
        let accepted: Vec<Accepted> = claimed.permits.iter().map(|one| self.accept(one)).collect();
        let (place, queue) = ((*account, *stream), desk.beats.of((*account, *stream)));
        let tenure = claimed.chunk.tenure();
        let mut done = 0;
        while mark < texts {
            let end = done + window / 2;
            mark = (end + window).min(texts);
            let ahead: Vec<Ahead> = (end..mark)
                .map(|index| {
                    let permit = &claimed.permits[index];
                    Ahead { index, ord: permit.ord(), phone: permit.phone().to_owned() }
                })
                .collect();
            let (from, lease_until) =
                (claimed.from.clone(), desk.clock.now() + desk.claimant.lease);
            let wish = Wish::GoOn(GoOn { tenure, from, mark, lease_until, ahead });
            let reports = accepted[done..end].iter().map(report).collect();
            let orders = queue.write(desk, place, &Arc::new(Beat { reports, wish })).await?;
            ensure!(
                orders.stop.is_none() && orders.stopped.is_empty() && !orders.fenced,
                "the campaign was stopped: {orders:?}"
            );
            told(&accepted[done..end]);
            done = end;
        }
        let reports = accepted[done..].iter().map(report).collect();
        let last = Arc::new(Beat { reports, wish: Wish::End(tenure) });
        beat::close(desk, place, &queue, &last).await?;
        told(&accepted[done..]);
        Ok(accepted)
    }

    fn accept(&self, permit: &ledgerline::delivery::gate::Permit) -> Accepted {
        let place = (self.account, self.stream, permit.ord());
        let high = self.desk.dice.below(u64::MAX);
        let sid = format!("SM{high:016x}{:016x}", permit.ord());
        Accepted { place, attempt: permit.attempt(), sid }
    }

    /// Nothing was lost: every text is delivered and paid for once, and the books balance.
    pub async fn check(&self) -> anyhow::Result<()> {
        let db = &self.desk.db;
        let mut tx = db.read().await?;
        let status = campaign_status(&mut tx, self.account, self.stream, 0.0).await?;
        let counts = serde_json::to_value(&status)?["counts"].take();
        ensure!(counts["delivered"] == self.texts, "every text is delivered: {counts}");
        ensure!(status.state == "completed", "the campaign is {}", status.state);
        let books = wallets::wallet(&mut tx, self.account).await?.books;
        ensure!(books.reserved == 0, "{} credits are still held", books.reserved);
        ensure!(books.spent >= i64::try_from(self.texts)?, "{} credits are spent", books.spent);
        drop(tx);
        let audit = audit::audit(db, self.account).await?;
        ensure!(audit.ok, "the audit finds faults: {audit:?}");
        Ok(())
    }

    /// How fast this machine is at the moment: hashes of a fixed length, and plain rows added in
    /// durable batches.
    pub async fn reference(&self, meter: Meter) -> anyhow::Result<String> {
        let (began, before) = (Stopwatch::now(), meter.read());
        let mut hash = [0; 32];
        for _ in 0..REFERENCE_HASHES {
            hash = ledger::leaf(&[&hash]);
        }
        ensure!(hash != [0; 32], "a hash");
        let hashing = (began.elapsed(), meter.read().saturating_sub(before));
        let db = &self.desk.db;
        let mut tx = db.begin().await?;
        tx.execute("create table plain (n bigint primary key, words text not null)", ()).await?;
        tx.commit().await?;
        let (began, before) = (Stopwatch::now(), meter.read());
        let words = "x".repeat(40);
        for batch in 0..REFERENCE_BATCHES {
            let first = i64::try_from(batch * REFERENCE_ROWS)?;
            let rows = Rows::of(REFERENCE_ROWS)
                .int("n", (first..).take(REFERENCE_ROWS))
                .text("words", std::iter::repeat_n(words.clone(), REFERENCE_ROWS));
            let mut tx = db.begin().await?;
            tx.many("insert into plain (n, words) select r.n, r.words from {rows}", (), rows)
                .await?;
            tx.commit().await?;
        }
        let (elapsed, cpu) = (began.elapsed(), meter.read().saturating_sub(before));
        let rows = REFERENCE_BATCHES * REFERENCE_ROWS;
        Ok(format!(
            "a hash takes {:.2} us ({:.2} us CPU); plain rows, {REFERENCE_ROWS} a commit: {:.1} us \
             ({:.1} us CPU) each",
            micros_each(hashing.0, REFERENCE_HASHES),
            micros_each(hashing.1, REFERENCE_HASHES),
            micros_each(elapsed, rows),
            micros_each(cpu, rows),
        ))
    }
}

fn report(one: &Accepted) -> Report {
    let mut report = Report::new(one.place.2, one.attempt, Fact::Accepted);
    report.sid = Some(one.sid.clone());
    report
}

fn word(n: usize) -> Word {
    let phone = format!("+1312{:07}", 2_000_000 + n);
    Word { phone, consent: Some(Consent::OptedIn), ..Word::default() }
}
