//! Figures for people.

use std::fmt;
use std::time::Duration;

use super::processes::Cost;

/// A number of things, to divide by.
#[expect(clippy::cast_precision_loss, reason = "figures for people")]
pub fn count(n: usize) -> f64 {
    n as f64
}

/// Prints what each process cost, per so many things.
pub fn print_costs(costs: &[(&'static str, Cost)], things: usize, name: &str) {
    for (process, cost) in costs {
        println!(
            "    {process:<11} {:.3} CPU s per 1,000 {name}, peak memory {:.1} MiB",
            cost.cpu.as_secs_f64() * 1000.0 / count(things),
            count(usize::try_from(cost.peak_kib).unwrap_or(0)) / 1024.0,
        );
    }
}

/// How long many things of one kind took.
pub struct Spread(Vec<Duration>);

impl Spread {
    /// At least one span, in any order.
    pub fn of(spans: impl Iterator<Item = Duration>) -> anyhow::Result<Self> {
        let mut spans: Vec<Duration> = spans.collect();
        anyhow::ensure!(!spans.is_empty(), "nothing was measured");
        spans.sort_unstable();
        Ok(Self(spans))
    }

    /// The span that `per_mille` of 1,000 do not exceed (nearest rank).
    fn at(&self, per_mille: usize) -> Duration {
        let rank = (self.0.len() * per_mille).div_ceil(1000);
        self.0[rank.clamp(1, self.0.len()) - 1]
    }

    /// How many took longer.
    pub fn longer_than(&self, span: Duration) -> usize {
        self.0.len() - self.0.partition_point(|one| *one <= span)
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, per_mille) in [("p50", 500), ("p90", 900), ("p99", 990), ("p99.9", 999)] {
            // Fewer things have no such rank of their own.
            if per_mille <= 990 || self.0.len() >= 1000 {
                write!(out, "{name} {}, ", in_ms(self.at(per_mille)))?;
            }
        }
        write!(out, "max {}", in_ms(self.at(1000)))
    }
}

fn in_ms(span: Duration) -> String {
    format!("{:.1} ms", span.as_secs_f64() * 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_are_the_nearest() {
        let millis = |upto: u64| (1..=upto).rev().map(Duration::from_millis);
        for (upto, per_mille, expected) in [
            (1, 500, 1),
            (1, 1000, 1),
            (2, 500, 1),
            (3, 500, 2),
            (50, 990, 50),
            (100, 990, 99),
            (1000, 999, 999),
            (1000, 1000, 1000),
        ] {
            let spread = Spread::of(millis(upto)).unwrap();
            assert_eq!(
                spread.at(per_mille),
                Duration::from_millis(expected),
                "{per_mille} of {upto}"
            );
        }
        let spread = Spread::of(millis(50)).unwrap();
        assert_eq!(spread.longer_than(Duration::from_millis(48)), 2);
        assert_eq!(spread.to_string(), "p50 25.0 ms, p90 45.0 ms, p99 50.0 ms, max 50.0 ms");
        assert!(Spread::of(std::iter::empty()).is_err());
    }
}
