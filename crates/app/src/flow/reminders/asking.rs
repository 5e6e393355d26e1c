//! Asking for a yes or a no: the request behind a reminder, its token, and how the answer is to be
//! written.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use domain::ids::{AppointmentId, AttendeeId, RequestId};
use domain::instant::Instant;
use domain::settings::TokenMode;
use store::Tx;
use store::requests::{self, Request, RequestState};

use crate::flow::Result;
use crate::flow::appointments::booking::{Booking, Clerk, nth_instant};

/// Tokens have three digits; a phone with very many open requests gets four.
const TOKENS: std::ops::RangeInclusive<i64> = 100..=999;
const TOKENS_LONG: std::ops::RangeInclusive<i64> = 1000..=9999;
/// Above so many open requests of a phone tokens have four digits.
const CROWDED: usize = 450;
/// An answer is taken until so long after the start.
const AFTER_START: Duration = Duration::from_secs(24 * 3600);
const DAY_SECS: u64 = 24 * 3600;

/// Who is asked, about what.
type Place = (AppointmentId, AttendeeId);

/// The requests behind a batch of texts that ask.
pub struct Asks {
    open: BTreeMap<String, Vec<Request>>,
    there: BTreeMap<(Place, Instant), Request>,
    new: Vec<Request>,
    again: Vec<Request>,
}

impl Asks {
    /// Reads what is asked already: of these phones, and about these bookings.
    pub async fn open(
        tx: &mut Tx,
        clerk: &Clerk<'_>,
        phones: &[String],
        appointments: &[AppointmentId],
    ) -> Result<Self> {
        let mut open: BTreeMap<String, Vec<Request>> = BTreeMap::new();
        for one in requests::open_requests(tx, clerk.account(), phones).await? {
            open.entry(one.phone.clone()).or_default().push(one);
        }
        let there = requests::requests_of(tx, clerk.account(), appointments).await?;
        let place = |one: Request| (((one.appointment, one.attendee), one.starts_at), one);
        let there = there.into_iter().map(place).collect();
        Ok(Self { open, there, new: Vec::new(), again: Vec::new() })
    }

    /// Asks one person, again if they were asked before; how yes and no are to be written.
    pub fn ask(
        &mut self,
        clerk: &Clerk<'_>,
        booking: &Booking,
        attendee: AttendeeId,
        phone: &str,
        now: Instant,
    ) -> (String, String) {
        let one = &booking.appointment;
        let window = u64::from(clerk.choices.reply_window_days) * DAY_SECS;
        let expires_at = (now + Duration::from_secs(window)).min(one.starts_at + AFTER_START);
        let place = ((one.id, attendee), one.starts_at);
        let others = self.open.entry(phone.to_owned()).or_default();
        let request = if let Some(before) = self.there.get(&place) {
            let again = again(before, others, phone, expires_at, clerk);
            others.retain(|other| other.id != again.id);
            self.again.retain(|other| other.id != again.id);
            if self.new.iter().all(|other| other.id != again.id) {
                self.again.push(again.clone());
            }
            again
        } else {
            let new = Request {
                id: RequestId::new(nth_instant(now, self.new.len()), clerk.dice),
                appointment: one.id,
                attendee,
                phone: phone.to_owned(),
                token: free(&tokens(others, RequestId([0; 16])), clerk),
                starts_at: one.starts_at,
                state: RequestState::Pending,
                asked_at: now,
                expires_at,
                answered_at: None,
                answered_by: None,
            };
            self.new.push(new.clone());
            new
        };
        let alone = others.is_empty();
        others.push(request.clone());
        let token = request.token;
        self.there.insert(place, request);
        let bare = match clerk.choices.reply_tokens {
            TokenMode::Auto => alone,
            TokenMode::Always => false,
            TokenMode::Never => true,
        };
        if bare {
            ("Y".to_owned(), "N".to_owned())
        } else {
            (format!("Y{token}"), format!("N{token}"))
        }
    }

    /// Keeps the requests.
    pub async fn keep(self, tx: &mut Tx, clerk: &Clerk<'_>) -> Result<()> {
        requests::insert_requests(tx, clerk.account(), &self.new).await?;
        requests::ask_again(tx, clerk.account(), &self.again).await?;
        Ok(())
    }
}

/// A request that was made before, waiting anew; its token stays if it may.
fn again(
    before: &Request,
    others: &[Request],
    phone: &str,
    expires_at: Instant,
    clerk: &Clerk<'_>,
) -> Request {
    let was_open = before.state == RequestState::Pending && before.phone == phone;
    let taken = tokens(others, before.id);
    let stays = was_open || !taken.contains(&before.token);
    Request {
        phone: phone.to_owned(),
        token: if stays { before.token } else { free(&taken, clerk) },
        state: RequestState::Pending,
        expires_at,
        answered_at: None,
        answered_by: None,
        ..before.clone()
    }
}

fn tokens(open: &[Request], own: RequestId) -> BTreeSet<i64> {
    open.iter().filter(|one| one.id != own).map(|one| one.token).collect()
}

/// A token that no open request of the phone has.
fn free(taken: &BTreeSet<i64>, clerk: &Clerk<'_>) -> i64 {
    let range = if taken.len() < CROWDED { TOKENS } else { TOKENS_LONG };
    let size = range.end() - range.start() + 1;
    let bound = u64::try_from(size).expect("a range of hundreds");
    let start = i64::try_from(clerk.dice.below(bound)).expect("below the bound");
    (0..size)
        .map(|step| range.start() + (start + step) % size)
        .find(|token| !taken.contains(token))
        .unwrap_or(*range.end())
}
