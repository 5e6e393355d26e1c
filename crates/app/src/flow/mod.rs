//! What the business does: contacts, campaigns, single texts.
//!
//! Every entry (HTTP, command line, pages) calls these functions, so that a rule holds whichever
//! way it is reached. A function takes an open transaction where its effect must commit with
//! something else, and the [`Db`](store::Db) where it needs several.

pub mod account_settings;
pub mod accounts;
pub mod appointments;
pub mod audit;
pub mod campaigns;
pub mod consent_proof;
pub mod consents;
pub mod contact_changes;
pub mod contacts;
pub mod figures;
pub mod groups;
pub mod import;
pub mod inbound;
pub mod inbox;
pub mod keywords;
pub mod messages;
pub mod opt_out_link;
pub mod quote;
pub mod reminders;
pub mod replies;
pub mod sealing;
pub mod status;
pub mod templates;
pub mod texts;
pub mod timer;

/// A request that cannot be done as asked; nothing has changed.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// A field is wrong.
    #[error("{field}: {problem}")]
    Invalid {
        /// Which field, as the caller wrote it.
        field: String,
        /// What is wrong and how to mend it.
        problem: String,
    },
    /// There is no such thing in this account.
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// It exists already.
    #[error("{0}")]
    Exists(String),
    /// It does not fit the present state.
    #[error("{0}")]
    State(String),
    /// The store failed.
    #[error(transparent)]
    Store(store::Error),
}

/// The result of a flow.
pub type Result<T> = std::result::Result<T, Refusal>;

impl From<store::Error> for Refusal {
    fn from(error: store::Error) -> Self {
        match error {
            store::Error::Missing(what) => Self::NotFound(what),
            other => Self::Store(other),
        }
    }
}

/// A refusal about a field.
pub fn invalid(field: impl Into<String>, problem: impl Into<String>) -> Refusal {
    Refusal::Invalid { field: field.into(), problem: problem.into() }
}
