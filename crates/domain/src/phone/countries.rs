//! Which countries an account texts: asked for every text, so the common answer is a look-up.

use std::collections::HashMap;

use super::{NumberRefusal, parse, refusal};

/// A list of allowed countries, and what was found out about numbers so far.
#[derive(Clone, Debug, Default)]
pub struct Countries {
    allowed: Vec<String>,
    /// What the area codes of +1 say, by `+1` and three digits.
    areas: HashMap<String, Option<NumberRefusal>>,
}

impl Countries {
    /// `allowed` are ISO 3166 codes in capitals.
    pub fn new(allowed: Vec<String>) -> Self {
        Self { allowed, areas: HashMap::new() }
    }

    /// Whether and why a number in E.164 is in none of the countries. What is no number, or one
    /// that is never texted for another reason, is none of its business.
    pub fn objection(&mut self, e164: &str) -> Option<NumberRefusal> {
        // An area code belongs to one country; other country codes are shared in other ways.
        let area = e164.get(.."+1312".len()).filter(|area| area.starts_with("+1"));
        if let Some(known) = area.and_then(|area| self.areas.get(area)) {
            return known.clone();
        }
        let number = parse(e164, None).ok()?;
        let refused = refusal(&number, &self.allowed, true);
        let by_country = match &refused {
            Some(why) => matches!(why, NumberRefusal::CountryNotAllowed { .. }),
            None => number.region.as_ref().is_some_and(|region| self.allowed.contains(region)),
        };
        // What the number itself decided says nothing of its neighbours.
        let refused = refused.filter(|_| by_country);
        if let Some(area) = area.filter(|_| by_country) {
            self.areas.insert(area.to_owned(), refused.clone());
        }
        refused
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_country_of_a_number_decides() {
        let allowed = |list: &[&str]| list.iter().map(|code| (*code).to_owned()).collect();
        for (list, e164, region) in [
            (vec!["US", "CA"], "+13125550100", None),
            (vec!["US"], "+16135550123", Some("CA")),
            (vec!["CA"], "+13125550100", Some("US")),
            (vec!["US", "CA"], "+12423591234", Some("BS")),
            (vec!["US", "CA"], "+447400123456", Some("GB")),
            (vec!["GB"], "+447400123456", None),
            // Numbers of the sandbox belong to nobody.
            (vec!["GB"], "+15005550006", None),
            // Refused for another reason, elsewhere.
            (vec!["US"], "+881612345678", None),
            (vec!["US"], "nonsense", None),
            (vec!["CA"], "+13129761234", None),
        ] {
            let mut countries = Countries::new(allowed(&list));
            for time in 1..=2 {
                let found = countries.objection(e164).map(|found| match found {
                    NumberRefusal::CountryNotAllowed { region } => region,
                    other => panic!("{other:?}"),
                });
                assert_eq!(found.as_deref(), region, "{list:?} {e164}, time {time}");
            }
        }
    }

    #[test]
    fn a_number_that_is_its_own_matter_says_nothing_of_its_neighbours() {
        let mut countries = Countries::new(vec!["CA".to_owned()]);
        for (e164, objected) in [
            ("+13129761234", false),
            ("+13125550100", true),
            ("+13125550101", true),
            ("+16135550123", false),
        ] {
            assert_eq!(countries.objection(e164).is_some(), objected, "{e164}");
        }
    }
}
