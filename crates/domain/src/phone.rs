//! Phone numbers: what a person typed becomes E.164, or a sentence that says how to fix it.
//!
//! Validity, type and region are libphonenumber's. This module knows numbers only; who may be
//! texted is decided in [`crate::permit`], which asks [`refusal`] for the part that depends on
//! the number alone.

mod countries;
mod refusal;

use std::borrow::Borrow;
use std::fmt;

use rlibphonenumber::{
    PHONE_NUMBER_UTIL, ParseError, PhoneNumberFormat, PhoneNumberType, Region, ValidationError,
};
use serde::{Deserialize, Serialize};
use thiserror::Error;

pub use countries::Countries;
pub use refusal::{NumberRefusal, refusal};

/// The longest text that is looked at, in characters, as in libphonenumber itself.
pub const INPUT_CHARS_MAX: usize = 250;

/// A number in E.164: `+` and 7 to 15 digits, the first not zero (ITU-T E.164, section 6).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct E164(String);

impl E164 {
    /// Takes `text` only if it is E.164 already; nothing is trimmed, guessed or looked up.
    pub fn parse_strict(text: &str) -> Option<Self> {
        let digits = text.strip_prefix('+')?;
        let well_formed = (7..=15).contains(&digits.len())
            && digits.bytes().all(|byte| byte.is_ascii_digit())
            && !digits.starts_with('0');
        well_formed.then(|| Self(text.to_owned()))
    }

    /// The number with its `+`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for E164 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<str> for E164 {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for E164 {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl From<E164> for String {
    fn from(number: E164) -> Self {
        number.0
    }
}

impl TryFrom<String> for E164 {
    type Error = NotE164;

    fn try_from(text: String) -> Result<Self, NotE164> {
        Self::parse_strict(&text).ok_or(NotE164(text))
    }
}

/// A text that should have been E.164.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0:?} is not E.164: write + and 7 to 15 digits, such as +14155550123")]
pub struct NotE164(String);

/// What a number is for, in libphonenumber's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum NumberType {
    /// A landline.
    FixedLine,
    /// A mobile phone.
    Mobile,
    /// Every ordinary number of the North American plan: the number does not tell which.
    FixedLineOrMobile,
    /// Free for the caller, such as +1 800.
    TollFree,
    /// The called party earns on it.
    PremiumRate,
    /// The caller and the called party share the price.
    SharedCost,
    /// A telephone on the internet.
    Voip,
    /// Follows a person: UK 070 (expensive), North American 5XX, 622 and 633.
    PersonalNumber,
    /// A pager.
    Pager,
    /// A company's "universal access number".
    Uan,
    /// A voicemail box.
    Voicemail,
    /// Not a valid number.
    Unknown,
}

impl NumberType {
    /// The word in upper snake case, as the serialized form.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::FixedLine => "FIXED_LINE",
            Self::Mobile => "MOBILE",
            Self::FixedLineOrMobile => "FIXED_LINE_OR_MOBILE",
            Self::TollFree => "TOLL_FREE",
            Self::PremiumRate => "PREMIUM_RATE",
            Self::SharedCost => "SHARED_COST",
            Self::Voip => "VOIP",
            Self::PersonalNumber => "PERSONAL_NUMBER",
            Self::Pager => "PAGER",
            Self::Uan => "UAN",
            Self::Voicemail => "VOICEMAIL",
            Self::Unknown => "UNKNOWN",
        }
    }
}

impl From<PhoneNumberType> for NumberType {
    fn from(kind: PhoneNumberType) -> Self {
        match kind {
            PhoneNumberType::FixedLine => Self::FixedLine,
            PhoneNumberType::Mobile => Self::Mobile,
            PhoneNumberType::FixedLineOrMobile => Self::FixedLineOrMobile,
            PhoneNumberType::TollFree => Self::TollFree,
            PhoneNumberType::PremiumRate => Self::PremiumRate,
            PhoneNumberType::SharedCost => Self::SharedCost,
            PhoneNumberType::VoIP => Self::Voip,
            PhoneNumberType::PersonalNumber => Self::PersonalNumber,
            PhoneNumberType::Pager => Self::Pager,
            PhoneNumberType::UAN => Self::Uan,
            PhoneNumberType::VoiceMail => Self::Voicemail,
            PhoneNumberType::Unknown => Self::Unknown,
        }
    }
}

/// A valid number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PhoneNumber {
    /// What is stored, compared and sent to. An extension is dropped.
    pub e164: E164,
    /// What the number is for.
    pub kind: NumberType,
    /// ISO 3166 code such as `US`, or `001` for numbers of no country.
    pub region: Option<String>,
    /// The calling code, such as 1.
    pub country_code: u16,
}

