//! What a segment costs in credits, and what the carrier takes for it: by destination, sender kind
//! and channel, from a date on.
//!
//! Several rows may fit a text. The closest destination decides first: a longer prefix is closer
//! than a shorter one, and a country stands between its calling code and anything longer, because
//! countries share calling codes. Then a row for the sender's own kind goes before one for all
//! kinds, a row for the channel before one for all channels, and the newest in force is taken.

use std::collections::HashMap;

use serde::Serialize;

use crate::instant::Instant;
use crate::message::words;
use crate::phone;

words! {
    /// What a text comes from; the default throughputs are the carriers' published ones.
    SenderKind {
        /// An ordinary ten-digit number: 1 segment per second.
        LongCode = 1 "long_code",
        /// A toll-free number: 3 segments per second.
        TollFree = 2 "toll_free",
        /// A five- or six-digit code: 100 segments per second.
        ShortCode = 3 "short_code",
        /// A number registered for business traffic in the US: by registration, 4 at least.
        TenDlc = 4 "10dlc",
        /// A pool of senders: as its members allow.
        MessagingService = 5 "messaging_service",
        /// A WhatsApp sender.
        Whatsapp = 6 "whatsapp",
    }
}

impl SenderKind {
    /// Segments per second when nothing else was agreed with the carrier.
    pub const fn segments_per_second(self) -> u32 {
        match self {
            Self::LongCode => 1,
            Self::TollFree => 3,
            Self::ShortCode => 100,
            Self::TenDlc => 4,
            Self::MessagingService => 10,
            Self::Whatsapp => 80,
        }
    }
}

words! {
    /// How a text travels.
    Channel {
        /// A plain text.
        Sms = 1 "sms",
        /// With pictures or other media.
        Mms = 2 "mms",
        /// By WhatsApp.
        Whatsapp = 3 "whatsapp",
    }
}

impl Channel {
    /// How a text from such a sender travels.
    pub const fn of(kind: SenderKind, has_media: bool) -> Self {
        match (kind, has_media) {
            (SenderKind::Whatsapp, _) => Self::Whatsapp,
            (_, true) => Self::Mms,
            (_, false) => Self::Sms,
        }
    }
}

/// The longest prefix; no number has more digits.
const DIGITS_MAX: usize = 15;

/// Where a rate holds: leading digits such as `+44`, `+` for everywhere, or a country such as
/// `CA`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct Destination(String);

impl Destination {
    /// Reads a destination that a person wrote.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if let Some(digits) = text.strip_prefix('+') {
            let fits = digits.len() <= DIGITS_MAX
                && !digits.starts_with('0')
                && digits.bytes().all(|byte| byte.is_ascii_digit());
            return if fits {
                Ok(Self(text.to_owned()))
            } else {
                Err(format!("{text:?} is no prefix: write + and leading digits, such as +1416"))
            };
        }
        let country = text.to_ascii_uppercase();
        match phone::calling_code(&country) {
            Some(_) => Ok(Self(country)),
            None => Err(format!(
                "{text:?} is no destination: write a prefix such as +44, a country such as CA, or \
                 + for everywhere"
            )),
        }
    }

    /// A destination as it is kept.
    pub const fn kept(text: String) -> Self {
        Self(text)
    }

    /// As it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn is_country(&self) -> bool {
        !self.0.starts_with('+')
    }
}

/// An amount of money so small that it is counted in millionths.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Price {
    /// Millionths of the currency.
    pub millionths: i64,
    /// Three letters in lower case.
    pub currency: String,
}

impl Price {
    const MILLION: i64 = 1_000_000;

