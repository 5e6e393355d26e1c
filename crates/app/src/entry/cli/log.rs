//! Setting up the log: one place for all commands.
//!
//! Every line names the `component` that writes it and the ids it is about.

use std::fs::File;
use std::sync::Mutex;

use clap::ValueEnum;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::writer::BoxMakeWriter;

use super::failure::{Result, usage};

/// What the log holds: `error`, `warn`, `info`, `debug`, or finer, such as `info,twilio=debug`.
const LEVELS: &str = "LEDGERLINE_LOG";

/// How a line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Form {
    Json,
    Text,
}

/// A log to be started.
pub struct Stream {
    form: Form,
    usual: &'static str,
    file: Option<File>,
}

impl Stream {
    /// The log of a server, to the error output.
    pub fn of_server(form: Option<Form>) -> Self {
        Self { form: form.unwrap_or(Form::Json), usual: "info", file: None }
    }

    /// The log of a command that answers a person: warnings only.
    pub fn quiet(form: Option<Form>) -> Self {
        Self { form: form.unwrap_or(Form::Text), usual: "warn", file: None }
    }

    /// Everything worth knowing to a file, so that the terminal stays clean.
    pub fn to_file(form: Option<Form>, file: File) -> Self {
        Self { form: form.unwrap_or(Form::Json), usual: "info", file: Some(file) }
    }
}

/// Starts the log of this process.
pub fn start(stream: Stream) -> Result {
    let levels = std::env::var(LEVELS).ok().filter(|levels| !levels.trim().is_empty());
    let filter =
        EnvFilter::try_new(levels.as_deref().unwrap_or(stream.usual)).map_err(|error| {
            usage(format!("{LEVELS}: write error, warn, info or debug, not this ({error})"))
        })?;
    let to_terminal = stream.file.is_none() && console::colors_enabled_stderr();
    let writer = match stream.file {
        Some(file) => BoxMakeWriter::new(Mutex::new(file)),
        None => BoxMakeWriter::new(std::io::stderr),
    };
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(writer)
        .with_target(false)
        .with_ansi(to_terminal);
    let started = match stream.form {
        Form::Json => lines.json().flatten_event(true).with_current_span(false).try_init(),
        Form::Text => lines.try_init(),
    };
    // A second start in one process keeps the first one's choice.
    drop(started);
    Ok(())
}
