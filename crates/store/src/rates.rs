//! The price list, a directory table: no account owns it.
//!
//! It may hold very many rows, so that a text reads only those of its own destination, by the key;
//! pages of a campaign read those that its sender may use.

use std::collections::BTreeSet;

use domain::instant::Instant;
use domain::rates::{
    Channel, Destination, Price, Rate, RateKey, RateTable, SenderKind, destinations,
    destinations_in,
};

use crate::db::{Error, Result, Rows, Tx, expect_rows};

/// Rows the price list holds at most.
pub const RATES_MAX: i64 = 100_000;
/// From so many phones on, everything that their sender may use is read at once.
const PHONES_ONE_BY_ONE_MAX: usize = 200;
/// In the table a rate for every kind of sender, or channel, says so with this word (a key cannot
/// be null).
const ANY: &str = "any";

type RateRow = (String, String, String, i64, i64, Option<i64>, Option<String>);

fn rate_of(row: RateRow) -> Rate {
    let (destination, kind, channel, from, credits_per_segment, price, currency) = row;
    Rate {
        key: RateKey {
            destination: Destination::kept(destination),
            sender_kind: SenderKind::parse(&kind),
            channel: Channel::parse(&channel),
        },
        effective_from: Instant(from),
        credits_per_segment,
        carrier_price: price
            .zip(currency)
            .map(|(millionths, currency)| Price { millionths, currency }),
    }
}

fn table(rows: Vec<RateRow>) -> RateTable {
    RateTable::new(rows.into_iter().map(rate_of).collect())
}

/// The rates in force that plain texts of such a sender to these phones may have.
pub async fn rates_to(tx: &mut Tx, phones: &[&str], kind: SenderKind) -> Result<RateTable> {
    if phones.len() > PHONES_ONE_BY_ONE_MAX {
        return rates_of_kind(tx, kind).await;
    }
    let phones: BTreeSet<&str> = phones.iter().copied().collect();
    let places = phones.into_iter().flat_map(|phone| destinations(phone, true));
    rates_at(tx, places.collect(), kind).await
}

/// The rates in force that plain texts of such a sender to a country may have.
pub async fn rates_in(tx: &mut Tx, country: &str, kind: SenderKind) -> Result<RateTable> {
    rates_at(tx, destinations_in(country).into_iter().collect(), kind).await
}

async fn rates_at(
    tx: &mut Tx,
    places: BTreeSet<Destination>,
    kind: SenderKind,
) -> Result<RateTable> {
    let now = tx.now().0;
    let channel = Channel::of(kind, false);
    let rows = Rows::of(places.len())
        .text("destination", places.iter().map(|place| place.as_str().to_owned()));
    let found = tx
        .all_of(
            "select t.destination, t.sender_kind, t.channel, t.effective_from,
               t.credits_per_segment, t.carrier_price, t.currency
             from {rows} {each rate as t on t.destination = r.destination}
             where t.effective_from <= $1 and t.sender_kind in ($2, $3) and t.channel in ($4, $3)",
            (now, kind.as_str().to_owned(), ANY.to_owned(), channel.as_str().to_owned()),
            rows,
        )
        .await?;
    Ok(table(found))
}

/// The rates in force that plain texts of such a sender to anybody may have.
pub async fn rates_of_kind(tx: &mut Tx, kind: SenderKind) -> Result<RateTable> {
    let now = tx.now().0;
    let channel = Channel::of(kind, false);
    let found = tx
        .all(
            "select destination, sender_kind, channel, effective_from, credits_per_segment,
               carrier_price, currency
             from rate
             where effective_from <= $1 and sender_kind in ($2, $3) and channel in ($4, $3)
             limit $5",
            (now, kind.as_str().to_owned(), ANY.to_owned(), channel.as_str().to_owned(), RATES_MAX),
        )
        .await?;
    Ok(table(found))
}

/// Where a page of the list begins: behind this row.
pub type RatePlace = (RateKey, Instant);

