//! The course of events: the scene is set, everything is killed over and over, then it may settle,
//! and is compared.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use domain::seam::Dice as _;
use store::{Db, Options};
use tempfile::TempDir;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, sleep};

use super::board::Board;
use super::faults::{Kill, Role, dice, lifetime, one_in, weather};
use super::rig::{Engine, Rig};
use super::scene::{CONTACTS_MAX, Scene};
use super::settle::settle;
use super::words::{Report, opening};
use super::{clients, evidence, verdict};
use crate::entry::cli::failure::{Failure, Result, failed, usage};
use crate::entry::cli::log;
use crate::entry::cli::outlet::{Outlet, say};
use crate::entry::cli::workplace::Shared;
use crate::seam::{SystemClock, SystemDice};

/// The sender's pace: fast enough that each burst of credits is soon on the wire.
const SEGMENTS_PER_SECOND: std::ops::RangeInclusive<u32> = 100..=3000;

/// What to torture, and how much.
#[derive(Args, Debug)]
pub struct Wanted {
    /// Which database keeps what must not be lost
    #[arg(long, value_enum, default_value = "sqlite")]
    engine: Engine,
    /// How often something is killed
    #[arg(long, value_name = "N", default_value_t = 100,
        value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    kills: u32,
    /// How many contacts are texted meanwhile
    #[arg(long, value_name = "N", default_value_t = 20_000,
        value_parser = clap::value_parser!(u32).range(1..=i64::from(CONTACTS_MAX)))]
    recipients: u32,
    /// Draws every kill, fault and request; a new one unless told
    #[arg(long, value_name = "S")]
    seed: Option<u64>,
    /// Kill no more after this long, whatever --kills says
    #[arg(long, value_name = "MINUTES", value_parser = clap::value_parser!(u64).range(1..=100_000))]
    minutes: Option<u64>,
    /// Keep logs, database and the carrier's record in this new directory; without it they are
    /// kept in a temporary one, and only when something is wrong
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// Runs the command.
pub async fn run(wanted: Wanted, shared: &Shared) -> Result {
    if shared.config.is_some() {
        return Err(usage("--config: the torture has settings of its own"));
    }
    log::start(log::Stream::quiet(shared.log))?;
    let out = Outlet { json: shared.json };
    let asked = asked_to_end()?;
    let home = Home::new(wanted.dir.as_deref())?;
    let seed = wanted.seed.unwrap_or_else(|| SystemDice.below(1 << 32));
    let recipients = usize::try_from(wanted.recipients).unwrap_or(usize::MAX);
    if !out.json {
        say(opening(wanted.engine, wanted.kills, recipients, seed))?;
    }
    let mut rig: Option<Rig> = None;
    let mut ended = tokio::select! {
        ended = play(&wanted, seed, home.path(), &mut rig, out) => ended,
        () = asked => Err(failed("stopped before its end; every process it started is ended")),
    };
    let is_wrong = matches!(&ended, Ok(report) if !report.ok);
    if let Some(rig) = &mut rig {
        if is_wrong && let Err(error) = rig.keep_database() {
            eprintln!("the database could not be kept: {error}");
        }
        rig.end().await;
    }
    let kept = home.leave(is_wrong);
    if let Ok(report) = &mut ended {
        report.directory = kept;
    }
    let report = ended?;
    out.tell(&report, || report.in_words())?;
    if report.ok { Ok(()) } else { Err(Failure::Told) }
}

/// Where the processes run.
enum Home {
    Temporary(TempDir),
    Wanted(PathBuf),
}

impl Home {
    fn new(wanted: Option<&Path>) -> Result<Self> {
        let Some(dir) = wanted else {
            let made = tempfile::Builder::new().prefix("ledgerline-torture-").tempdir()?;
            return Ok(Self::Temporary(made));
        };
        let cannot = |error: std::io::Error| usage(format!("--dir: {}: {error}", dir.display()));
        std::fs::create_dir(dir).map_err(cannot)?;
        dir.canonicalize().map(Self::Wanted).map_err(cannot)
    }

    fn path(&self) -> &Path {
        match self {
            Self::Temporary(dir) => dir.path(),
            Self::Wanted(dir) => dir,
        }
    }

