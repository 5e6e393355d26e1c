//! Positions of a stream that were read already.

use std::collections::BTreeMap;

use store::statements::Run;

/// Runs of positions that neither overlap nor touch.
#[derive(Debug, Default)]
pub struct Runs(BTreeMap<i64, i64>);

impl Runs {
    /// Adds a run; answers the parts of it that were not there.
    pub fn add(&mut self, (first, last): Run) -> Vec<Run> {
        let (mut start, mut end, mut from) = (first, last, first);
        let mut parts = Vec::new();
        let touched: Vec<Run> = self
            .0
            .range(..=last.saturating_add(1))
            .rev()
            .map(|(first, last)| (*first, *last))
            .take_while(|(_, old)| *old >= first - 1)
            .collect();
        for &(old_first, old_last) in touched.iter().rev() {
            if from < old_first {
                parts.push((from, (old_first - 1).min(last)));
            }
            from = from.max(old_last + 1);
            (start, end) = (start.min(old_first), end.max(old_last));
            self.0.remove(&old_first);
        }
        if from <= last {
            parts.push((from, last));
        }
        self.0.insert(start, end);
        parts
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use domain::seam::{Dice, SeededDice};

    use super::*;

    #[test]
    fn each_position_is_answered_once() {
        let dice = SeededDice::new(11);
        let number = |below: u64| i64::try_from(dice.below(below)).expect("small");
        for _ in 0..300 {
            let (mut runs, mut seen) = (Runs::default(), BTreeSet::new());
            for _ in 0..40 {
                let first = 1 + number(60);
                let run = (first, first + number(20));
                let wanted: Vec<i64> = (run.0..=run.1).filter(|ord| !seen.contains(ord)).collect();
                let parts = runs.add(run);
                let found: Vec<i64> = parts.iter().flat_map(|(a, b)| *a..=*b).collect();
                assert_eq!(found, wanted, "{run:?} into {runs:?}");
                seen.extend(found);
                let kept: Vec<Run> = runs.0.iter().map(|(a, b)| (*a, *b)).collect();
                assert!(kept.windows(2).all(|pair| pair[0].1 + 1 < pair[1].0), "{kept:?}");
                let all: BTreeSet<i64> = kept.iter().flat_map(|(a, b)| *a..=*b).collect();
                assert_eq!(all, seen);
            }
        }
    }
}
