//! What credits cost: the price list of packs, and the price of any other number of credits.
//!
//! The list is data: `data/packs.csv`, or the installation's own in the same form, which replaces
//! it whole ([`install`]). Amounts are whole numbers in the smallest unit of the currency.

use std::ops::RangeInclusive;
use std::sync::OnceLock;

use csv::StringRecord;

/// A number of credits with its price.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pack {
    /// Its key, such as `starter`.
    pub key: String,
    /// What people call it.
    pub name: String,
    /// What is bought.
    pub credits: i64,
    /// What it costs, in the currency's smallest unit.
    pub amount: i64,
    /// Three letters in lower case.
    pub currency: String,
    /// What is said about tax beside the price.
    pub tax_note: String,
}

/// How many credits may be bought without a pack.
pub const CUSTOM_CREDITS: RangeInclusive<i64> = 100..=1_000_000;
/// The most credits a pack may have.
const PACK_CREDITS_MAX: i64 = 100_000_000;
/// The largest amount Stripe takes in one payment: eight digits.
const AMOUNT_MAX: i64 = 99_999_999;

/// A row of the price list that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("pack {key:?}: {problem}")]
pub struct PackError {
    /// Which row.
    pub key: String,
    /// What is wrong and how to mend it.
    pub problem: String,
}

static LIST: OnceLock<Vec<Pack>> = OnceLock::new();

/// Every pack, the smallest first.
pub fn all() -> &'static [Pack] {
    LIST.get_or_init(|| {
        parse(include_str!("../data/packs.csv")).expect("a test reads the built-in packs")
    })
}

/// The pack with this key.
pub fn find(key: &str) -> Option<&'static Pack> {
    all().iter().find(|pack| pack.key == key)
}

/// Replaces the built-in list for the life of the process. Must come before the first purchase;
/// the same list may be installed again.
pub fn install(csv: &str) -> Result<(), PackError> {
    let list = parse(csv)?;
    if *LIST.get_or_init(|| list.clone()) == list {
        return Ok(());
    }
    let problem = "prices were asked for before the installation's own were read".to_owned();
    Err(PackError { key: String::new(), problem })
}

/// What any number of credits costs, with its currency: the price of one credit in the largest
/// pack that is not larger (in the smallest pack for fewer credits), rounded up. `None` outside
/// of [`CUSTOM_CREDITS`].
pub fn custom(credits: i64) -> Option<(i64, &'static str)> {
    price(all(), credits)
}

fn price(list: &[Pack], credits: i64) -> Option<(i64, &str)> {
    if !CUSTOM_CREDITS.contains(&credits) {
        return None;
    }
    let pack = list.iter().rev().find(|pack| pack.credits <= credits).or_else(|| list.first())?;
    let (wanted, whole) = (i128::from(credits), i128::from(pack.credits));
    let amount = (wanted * i128::from(pack.amount) + whole - 1) / whole;
    let amount = i64::try_from(amount).ok().filter(|amount| *amount <= AMOUNT_MAX)?;
    Some((amount, &pack.currency))
}

/// Currencies whose smallest unit is the unit itself, and those with three decimals (Stripe's
/// lists of zero-decimal and three-decimal currencies).
const WHOLE: [&str; 16] = [
    "bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "ugx", "vnd", "vuv",
    "xaf", "xof", "xpf",
];
const THOUSANDTHS: [&str; 5] = ["bhd", "jod", "kwd", "omr", "tnd"];

/// How many of a currency's smallest unit make one of it.
pub fn unit(currency: &str) -> i64 {
    match currency {
        whole if WHOLE.contains(&whole) => 1,
        third if THOUSANDTHS.contains(&third) => 1000,
        _ => 100,
    }
}

/// An amount for people: `10.00 USD`.
pub fn money(amount: i64, currency: &str) -> String {
    let code = currency.to_ascii_uppercase();
    let (unit, digits) = match currency {
        whole if WHOLE.contains(&whole) => return format!("{amount} {code}"),
        third if THOUSANDTHS.contains(&third) => (1000, 3),
        _ => (100, 2),
    };
    let (sign, amount) = (if amount < 0 { "-" } else { "" }, amount.unsigned_abs());
    format!("{sign}{}.{:0digits$} {code}", amount / unit, amount % unit)
}

