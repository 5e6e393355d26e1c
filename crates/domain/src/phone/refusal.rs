//! Which valid numbers are never texted, by their kind and country alone.
//!
//! This keeps toll fraud out: whoever can make us text a premium or satellite number earns on
//! every text. Consent, opt-outs and everything that needs facts belong to [`crate::permit`].

use std::fmt;

use super::{NumberType, PhoneNumber};

/// Why a valid number is not texted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NumberRefusal {
    /// The called party's price is on top.
    PremiumRate,
    /// The price is shared with the called party.
    SharedCost,
    /// Satellite and other global networks: +870 to +879, +881, +882, +883, +888, +979.
    Satellite,
    /// Numbers that follow a person, such as UK 070.
    PersonalNumber,
    /// Pagers, voicemail boxes and universal access numbers.
    NotTextable,
    /// Area code 900 or 976, or exchange 976, in +1.
    NanpPremium,
    /// One of Twilio's test numbers, +1 500 555 000x, where they are not allowed.
    TestNumber,
    /// A code that belongs to no country.
    UnknownCountryCode,
    /// A region that is not in the allow-list.
    CountryNotAllowed {
        /// ISO 3166 code of the number.
        region: String,
    },
}

impl NumberRefusal {
    /// The stable word for logs, statistics and the API.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::PremiumRate => "premium_rate",
            Self::SharedCost => "shared_cost",
            Self::Satellite => "satellite",
            Self::PersonalNumber => "personal_number",
            Self::NotTextable => "not_textable",
            Self::NanpPremium => "nanp_premium",
            Self::TestNumber => "test_number",
            Self::UnknownCountryCode => "unknown_country_code",
            Self::CountryNotAllowed { .. } => "country_not_allowed",
        }
    }
}

impl fmt::Display for NumberRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PremiumRate => "Premium-rate numbers are not texted.",
            Self::SharedCost => "Shared-cost numbers are not texted.",
            Self::Satellite => "Numbers of satellite and global networks are not texted.",
            Self::PersonalNumber => "Personal numbers, which forward at a price, are not texted.",
            Self::NotTextable => "Pagers, voicemail boxes and access numbers take no texts.",
            Self::NanpPremium => "North American 900 and 976 numbers are not texted.",
            Self::TestNumber => "Carrier test numbers are only texted in test mode.",
            Self::UnknownCountryCode => "The number belongs to no country.",
            Self::CountryNotAllowed { region } => {
                return write!(
                    f,
                    "Texts to {region} are not allowed; to allow them, add {region} to the \
                     setting countries."
                );
            }
        })
    }
}

/// Why `number` is not texted, if so: by its kind and country alone.
///
/// `allowed_regions` are ISO 3166 codes in capitals. `magic_allowed` is test mode: Twilio's test
/// numbers +1 500 555 000x pass then, whatever the regions. Ordinary +1 numbers cannot be told
/// mobile from landline, so neither is refused; nor are personal numbers in +1 (5XX, 622 and 633),
/// which cost what any number costs there.
pub fn refusal(
    number: &PhoneNumber,
    allowed_regions: &[String],
    magic_allowed: bool,
) -> Option<NumberRefusal> {
    let digits = number.e164.as_str();
    if is_magic(digits) {
        return (!magic_allowed).then_some(NumberRefusal::TestNumber);
    }
    if matches!(number.country_code, 870..=879 | 881..=883 | 888 | 979) {
        return Some(NumberRefusal::Satellite);
    }
    let nanp = number.country_code == 1;
    let fictitious = nanp && is_fictitious(digits);
    if nanp && !fictitious && is_nanp_premium(digits) {
        return Some(NumberRefusal::NanpPremium);
    }
    match number.kind {
        NumberType::PremiumRate if !fictitious => return Some(NumberRefusal::PremiumRate),
        NumberType::SharedCost => return Some(NumberRefusal::SharedCost),
        NumberType::PersonalNumber if !nanp => return Some(NumberRefusal::PersonalNumber),
        NumberType::Pager | NumberType::Uan | NumberType::Voicemail => {
            return Some(NumberRefusal::NotTextable);
        }
        _ => {}
    }
    match &number.region {
        None => Some(NumberRefusal::UnknownCountryCode),
        Some(region) if region == "001" => Some(NumberRefusal::UnknownCountryCode),
        Some(region) if allowed_regions.contains(region) => None,
        Some(region) => Some(NumberRefusal::CountryNotAllowed { region: region.clone() }),
    }
}

/// Twilio's test numbers: +15005550000 to +15005550009.
fn is_magic(e164: &str) -> bool {
    e164.len() == "+15005550006".len() && e164.starts_with("+1500555000")
}

/// The North American plan keeps 555-0100 to 555-0199 of every area code for fiction: nobody has
/// them and nobody earns on them, area code 900 included.
fn is_fictitious(e164: &str) -> bool {
    e164.get("+1NPA".len()..).is_some_and(|line| line.len() == 7 && line.starts_with("55501"))
}

/// Pay-per-call numbers of the North American plan: `+1 900`, `+1 976` and `+1 NPA 976`.
fn is_nanp_premium(e164: &str) -> bool {
    let national = &e164["+1".len()..];
    national.starts_with("900")
        || national.starts_with("976")
        || national.get(3..6).is_some_and(|exchange| exchange == "976")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::phone::parse;

    #[test]
    fn refusals() {
        for (e164, magic_allowed, expected) in [
            ("+14159115551", false, None),
            ("+16135550123", false, None),
            ("+18005550123", false, None),
            ("+15215550123", false, None),
            ("+19005550123", false, None),
            ("+15005550006", false, Some("test_number")),
            ("+15005550006", true, None),
            ("+19002345678", true, Some("nanp_premium")),
            ("+14159761234", true, Some("nanp_premium")),
            ("+447011234567", true, Some("personal_number")),
            ("+33884012345", true, Some("shared_cost")),
            ("+449098765432", true, Some("premium_rate")),
            ("+445511234567", true, Some("not_textable")),
            ("+870301234567", true, Some("satellite")),
            ("+881612345678", true, Some("satellite")),
            ("+979123456789", true, Some("satellite")),
            ("+80012345678", true, Some("unknown_country_code")),
            ("+447400123456", true, Some("country_not_allowed")),
            ("+12423591234", true, Some("country_not_allowed")),
        ] {
            let number = parse(e164, None).unwrap_or_else(|error| panic!("{e164}: {error}"));
            let allowed = ["US".to_owned(), "CA".to_owned()];
            let refused = refusal(&number, &allowed, magic_allowed);
            assert_eq!(refused.as_ref().map(NumberRefusal::as_str), expected, "{e164}");
            assert!(refused.is_none_or(|refusal| refusal.to_string().ends_with('.')));
        }
    }
}