/// Why a text is not a usable number; the message says what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PhoneError {
    /// Nothing but white space.
    #[error("the phone number is empty: enter one, such as +1 415 555 0123")]
    Empty,
    /// No reading as a number.
    #[error("this is not a phone number: use digits, such as +1 415 555 0123")]
    NotANumber,
    /// A national number, and no region to read it in.
    #[error("the country is missing: start the number with + and the country code, such as +1")]
    NoCountry,
    /// `+` and digits that begin no country code.
    #[error("the country code does not exist: check the digits after the +")]
    UnknownCountryCode,
    /// Digits are missing.
    #[error("the phone number is too short: check for missing digits and the area code")]
    TooShort,
    /// Digits too many, or two numbers in one field.
    #[error("the phone number is too long: check for extra digits and enter one number only")]
    TooLong,
    /// The length would do, but no such number can exist.
    #[error("no such number exists in {region}: check the area code and every digit")]
    Invalid {
        /// The country code or region the number was read in, such as `+1` or `US`.
        region: String,
    },
}

/// Reads `raw`, a national number being taken as one of `default_region` (ISO 3166, any case).
/// The number is valid, or there is an error.
pub fn parse(raw: &str, default_region: Option<&str>) -> Result<PhoneNumber, PhoneError> {
    if raw.trim().is_empty() {
        return Err(PhoneError::Empty);
    }
    let number = read(raw, default_region)?;
    let e164 = number.format_as(PhoneNumberFormat::E164);
    let region = number.get_region_code().map(region_name);
    if !number.is_valid() {
        return Err(match number.is_possible_with_reason() {
            Err(ValidationError::TooShort) => PhoneError::TooShort,
            Err(ValidationError::TooLong) => PhoneError::TooLong,
            Err(ValidationError::InvalidCountryCode) => PhoneError::UnknownCountryCode,
            Ok(_) | Err(ValidationError::InvalidLength) => PhoneError::Invalid {
                region: region.unwrap_or_else(|| format!("+{}", number.country_code)),
            },
        });
    }
    // A few national plans go beyond E.164 at both ends; no carrier takes those numbers.
    let outside = if e164.len() > 8 { PhoneError::TooLong } else { PhoneError::TooShort };
    Ok(PhoneNumber {
        e164: E164::parse_strict(&e164).ok_or(outside)?,
        kind: number.get_type().into(),
        region,
        country_code: u16::try_from(number.country_code)
            .map_err(|_| PhoneError::UnknownCountryCode)?,
    })
}

/// The country (ISO 3166) and calling code of an E.164 number; `None` when its digits do not tell.
pub fn country_of(e164: &str) -> Option<(String, u16)> {
    let number = read(e164, None).ok()?;
    let region = region_name(number.get_region_code()?);
    // `001` is no country: numbers of networks that span the globe.
    let country = Some(region).filter(|region| region.len() == 2)?;
    Some((country, u16::try_from(number.country_code).ok()?))
}

/// The calling code of a country (ISO 3166, in capitals).
pub fn calling_code(country: &str) -> Option<u16> {
    let region = Some(country).filter(|code| code.len() == 2)?;
    let region = Region::from_code(region).ok()?;
    u16::try_from(PHONE_NUMBER_UTIL.get_country_code_for_region(region)?).ok()
}

/// What libphonenumber says of a text, valid or not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Inspection {
    /// Whether such a number can exist.
    pub valid: bool,
    /// The digits as read with `+`, even of an invalid number; `None` if there was no reading.
    pub e164: Option<String>,
    /// [`NumberType::Unknown`] for an invalid number; `None` if there was no reading.
    #[serde(rename = "type")]
    pub kind: Option<NumberType>,
    /// ISO 3166 code, `001` for numbers of no country; `None` when the digits do not tell.
    pub region: Option<String>,
}

/// Describes `raw` without judging it, for previews and look-ups.
pub fn inspect(raw: &str, default_region: Option<&str>) -> Inspection {
    let Ok(number) = read(raw, default_region) else {
        return Inspection { valid: false, e164: None, kind: None, region: None };
    };
    Inspection {
        valid: number.is_valid(),
        e164: Some(number.format_as(PhoneNumberFormat::E164).into_owned()),
        kind: Some(number.get_type().into()),
        region: number.get_region_code().map(region_name),
    }
}

