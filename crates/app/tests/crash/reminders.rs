//! Reminders fall due: each is sent once, with its request and its line in the trail, or not at
//! all yet.

use std::time::Duration;

use domain::campaign::State;
use domain::ids::{AppointmentId, StreamId};
use ledgerline::flow::appointments::booking::Clerk;
use ledgerline::flow::appointments::change;
use ledgerline::flow::messages::Asking;
use ledgerline::flow::reminders::look::fire_some;
use serde_json::json;
use store::reminders::ReminderState;
use store::{automations, reminders, requests, streams};
use testkit::Engine;

use crate::shop::{Death, Shop, sender};
use crate::town::Town;
use crate::trial::Least;

testkit::both_engines!(due_reminders);

const REMINDERS: StreamId = StreamId(5);

async fn book(shop: &Shop<'_>, asking: Asking<'_>) -> AppointmentId {
    let mut tx = shop.town.db.begin().await.expect("begins");
    streams::insert_stream(&mut tx, shop.account, REMINDERS, State::Running).await.expect("opens");
    let starts_at = tx.now() + Duration::from_secs(3 * 3600);
    let people = [json!({"phone": shop.phone(0)}), json!({"phone": shop.phone(1)})];
    let wanted = json!({"title": "Yoga", "starts_at": starts_at, "attendees": people});
    let wanted = serde_json::from_value(wanted).expect("well-formed");
    let clerk = Clerk::open(&mut tx, asking, &*shop.town.dice).await.expect("opens");
    let id = change::book(&mut tx, &clerk, &wanted).await.expect("books").id;
    tx.commit().await.expect("commits");
    id
}

async fn due_reminders(engine: Engine) {
    let town = Town::open(engine).await;
    let least = Least { points: 20, inside: 15, commits: 1 };
    town.endure("fire", Death::Proven, least, async |trial| {
        let shop = &trial.shop;
        let sender = sender();
        let asking = Asking {
            account: shop.account,
            installation_sender: Some(&sender),
            magic_allowed: true,
        };
        shop.credits(10).await;
        let id = book(shop, asking).await;
        shop.settle_down().await;
        // Two hours before.
        town.clock.advance(Duration::from_secs(3600));
        let desk = shop.desk();
        trial.run(async move { fire_some(&desk, asking).await.map_err(drop) }).await;
        // The next look finds what is left, and the one behind it nothing.
        let desk = shop.desk();
        fire_some(&desk, asking).await.expect("fires");
        fire_some(&desk, asking).await.expect("fires");
        shop.finish().await;
        assert_eq!(shop.stream(REMINDERS).await.total, 2, "each is sent once");
        let mut tx = town.db.read().await.expect("reads");
        let all = reminders::reminders_of(&mut tx, shop.account, &[id]).await.expect("reads");
        let sent: Vec<_> = all.iter().filter(|one| one.state == ReminderState::Sent).collect();
        assert_eq!(sent.len(), 2);
        let mut texts: Vec<i64> =
            sent.iter().filter_map(|one| one.message).map(|m| m.ord).collect();
        texts.sort_unstable();
        assert_eq!(texts, [1, 2]);
        let asked = requests::requests_of(&mut tx, shop.account, &[id]).await.expect("reads");
        assert_eq!(asked.len(), 2);
        let runs = automations::recent_runs(&mut tx, shop.account, "reminder.due", 100).await;
        assert_eq!(runs.expect("reads").len(), 2);
        drop(tx);
        for n in 0..2 {
            let taken = town.carrier.taken(&shop.phone(n));
            assert_eq!(taken.len(), 2, "that it is booked, and the reminder");
        }
    })
    .await;
}
