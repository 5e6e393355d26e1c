//! The course of events.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use data_encoding::HEXLOWER;
use domain::instant::Instant;
use domain::seam::Dice as _;
use store::{Db, Options};
use tokio::net::TcpListener;

use super::figures::Figures;
use super::home::{Cast, Home, Memory};
use super::{business, words};
use crate::entry::cli::failure::{Failure, Result, failed, usage};
use crate::entry::cli::log;
use crate::entry::cli::outlet::{credits, faint, mark, on_terminal, say, strong};
use crate::entry::cli::progress::{Live, View};
use crate::entry::cli::serve::{Server, listen};
use crate::entry::cli::stop::Stop;
use crate::entry::cli::watch::{LOOK, look, rests};
use crate::entry::cli::workplace::Shared;
use crate::flow::accounts::{adjust_credits, set_pace};
use crate::seam::{SystemClock, SystemDice};

/// Where the demo lives unless told otherwise.
pub const DIR: &str = "./ledgerline-demo";
/// Three thousand texts then take twenty seconds.
const SEGMENTS_PER_SECOND: u32 = 150;
const USUAL_ADDRESS: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);
/// So long the last receipts are waited for, and unknown texts for news.
const NEWS_MAX: Duration = Duration::from_secs(15);

/// How to play.
#[derive(Args, Debug)]
pub struct Wanted {
    /// Where it lives; an earlier demo there is replaced
    #[arg(long, value_name = "DIR", default_value = DIR)]
    dir: PathBuf,
    /// Give the demo of an earlier run this many credits, and let it go on
    #[arg(long, value_name = "CREDITS", value_parser = clap::value_parser!(i64).range(1..))]
    top_up: Option<i64>,
    /// How fast its sender is, in segments a second
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    speed: Option<u32>,
    /// Where its page and API are served; a free port if the usual one is taken
    #[arg(long, value_name = "ADDRESS")]
    bind: Option<SocketAddr>,
}

/// Runs the command.
pub async fn run(wanted: Wanted, shared: &Shared) -> Result {
    if shared.config.is_some() {
        return Err(usage("--config: the demo has settings of its own"));
    }
    if shared.json {
        return Err(usage("--json: the demo speaks to people; ask the other commands about it"));
    }
    match wanted.top_up {
        None => begin(&wanted, shared).await,
        Some(amount) => go_on(&wanted, shared, amount).await,
    }
}

/// The demo from its beginning.
async fn begin(wanted: &Wanted, shared: &Shared) -> Result {
    let home = Home::fresh(&wanted.dir)?;
    log::start(log::Stream::to_file(shared.log, home.log()?))?;
    let stop = Stop::on_signals()?;
    let listener = listen_nearby(wanted.bind, USUAL_ADDRESS).await?;
    let mut memory =
        Memory { bind: listener.local_addr()?, operator_key: operator_key(), cast: None };
    home.keep(&memory)?;
    say(words::opening(&home))?;
    let server = Server::start(home.settings(&memory), listener).await?;
    let pace = wanted.speed.unwrap_or(SEGMENTS_PER_SECOND);
    let opened = business::open(&server.app, pace).await?;
    let imported = business::import(&server.app, opened.account).await?;
    let cast = business::start_campaign(&server.app, &opened).await?;
    memory.cast = Some(cast);
    home.keep(&memory)?;
    say(words::stage(imported.created, pace))?;
    say(words::live_page(&server.app, cast))?;
    let mut play = Play { server, home, cast, stop };
    let told = play.show_all(Some(&opened.key)).await;
    play.server.stop().await?;
    told
}

/// An earlier demo, topped up.
async fn go_on(wanted: &Wanted, shared: &Shared, amount: i64) -> Result {
    let (home, mut memory) = Home::open(&wanted.dir)?;
    let cast = memory.cast.ok_or_else(|| {
        failed(format!(
            "the demo in {} was stopped before its campaign began; start it anew",
            home.shown().display()
        ))
    })?;
    if home.is_served()? {
        log::start(log::Stream::quiet(shared.log))?;
        let db = open_beside(&home, &memory).await?;
        top_up(&db, cast, amount, wanted.speed).await?;
        return say(format!(
            "\n  {} {} given. The demo runs in another terminal: look there, it goes on.\n",
            mark(true),
            strong(credits(amount)),
        ));
    }
    log::start(log::Stream::to_file(shared.log, home.log()?))?;
    let stop = Stop::on_signals()?;
    let listener = listen_nearby(wanted.bind, memory.bind).await?;
    memory.bind = listener.local_addr()?;
    home.keep(&memory)?;
    let server = Server::start(home.settings(&memory), listener).await?;
    let mut play = Play { server, home, cast, stop };
    let over = is_over(play.look().await?.0.status.state);
    top_up(&play.server.app.db, cast, amount, wanted.speed).await?;
    play.server.app.call.notify_one();
    let effect = if over { "they stay in the wallet: the campaign is over" } else { "it goes on" };
    let given = strong(credits(amount));
    say(format!("\n  {} {given} given; {effect}.\n", mark(true)))?;
    say(words::live_page(&play.server.app, cast))?;
    let told = match play.follow(true).await {
        Ok(true) => play.tell(None, false).await,
        Ok(false) => play.tell_stopped(),
        Err(failure) => Err(failure),
    };
    play.server.stop().await?;
    told
}

