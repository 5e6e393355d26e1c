//! How every layer says no: which field, what is wrong, how to mend it.

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
    /// Somebody else is needed for it who cannot be reached, or was never set up.
    #[error("{0}")]
    Unavailable(String),
    /// The store failed.
    #[error(transparent)]
    Store(store::Error),
}

/// The result of what was asked.
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
