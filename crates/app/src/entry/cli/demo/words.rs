//! What the demo says.

use std::fmt::Write as _;
use std::path::Path;

use super::business::OPENING_CREDITS;
use super::figures::Figures;
use super::home::{Cast, Home};
use crate::entry::app::App;
use crate::entry::cli::outlet::{
    count, count_of, credits, doable, faint, mark, on_terminal, strong,
};
use crate::entry::http;

/// What a top-up brings, in the command that is shown.
const TOP_UP: i64 = 5_000;

/// The first words.
pub fn opening(home: &Home) -> String {
    format!(
        "\n  {}\n  {}\n",
        strong("Ledgerline demo: a campaign that runs out of credits, and goes on"),
        faint(format!(
            "Everything stays in {}. The sandbox carrier takes the texts: nobody gets one.",
            home.shown().display()
        )),
    )
}

/// What was set up.
pub fn stage(contacts: usize, pace: u32) -> String {
    format!(
        "  {tick} Northside Physio, an invented business, has {}.\n    \
         {}\n  \
         {tick} {} contacts are imported. One text to all of them leaves at {} a second.\n    \
         {}\n",
        strong(credits(OPENING_CREDITS)),
        faint("Its quiet hours are off, so that there is something to see at any hour."),
        strong(count_of(contacts)),
        count(pace.into()),
        faint("Those who never opted in are skipped; for the others the credits will not do."),
        tick = mark(true),
    )
}

/// Where to watch it.
pub fn live_page(app: &App, cast: Cast) -> String {
    let url = http::watch::url(app, cast.account, cast.campaign);
    format!("  Watch it live:  {}\n", doable(url))
}

/// How it stands when nothing moves any more.
pub fn summary(figures: &Figures) -> String {
    let status = &figures.status;
    let head = match (status.state, status.pause_reason) {
        ("paused", Some("credits")) => "Paused: the credits are used up, to the last one.".into(),
        ("completed", _) => "Completed: everybody who may be texted was texted, once.".into(),
        ("draining", _) => format!(
            "Almost done: {} texts may have reached the carrier or not. They are never sent again.",
            count(status.counts.unknown)
        ),
        (state, _) => format!("The campaign is {state}."),
    };
    let mut words = format!("\n  {}\n\n", strong(head));
    let mut row = |name: &str, value: String, ok: Option<bool>| {
        let sign = ok.map(mark).map_or(" ".to_owned(), |mark| mark.to_string());
        writeln!(words, "  {sign} {name:<26}{value}").expect("writing to a String");
    };
    let books = &figures.wallet.books;
    row(
        "the carrier's own record",
        format!(
            "{} texts accepted for {} different phones",
            strong(count_of(figures.accepted)),
            strong(count_of(figures.phones)),
        ),
        Some(figures.agree()),
    );
    let twice = figures.twice();
    row("phones texted twice", strong(count_of(twice)).to_string(), Some(twice == 0));
    for (rule, number) in &figures.skipped {
        let so_far = if status.state == "paused" { " so far" } else { "" };
        let text = format!("{}{so_far} by rule {rule}, each with its why", strong(count(*number)));
        row("skipped", text, None);
    }
    let mut wallet = format!(
        "{} available = {} given − {} spent",
        strong(count(books.available)),
        count(figures.granted()),
        count(books.spent),
    );
    if books.reserved > 0 {
        write!(wallet, " − {} held", count(books.reserved)).expect("writing to a String");
    }
    row("wallet", wallet, Some(books.spent == figures.taken()));
    let (checks, held) =
        (figures.audit.checks.len(), figures.audit.checks.iter().filter(|check| check.ok).count());
    row("ledger", format!("{} lines, hash-chained", count(figures.wallet.seq)), None);
    row("audit", format!("{held} of {checks} checks hold"), Some(figures.audit.ok));
    words
}

/// The command that lets it go on.
pub fn top_up(home: &Home) -> String {
    format!(
        "  Top up, and it goes on exactly where it stopped{}:\n\n      {}\n",
        if on_terminal() { " (in another terminal)" } else { "" },
        doable(command(home.shown(), &format!("demo --top-up {TOP_UP}"))),
    )
}

/// How things are when it is said what else can be tried.
pub struct Moment<'a> {
    /// The account's API key, while it is known.
    pub key: Option<&'a str>,
    /// The server goes on.
    pub stays: bool,
    /// The campaign does not.
    pub over: bool,
}

/// What else can be tried.
pub fn next_steps(app: &App, home: &Home, cast: Cast, moment: &Moment<'_>) -> String {
    let (config, id) = (home.config(), cast.campaign);
    let with_config = |verb: &str| doable(program(&format!("{verb} --config {}", quoted(&config))));
    let mut words = format!("  {}\n", strong("Try next"));
    let mut step = |what: &str, how: String| {
        writeln!(words, "    {what}\n      {how}").expect("writing to a String");
    };
    let serve = doable(serve(&config));
    if moment.stays {
        let page = doable(http::watch::url(app, cast.account, id));
        step("Open the live page:", page.to_string());
    } else {
        step("Serve its page and API:", serve.to_string());
    }
    if moment.over {
        step("Play it again:", doable(command(home.shown(), "demo")).to_string());
    } else if moment.stays {
        let watch = with_config(&format!("campaign watch {id}"));
        step("Follow it in another terminal:", watch.to_string());
        let kill = doable(format!("kill -9 {}", std::process::id()));
        step("Pull the plug in the middle, then let it go on:", format!("{kill}\n      {serve}"));
    }
    let whys = with_config(&format!("campaign recipients {id} --state suppressed"));
    step("See why each one was skipped:", whys.to_string());
    step("Check all books:", with_config("audit").to_string());
    let docs = doable(format!("{}/docs", app.public_url));
    let key = moment.key.map(|key| format!("\n      key {}", doable(key))).unwrap_or_default();
    step("Use the API:", format!("{docs}{key}"));
    words
}

/// Serving the demo from another command, which minds the environment: no text may reach anybody.
fn serve(config: &Path) -> String {
    let command = program(&format!("serve --config {}", quoted(config)));
    if std::env::var_os("TWILIO_ACCOUNT_SID").is_some() {
        return format!("env -u TWILIO_ACCOUNT_SID -u TWILIO_AUTH_TOKEN {command}");
    }
    command
}

/// That the demo was stopped, and how it goes on.
pub fn stopped(home: &Home) -> String {
    let serve = doable(serve(&home.config()));
    format!("\n  Stopped in the middle. It goes on with\n\n      {serve}\n")
}

/// A command line for this program, as it was started.
fn program(arguments: &str) -> String {
    if std::env::var_os("CARGO").is_some() {
        return format!("cargo run --release -- {arguments}");
    }
    let name = std::env::args_os().next().unwrap_or_else(|| "ledgerline".into());
    format!("{} {arguments}", quoted(Path::new(&name)))
}

fn command(dir: &Path, arguments: &str) -> String {
    let usual = Path::new(super::play::DIR);
    let place = if dir == usual { String::new() } else { format!(" --dir {}", quoted(dir)) };
    program(&format!("{arguments}{place}"))
}

/// A path as a shell takes it.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |it: char| it.is_alphanumeric() || "/._-+:@%".contains(it);
    if text.chars().all(plain) { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_quoted_for_a_shell() {
        for (path, expected) in [
            ("./ledgerline-demo/ledgerline.toml", "./ledgerline-demo/ledgerline.toml"),
            ("/my files/x", "'/my files/x'"),
            ("it's", r"'it'\''s'"),
        ] {
            assert_eq!(quoted(Path::new(path)), expected);
        }
    }
}
