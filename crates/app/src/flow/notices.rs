//! Notices: shown to whoever holds a key, and mailed to the account's address.
//!
//! Mail goes out at least once. A notice is taken up in one transaction, mailed outside of any,
//! and marked in another; a crash in between mails it again, under the same Message-ID, so that a
//! mail program shows it once. What cannot be mailed is tried again for some hours, then given up,
//! which the notice shows.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Mutex;
use std::time::Duration;

use domain::ids::{AccountId, NoticeId};
use domain::instant::Instant;
use serde::Serialize;
use store::notices::{self, Given, Mailing};
use store::{Db, accounts, settings, sweep};

use super::Result;

/// Notices taken up at one look.
const LOOK_MAX: i64 = 50;
/// How often a notice is tried to be mailed.
pub const TRIES_MAX: i64 = 10;
/// How long a mail may take before somebody else may try.
const TAKEN_FOR: Duration = Duration::from_secs(300);
/// How long after the first failure it is tried again; it doubles from try to try.
const AGAIN_FIRST: Duration = Duration::from_secs(60);
const AGAIN_MAX: Duration = Duration::from_secs(6 * 3600);
/// Mails that a [`MemoryMailer`] keeps.
const KEPT_MAX: usize = 1000;

/// What an account should know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct NoticeOut {
    /// Its id.
    #[schema(value_type = String)]
    pub id: NoticeId,
    /// `budget`, `topup`, `payment`, `subscription`, `fraud`, `dispute` or `credits`.
    pub kind: &'static str,
    /// What exactly it is about; there is one notice per subject.
    pub subject: String,
    /// One line.
    pub title: String,
    /// What happened and what can be done.
    pub detail: String,
    /// Where to do it.
    pub link: Option<String>,
    /// When it was given.
    #[schema(value_type = String)]
    pub created_at: Instant,
    /// When it was first marked as seen.
    #[schema(value_type = Option<String>)]
    pub seen_at: Option<Instant>,
    /// `none` when there was nobody to write to, `due`, `sent`, or `failed` when it was given up.
    pub mail: &'static str,
}

impl From<Given> for NoticeOut {
    fn from(given: Given) -> Self {
        Self {
            id: given.id,
            kind: given.notice.kind.as_str(),
            subject: given.notice.subject,
            title: given.notice.title,
            detail: given.notice.detail,
            link: given.notice.link,
            created_at: given.created_at,
            seen_at: given.seen_at,
            mail: given.mail.as_str(),
        }
    }
}

/// A mail about a notice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    /// Which notice it is about; the same one makes the same Message-ID.
    pub id: NoticeId,
    /// To whom.
    pub to: String,
    /// One line.
    pub subject: String,
    /// The words.
    pub body: String,
    /// When the notice was given.
    pub written_at: Instant,
}

/// A mail did not leave.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct MailFailed(pub String);

/// A future that a trait object can return.
pub type Posted<'a> =
    Pin<Box<dyn Future<Output = std::result::Result<(), MailFailed>> + Send + 'a>>;

/// Takes mail.
pub trait Mailer: Send + Sync {
    /// Hands one mail over.
    fn post<'a>(&'a self, letter: &'a Letter) -> Posted<'a>;
}

/// Writes mail into the log: for installations that have no mail server.
#[derive(Debug, Default)]
pub struct LogMailer;

impl Mailer for LogMailer {
    fn post<'a>(&'a self, letter: &'a Letter) -> Posted<'a> {
        let Letter { id, subject, .. } = letter;
        tracing::info!(component = "mail", notice = %id, subject, "a mail; no mail server is set");
        Box::pin(std::future::ready(Ok(())))
    }
}

/// Keeps mail in memory, or fails as often as it is told to.
#[derive(Debug, Default)]
pub struct MemoryMailer {
    letters: Mutex<VecDeque<Letter>>,
    failures: Mutex<u64>,
}

impl MemoryMailer {
    /// What was posted, oldest first.
    pub fn letters(&self) -> Vec<Letter> {
        self.letters.lock().expect("nobody panics with it").iter().cloned().collect()
    }

    /// Has the next mails fail.
    pub fn fail(&self, times: u64) {
        *self.failures.lock().expect("nobody panics with it") = times;
    }
}

