//! All commands, and how one is run.

use std::process::ExitCode;

use clap::builder::styling::{AnsiColor, Styles};
use clap::{Parser, Subcommand};

use super::failure::{Result, failed};
use super::outlet::Outlet;
use super::workplace::Shared;
use super::{
    account, audit, campaign, carrier, contacts, credits, demo, inspect, key, migrate, rates,
    reconcile, serve, statement, stripe, torture,
};

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default().bold())
    .placeholder(AnsiColor::Cyan.on_default());

/// An SMS engine that never sends a text twice and accounts for every one.
#[derive(Debug, Parser)]
#[command(name = "ledgerline", version, styles = STYLES, propagate_version = true)]
#[command(after_help = "Start with `ledgerline demo`: an invented business runs out of credits.")]
struct CommandLine {
    #[command(flatten)]
    shared: Shared,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server: API, hooks and workers
    Serve,
    /// Watch an invented business run out of credits, and go on
    Demo(demo::Wanted),
    /// Run the sandbox carrier alone: it speaks Twilio's API and texts nobody
    Carrier(Box<carrier::Wanted>),
    /// Run the sandbox Stripe alone: it speaks Stripe's API and takes nobody's money
    Stripe(stripe::Wanted),
    /// Bring the database's schema up to date
    Migrate,
    /// Businesses that send texts
    #[command(subcommand)]
    Account(account::Verb),
    /// API keys
    #[command(subcommand)]
    Key(key::Verb),
    /// Prepaid credits
    #[command(subcommand)]
    Credits(credits::Verb),
    /// People who get texts
    #[command(subcommand)]
    Contacts(contacts::Verb),
    /// A text to many
    #[command(subcommand)]
    Campaign(campaign::Verb),
    /// What texts cost, and what the carrier takes
    #[command(subcommand)]
    Rates(rates::Verb),
    /// An account's month: what was there, what came, what each text cost, what is left
    Statement(statement::Wanted),
    /// Compare our books with the carriers' own record
    Reconcile(reconcile::Wanted),
    /// Check every invariant of money and messages
    Audit(audit::Wanted),
    /// Kill a server and its carrier over and over, and compare every text and every credit
    Torture(torture::Wanted),
    /// What the rules say of one text, number, time or webhook
    #[command(subcommand)]
    Inspect(inspect::Subject),
}

/// Runs the command line of this process.
pub fn run() -> ExitCode {
    let CommandLine { shared, command } = CommandLine::parse();
    std::panic::set_hook(Box::new(|panic| {
        eprintln!("error: ledgerline met a defect of its own and stops: {panic}");
    }));
    match run_command(command, &shared) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.tell(),
    }
}

fn run_command(command: Command, shared: &Shared) -> Result {
    if let Command::Inspect(subject) = command {
        return inspect::run(subject, Outlet { json: shared.json });
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| failed(format!("cannot start: {error}")))?;
    runtime.block_on(async {
        match command {
            Command::Serve => serve::run(shared).await,
            Command::Demo(wanted) => demo::run(wanted, shared).await,
            Command::Carrier(wanted) => carrier::run(*wanted, shared).await,
            Command::Stripe(wanted) => stripe::run(wanted, shared).await,
            Command::Migrate => migrate::run(shared).await,
            Command::Account(verb) => account::run(verb, shared).await,
            Command::Key(verb) => key::run(verb, shared).await,
            Command::Credits(verb) => credits::run(verb, shared).await,
            Command::Contacts(verb) => contacts::run(verb, shared).await,
            Command::Campaign(verb) => campaign::run(verb, shared).await,
            Command::Rates(verb) => rates::run(verb, shared).await,
            Command::Statement(wanted) => statement::run(wanted, shared).await,
            Command::Reconcile(wanted) => reconcile::run(wanted, shared).await,
            Command::Audit(wanted) => audit::run(wanted, shared).await,
            Command::Torture(wanted) => torture::run(wanted, shared).await,
            Command::Inspect(_) => Ok(()),
        }
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        CommandLine::command().debug_assert();
    }
}
