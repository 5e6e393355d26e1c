//! Checking messages against money: every reservation has its texts, every ledger line its facts,
//! every tally its rows.

use std::collections::BTreeMap;

use domain::ids::AccountId;
use domain::ledger::{Hash, merkle_root};
use store::audit::{self, fact_leaf};
use store::{Result, Tx, messages, wallets};

use crate::finance::books::{BoundLine, Check};

const ORDS_A_PAGE: i64 = 5000;

/// Runs the checks that need messages. `bound` are the ledger lines that open to facts.
pub async fn check_messages(
    tx: &mut Tx,
    account: AccountId,
    bound: &[BoundLine],
) -> Result<Vec<Check>> {
    let books = wallets::wallet(tx, account).await?.books;
    let open = audit::open_amount(tx, account).await?;
    let mut totals = Totals::default();
    let mut leaves: BTreeMap<i64, Vec<Hash>> = BTreeMap::new();
    for stream in audit::stream_ids(tx, account).await? {
        totals.add_stream(tx, account, stream).await?;
        read_facts(tx, account, stream, &mut leaves).await?;
    }
    let line_fault = bound.iter().find_map(|line| {
        let facts = leaves.remove(&line.seq).unwrap_or_default();
        let complete = i64::try_from(facts.len()).is_ok_and(|n| n == line.facts);
        (!complete || merkle_root(&facts) != line.root)
            .then(|| format!("line {} does not open to its facts", line.seq))
    });
    let fact_fault = leaves.keys().next().map(|seq| format!("facts of line {seq} have no line"));
    let differs = |what: &str, left: i64, right: i64| {
        (left != right).then(|| format!("{what}: {left} against {right}"))
    };
    Ok(vec![
        Check::of(
            "reserved_is_open",
            differs("reserved and what chunks hold", books.reserved, open)
                .or_else(|| differs("chunks and their open texts", open, totals.held)),
            format!("{open} credits for {} open texts", totals.open_texts),
        ),
        Check::of(
            "spent_is_sent",
            differs("spent and the price of what was taken", books.spent, totals.spent),
            format!("{} credits for {} texts", totals.spent, totals.charged_texts),
        ),
        Check::of(
            "lines_open_to_facts",
            line_fault.or(fact_fault),
            format!("{} lines open to their texts", bound.len()),
        ),
        Check::of("tallies_are_rows", totals.tally_fault, format!("{} streams", totals.streams)),
    ])
}

#[derive(Default)]
struct Totals {
    streams: usize,
    held: i64,
    open_texts: i64,
    spent: i64,
    charged_texts: i64,
    tally_fault: Option<String>,
}

impl Totals {
    async fn add_stream(
        &mut self,
        tx: &mut Tx,
        account: AccountId,
        stream: domain::ids::StreamId,
    ) -> Result<()> {
        self.streams += 1;
        let counts = audit::counts(tx, account, stream).await?;
        let mut tallies = messages::tallies(tx, account, stream).await?;
        tallies.retain(|_, n| *n != 0);
        for (state, n, credits) in &counts {
            if state.is_open() {
                self.held += credits;
                self.open_texts += n;
            }
            if state.is_charged() {
                self.spent += credits;
                self.charged_texts += n;
            }
            let told = tallies.remove(state).unwrap_or(0);
            if told != *n && self.tally_fault.is_none() {
                self.tally_fault = Some(format!("{stream}: {n} {state}, the tally says {told}"));
            }
        }
        if let Some((state, n)) = tallies.first_key_value() {
            self.tally_fault = Some(format!("{stream}: no {state}, the tally says {n}"));
        }
        Ok(())
    }
}

async fn read_facts(
    tx: &mut Tx,
    account: AccountId,
    stream: domain::ids::StreamId,
    leaves: &mut BTreeMap<i64, Vec<Hash>>,
) -> Result<()> {
    let last =
        store::streams::find_stream(tx, account, stream).await?.map_or(0, |one| one.position);
    let mut after = 0;
    while after < last {
        for fact in audit::facts_after(tx, account, stream, after, ORDS_A_PAGE).await? {
            let leaf = fact_leaf(
                stream,
                fact.ord,
                fact.attempt,
                fact.kind,
                fact.price,
                fact.sid.as_deref(),
            );
            leaves.entry(fact.seq).or_default().push(leaf);
        }
        after += ORDS_A_PAGE;
    }
    Ok(())
}
