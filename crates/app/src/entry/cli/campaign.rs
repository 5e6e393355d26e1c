//! `ledgerline campaign`: a text to many.

use std::fmt::Write as _;

use clap::{Args, Subcommand};
use domain::campaign::State;
use domain::ids::{ContactId, SenderId, StreamId};
use domain::instant::Instant;
use serde_json::json;
use store::campaigns;

use super::failure::{Result, usage};
use super::outlet::{answer, count, credits, doable, faint, mark, say, strong};
use super::progress;
use super::watch;
use super::workplace::{Shared, Whose, Workplace};
use crate::entry::app::is_served;
use crate::entry::carriers::installation_sender;
use crate::flow::campaigns::{AudienceIn, CampaignIn, CampaignQuote, Wish, create, quote, wish};
use crate::flow::status::{RecipientStatus, campaign_status, list_recipients, status_of};

const CAMPAIGNS_LISTED_MAX: i64 = 1000;
const RECIPIENTS_A_PAGE: i64 = 1000;

/// What to do with campaigns.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Write a campaign; it is sent once it is started
    Create(Create),
    /// Show the account's campaigns, newest first
    List(Whose),
    /// What it would send and cost, and who would be skipped and why
    Quote(Which),
    /// Freeze its list and let it leave
    Start(Which),
    /// Take up no more texts
    Pause(Which),
    /// Go on after a pause
    Resume(Which),
    /// Stop it for good
    Cancel(Which),
    /// Follow it live until it pauses or is over
    Watch(Which),
    /// What has become of each recipient, and why
    Recipients(Recipients),
}

/// A wanted campaign.
#[derive(Args, Debug)]
pub struct Create {
    #[command(flatten)]
    whose: Whose,
    /// Its name
    #[arg(long)]
    name: String,
    /// marketing or transactional: which consent it needs
    #[arg(long, default_value = "marketing")]
    category: String,
    /// Its text; {{name}} and other fields of the contacts are filled in
    #[arg(long)]
    body: String,
    #[command(flatten)]
    audience: Audience,
    /// The sender; the account's first one if there is none
    #[arg(long, value_name = "ID")]
    sender: Option<SenderId>,
    /// Not before this time, such as 2026-11-21T09:00:00Z
    #[arg(long, value_name = "TIME", value_parser = moment)]
    starts_at: Option<Instant>,
    /// When credits run out, resume by itself as soon as there are some
    #[arg(long)]
    resume_when_funded: bool,
}

/// To whom: one of the three.
#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
struct Audience {
    /// To every contact
    #[arg(long)]
    all: bool,
    /// To contacts with this tag, or one of several
    #[arg(long, value_name = "TAG")]
    tag: Vec<String>,
    /// To this contact, or several
    #[arg(long, value_name = "ID")]
    contact: Vec<ContactId>,
}

/// Which campaign is meant.
#[derive(Args, Debug)]
pub struct Which {
    /// The campaign
    #[arg(value_name = "ID")]
    id: StreamId,
    #[command(flatten)]
    whose: Whose,
}

/// Which recipients to show.
#[derive(Args, Debug)]
pub struct Recipients {
    #[command(flatten)]
    which: Which,
    /// Only those in this state, such as suppressed, unknown or delivered
    #[arg(long)]
    state: Option<String>,
    /// How many at most
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: usize,
}

fn moment(text: &str) -> std::result::Result<Instant, String> {
    Instant::parse(text).ok_or_else(|| "write a time such as 2026-11-21T09:00:00Z".to_owned())
}

/// Runs the command.
pub async fn run(verb: Verb, shared: &Shared) -> Result {
    let work = Workplace::open(shared).await?;
    match verb {
        Verb::Create(wanted) => write(&work, wanted).await,
        Verb::List(whose) => list(&work, whose).await,
        Verb::Quote(which) => price(&work, &which).await,
        Verb::Start(which) => ask(&work, &which, Wish::Start).await,
        Verb::Pause(which) => ask(&work, &which, Wish::Pause).await,
        Verb::Resume(which) => ask(&work, &which, Wish::Resume).await,
        Verb::Cancel(which) => ask(&work, &which, Wish::Cancel).await,
        Verb::Watch(which) => {
            let account = work.account(which.whose).await?;
            watch::run(&work, account.id, which.id).await
        }
        Verb::Recipients(wanted) => recipients(&work, &wanted).await,
    }
}

async fn write(work: &Workplace, wanted: Create) -> Result {
    let account = work.account(wanted.whose).await?;
    let some = |list: bool| list.then_some(());
    let Audience { all, tag, contact } = wanted.audience;
    let audience = AudienceIn {
        all: some(all).map(|()| true),
        tags: some(!tag.is_empty()).map(|()| tag),
        contact_ids: some(!contact.is_empty()).map(|()| contact),
    };
    let wanted = CampaignIn {
        name: wanted.name,
        category: wanted.category,
        body: wanted.body,
        audience,
        sender_id: wanted.sender,
        starts_at: wanted.starts_at,
        resume_when_funded: wanted.resume_when_funded,
    };
    let mut tx = work.db.begin().await?;
    let campaign = create(&mut tx, &*work.dice, account.id, &wanted).await?;
    let (id, name) = (campaign.id, campaign.name.clone());
    let status = status_of(&mut tx, account.id, campaign, 0.0).await?;
    tx.commit().await?;
    work.out.tell(&status, || {
        let next = |verb: &str| doable(format!("ledgerline campaign {verb} {id}"));
        format!(
            "{}  {}  draft\n\nNext: {}\n      {}",
            doable(id),
            strong(name),
            next("quote"),
            next("start")
        )
    })
}

