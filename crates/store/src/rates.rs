//! The price list, a small directory table.

use domain::instant::Instant;
use domain::rates::{Rate, RateTable, SenderKind};

use crate::db::{Result, Tx};

/// Rows the price list holds at most.
const RATES_MAX: i64 = 100_000;
/// In the table a rate for every kind of sender says so with this word (a key cannot be null).
const ANY: &str = "any";

/// The whole price list.
pub async fn rate_table(tx: &mut Tx) -> Result<RateTable> {
    let rows: Vec<(String, String, i64, i64)> = tx
        .all(
            "select destination, sender_kind, credits_per_segment, effective_from from rate limit $1",
            (RATES_MAX,),
        )
        .await?;
    let rates = rows.into_iter().map(|(prefix, kind, credits_per_segment, from)| Rate {
        prefix,
        sender_kind: SenderKind::parse(&kind),
        credits_per_segment,
        effective_from: Instant(from),
    });
    Ok(RateTable::new(rates.collect()))
}

/// Adds a rate.
pub async fn insert_rate(tx: &mut Tx, rate: &Rate) -> Result<()> {
    let kind = rate.sender_kind.map_or(ANY, SenderKind::as_str);
    tx.execute(
        "insert into rate (destination, sender_kind, channel, credits_per_segment,
           effective_from)
         values ($1, $2, 'any', $3, $4)",
        (rate.prefix.clone(), kind.to_owned(), rate.credits_per_segment, rate.effective_from.0),
    )
    .await?;
    Ok(())
}