    /// Where everything stays; a temporary directory goes when all is well.
    fn leave(self, is_wrong: bool) -> Option<PathBuf> {
        match self {
            Self::Temporary(dir) => is_wrong.then(|| dir.keep()),
            Self::Wanted(dir) => Some(dir),
        }
    }
}

/// Returns when somebody asks this process to end. Asked again, it stays deaf: it is about to end
/// what it started.
fn asked_to_end() -> Result<impl Future<Output = ()>> {
    let listen =
        |kind| signal(kind).map_err(|error| failed(format!("cannot hear signals: {error}")));
    let mut interrupt = listen(SignalKind::interrupt())?;
    let mut terminate = listen(SignalKind::terminate())?;
    let mut hangup = listen(SignalKind::hangup())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    })
}

async fn play(
    wanted: &Wanted,
    seed: u64,
    home: &Path,
    place: &mut Option<Rig>,
    out: Outlet,
) -> Result<Report> {
    let began = Instant::now();
    let recipients = usize::try_from(wanted.recipients).unwrap_or(usize::MAX);
    let pace = (wanted.recipients / wanted.kills * 3)
        .clamp(*SEGMENTS_PER_SECOND.start(), *SEGMENTS_PER_SECOND.end());
    let rig = place.insert(Rig::prepare(home, wanted.engine, pace).await?);
    rig.start().await?;
    let scene = Scene::set(rig.operator_api(), recipients, &dice(seed, Role::Scene)).await?;

    let board = Board::new(out.json);
    let until = wanted.minutes.map(|minutes| began + Duration::from_secs(minutes * 60));
    let mut kills = BTreeMap::new();
    tokio::try_join!(
        kill(rig, &scene, wanted.kills, seed, until, &mut kills),
        clients::grant(&scene, seed),
        clients::opt_out(&scene, seed),
        clients::waver(&scene, seed),
        text(&scene, seed),
        board.follow(&scene, "killing"),
    )?;
    scene.over.set(false);
    let db = Db::open(&Options::new(rig.database_url()), Arc::new(SystemClock)).await?;
    tokio::try_join!(settle(rig, &scene, &db), board.follow(&scene, "settling"))?;
    board.leave()?;

    rig.prepare_to_read().await?;
    let told = scene.told.take();
    let found = evidence::gather(&scene, &told, &db, &rig.carrier_api()).await?;
    db.close().await;
    let verdict = verdict::judge(&found);
    Ok(Report {
        ok: verdict.is_clean(),
        engine: wanted.engine,
        seed,
        seconds: began.elapsed().as_secs_f64(),
        kills,
        ended_by_itself: rig.ended_by_itself,
        recipients,
        single_texts: told.texts.len(),
        accepted: found.accepted.len(),
        opt_outs: told.opted_out.len(),
        repeated: told.repeated,
        unknowns_met: told.unknowns.len(),
        late_charges: found.books.loss,
        verdict,
        directory: None,
    })
}

async fn text(scene: &Scene, seed: u64) -> Result {
    let texters = (0..clients::TEXTERS).map(|nth| clients::send_texts(scene, seed, nth));
    futures_util::future::try_join_all(texters).await.map(drop)
}

/// Kills, one victim after another, each in weather of its own.
async fn kill(
    rig: &mut Rig,
    scene: &Scene,
    wanted: u32,
    seed: u64,
    until: Option<Instant>,
    kills: &mut BTreeMap<Kill, u64>,
) -> Result {
    let (killer, sky) = (dice(seed, Role::Killer), dice(seed, Role::Weather));
    for nth in 0..wanted {
        scene.share_done.set(f64::from(nth + 1) / f64::from(wanted));
        if until.is_some_and(|until| Instant::now() >= until) {
            break;
        }
        let victim = Kill::draw(&killer, rig.has_database_server());
        let (lives, awaits) = (lifetime(&killer), !one_in(&killer, 8));
        rig.set_knobs(weather(&sky)).await?;
        sleep(lives).await;
        *kills.entry(victim).or_default() += 1;
        rig.kill(victim, &killer).await?;
        // Now and then the next kill meets it while it starts.
        if awaits {
            rig.await_up().await?;
        }
    }
    rig.await_up().await?;
    scene.share_done.set(1.0);
    scene.over.set(true);
    Ok(())
}
