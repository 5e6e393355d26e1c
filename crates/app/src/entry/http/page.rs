//! Lists, page by page: `?limit=&cursor=` to `{"data":[…],"next_cursor":…}`.
//!
//! A cursor spells the list it belongs to and the key of the last row that was answered. Callers
//! pass it back as it is; it grants nothing, since every list is read within the caller's account.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use data_encoding::BASE32_NOPAD;
use serde::Serialize;

use super::params::Query;
use super::problem::{Problem, Result};

/// Rows of a page when the caller does not say.
const LIMIT_USUAL: i64 = 50;

/// Which list a cursor belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum List {
    /// Accounts by id.
    Accounts = b'a',
    /// Ledger lines by number.
    Ledger = b'l',
    /// Senders by id.
    Senders = b's',
    /// Contacts by id.
    Contacts = b'c',
    /// Campaigns by id, newest first.
    Campaigns = b'm',
    /// Words of consent by time and id.
    Consents = b'o',
    /// Templates by id.
    Templates = b'p',
    /// Appointments by start and id.
    Appointments = b'b',
    /// Recipients by position.
    Recipients = b'r',
    /// Conversations by time, newest first.
    Threads = b't',
    /// Texts of a conversation by time, newest first.
    Texts = b'x',
    /// Follow-ups by id.
    Tasks = b'k',
    /// Runs of rules by id, newest first.
    Runs = b'f',
    /// Purchases by id, newest first.
    Purchases = b'u',
    /// Stripe's events by arrival and id, newest first.
    StripeEvents = b'y',
    /// Holds by id, newest first.
    Holds = b'h',
    /// Notices by id, newest first.
    Notices = b'n',
    /// Operators' movements of credits by id.
    Adjustments = b'j',
    /// Prices by destination, kind, channel and date.
    Rates = b'2',
    /// Months by number, newest first.
    Statements = b'3',
}

impl List {
    /// Spells the cursor behind the row with this key.
    pub fn cursor(self, key: &[u8]) -> String {
        BASE32_NOPAD.encode(&[&[self as u8], key].concat()).to_ascii_lowercase()
    }
}

/// The wanted page.
#[derive(Debug)]
pub struct Page {
    limit: i64,
    cursor: Option<String>,
    /// How the query calls the cursor.
    name: &'static str,
}

/// How a page is asked for.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "it describes what Page reads")]
pub struct PageIn {
    /// Rows of a page, 1 to 1000; 50 when absent.
    limit: Option<i64>,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
}

/// A page of a list.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct PageOut<T> {
    /// The rows.
    pub data: Vec<T>,
    /// Pass it as `cursor` for the next page; `null` on the last one.
    pub next_cursor: Option<String>,
}

impl<S: Send + Sync> FromRequestParts<S> for Page {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        let query = Query::from_request_parts(parts, state).await?;
        query.only(&["limit", "cursor"])?;
        Self::of(&query)
    }
}

impl Page {
    /// The page that a query asks for.
    pub fn of(query: &Query) -> Result<Self> {
        Self::named(query, "cursor")
    }

    /// The same, of a list that calls its cursor otherwise.
    pub fn named(query: &Query, name: &'static str) -> Result<Self> {
        let limit = match query.find("limit") {
            None => LIMIT_USUAL,
            Some(text) => {
                text.parse().ok().filter(|n| (1..=store::PAGE_ROWS_MAX).contains(n)).ok_or_else(
                    || {
                        let words = format!("write a number from 1 to {}", store::PAGE_ROWS_MAX);
                        Problem::invalid("limit", words)
                    },
                )?
            }
        };
        Ok(Self { limit, cursor: query.find(name).map(str::to_owned), name })
    }

    /// One row more than wanted, so that it is known whether there is a next page.
    pub const fn rows(&self) -> i64 {
        self.limit + 1
    }

    /// The key after which the page begins.
    pub fn after<const BYTES: usize>(&self, list: List) -> Result<Option<[u8; BYTES]>> {
        let Some(key) = self.after_bytes(list)? else { return Ok(None) };
        key.try_into().map(Some).map_err(|_| self.foreign_cursor())
    }

    /// Like [`Self::after`], for keys of any length.
    pub fn after_bytes(&self, list: List) -> Result<Option<Vec<u8>>> {
        let Some(text) = &self.cursor else { return Ok(None) };
        let spelled = BASE32_NOPAD.decode(text.to_ascii_uppercase().as_bytes()).ok();
        let key = spelled.as_deref().and_then(|bytes| match bytes.split_first() {
            Some((&mark, key)) if mark == list as u8 => Some(key.to_vec()),
            _ => None,
        });
        key.map(Some).ok_or_else(|| self.foreign_cursor())
    }

    fn foreign_cursor(&self) -> Problem {
        let words = format!("pass the next_{} of this very list", self.name);
        Problem::malformed(self.name, words)
    }

    /// Like [`Self::after`], for a number with a text behind it.
    pub fn after_text(&self, list: List) -> Result<Option<(i64, String)>> {
        let Some(key) = self.after_bytes(list)? else { return Ok(None) };
        let parts = key.split_first_chunk::<8>().and_then(|(number, text)| {
            Some((i64::from_be_bytes(*number), String::from_utf8(text.to_vec()).ok()?))
        });
        parts.map(Some).ok_or_else(|| self.foreign_cursor())
    }

    /// Like [`Self::after`], for numbers.
    pub fn after_number(&self, list: List) -> Result<Option<i64>> {
        Ok(self.after(list)?.map(i64::from_be_bytes))
    }

    /// Cuts the surplus row off and spells the cursor. `key` tells a row's key.
    pub fn out<R, T, K: AsRef<[u8]>>(
        &self,
        list: List,
        mut rows: Vec<R>,
        key: impl Fn(&R) -> K,
        show: impl Fn(R) -> T,
    ) -> PageOut<T> {
        let limit = usize::try_from(self.limit).unwrap_or(usize::MAX);
        let more = rows.len() > limit;
        rows.truncate(limit);
        let last = rows.last().filter(|_| more).map(|row| list.cursor(key(row).as_ref()));
        PageOut { data: rows.into_iter().map(show).collect(), next_cursor: last }
    }
}