    /// Reads `0.0079` as millionths, without rounding anything away.
    pub fn parse_decimal(text: &str) -> Option<i64> {
        let (negative, digits) = match text.strip_prefix('-') {
            Some(digits) => (true, digits),
            None => (false, text),
        };
        let (whole, part) = digits.split_once('.').unwrap_or((digits, "0"));
        let plain = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let part = part.trim_end_matches('0');
        if !plain(whole) || part.len() > 6 || !(part.is_empty() || plain(part)) {
            return None;
        }
        let part: i64 = format!("{part:0<6}").parse().ok()?;
        let sum = whole.parse::<i64>().ok()?.checked_mul(Self::MILLION)?.checked_add(part)?;
        Some(if negative { -sum } else { sum })
    }

    /// Writes millionths as `0.0079`, two digits at least.
    pub fn decimal(millionths: i64) -> String {
        let (whole, part) = (millionths.unsigned_abs() / 1_000_000, millionths.unsigned_abs());
        let part = format!("{:06}", part % 1_000_000);
        let kept = part.trim_end_matches('0').len().max(2);
        let sign = if millionths < 0 { "-" } else { "" };
        format!("{sign}{whole}.{}", &part[..kept])
    }
}

/// What a rate is for: no two rates in force share it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RateKey {
    /// Where it holds.
    pub destination: Destination,
    /// Only for this kind of sender; `None` fits all.
    pub sender_kind: Option<SenderKind>,
    /// Only for this channel; `None` fits all.
    pub channel: Option<Channel>,
}

/// One row of the price table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rate {
    /// What it is for.
    pub key: RateKey,
    /// In force from here on, until a newer one for the same is.
    pub effective_from: Instant,
    /// Credits for one segment, above zero.
    pub credits_per_segment: i64,
    /// What the carrier takes, when known.
    pub carrier_price: Option<Price>,
}

/// A price list; without a fitting row a segment costs [`RateTable::DEFAULT_CREDITS`].
#[derive(Clone, Debug, Default)]
pub struct RateTable {
    rates: HashMap<Destination, Vec<Rate>>,
    has_countries: bool,
}

impl RateTable {
    /// Credits per segment where no rate fits.
    pub const DEFAULT_CREDITS: i64 = 1;

    /// A table of `rates`, in any order.
    pub fn new(list: Vec<Rate>) -> Self {
        let mut rates: HashMap<Destination, Vec<Rate>> = HashMap::new();
        let has_countries = list.iter().any(|rate| rate.key.destination.is_country());
        for rate in list {
            rates.entry(rate.key.destination.clone()).or_default().push(rate);
        }
        Self { rates, has_countries }
    }

    /// The rate of a text to `phone` (E.164) at `at`.
    pub fn find(
        &self,
        phone: &str,
        kind: SenderKind,
        channel: Channel,
        at: Instant,
    ) -> Option<&Rate> {
        self.closest(&destinations(phone, self.has_countries), kind, channel, at)
    }

    fn closest(
        &self,
        destinations: &[Destination],
        kind: SenderKind,
        channel: Channel,
        at: Instant,
    ) -> Option<&Rate> {
        let fits = |rate: &&Rate| {
            rate.effective_from <= at
                && rate.key.sender_kind.is_none_or(|wanted| wanted == kind)
                && rate.key.channel.is_none_or(|wanted| wanted == channel)
        };
        let rank = |rate: &&Rate| {
            (rate.key.sender_kind.is_some(), rate.key.channel.is_some(), rate.effective_from)
        };
        destinations
            .iter()
            .filter_map(|destination| self.rates.get(destination))
            .find_map(|rates| rates.iter().filter(fits).max_by_key(rank))
    }

    /// The price of a plain text of `segments` segments to `phone`.
    pub fn price(&self, phone: &str, kind: SenderKind, segments: u32, at: Instant) -> i64 {
        credits(self.find(phone, kind, Channel::of(kind, false), at), segments)
    }

    /// The same for a text to an ordinary number of a country.
    pub fn price_in(&self, country: &str, kind: SenderKind, segments: u32, at: Instant) -> i64 {
        let places = destinations_in(country);
        credits(self.closest(&places, kind, Channel::of(kind, false), at), segments)
    }
}

