//! What a credit is worth in money, for margins: what the cheapest one costs.

use domain::packs::{self, Pack};
use domain::rates::Price;

/// What a credit costs where it costs least, so that no margin looks better than it is.
pub fn of_credit() -> Price {
    cheapest(packs::all())
}

fn cheapest(packs: &[Pack]) -> Price {
    let worth = |pack: &Pack| {
        let millionths = i128::from(pack.amount) * 1_000_000;
        let units = i128::from(packs::unit(&pack.currency)) * i128::from(pack.credits);
        i64::try_from(millionths / units).unwrap_or(i64::MAX)
    };
    let prices =
        packs.iter().map(|pack| Price { millionths: worth(pack), currency: pack.currency.clone() });
    prices.min_by_key(|price| price.millionths).expect("a price list holds at least one pack")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cheapest_credit_counts() {
        for (currency, millionths) in [("usd", 12_000), ("jpy", 1_200_000), ("kwd", 1200)] {
            let csv = format!(
                "key,name,credits,amount,currency,tax_note\n\
                 a,A,500,1000,{currency},\nb,B,250000,300000,{currency},\n"
            );
            let packs = packs::parse(&csv).expect("a list");
            assert_eq!(cheapest(&packs).millionths, millionths, "{currency}");
        }
    }
}
