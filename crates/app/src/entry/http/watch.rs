//! The public progress page of a campaign, live over server-sent events.
//!
//! Whoever has the address may look: its token names the campaign and the day it ends, and is
//! signed. All who watch one campaign share one reader of the database; there are at most
//! [`WATCHERS_MAX`] of them.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use askama::Template;
use axum::extract::{Path, State};
use axum::http::header::CACHE_CONTROL;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{Html, IntoResponse, Response};
use domain::ids::{AccountId, StreamId};
use futures_util::stream::{self, StreamExt};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use super::problem::{Code, Problem, Result};
use super::progress::Progress;
use super::server::Closing;
use crate::entry::app::App;

/// Open live pages of this process.
const WATCHERS_MAX: usize = 512;
/// An address holds for this many days at least.
const DAYS: i64 = 7;
const DAY_SECS: i64 = 24 * 3600;
/// How often a watched campaign is looked at.
const LOOK: Duration = Duration::from_millis(500);
/// Unchanged for this many looks, it is looked at less often.
const LOOKS_CALM: u32 = 20;
const LOOK_CALM: Duration = Duration::from_secs(2);
/// A finished campaign without news for this many calm looks has no more to tell.
const LOOKS_OVER: u32 = LOOKS_CALM + 5;
const HEARTBEAT: Duration = Duration::from_secs(10);

type Place = (AccountId, StreamId);

/// The address of a campaign's progress page. It is the same all day and holds a week.
pub fn url(app: &App, account: AccountId, stream: StreamId) -> String {
    let today = app.clock.now().seconds().div_euclid(DAY_SECS);
    let ends = (today + 1 + DAYS) * DAY_SECS;
    format!("{}/watch/{}", app.public_url, token(app, account, stream, ends))
}

fn token(app: &App, account: AccountId, stream: StreamId, ends: i64) -> String {
    let numbers = [account.0, stream.0, ends].map(i64::to_be_bytes);
    app.secret.seal("watch", numbers.as_flattened())
}

/// The campaign that a token shows, unless it is forged or has ended.
fn open(app: &App, token: &str) -> Result<Place> {
    let gone = || Problem::new(Code::NotFound, "this address shows nothing, or no longer");
    let bytes = app.secret.open("watch", token).ok_or_else(gone)?;
    let numbers: [u8; 24] = bytes.try_into().map_err(|_| gone())?;
    let number = |at: usize| {
        i64::from_be_bytes(numbers[at..at + 8].try_into().expect("eight bytes of twenty-four"))
    };
    if app.clock.now().seconds() >= number(16) {
        return Err(gone());
    }
    Ok((AccountId(number(0)), StreamId(number(8))))
}

#[derive(Template)]
#[template(path = "watch.html")]
struct Page {
    token: String,
    progress: Progress,
}

/// The page, complete without its script.
pub async fn page(State(app): State<Arc<App>>, Path(token): Path<String>) -> Result<Response> {
    let (account, stream) = open(&app, &token)?;
    let progress = Progress::read(&app, account, stream).await?;
    let html = Page { token, progress }
        .render()
        .map_err(|error| Problem::internal(format!("the progress page: {error}")))?;
    Ok(([(CACHE_CONTROL, "no-store")], Html(html)).into_response())
}

/// The news, as [`Progress`] in JSON, whenever there are some.
pub async fn events(
    State(app): State<Arc<App>>,
    State(watchers): State<Arc<Watchers>>,
    Path(token): Path<String>,
) -> Result<impl IntoResponse> {
    let place = open(&app, &token)?;
    let seat = Arc::clone(&watchers.seats).try_acquire_owned().map_err(|_| {
        Problem::new(Code::Unavailable, "too many people are watching; the page itself still works")
    })?;
    let news = watchers.join(place).await?;
    let closing = watchers.closing.clone().closed();
    let events = told(news, seat).take_until(Box::pin(closing));
    let calm = KeepAlive::new().interval(HEARTBEAT);
    Ok(([(CACHE_CONTROL, "no-store")], Sse::new(events).keep_alive(calm)))
}

type News = watch::Receiver<Arc<str>>;

fn told(
    mut news: News,
    seat: OwnedSemaphorePermit,
) -> impl stream::Stream<Item = std::result::Result<Event, Infallible>> {
    news.mark_changed();
    stream::unfold((news, seat), |(mut news, seat)| async move {
        news.changed().await.ok()?;
        let event = Event::default().data(&*news.borrow_and_update());
        Some((Ok(event), (news, seat)))
    })
}

/// Everybody who watches.
pub struct Watchers {
    app: Arc<App>,
    seats: Arc<Semaphore>,
    closing: Closing,
    rooms: Mutex<HashMap<Place, watch::Sender<Arc<str>>>>,
}

impl Watchers {
    /// Nobody watches yet.
    pub fn new(app: Arc<App>, closing: Closing) -> Self {
        let seats = Arc::new(Semaphore::new(WATCHERS_MAX));
        Self { app, seats, closing, rooms: Mutex::default() }
    }

    /// Joins those who watch a campaign; the first one starts its reader.
    async fn join(self: &Arc<Self>, place: Place) -> Result<News> {
        if let Some(room) = self.rooms().get(&place) {
            return Ok(room.subscribe());
        }
        let first = Progress::read(&self.app, place.0, place.1).await?;
        let news = match self.rooms().entry(place) {
            Entry::Occupied(room) => return Ok(room.get().subscribe()),
            Entry::Vacant(rooms) => {
                rooms.insert(watch::Sender::new(told_in_json(&first))).subscribe()
            }
        };
        tokio::spawn(Arc::clone(self).read_on(place, first));
        Ok(news)
    }

    async fn read_on(self: Arc<Self>, place: Place, mut last: Progress) {
        let mut calm: u32 = 0;
        while !self.close_if_empty(place) {
            tokio::time::sleep(if calm < LOOKS_CALM { LOOK } else { LOOK_CALM }).await;
            if last.is_over() && (!last.has_news_to_come() || calm >= LOOKS_OVER) {
                break;
            }
            let Ok(next) = Progress::read(&self.app, place.0, place.1).await else {
                tracing::warn!(component = "watch", campaign = %place.1, "cannot be read now");
                break;
            };
            if next == last {
                calm = calm.saturating_add(1);
                continue;
            }
            calm = 0;
            last = next;
            if let Some(room) = self.rooms().get(&place) {
                room.send_replace(told_in_json(&last));
            }
        }
        // Dropping the room ends the pages of those who are still in it.
        self.rooms().remove(&place);
    }

    fn close_if_empty(&self, place: Place) -> bool {
        let mut rooms = self.rooms();
        let empty = rooms.get(&place).is_none_or(|room| room.receiver_count() == 0);
        if empty {
            rooms.remove(&place);
        }
        empty
    }

    fn rooms(&self) -> MutexGuard<'_, HashMap<Place, watch::Sender<Arc<str>>>> {
        self.rooms.lock().expect("no panic while the lock is held")
    }
}

fn told_in_json(progress: &Progress) -> Arc<str> {
    serde_json::to_string(progress).expect("progress is valid JSON").into()
}
