//! The comparison: what the carrier accepted against what the database knows and charged.
//!
//! Pure, so that each way to be wrong has a test of its own. Nothing here knows how the product
//! decides; it only counts both sides.

use std::collections::{BTreeMap, HashMap, HashSet};

use domain::message::State;
use serde::Serialize;

use super::evidence::{Accepted, Evidence, Row};

/// Offending rows that are told; all are counted.
pub const FINDINGS_SHOWN_MAX: usize = 20;

/// One way to be wrong, with everything that was found of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// How much: rows, or credits.
    pub count: i64,
    /// The first of the offending rows, in words.
    pub rows: Vec<String>,
}

impl Fault {
    fn add(&mut self, amount: i64, row: impl FnOnce() -> String) {
        self.count = self.count.saturating_add(amount);
        if self.rows.len() < FINDINGS_SHOWN_MAX {
            self.rows.push(row());
        }
    }
}

/// What was found; all is well when every count is 0.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// Texts that the carrier accepted more than once.
    pub duplicates: Fault,
    /// Texts that the carrier accepted and nobody was charged for.
    pub unpaid: Fault,
    /// Credits that wallet, charged texts and the carrier's record tell differently.
    pub unexplained_credits: Fault,
    /// Intended texts without an end, and promises that were forgotten.
    pub lost: Fault,
    /// Texts still reserved or unknown.
    pub unresolved: Fault,
    /// Texts at the carrier that no message names.
    pub sids_without_message: Fault,
}