fn words(key: &RateKey) -> (String, String, String) {
    (
        key.destination.as_str().to_owned(),
        key.sender_kind.map_or(ANY, SenderKind::as_str).to_owned(),
        key.channel.map_or(ANY, Channel::as_str).to_owned(),
    )
}

/// Rates by destination, kind, channel and date.
pub async fn list_rates(tx: &mut Tx, after: Option<&RatePlace>, limit: i64) -> Result<Vec<Rate>> {
    let ((destination, kind, channel), from) = match after {
        Some((key, from)) => (words(key), from.0),
        None => Default::default(),
    };
    let rows: Vec<RateRow> = tx
        .all(
            "select destination, sender_kind, channel, effective_from, credits_per_segment,
               carrier_price, currency
             from rate
             where (destination, sender_kind, channel, effective_from) > ($1, $2, $3, $4)
             order by destination, sender_kind, channel, effective_from limit $5",
            (destination, kind, channel, from, limit),
        )
        .await?;
    Ok(rows.into_iter().map(rate_of).collect())
}

/// Every rate of these keys, past, present and to come, by key and date.
pub async fn rates_of_keys(tx: &mut Tx, keys: &[RateKey]) -> Result<Vec<Rate>> {
    let spelt: Vec<(String, String, String)> = keys.iter().map(words).collect();
    let rows = Rows::of(spelt.len())
        .text("destination", spelt.iter().map(|(place, ..)| place.clone()))
        .text("sender_kind", spelt.iter().map(|(_, kind, _)| kind.clone()))
        .text("channel", spelt.iter().map(|(.., channel)| channel.clone()));
    let found: Vec<RateRow> = tx
        .all_of(
            "select t.destination, t.sender_kind, t.channel, t.effective_from,
               t.credits_per_segment, t.carrier_price, t.currency
             from {rows} {each rate as t on t.destination = r.destination
               and t.sender_kind = r.sender_kind and t.channel = r.channel}
             order by t.destination, t.sender_kind, t.channel, t.effective_from",
            (),
            rows,
        )
        .await?;
    Ok(found.into_iter().map(rate_of).collect())
}

/// How many rates there are.
pub async fn count_rates(tx: &mut Tx) -> Result<i64> {
    let (n,): (i64,) = tx.one("select count(*) from rate", ()).await?;
    Ok(n)
}

/// Adds rates, and changes those that are there already as long as they are not in force with
/// other credits. A rate that got into force meanwhile is [`Error::Conflict`]: look again.
pub async fn save_rates(tx: &mut Tx, rates: &[Rate]) -> Result<()> {
    let now = tx.now().0;
    let spelt: Vec<(String, String, String)> = rates.iter().map(|rate| words(&rate.key)).collect();
    let price = |rate: &Rate| rate.carrier_price.as_ref().map(|price| price.millionths);
    let currency = |rate: &Rate| rate.carrier_price.as_ref().map(|price| price.currency.clone());
    let rows = Rows::of(rates.len())
        .text("destination", spelt.iter().map(|(place, ..)| place.clone()))
        .text("sender_kind", spelt.iter().map(|(_, kind, _)| kind.clone()))
        .text("channel", spelt.iter().map(|(.., channel)| channel.clone()))
        .int("effective_from", rates.iter().map(|rate| rate.effective_from.0))
        .int("credits", rates.iter().map(|rate| rate.credits_per_segment))
        .int("price", rates.iter().map(price))
        .text("currency", rates.iter().map(currency));
    let saved = tx
        .many(
            "insert into rate (destination, sender_kind, channel, effective_from,
               credits_per_segment, carrier_price, currency)
             select r.destination, r.sender_kind, r.channel, r.effective_from, r.credits, r.price,
               r.currency
             from {rows} where true
             on conflict (destination, sender_kind, channel, effective_from) do update set
               credits_per_segment = excluded.credits_per_segment,
               carrier_price = excluded.carrier_price, currency = excluded.currency
             where rate.effective_from > $1
               or rate.credits_per_segment = excluded.credits_per_segment",
            (now,),
            rows,
        )
        .await?;
    expect_rows("save rates", rates.len(), saved).map_err(|_| Error::Conflict)
}
