//! The texts behind a month's ledger lines.
//!
//! A line that reserves credits names the chunk of texts it does so for. The chunks of the month
//! hold nearly all texts whose credits moved in it; those of the months before are looked through,
//! the newest first, only until every line has as many texts as it says. So a statement reads about
//! as many texts as its month had, whatever came before.

use std::collections::{BTreeMap, HashMap};

use domain::ids::{AccountId, StreamId};
use domain::ledger::Kind;
use domain::phone;
use serde::Serialize;
use store::Tx;
use store::statements::{self, Moved, Run};

use super::super::Result;
use super::runs::Runs;
use crate::finance::statements::{LedgerMonth, TextLine};

/// Lines of the ledger looked through at once for chunks.
const LINES_A_STEP: i64 = 1000;
/// Texts read at once.
const TEXTS_A_PAGE: i64 = 5000;
/// Numbers that belong to no country.
const NOWHERE: &str = "other";

/// How much of something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Count {
    /// Texts.
    pub messages: i64,
    /// Their billed parts.
    pub segments: i64,
    /// What they cost.
    pub credits: i64,
}

impl Count {
    fn add(&mut self, text: &Moved) {
        self.messages += 1;
        self.segments += text.segments;
        self.credits += text.price;
    }
}

/// What a month's texts cost, by everything a customer may ask for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Charged.
    pub charged: Count,
    /// The same by day of the month, from 0.
    pub days: BTreeMap<u8, Count>,
    /// By stream: a campaign, or one of the endless ones.
    pub streams: BTreeMap<StreamId, Count>,
    /// By the reason for the text.
    pub contexts: BTreeMap<String, Count>,
    /// By the country it went to.
    pub countries: BTreeMap<String, Count>,
    /// Given back.
    pub refunded: Count,
    /// Charged late.
    pub late: Count,
    /// What does not add up, in words.
    pub faults: Vec<String>,
}

/// Opens a month's lines to their texts.
pub async fn usage(tx: &mut Tx, account: AccountId, ledger: &LedgerMonth) -> Result<Usage> {
    let mut reading = Reading { usage: Usage::default(), open: ledger.texts.clone() };
    let wanted = ledger.texts.iter().map(|line| line.facts).sum();
    let lines = (ledger.after, ledger.upto);
    let named =
        each_text(tx, account, lines, wanted, |stream, text| reading.take(stream, text)).await?;
    if !named {
        let words = "a line that reserves credits names no chunk of texts";
        reading.usage.faults.push(words.to_owned());
    }
    Ok(reading.done())
}

/// Goes through the texts whose credits moved with the lines behind `after` up to `upto`, until
/// `wanted` of them were seen. `false`: the ledger did not lead to all of its chunks.
pub async fn each_text(
    tx: &mut Tx,
    account: AccountId,
    (after, upto): (i64, i64),
    wanted: i64,
    mut take: impl FnMut(StreamId, &Moved),
) -> Result<bool> {
    let (mut missing, mut end, mut all_named) = (wanted, upto, true);
    let mut seen: HashMap<StreamId, Runs> = HashMap::new();
    while missing > 0 && end > 0 {
        let start = (end - LINES_A_STEP).max(0);
        let keys = statements::reservations(tx, account, start, end).await?;
        let chunks: Vec<(StreamId, i64)> = keys.iter().filter_map(|key| chunk_of(key)).collect();
        all_named &= chunks.len() == keys.len();
        let mut runs: BTreeMap<StreamId, Vec<Run>> = BTreeMap::new();
        for (stream, more) in statements::chunk_texts(tx, account, &chunks).await? {
            runs.entry(stream).or_default().extend(more);
        }
        for (stream, mut runs) in runs {
            runs.sort_unstable();
            let seen = seen.entry(stream).or_default();
            let new = joined(runs).into_iter().flat_map(|run| seen.add(run)).flat_map(pages);
            for run in new {
                let texts = statements::moved(tx, account, stream, run, (after, upto)).await?;
                missing -= i64::try_from(texts.len()).unwrap_or(0);
                for text in &texts {
                    take(stream, text);
                }
            }
        }
        end = start;
    }
    Ok(all_named)
}

struct Reading {
    usage: Usage,
    /// The lines, less what was found of each.
    open: Vec<TextLine>,
}

impl Reading {
    fn take(&mut self, stream: StreamId, text: &Moved) {
        let Ok(place) = self.open.binary_search_by_key(&text.seq, |line| line.seq) else {
            let words = format!("line {} moved no credits for texts, but a text says so", text.seq);
            self.usage.faults.push(words);
            return;
        };
        let line = &mut self.open[place];
        line.facts -= 1;
        line.credits -= text.price;
        let usage = &mut self.usage;
        match line.kind {
            Kind::Refund => usage.refunded.add(text),
            Kind::LateCharge => {
                line.charged -= text.price;
                usage.late.add(text);
            }
            _ if text.state.is_charged() => {
                line.charged -= text.price;
                usage.charged.add(text);
                usage.days.entry(line.day).or_default().add(text);
                usage.streams.entry(stream).or_default().add(text);
                usage.contexts.entry(text.context.clone()).or_default().add(text);
                let country = phone::country_of(&text.phone).map(|(country, _)| country);
                let country = country.unwrap_or_else(|| NOWHERE.to_owned());
                usage.countries.entry(country).or_default().add(text);
            }
            _ => {}
        }
    }

    fn done(mut self) -> Usage {
        let wrong = |line: &&TextLine| (line.facts, line.credits, line.charged) != (0, 0, 0);
        if let Some(line) = self.open.iter().find(wrong) {
            let words = format!("line {} does not open to its texts", line.seq);
            self.usage.faults.push(words);
        }
        self.usage
    }
}

/// The chunk that a reservation is for: `reserve:cmp_…:7`.
fn chunk_of(effect_key: &str) -> Option<(StreamId, i64)> {
    let (stream, no) = effect_key.strip_prefix("reserve:")?.rsplit_once(':')?;
    Some((stream.parse().ok()?, no.parse().ok()?))
}

/// Sorted runs, those that touch made one.
fn joined(runs: Vec<Run>) -> Vec<Run> {
    let mut list: Vec<Run> = Vec::new();
    for (first, last) in runs {
        match list.last_mut() {
            Some(before) if first <= before.1 + 1 => before.1 = before.1.max(last),
            _ => list.push((first, last)),
        }
    }
    list
}

/// A run in parts that are not too long.
fn pages((first, last): Run) -> impl Iterator<Item = Run> {
    let starts = std::iter::successors(Some(first), |start| Some(start + TEXTS_A_PAGE));
    starts
        .take_while(move |start| *start <= last)
        .map(move |start| (start, last.min(start + TEXTS_A_PAGE - 1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_joined_and_cut_into_pages() {
        assert_eq!(joined(vec![(1, 3), (4, 6), (8, 9), (8, 12)]), [(1, 6), (8, 12)]);
        let cut: Vec<Run> = pages((3, 10_002)).collect();
        assert_eq!(cut, [(3, 5002), (5003, 10_002)]);
        assert_eq!(pages((7, 7)).collect::<Vec<_>>(), [(7, 7)]);
    }

    #[test]
    fn a_reservation_names_its_chunk() {
        let stream = StreamId::ENDLESS[0];
        assert_eq!(chunk_of(&format!("reserve:{stream}:12")), Some((stream, 12)));
        assert_eq!(chunk_of("settle:00"), None);
    }
}