fn read(
    raw: &str,
    default_region: Option<&str>,
) -> Result<rlibphonenumber::PhoneNumber, PhoneError> {
    if raw.chars().nth(INPUT_CHARS_MAX).is_some() {
        return Err(PhoneError::TooLong);
    }
    // RFC 3966 puts `tel:` first. The library slices between the two without looking.
    let misplaced = |context: usize| raw.find("tel:").is_some_and(|prefix| prefix > context);
    if raw.find(";phone-context=").is_some_and(misplaced) {
        return Err(PhoneError::NotANumber);
    }
    let region = default_region.and_then(|code| Region::from_code(code).ok());
    PHONE_NUMBER_UTIL.parse(raw, region).map_err(|error| match error {
        ParseError::InvalidCountryCode if raw.contains(['+', '＋']) => {
            PhoneError::UnknownCountryCode
        }
        ParseError::InvalidCountryCode => PhoneError::NoCountry,
        ParseError::NotANumber(_) => PhoneError::NotANumber,
        ParseError::TooShortAfterIdd | ParseError::TooShortNsn => PhoneError::TooShort,
        ParseError::TooLongNsn => PhoneError::TooLong,
    })
}

fn region_name(region: Region) -> String {
    region.as_region_str().as_str().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strict_e164() {
        for (text, expected) in [
            ("+14155550123", true),
            ("+6834012", true),
            ("+123456789012345", true),
            ("+1234567890123456", false),
            ("+123456", false),
            ("+04155550123", false),
            ("14155550123", false),
            (" +14155550123", false),
            ("+1415555012x", false),
            ("+１４１５５５５０１２３", false),
            ("", false),
        ] {
            assert_eq!(E164::parse_strict(text).is_some(), expected, "{text:?}");
        }
    }

    #[test]
    fn e164_is_a_string_on_the_wire() {
        let number = E164::parse_strict("+14155550123").unwrap();
        assert_eq!(serde_json::to_string(&number).unwrap(), "\"+14155550123\"");
        assert_eq!(serde_json::from_str::<E164>("\"+14155550123\"").unwrap(), number);
        assert!(serde_json::from_str::<E164>("\"4155550123\"").is_err());
    }

    #[test]
    fn parsing() {
        let invalid = |region: &str| Err(PhoneError::Invalid { region: region.to_owned() });
        for (raw, region, expected) in [
            ("(415) 911-5551", Some("US"), Ok("+14159115551")),
            ("415-911-5551 ext. 12", Some("us"), Ok("+14159115551")),
            ("\u{feff}４１５９１１５５５１", Some("US"), Ok("+14159115551")),
            ("tel:+1-415-911-5551", None, Ok("+14159115551")),
            ("01144 7400 123456", Some("US"), Ok("+447400123456")),
            ("02 1234 5678", Some("IT"), Ok("+390212345678")),
            ("", Some("US"), Err(PhoneError::Empty)),
            (" \t", Some("US"), Err(PhoneError::Empty)),
            ("'; DROP TABLE x;--", Some("US"), Err(PhoneError::NotANumber)),
            (";phone-context=a.com;tel:5551234", Some("US"), Err(PhoneError::NotANumber)),
            ("4159115551", None, Err(PhoneError::NoCountry)),
            ("4159115551", Some("ZZ"), Err(PhoneError::NoCountry)),
            ("+0123456789", Some("US"), Err(PhoneError::UnknownCountryCode)),
            ("911", Some("US"), Err(PhoneError::TooShort)),
            ("4155550100 4155550101", Some("US"), Err(PhoneError::TooLong)),
            ("+1 415 155 1234", None, invalid("+1")),
            ("+1 242 555 1234", None, invalid("BS")),
        ] {
            let parsed = parse(raw, region);
            let e164 = parsed.as_ref().map(|number| number.e164.as_str()).map_err(Clone::clone);
            assert_eq!(e164, expected, "{raw:?} in {region:?}");
        }
        assert_eq!(parse(&"1".repeat(251), Some("US")), Err(PhoneError::TooLong));
    }

    #[test]
    fn types_are_written_as_they_are_serialized() {
        for kind in [NumberType::FixedLineOrMobile, NumberType::Voip, NumberType::Uan] {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
        }
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig {
            failure_persistence: None, ..Default::default()
        })]
        #[test]
        fn any_text_is_read_or_refused(
            raw in r"(\PC|[0-9+() -]|tel:|;phone-context=|;ext=|;isub=){0,30}",
            region in proptest::option::of("[A-Za-z0-9]{0,3}"),
        ) {
            let inspection = inspect(&raw, region.as_deref());
            if let Ok(number) = parse(&raw, region.as_deref()) {
                proptest::prop_assert!(inspection.valid);
                proptest::prop_assert_eq!(inspection.e164.as_deref(), Some(number.e164.as_str()));
            }
        }
    }
}
