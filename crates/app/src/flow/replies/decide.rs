//! What a reply does to the requests of its phone: pure, over what was asked and answered before.

use std::time::Duration;

use domain::instant::Instant;
use domain::replies::{self, Meaning, Open, Reply, Route};
use store::requests::{Request, RequestState};

use super::waiting;

/// So long after its start a booking is still what an answer is about.
const LATE_FOR: Duration = Duration::from_secs(24 * 3600);

/// What a text does to the requests of its phone.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step<'a> {
    /// It answers this one.
    Answer { request: &'a Request, yes: bool, changes: bool },
    /// This one has that answer already.
    Same(&'a Request),
    /// This one takes no answer any more.
    Late { request: &'a Request, yes: bool },
    /// It is not clear; these are what it may be about.
    Unclear(Vec<&'a Request>),
    /// It is about none.
    Nothing,
}

/// Whether it takes an answer now.
pub(super) const fn is_waiting(request: &Request, now: Instant) -> bool {
    matches!(request.state, RequestState::Pending)
        && now.0 < request.expires_at.0
        && now.0 < request.starts_at.0
}

const fn has_answer(request: &Request) -> bool {
    matches!(request.state, RequestState::Yes | RequestState::No)
}

/// Decides on a reply. `all` are the requests of its phone, the newest first.
pub(super) fn decide<'a>(reply: &Reply, all: &'a [Request], now: Instant) -> Step<'a> {
    let waiting: Vec<&Request> = waiting(all, now).collect();
    let is_past = |one: &&Request| !is_waiting(one, now) && now < one.starts_at + LATE_FOR;
    let past: Vec<&Request> = all.iter().filter(is_past).collect();
    let tokens: Vec<String> = waiting.iter().map(|one| one.token.to_string()).collect();
    let open: Vec<Open<'_>> =
        tokens.iter().map(|token| Open { token: Some(token.as_str()) }).collect();
    let named = reply
        .token
        .as_deref()
        .map(|token| past.iter().copied().find(|one| one.token.to_string() == token));
    let yes = match reply.meaning {
        Meaning::Yes => Some(true),
        Meaning::No => Some(false),
        Meaning::Other => None,
    };
    match (replies::route(reply, &open), yes) {
        (Route::Answer { index, yes }, _) => {
            Step::Answer { request: waiting[index], yes, changes: false }
        }
        // The token of a request that is over is a clear word, too.
        (Route::Clarify, Some(yes)) => match named.flatten() {
            Some(request) => say_again(request, yes, now),
            None => Step::Unclear(waiting),
        },
        (Route::Clarify, None) => Step::Unclear(waiting),
        (Route::Nothing, None) => Step::Nothing,
        (Route::Nothing, Some(yes)) => match named {
            Some(Some(request)) => say_again(request, yes, now),
            Some(None) => Step::Nothing,
            None => say_more(&past, yes, now),
        },
    }
}

/// A bare yes or no while nothing waits for one.
fn say_more<'a>(past: &[&'a Request], yes: bool, now: Instant) -> Step<'a> {
    let same = |one: &Request| (one.state == RequestState::Yes) == yes;
    let changeable: Vec<&Request> = past
        .iter()
        .copied()
        .filter(|one| has_answer(one) && now < one.starts_at && now < one.expires_at)
        .collect();
    match (changeable.as_slice(), past) {
        ([], []) => Step::Nothing,
        ([], [latest, ..]) => say_again(latest, yes, now),
        ([one], _) => say_again(one, yes, now),
        ([latest, ..], _) if changeable.iter().all(|one| same(one)) => Step::Same(latest),
        _ => Step::Unclear(changeable),
    }
}

/// A yes or a no to a request that does not wait for one.
fn say_again(request: &Request, yes: bool, now: Instant) -> Step<'_> {
    if has_answer(request) && (request.state == RequestState::Yes) == yes {
        Step::Same(request)
    } else if has_answer(request) && now < request.starts_at && now < request.expires_at {
        Step::Answer { request, yes, changes: true }
    } else {
        Step::Late { request, yes }
    }
}