impl Verdict {
    /// The faults with their names, in the order in which they are told.
    pub fn faults(&self) -> [(&'static str, &Fault); 6] {
        [
            ("duplicates", &self.duplicates),
            ("unpaid", &self.unpaid),
            ("unexplained credits", &self.unexplained_credits),
            ("lost recipients", &self.lost),
            ("unresolved", &self.unresolved),
            ("SIDs without a message", &self.sids_without_message),
        ]
    }

    /// All is well.
    pub fn is_clean(&self) -> bool {
        self.faults().iter().all(|(_, fault)| fault.count == 0 && fault.rows.is_empty())
    }
}

/// Compares.
pub fn judge(evidence: &Evidence) -> Verdict {
    let mut verdict = Verdict::default();
    let by_sid: HashMap<&str, &Row> =
        evidence.rows.iter().filter_map(|row| Some((row.sid.as_deref()?, row))).collect();
    judge_carrier(&mut verdict, evidence, &by_sid);
    judge_texts(&mut verdict, evidence);
    judge_credits(&mut verdict, evidence);
    verdict
}

/// The carrier's record, text by text.
fn judge_carrier(verdict: &mut Verdict, evidence: &Evidence, by_sid: &HashMap<&str, &Row>) {
    let mut seen: HashMap<(&str, &str), &Accepted> = HashMap::new();
    for one in &evidence.accepted {
        let told = || format!("{} to {}: {:?} ({})", one.sid, one.to, one.body, one.status);
        if let Some(first) = seen.insert((&one.to, &one.body), one) {
            verdict.duplicates.add(1, || format!("{} and before {}", told(), first.sid));
        }
        match by_sid.get(one.sid.as_str()) {
            None => {
                verdict.sids_without_message.add(1, told);
                verdict.unpaid.add(1, || format!("{}, which no message names", told()));
            }
            Some(row) if !row.state.is_some_and(State::is_charged) => {
                verdict.unpaid.add(1, || format!("{}, but {}", told(), described(row)));
            }
            Some(_) => {}
        }
    }
    for words in &evidence.taken_twice {
        verdict.duplicates.add(1, || words.clone());
    }
}

/// The database, intended text by intended text.
fn judge_texts(verdict: &mut Verdict, evidence: &Evidence) {
    let mut listed: BTreeMap<&str, i64> = BTreeMap::new();
    for row in &evidence.rows {
        if Some(row.id.stream) == evidence.campaign {
            *listed.entry(&row.phone).or_default() += 1;
        }
        match row.state {
            None | Some(State::Deferred) => verdict.lost.add(1, || described(row)),
            Some(state) if state.is_open() => verdict.unresolved.add(1, || described(row)),
            Some(_) => {}
        }
    }
    for (phone, times) in listed.iter().filter(|(_, times)| **times > 1) {
        verdict.duplicates.add(1, || format!("{phone} stands {times} times on the list"));
    }
    let missing = evidence.contacts.saturating_sub(listed.len());
    if missing > 0 {
        let missing = i64::try_from(missing).unwrap_or(i64::MAX);
        verdict.lost.add(missing, || format!("{missing} contacts are not on the list"));
    }
    let kept: HashSet<_> = evidence.rows.iter().map(|row| row.id).collect();
    for text in evidence.texts.iter().filter(|text| !kept.contains(&text.id)) {
        let words =
            || format!("{} to {} was taken in and is gone: {:?}", text.id, text.to, text.body);
        verdict.lost.add(1, words);
    }
    for phone in &evidence.opt_outs_gone {
        verdict.lost.add(1, || format!("the opt-out of {phone} was taken in and is gone"));
    }
}

/// The wallet against what was given, what was charged and what the carrier accepted.
fn judge_credits(verdict: &mut Verdict, evidence: &Evidence) {
    let unexplained = &mut verdict.unexplained_credits;
    let books = &evidence.books;
    let mut compare = |what: &str, left: i64, right: i64| {
        if left != right {
            unexplained.add((left - right).abs(), || format!("{what}: {left} against {right}"));
        }
    };
    // What was charged too late to be paid for is the house's loss, and told apart.
    let held = books.available + books.reserved + books.spent - books.owed - books.loss;
    compare("the wallet, and the credits that were given", held, evidence.granted);
    let charged = || evidence.rows.iter().filter(|row| row.state.is_some_and(State::is_charged));
    let price: i64 = charged().map(|row| row.price).sum();
    compare("spent, and the price of the charged texts", books.spent, price);
    let open = |row: &&Row| row.state.is_some_and(State::is_open);
    let open: i64 = evidence.rows.iter().filter(open).map(|row| row.price).sum();
    compare("reserved, and the price of the open texts", books.reserved, open);
    let record: HashSet<&str> = evidence.accepted.iter().map(|one| one.sid.as_str()).collect();
    let known = |row: &Row| row.sid.as_deref().is_some_and(|sid| record.contains(sid));
    for row in charged().filter(|row| !known(row)) {
        unexplained.add(row.price, || {
            format!("{} is charged, but not in the carrier's record", described(row))
        });
    }
    for check in evidence.checks.iter().filter(|check| !check.ok) {
        unexplained.add(1, || format!("the audit's {}: {}", check.name, check.detail));
    }
}

fn described(row: &Row) -> String {
    let state = row.state.map_or("queued", State::as_str);
    let sid = row.sid.as_deref().map_or(String::new(), |sid| format!(" ({sid})"));
    format!("{} to {} is {state}{sid}", row.id, row.phone)
}

#[cfg(test)]
mod tests {
    use domain::ids::{AccountId, MessageId, StreamId};
    use domain::ledger::Books;

    use super::*;
    use crate::entry::cli::torture::scene::Text;
    use crate::finance::books::Check;

    const LIST: StreamId = StreamId(1 << 40);

    fn id(stream: StreamId, ord: i64) -> MessageId {
        MessageId { account: AccountId(7), stream, ord }
    }

    fn accepted(sid: &str, to: &str, body: &str) -> Accepted {
        let owned = |text: &str| text.to_owned();
        Accepted { sid: owned(sid), to: owned(to), body: owned(body), status: owned("delivered") }
    }

    fn row(id: MessageId, phone: &str, state: Option<State>, sid: Option<&str>) -> Row {
        Row { id, phone: phone.to_owned(), price: 1, state, sid: sid.map(str::to_owned) }
    }

