//! Quotes: what a text is and costs, before anything is sent.

use domain::phone;
use domain::rates::SenderKind;
use domain::segments::{CostlyCharacter, costly_characters, measure, smart_encode};
use domain::text;
use serde::{Deserialize, Serialize};
use store::accounts::Account;
use store::{Tx, rates};

use super::{Result, invalid};

/// A text to be measured.
#[derive(Clone, Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct QuoteIn {
    /// The text.
    pub body: String,
    /// To whom, for the price; absent for the account's own country.
    pub to: Option<String>,
}

/// What a text is and costs.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct Quote {
    /// `GSM-7` or `UCS-2`, after look-alike characters are replaced.
    pub encoding: &'static str,
    /// Septets or visible characters, as the encoding counts.
    pub characters: u32,
    /// Billed parts.
    pub segments: u32,
    /// Credits.
    pub credits: i64,
    /// Characters that force the dearer encoding, as typed.
    #[schema(value_type = Vec<Object>)]
    pub costly_characters: Vec<CostlyCharacter>,
}

/// Measures and prices a text.
pub async fn quote(
    tx: &mut Tx,
    account: &Account,
    kind: SenderKind,
    wanted: &QuoteIn,
) -> Result<Quote> {
    let text =
        text::finish(&wanted.body).map_err(|problem| invalid("body", problem.to_string()))?;
    let now = tx.now();
    let credits = if let Some(raw) = &wanted.to {
        let to = phone::parse(raw, Some(&account.country))
            .map_err(|error| invalid("to", error.to_string()))?
            .e164;
        let table = rates::rates_to(tx, &[to.as_str()], kind).await?;
        table.price(to.as_str(), kind, text.segments, now)
    } else {
        let table = rates::rates_in(tx, &account.country, kind).await?;
        table.price_in(&account.country, kind, text.segments, now)
    };
    let size = measure(&smart_encode(&wanted.body));
    Ok(Quote {
        encoding: size.encoding.as_str(),
        characters: size.characters,
        segments: text.segments,
        credits,
        costly_characters: costly_characters(&wanted.body),
    })
}