async fn list(work: &Workplace, whose: Whose) -> Result {
    let account = work.account(whose).await?;
    let mut tx = work.db.read().await?;
    let newest = StreamId(i64::MAX);
    let all = campaigns::list_campaigns(&mut tx, account.id, newest, CAMPAIGNS_LISTED_MAX).await?;
    let mut answers = Vec::with_capacity(all.len());
    for campaign in all {
        answers.push(status_of(&mut tx, account.id, campaign, 0.0).await?);
    }
    if work.out.json {
        return answer(&answers);
    }
    if answers.is_empty() {
        return say(format!("{} has no campaign yet.", strong(&account.name)));
    }
    for status in answers {
        let state = progress::state_in_words(&status);
        say(format!("{}  {:<28}  {state}", doable(status.id), strong(&status.name)))?;
        say(format!("    {}", progress::legend(&status.counts)))?;
    }
    Ok(())
}

async fn price(work: &Workplace, which: &Which) -> Result {
    let account = work.account(which.whose).await?;
    let from = installation_sender(&work.settings);
    let sandboxed = work.settings.twilio.is_none();
    let quote = quote(&work.db, account.id, which.id, from.as_ref(), sandboxed).await?;
    work.out.tell(&quote, || quote_in_words(&quote))
}

fn quote_in_words(quote: &CampaignQuote) -> String {
    let mut words = String::new();
    let mut row = |name: &str, number: i64, note: String| {
        writeln!(words, "  {name:<12}{:>12}  {}", strong(count(number)), faint(note))
            .expect("writing to a String");
    };
    row("recipients", quote.recipients, "contacts in the audience".to_owned());
    row("texts", quote.sendable, "would leave as things stand".to_owned());
    for (rule, number) in &quote.skipped {
        row("skipped", *number, format!("by rule {rule}"));
    }
    row("segments", quote.segments, "billed parts of those texts".to_owned());
    row("credits", quote.credits, "for them".to_owned());
    row("available", quote.available, "credits in the wallet now".to_owned());
    let missing = quote.credits - quote.available;
    if missing > 0 {
        writeln!(
            words,
            "\n  {} {} are missing: it would pause when the wallet is empty",
            mark(false),
            credits(missing)
        )
        .expect("writing to a String");
    }
    for preview in &quote.previews {
        let body = preview.body.replace('\n', "⏎");
        write!(words, "\n  {}  {body}", doable(&preview.phone)).expect("writing to a String");
    }
    words
}

async fn ask(work: &Workplace, which: &Which, asked: Wish) -> Result {
    let account = work.account(which.whose).await?;
    let mut tx = work.db.begin().await?;
    let state = wish(&mut tx, account.id, which.id, asked).await?;
    tx.commit().await?;
    let served = is_served(&work.db);
    work.out.tell(&json!({ "id": which.id, "state": state.as_str(), "served": served }), || {
        let mut words = format!("{} {}", mark(true), strong(state));
        if !state.is_over() && state != State::Paused {
            let (note, command) = match served {
                Some(false) => ("no server runs on this database; start", "serve".to_owned()),
                _ => ("follow it:", format!("campaign watch {}", which.id)),
            };
            let command = doable(format!("ledgerline {command}"));
            write!(words, "\n  {note} {command}").expect("writing to a String");
        }
        words
    })
}

async fn recipients(work: &Workplace, wanted: &Recipients) -> Result {
    let account = work.account(wanted.which.whose).await?;
    let (id, state) = (wanted.which.id, wanted.state.as_deref());
    let mut tx = work.db.read().await?;
    campaign_status(&mut tx, account.id, id, 0.0).await?;
    let (mut after, mut left) = (0, wanted.limit);
    while left > 0 {
        let page = i64::try_from(left).unwrap_or(i64::MAX).min(RECIPIENTS_A_PAGE);
        let found = list_recipients(&mut tx, account.id, id, state, after, page).await?;
        let Some(last) = found.last() else { break };
        after = last.id.ord;
        left = left.saturating_sub(found.len());
        for one in &found {
            work.out.tell(one, || recipient_in_words(one))?;
        }
    }
    if after == 0 && !work.out.json {
        return Err(usage("there is no recipient in this state"));
    }
    Ok(())
}

fn recipient_in_words(one: &RecipientStatus) -> String {
    let reason = match (one.why.rule, &one.why.inputs) {
        (Some(rule), Some(inputs)) => format!("rule {rule}: {inputs}"),
        (Some(rule), None) => format!("rule {rule}"),
        (None, _) => one.sid.clone().unwrap_or_default(),
    };
    let code = one.error_code.map(|code| format!(" error {code}")).unwrap_or_default();
    format!("{:<16} {:<12} {}{code}", one.phone, strong(one.state), faint(reason))
}