fn credits(rate: Option<&Rate>, segments: u32) -> i64 {
    rate.map_or(RateTable::DEFAULT_CREDITS, |rate| rate.credits_per_segment)
        .saturating_mul(i64::from(segments))
}

/// The destinations that a number belongs to, the closest first. Its country is looked up only
/// where countries have rates: that takes longer than all the rest.
pub fn destinations(phone: &str, with_country: bool) -> Vec<Destination> {
    if !phone.starts_with('+') || !phone.is_ascii() {
        return Vec::new();
    }
    let country = with_country.then(|| phone::country_of(phone)).flatten();
    let mut list = Vec::with_capacity(phone.len() + 1);
    for length in (1..=phone.len().min(DIGITS_MAX + 1)).rev() {
        if let Some((code, calling_code)) = &country
            && length == calling_code.to_string().len() + 1
        {
            list.push(Destination(code.clone()));
        }
        list.push(Destination(phone[..length].to_owned()));
    }
    list
}

/// The destinations that every number of a country belongs to, the closest first.
pub fn destinations_in(country: &str) -> Vec<Destination> {
    let calling_code = phone::calling_code(country).map(|code| format!("+{code}"));
    let prefix = calling_code.as_deref().unwrap_or("+");
    std::iter::once(Destination(country.to_owned()))
        .chain((1..=prefix.len()).rev().map(|length| Destination(prefix[..length].to_owned())))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(place: &str, kind: Option<SenderKind>, channel: Option<Channel>, n: i64) -> Rate {
        let destination = Destination::parse(place).expect("a destination");
        Rate {
            key: RateKey { destination, sender_kind: kind, channel },
            effective_from: Instant(0),
            credits_per_segment: n,
            carrier_price: None,
        }
    }

    fn from(at: i64, rate: Rate) -> Rate {
        Rate { effective_from: Instant(at), ..rate }
    }

    #[test]
    fn the_closest_rate_in_force_wins() {
        use SenderKind::{LongCode, ShortCode};
        let short = Some(ShortCode);
        let table = RateTable::new(vec![
            rate("+", None, None, 2),
            rate("+44", None, None, 4),
            from(100, rate("+44", None, None, 5)),
            rate("+44", short, None, 6),
            from(50, rate("+447", None, None, 7)),
        ]);
        for (phone, kind, at, credits) in [
            ("+13125550100", LongCode, 10, 2),
            ("+442012345678", LongCode, 99, 4),
            ("+442012345678", LongCode, 100, 5),
            ("+442012345678", ShortCode, 100, 6),
            ("+447700900123", ShortCode, 49, 6),
            ("+447700900123", ShortCode, 50, 7),
            ("no number", LongCode, 50, 1),
        ] {
            assert_eq!(
                table.price(phone, kind, 3, Instant(at)),
                3 * credits,
                "{phone} {kind} {at}"
            );
        }
        assert_eq!(RateTable::default().price("+1", SenderKind::TollFree, 2, Instant(0)), 2);
    }

    #[test]
    fn a_country_stands_between_its_calling_code_and_longer_prefixes() {
        let table = RateTable::new(vec![
            rate("+", None, None, 2),
            rate("+1", None, None, 3),
            rate("CA", None, None, 4),
            rate("+1416", None, None, 5),
            rate("+4", None, None, 6),
            rate("GB", None, None, 7),
        ]);
        for (phone, credits) in [
            ("+13125550100", 3),
            // Toronto is in Canada, and has a rate of its own; Ottawa has none.
            ("+14165550100", 5),
            ("+16135550100", 4),
            ("+442079460000", 7),
            // Guernsey shares the calling code and is no part of Britain.
            ("+447781123456", 6),
            ("+4930901820", 6),
            ("+33123456789", 2),
        ] {
            assert_eq!(table.price(phone, SenderKind::LongCode, 1, Instant(0)), credits, "{phone}");
        }
        for (country, credits) in [("CA", 4), ("US", 3), ("GB", 7), ("DE", 6), ("FR", 2)] {
            let found = table.price_in(country, SenderKind::LongCode, 1, Instant(0));
            assert_eq!(found, credits, "{country}");
        }
    }

    #[test]
    fn the_kind_goes_before_the_channel_and_both_before_the_date() {
        use SenderKind::{LongCode, TollFree, Whatsapp};
        let toll_free = Some(TollFree);
        let table = RateTable::new(vec![
            from(90, rate("+1", None, None, 2)),
            from(80, rate("+1", None, Some(Channel::Sms), 3)),
            from(70, rate("+1", toll_free, None, 4)),
            from(60, rate("+1", toll_free, Some(Channel::Mms), 5)),
            from(10, rate("+1", None, Some(Channel::Whatsapp), 6)),
            from(95, rate("+", toll_free, Some(Channel::Sms), 9)),
        ]);
        for (kind, has_media, credits) in [
            (LongCode, false, 3),
            (LongCode, true, 2),
            (TollFree, false, 4),
            (TollFree, true, 5),
            (Whatsapp, false, 6),
            (Whatsapp, true, 6),
        ] {
            let channel = Channel::of(kind, has_media);
            let found = table.find("+13125550100", kind, channel, Instant(100));
            assert_eq!(found.map(|rate| rate.credits_per_segment), Some(credits), "{kind}");
        }
    }

    #[test]
    fn prices_are_exact_to_the_millionth() {
        for (text, millionths, again) in [
            ("0.0079", Some(7900), "0.0079"),
            ("0.007900", Some(7900), "0.0079"),
            ("0.0079000", Some(7900), "0.0079"),
            ("12", Some(12_000_000), "12.00"),
            ("12.5", Some(12_500_000), "12.50"),
            ("-0.00750", Some(-7500), "-0.0075"),
            ("0", Some(0), "0.00"),
            ("0.0000001", None, ""),
            ("1,5", None, ""),
            (".5", None, ""),
            ("1.", Some(1_000_000), "1.00"),
            ("1.x", None, ""),
            ("", None, ""),
            ("1e3", None, ""),
            ("99999999999999999999", None, ""),
        ] {
            assert_eq!(Price::parse_decimal(text), millionths, "{text:?}");
            assert_eq!(millionths.map(Price::decimal).unwrap_or_default(), again, "{text:?}");
        }
    }

    #[test]
    fn destinations_are_read_as_people_write_them() {
        for (text, expected) in [
            ("+", Some("+")),
            (" +44 ", Some("+44")),
            ("+1416", Some("+1416")),
            ("ca", Some("CA")),
            ("US", Some("US")),
            ("", None),
            ("44", None),
            ("+0", None),
            ("+44x", None),
            ("+1234567890123456", None),
            ("XX", None),
            ("Canada", None),
        ] {
            let read = Destination::parse(text);
            assert_eq!(read.as_ref().ok().map(Destination::as_str), expected, "{text:?}");
        }
    }

    #[test]
    fn finding_is_the_same_with_and_without_a_narrow_table() {
        let list: Vec<Rate> = ["+", "+1", "US", "+13", "+1312", "+44"]
            .into_iter()
            .zip(1..)
            .map(|(place, n)| rate(place, None, None, n))
            .collect();
        let whole = RateTable::new(list.clone());
        let phone = "+13125550100";
        let places = destinations(phone, true);
        let narrow: Vec<Rate> =
            list.into_iter().filter(|rate| places.contains(&rate.key.destination)).collect();
        assert_eq!(narrow.len(), 5);
        let find = |table: &RateTable| table.price(phone, SenderKind::LongCode, 1, Instant(0));
        assert_eq!(find(&RateTable::new(narrow)), find(&whole));
    }
}