    /// Three contacts, of whom one opted out, and one single text: all is well.
    fn well() -> Evidence {
        let single = id(StreamId(1), 1);
        Evidence {
            accepted: vec![
                accepted("SM1", "+1", "spring"),
                accepted("SM2", "+2", "spring"),
                accepted("SM3", "+1", "reference 1"),
            ],
            rows: vec![
                row(id(LIST, 1), "+1", Some(State::Delivered), Some("SM1")),
                row(id(LIST, 2), "+2", Some(State::Accepted), Some("SM2")),
                row(id(LIST, 3), "+3", Some(State::Suppressed), None),
                row(single, "+1", Some(State::Sent), Some("SM3")),
            ],
            books: Books { available: 7, spent: 3, ..Books::default() },
            campaign: Some(LIST),
            contacts: 3,
            granted: 10,
            texts: vec![Text { id: single, to: "+1".into(), body: "reference 1".into() }],
            ..Evidence::default()
        }
    }

    #[test]
    fn all_is_well() {
        let verdict = judge(&well());
        assert!(verdict.is_clean(), "{verdict:?}");
    }

    /// What is changed, and the counts in the order in which they are told.
    #[test]
    fn each_way_to_be_wrong_is_found() {
        type Change = fn(&mut Evidence);
        let cases: [(&str, Change, [i64; 6]); 14] = [
            (
                "sent twice",
                |e| e.accepted.push(accepted("SM9", "+2", "spring")),
                [1, 1, 0, 0, 0, 1],
            ),
            ("two texts of one request", |e| e.taken_twice.push("k".into()), [1, 0, 0, 0, 0, 0]),
            ("twice on the list", |e| e.rows[2].phone = "+2".into(), [1, 0, 0, 1, 0, 0]),
            (
                "released, but accepted",
                |e| {
                    e.rows[1].state = Some(State::Absent);
                    (e.books.available, e.books.spent) = (8, 2);
                },
                [0, 1, 0, 0, 0, 0],
            ),
            (
                "accepted for nobody",
                |e| e.accepted.push(accepted("SM9", "+9", "x")),
                [0, 1, 0, 0, 0, 1],
            ),
            ("charged, but never accepted", |e| drop(e.accepted.remove(1)), [0, 0, 1, 0, 0, 0]),
            ("charged without a SID", |e| e.rows[1].sid = None, [0, 1, 1, 0, 0, 1]),
            ("a grant is gone", |e| e.granted = 15, [0, 0, 5, 0, 0, 0]),
            (
                "charged once too often",
                |e| {
                    (e.books.available, e.books.spent) = (6, 4);
                },
                [0, 0, 1, 0, 0, 0],
            ),
            (
                "the audit complains",
                |e| {
                    e.checks.push(Check::of("hash_chain", Some("broken".into()), ""));
                },
                [0, 0, 1, 0, 0, 0],
            ),
            ("waits for ever", |e| e.rows[2].state = Some(State::Deferred), [0, 0, 0, 1, 0, 0]),
            (
                "still unknown",
                |e| {
                    e.rows[2].state = Some(State::Unknown);
                    (e.books.available, e.books.reserved) = (6, 1);
                },
                [0, 0, 0, 0, 1, 0],
            ),
            (
                "a text taken in is gone",
                |e| {
                    e.rows.truncate(3);
                    e.accepted.truncate(2);
                    (e.books.available, e.books.spent) = (8, 2);
                },
                [0, 0, 0, 1, 0, 0],
            ),
            ("an opt-out is gone", |e| e.opt_outs_gone.push("+3".into()), [0, 0, 0, 1, 0, 0]),
        ];
        for (name, change, expected) in cases {
            let mut evidence = well();
            change(&mut evidence);
            let verdict = judge(&evidence);
            let counts = verdict.faults().map(|(_, fault)| fault.count);
            assert_eq!(counts, expected, "{name}: {verdict:?}");
            assert!(!verdict.is_clean());
        }
    }

    #[test]
    fn rows_are_told_up_to_a_limit_and_all_counted() {
        let rows = (1..=50).map(|ord| row(id(LIST, ord), "+1", None, None)).collect();
        let evidence = Evidence { rows, ..Evidence::default() };
        let verdict = judge(&evidence);
        assert_eq!((verdict.lost.count, verdict.lost.rows.len()), (50, FINDINGS_SHOWN_MAX));
    }
}
