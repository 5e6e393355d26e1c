//! What an account may subscribe to: the registry of plans.
//!
//! The registry is data: a row of `data/plans.csv` is all that a plan needs. An installation
//! brings its own list with [`install`], in the same form, instead of the built-in one. How a
//! subscription to a plan stands, and what it entitles to, is in [`crate::subscriptions`].

use std::sync::OnceLock;

use csv::StringRecord;

use crate::instant::Instant;
use crate::ledger::AMOUNT_MAX;
use crate::subscriptions::add_months;

/// A plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Its key, such as `growth`.
    pub key: String,
    /// What customers call it.
    pub name: String,
    /// Credits that come with each period.
    pub monthly_credits: i64,
    /// What is not used lasts so many months beyond its period; `None` for ever.
    pub rollover_months: Option<u32>,
    /// Its price for a period, in the currency's smallest unit; nobody can buy one that costs
    /// nothing, an operator gives it.
    pub amount: i64,
    /// Three letters, in lower case.
    pub currency: String,
    /// Campaigns may run.
    pub campaigns: bool,
    /// Senders the account may have at most.
    pub senders_max: Option<u32>,
    /// Texts the account may send in an hour at most.
    pub hourly_texts_max: Option<u32>,
    /// Days before the first payment.
    pub trial_days: u32,
    /// Days that texts still leave after a payment failed.
    pub grace_days: u32,
    /// The credits come with a trial too.
    pub trial_credits: bool,
}

impl Plan {
    /// When the credits of a period that ends at `period_end` expire; `None` for never.
    pub fn expiry(&self, period_end: Instant) -> Option<Instant> {
        self.rollover_months.map(|months| add_months(period_end, months))
    }
}

/// A row of a list of plans that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("plan {key:?}: {problem}")]
pub struct PlanError {
    /// Which row.
    pub key: String,
    /// What is wrong and how to mend it.
    pub problem: String,
}

static REGISTRY: OnceLock<Vec<Plan>> = OnceLock::new();

/// Every plan, in the order of the file.
pub fn all() -> &'static [Plan] {
    REGISTRY.get_or_init(|| {
        parse(include_str!("../data/plans.csv")).expect("a test reads the built-in plans")
    })
}

/// The plan with this key.
pub fn find(key: &str) -> Option<&'static Plan> {
    all().iter().find(|plan| plan.key == key)
}

/// The keys of all plans, for people who have to choose one.
pub fn keys() -> String {
    all().iter().map(|plan| plan.key.as_str()).collect::<Vec<_>>().join(", ")
}

/// Takes an installation's own list instead of the built-in one, for the life of the process. Must
/// come before the first question about a plan.
pub fn install(csv: &str) -> Result<(), PlanError> {
    let plans = parse(csv)?;
    REGISTRY.set(plans).map_err(|_| PlanError {
        key: String::new(),
        problem: "plans were used before the installation's own were read".to_owned(),
    })
}

/// The columns of a list of plans.
const COLUMNS: [&str; 12] = [
    "key",
    "name",
    "monthly_credits",
    "rollover_months",
    "amount",
    "currency",
    "campaigns",
    "senders_max",
    "hourly_texts_max",
    "trial_days",
    "grace_days",
    "trial_credits",
];

/// The most of anything that is counted in days or months.
const SPAN_MAX: u32 = 1200;

/// Reads plans from CSV. The columns are those of `data/plans.csv`.
pub fn parse(csv: &str) -> Result<Vec<Plan>, PlanError> {
    let wrong = |key: &str, problem: String| Err(PlanError { key: key.to_owned(), problem });
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(csv.as_bytes());
    let header = match reader.headers() {
        Ok(header) => header.clone(),
        Err(error) => return wrong("", error.to_string()),
    };
    if let Some(missing) = COLUMNS.iter().find(|name| !header.iter().any(|one| one == **name)) {
        return wrong("", format!("the column {missing} is missing"));
    }
    if let Some(other) = header.iter().find(|name| !COLUMNS.contains(name)) {
        return wrong("", format!("there is no column {other:?}"));
    }
    let mut plans: Vec<Plan> = Vec::new();
    for row in reader.records() {
        let plan = match row {
            Ok(row) => plan_of(&header, &row)?,
            Err(error) => return wrong("", error.to_string()),
        };
        if plans.iter().any(|known| known.key == plan.key) {
            return wrong(&plan.key, "is there twice".to_owned());
        }
        plans.push(plan);
    }
    if plans.is_empty() {
        return wrong("", "there is no plan".to_owned());
    }
    Ok(plans)
}