fn is_over(state: &str) -> bool {
    matches!(state, "completed" | "canceled" | "failed")
}

async fn listen_nearby(wanted: Option<SocketAddr>, usual: SocketAddr) -> Result<TcpListener> {
    if let Some(address) = wanted {
        return listen(address).await;
    }
    match TcpListener::bind(usual).await {
        Ok(listener) => Ok(listener),
        Err(_) => listen(SocketAddr::new(usual.ip(), 0)).await,
    }
}

fn operator_key() -> String {
    let mut chance = [0; 16];
    SystemDice.fill(&mut chance);
    HEXLOWER.encode(&chance)
}

async fn open_beside(home: &Home, memory: &Memory) -> Result<Db> {
    let url = home.settings(memory).database_url;
    Ok(Db::open(&Options::new(url), Arc::new(SystemClock)).await?)
}

async fn top_up(db: &Db, cast: Cast, amount: i64, pace: Option<u32>) -> Result {
    let mut tx = db.begin().await?;
    if let Some(pace) = pace {
        set_pace(&mut tx, cast.account, cast.sender, pace).await?;
    }
    let key = format!("demo:{}", operator_key());
    adjust_credits(&mut tx, cast.account, &key, amount, "demo", "topped up").await?;
    Ok(tx.commit().await?)
}

/// A running demo.
struct Play {
    server: Server,
    home: Home,
    cast: Cast,
    stop: Stop,
}

impl Play {
    /// Shows the campaign until it rests and, where somebody watches, each time it moves again.
    async fn show_all(&mut self, key: Option<&str>) -> Result {
        let stays = on_terminal();
        loop {
            if !self.follow(false).await? {
                return self.tell_stopped();
            }
            self.tell(key, stays).await?;
            if !stays {
                return Ok(());
            }
            let note = "  The page and the API stay up. Ctrl-C ends the demo.\n";
            say(faint(note))?;
            if !self.wait_until_it_moves().await? {
                return Ok(());
            }
        }
    }

    /// Shows the campaign until nothing of it moves; `false` when asked to stop before that.
    async fn follow(&mut self, funded: bool) -> Result<bool> {
        let mut live = Live::new();
        let (mut calm, mut waits_for_start) = (Calm::default(), funded);
        loop {
            let (view, now) = self.look().await?;
            live.show(&view, now.seconds())?;
            // Just topped up, it still stands where it paused until the timer has looked.
            let status = &view.status;
            waits_for_start &= status.pause_reason == Some("credits") && view.available > 0;
            if !waits_for_start && calm.is_reached(&view, now) {
                live.leave(&view)?;
                return Ok(true);
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                () = self.stop.asked() => {
                    live.leave(&view)?;
                    return Ok(false);
                }
            }
        }
    }

    async fn wait_until_it_moves(&mut self) -> Result<bool> {
        let (before, _) = self.look().await?;
        loop {
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                () = self.stop.asked() => return Ok(false),
            }
            let (view, _) = self.look().await?;
            if view.status.state != before.status.state {
                return Ok(true);
            }
        }
    }

    async fn look(&self) -> Result<(View, Instant)> {
        let (app, cast) = (&self.server.app, self.cast);
        let (mut view, now) = look(&app.db, cast.account, cast.campaign).await?;
        view.status.rate_per_second = app.desk.paces.per_second(cast.account, cast.campaign, now);
        Ok((view, now))
    }

    async fn tell(&self, key: Option<&str>, stays: bool) -> Result {
        let figures = Figures::gather(&self.server.app, self.cast).await?;
        say(words::summary(&figures))?;
        if figures.status.state == "paused" {
            say(words::top_up(&self.home))?;
        }
        let over = is_over(figures.status.state);
        let moment = words::Moment { key, stays, over };
        say(words::next_steps(&self.server.app, &self.home, self.cast, &moment))?;
        if figures.all_well() {
            return Ok(());
        }
        Err(Failure::Failed("the figures do not agree; please report this with the log".to_owned()))
    }

    fn tell_stopped(&self) -> Result {
        say(words::stopped(&self.home))
    }
}

/// Nothing moves any more, and the last news has come or is long overdue.
#[derive(Default)]
struct Calm(Option<Instant>);

impl Calm {
    fn is_reached(&mut self, view: &View, now: Instant) -> bool {
        let counts = &view.status.counts;
        let on_the_way = counts.sending + counts.deferred + counts.pending;
        let only_unknown = view.status.state == "draining" && on_the_way == 0;
        if !rests(view.status.state) && !only_unknown {
            self.0 = None;
            return false;
        }
        let since = *self.0.get_or_insert(now);
        let news_to_come = counts.sent + counts.unknown > 0;
        !news_to_come || now.since(since) > NEWS_MAX
    }
}
