//! How a command ends when it cannot do what was asked: one sentence and an exit code.

use std::io;
use std::process::ExitCode;

use crate::entry::settings::SettingError;
use crate::flow::Refusal;

/// Why a command ends early.
#[derive(Debug)]
pub enum Failure {
    /// What was asked, or a setting, is wrong: exit code 2.
    Usage(String),
    /// What was asked could not be done: exit code 1.
    Failed(String),
    /// The output has said already what is wrong: exit code 1.
    Told,
    /// Whoever read the output has seen enough: exit code 0.
    Unread,
}

/// The result of a command.
pub type Result<T = ()> = std::result::Result<T, Failure>;

/// Bad input.
pub fn usage(sentence: impl Into<String>) -> Failure {
    Failure::Usage(sentence.into())
}

/// Something that went wrong.
pub fn failed(sentence: impl Into<String>) -> Failure {
    Failure::Failed(sentence.into())
}

impl Failure {
    /// Says the sentence on the error output and answers the exit code.
    pub fn tell(&self) -> ExitCode {
        let (sentence, code) = match self {
            Self::Usage(sentence) => (Some(sentence), 2),
            Self::Failed(sentence) => (Some(sentence), 1),
            Self::Told => (None, 1),
            Self::Unread => (None, 0),
        };
        if let Some(sentence) = sentence {
            let mark = console::style("error:").red().bold().for_stderr();
            eprintln!("{mark} {sentence}");
        }
        ExitCode::from(code)
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Invalid { field, problem } => usage(format!("{field}: {problem}")),
            Refusal::Store(error) => error.into(),
            other => failed(other.to_string()),
        }
    }
}

impl From<store::Error> for Failure {
    fn from(error: store::Error) -> Self {
        match error {
            store::Error::Missing(what) => failed(format!("there is no such {what}")),
            other => failed(other.to_string()),
        }
    }
}

impl From<SettingError> for Failure {
    fn from(error: SettingError) -> Self {
        usage(error.to_string())
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        match error.downcast::<store::Error>() {
            Ok(store::Error::Setting(problem)) => bad_database(&problem),
            Ok(error) => error.into(),
            Err(error) => failed(format!("{error:#}")),
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::Unread,
            _ => failed(error.to_string()),
        }
    }
}

/// A database that cannot be opened as set.
pub fn bad_database(problem: &str) -> Failure {
    usage(format!("LEDGERLINE_DATABASE_URL: {problem}"))
}