fn plan_of(header: &StringRecord, row: &StringRecord) -> Result<Plan, PlanError> {
    let cell = |name: &str| -> &str {
        let at = header.iter().position(|column| column == name);
        at.and_then(|at| row.get(at)).map_or("", str::trim)
    };
    let key = cell("key").to_owned();
    let wrong = |problem: String| PlanError { key: key.clone(), problem };
    let is_word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    if key.is_empty() || key.len() > 50 || !key.bytes().all(is_word) {
        return Err(wrong("key: write small letters, digits and _".to_owned()));
    }
    let flag = |name: &str| match cell(name) {
        "yes" => Ok(true),
        "no" => Ok(false),
        word => Err(wrong(format!("{name} is {word:?}: write yes or no"))),
    };
    let number =
        |name: &str, most: i64| match cell(name) {
            "" => Ok(0),
            text => text.parse().ok().filter(|n| (0..=most).contains(n)).ok_or_else(|| {
                wrong(format!("{name} is {text:?}: write a number from 0 to {most}"))
            }),
        };
    let few = |name: &str, most: u32| {
        number(name, i64::from(most)).map(|n| u32::try_from(n).expect("it is at most a u32"))
    };
    let limit = |name: &str, most: u32| match cell(name) {
        "" => Ok(None),
        _ => few(name, most).map(Some),
    };
    let currency = cell("currency");
    if currency.len() != 3 || !currency.bytes().all(|byte| byte.is_ascii_lowercase()) {
        return Err(wrong("currency: write three small letters such as usd".to_owned()));
    }
    let name = cell("name").to_owned();
    if name.is_empty() {
        return Err(wrong("name: write what customers call it".to_owned()));
    }
    Ok(Plan {
        monthly_credits: number("monthly_credits", AMOUNT_MAX)?,
        rollover_months: limit("rollover_months", SPAN_MAX)?,
        amount: number("amount", AMOUNT_MAX)?,
        currency: currency.to_owned(),
        campaigns: flag("campaigns")?,
        senders_max: limit("senders_max", u32::MAX)?,
        hourly_texts_max: limit("hourly_texts_max", u32::MAX)?,
        trial_days: few("trial_days", 730)?,
        grace_days: few("grace_days", SPAN_MAX)?,
        trial_credits: flag("trial_credits")?,
        name,
        key,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "key,name,monthly_credits,rollover_months,amount,currency,campaigns,\
                          senders_max,hourly_texts_max,trial_days,grace_days,trial_credits";

    #[test]
    fn the_built_in_plans_are_read() {
        for plan in all() {
            assert_eq!(find(&plan.key), Some(plan));
            assert!(keys().contains(&plan.key));
        }
        let starter = find("starter").expect("it is registered");
        assert!(!starter.campaigns && starter.senders_max == Some(1));
        assert!(find("pay_as_you_go").is_some_and(|plan| {
            plan.campaigns && plan.amount == 0 && plan.senders_max.is_none()
        }));
        assert_eq!(find("gold"), None);
    }

    #[test]
    fn credits_expire_with_their_period_later_or_never() {
        let end = Instant::parse("2027-01-31T00:00:00Z").expect("a time");
        let plan = |months: Option<u32>| Plan { rollover_months: months, ..all()[0].clone() };
        for (months, wanted) in [
            (Some(0), Some("2027-01-31T00:00:00Z")),
            (Some(1), Some("2027-02-28T00:00:00Z")),
            (Some(12), Some("2028-01-31T00:00:00Z")),
            (None, None),
        ] {
            assert_eq!(plan(months).expiry(end), wanted.and_then(Instant::parse), "{months:?}");
        }
    }

    #[test]
    fn rows_are_read_and_bad_ones_say_what_is_wrong() {
        let good = format!("{HEADER}\nvip,\"V, I, P\",10,,500,eur,yes,,7,,3,no\n");
        let found = parse(&good).expect("reads");
        let one = &found[0];
        assert_eq!((one.name.as_str(), one.rollover_months, one.trial_days), ("V, I, P", None, 0));
        assert_eq!((one.senders_max, one.hourly_texts_max), (None, Some(7)));
        for (row, part) in [
            ("VIP,V,10,,500,eur,yes,,,,3,no", "key"),
            ("vip,,10,,500,eur,yes,,,,3,no", "name"),
            ("vip,V,-1,,500,eur,yes,,,,3,no", "monthly_credits"),
            ("vip,V,1.5,,500,eur,yes,,,,3,no", "monthly_credits"),
            ("vip,V,10,never,500,eur,yes,,,,3,no", "rollover_months"),
            ("vip,V,10,,500,EUR,yes,,,,3,no", "currency"),
            ("vip,V,10,,500,eur,maybe,,,,3,no", "campaigns"),
            ("vip,V,10,,500,eur,yes,,,,3,", "trial_credits"),
            ("vip,V,10,,500,eur,yes,,,731,3,no", "trial_days"),
        ] {
            let error = parse(&format!("{HEADER}\n{row}\n")).expect_err(row);
            assert!(error.to_string().contains(part), "{error}");
        }
        let row = "vip,V,10,,500,eur,yes,,,,3,no\n";
        for (file, part) in [
            (format!("{HEADER}\n{row}{row}"), "twice"),
            (HEADER.to_owned(), "no plan"),
            (HEADER.replace(",amount", ""), "amount"),
            (format!("{HEADER},colour\n{row}"), "colour"),
        ] {
            let error = parse(&file).expect_err(&file);
            assert!(error.to_string().contains(part), "{error}");
        }
    }
}