/// Reads a price list from CSV. The columns are those of `data/packs.csv`.
pub fn parse(csv: &str) -> Result<Vec<Pack>, PackError> {
    let wrong = |problem: String| PackError { key: String::new(), problem };
    let unread = |error: csv::Error| wrong(error.to_string());
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(csv.as_bytes());
    let header = reader.headers().map_err(unread)?.clone();
    let mut list: Vec<Pack> = Vec::new();
    for row in reader.records() {
        let pack = pack_of(&header, &row.map_err(unread)?)?;
        let twice = |known: &Pack| known.key == pack.key || known.credits == pack.credits;
        if list.iter().any(twice) {
            let problem = "there is another one with this key or this many credits".to_owned();
            return Err(PackError { key: pack.key, problem });
        }
        if list.first().is_some_and(|first| first.currency != pack.currency) {
            let problem = "all packs have one currency".to_owned();
            return Err(PackError { key: pack.key, problem });
        }
        list.push(pack);
    }
    if list.is_empty() {
        return Err(wrong("there is no pack; write at least one".to_owned()));
    }
    list.sort_by_key(|pack| pack.credits);
    Ok(list)
}

fn pack_of(header: &StringRecord, row: &StringRecord) -> Result<Pack, PackError> {
    let cell = |name: &str| -> &str {
        let at = header.iter().position(|column| column.trim() == name);
        at.and_then(|at| row.get(at)).map_or("", str::trim)
    };
    let key = cell("key").to_owned();
    let wrong = |problem: String| PackError { key: key.clone(), problem };
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    if !(1..=40).contains(&key.len()) || !key.bytes().all(is_plain) {
        return Err(wrong("write a key of small letters, digits and _".to_owned()));
    }
    let number = |name: &str, most: i64| {
        let found = cell(name).parse::<i64>().ok().filter(|n| (1..=most).contains(n));
        found.ok_or_else(|| wrong(format!("{name}: write a whole number from 1 to {most}")))
    };
    let name = cell("name").to_owned();
    if name.is_empty() {
        return Err(wrong("name: write what people call it".to_owned()));
    }
    let currency = cell("currency").to_owned();
    if currency.len() != 3 || !currency.bytes().all(|byte| byte.is_ascii_lowercase()) {
        return Err(wrong("currency: write three small letters such as usd".to_owned()));
    }
    Ok(Pack {
        name,
        credits: number("credits", PACK_CREDITS_MAX)?,
        amount: number("amount", AMOUNT_MAX)?,
        currency,
        tax_note: cell("tax_note").to_owned(),
        key,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list() -> Vec<Pack> {
        parse(
            "key,name,credits,amount,currency,tax_note\n\
             big,Big,3000,5000,usd,\nsmall,Small,1000,2000,usd,no tax\n",
        )
        .expect("a list")
    }

    #[test]
    fn the_built_in_list_is_read() {
        assert!(all().is_sorted_by_key(|pack| pack.credits));
        assert_eq!(find("starter").map(|pack| (pack.credits, pack.amount)), Some((500, 1000)));
        assert_eq!(find("nothing"), None);
        assert!(install("key,name\n").is_err());
    }

    #[test]
    fn other_numbers_cost_what_a_credit_costs_in_the_pack_below() {
        for (credits, amount) in [
            (99, None),
            (100, Some(200)),
            (999, Some(1998)),
            (1000, Some(2000)),
            (2999, Some(5998)),
            (3000, Some(5000)),
            // 3001 x 5000 / 3000 = 5001.67, rounded up.
            (3001, Some(5002)),
            (1_000_000, Some(1_666_667)),
            (1_000_001, None),
            (-5, None),
        ] {
            assert_eq!(price(&list(), credits), amount.map(|amount| (amount, "usd")), "{credits}");
        }
    }

    #[test]
    fn bad_lists_are_refused_by_name() {
        for (row, key, words) in [
            ("Bad,B,1,1,usd,", "Bad", "small letters"),
            ("b,,1,1,usd,", "b", "name"),
            ("b,B,0,1,usd,", "b", "credits"),
            ("b,B,1,x,usd,", "b", "amount"),
            ("b,B,1,100000000,usd,", "b", "amount"),
            ("b,B,1,1,USD,", "b", "currency"),
            ("small,B,2,1,usd,", "small", "another one"),
            ("b,B,1000,1,usd,", "b", "another one"),
            ("b,B,2,1,eur,", "b", "one currency"),
        ] {
            let csv = format!(
                "key,name,credits,amount,currency,tax_note\nsmall,Small,1000,2000,usd,\n{row}\n"
            );
            let error = parse(&csv).expect_err(row);
            assert_eq!(error.key, key, "{row}");
            assert!(error.problem.contains(words), "{row}: {error}");
        }
        assert!(parse("key,name\n").is_err());
    }

    #[test]
    fn amounts_are_written_as_their_currency_is() {
        for (amount, currency, words) in [
            (1000, "usd", "10.00 USD"),
            (5, "eur", "0.05 EUR"),
            (-250, "usd", "-2.50 USD"),
            (1000, "jpy", "1000 JPY"),
            (1005, "kwd", "1.005 KWD"),
        ] {
            assert_eq!(money(amount, currency), words);
        }
    }
}