impl Mailer for MemoryMailer {
    fn post<'a>(&'a self, letter: &'a Letter) -> Posted<'a> {
        let mut failures = self.failures.lock().expect("nobody panics with it");
        if *failures > 0 {
            *failures -= 1;
            let failed = MailFailed("told to fail".to_owned());
            return Box::pin(std::future::ready(Err(failed)));
        }
        let mut letters = self.letters.lock().expect("nobody panics with it");
        letters.push_back(letter.clone());
        if letters.len() > KEPT_MAX {
            letters.pop_front();
        }
        Box::pin(std::future::ready(Ok(())))
    }
}

/// Mails what is due; how many mails were tried. `public_url` is where links lead.
pub async fn mail_due(db: &Db, mailer: &dyn Mailer, public_url: &str) -> Result<usize> {
    let mut tx = db.read().await?;
    let due = sweep::notices_to_mail(&mut tx, LOOK_MAX).await?;
    drop(tx);
    let mut tried = 0;
    for (account, id) in due {
        let Some((letter, tries)) = take_up(db, account, id, public_url).await? else { continue };
        tried += 1;
        let outcome = mailer.post(&letter).await;
        keep(db, account, (id, tries), outcome).await?;
    }
    Ok(tried)
}

/// Takes a due notice up for one try, unless another process did.
async fn take_up(
    db: &Db,
    account: AccountId,
    id: NoticeId,
    public_url: &str,
) -> Result<Option<(Letter, i64)>> {
    let mut tx = db.begin().await?;
    let Some(given) = notices::lock_notice(&mut tx, account, id).await? else { return Ok(None) };
    let now = tx.now();
    if given.mail != Mailing::Due || given.next_at.is_none_or(|at| at > now) {
        return Ok(None);
    }
    let Some(to) = settings::settings(&mut tx, account).await?.billing_email else {
        notices::save_mailing(&mut tx, account, id, (Mailing::None, given.tries), None).await?;
        tx.commit().await?;
        return Ok(None);
    };
    let business = accounts::account(&mut tx, account).await?.name;
    let tries = given.tries + 1;
    let mailing = (Mailing::Due, tries);
    notices::save_mailing(&mut tx, account, id, mailing, Some(now + TAKEN_FOR)).await?;
    tx.commit().await?;
    Ok(Some((letter(&given, to, &business, public_url), tries)))
}

fn letter(given: &Given, to: String, business: &str, public_url: &str) -> Letter {
    let mut body = format!("{}\n\n{}\n", given.notice.title, given.notice.detail);
    if let Some(link) = &given.notice.link {
        let base = if link.starts_with('/') { public_url } else { "" };
        body.extend(["\n", base, link, "\n"]);
    }
    Letter {
        id: given.id,
        to,
        subject: one_line(&format!("{business}: {}", given.notice.title)),
        body,
        written_at: given.created_at,
    }
}

/// Words as a header may hold them: nothing in them ends the line.
fn one_line(words: &str) -> String {
    let plain: String = words.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    plain.split_whitespace().collect::<Vec<_>>().join(" ")
}

async fn keep(
    db: &Db,
    account: AccountId,
    (id, tries): (NoticeId, i64),
    outcome: std::result::Result<(), MailFailed>,
) -> Result<()> {
    let mut tx = db.begin().await?;
    let (mail, next_at) = match &outcome {
        Ok(()) => (Mailing::Sent, None),
        Err(_) if tries >= TRIES_MAX => (Mailing::Failed, None),
        Err(_) => (Mailing::Due, Some(tx.now() + again_after(tries))),
    };
    notices::save_mailing(&mut tx, account, id, (mail, tries), next_at).await?;
    tx.commit().await?;
    if let Err(error) = outcome {
        tracing::warn!(
            component = "mail", %account, notice = %id, tries, state = mail.as_str(), %error,
            "a notice was not mailed"
        );
    }
    Ok(())
}

fn again_after(tries: i64) -> Duration {
    let doublings = u32::try_from((tries - 1).clamp(0, 16)).unwrap_or(0);
    AGAIN_FIRST.saturating_mul(1 << doublings).min(AGAIN_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_mail_waits_longer_from_try_to_try() {
        for (tries, minutes) in [(1, 1), (2, 2), (5, 16), (9, 256), (10, 360), (99, 360)] {
            assert_eq!(again_after(tries), Duration::from_secs(minutes * 60), "{tries}");
        }
    }

    #[test]
    fn nothing_ends_the_line_of_a_subject() {
        for (words, line) in [
            ("Clinic: paid", "Clinic: paid"),
            ("Clinic\r\nBcc: x@example.com: paid", "Clinic Bcc: x@example.com: paid"),
            ("a\u{0}b\tc\u{85}d", "a b c d"),
        ] {
            assert_eq!(one_line(words), line);
        }
    }
}
