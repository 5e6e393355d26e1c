//! What a segment costs in credits: by destination prefix, sender kind and channel.

use serde::Serialize;

use crate::instant::Instant;
use crate::message::words;

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

/// One row of the price table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Leading digits of the destination with `+`, such as `+44`; `+` alone fits every number.
    pub prefix: String,
    /// Only for this kind of sender; `None` fits all.
    pub sender_kind: Option<SenderKind>,
    /// Credits for one segment, above zero.
    pub credits_per_segment: i64,
    /// In force from here on.
    pub effective_from: Instant,
}

/// A price list; without a fitting row a segment costs [`RateTable::DEFAULT_CREDITS`].
#[derive(Clone, Debug, Default)]
pub struct RateTable(Vec<Rate>);

impl RateTable {
    /// Credits per segment where no rate fits.
    pub const DEFAULT_CREDITS: i64 = 1;

    /// A table of `rates`, in any order.
    pub fn new(rates: Vec<Rate>) -> Self {
        Self(rates)
    }

    /// Credits per segment to `phone` (E.164) at `at`: the longest prefix wins, then a rate for
    /// the sender's own kind, then the newest.
    pub fn per_segment(&self, phone: &str, kind: SenderKind, at: Instant) -> i64 {
        self.0
            .iter()
            .filter(|rate| rate.effective_from <= at && phone.starts_with(&rate.prefix))
            .filter(|rate| rate.sender_kind.is_none_or(|wanted| wanted == kind))
            .max_by_key(|rate| (rate.prefix.len(), rate.sender_kind.is_some(), rate.effective_from))
            .map_or(Self::DEFAULT_CREDITS, |rate| rate.credits_per_segment)
    }

    /// The price of a text of `segments` segments.
    pub fn price(&self, phone: &str, kind: SenderKind, segments: u32, at: Instant) -> i64 {
        self.per_segment(phone, kind, at).saturating_mul(i64::from(segments))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closest_rate_in_force_wins() {
        let rate = |prefix: &str, kind, credits, from| Rate {
            prefix: prefix.into(),
            sender_kind: kind,
            credits_per_segment: credits,
            effective_from: Instant(from),
        };
        let short = Some(SenderKind::ShortCode);
        let table = RateTable::new(vec![
            rate("+", None, 2, 0),
            rate("+44", None, 4, 0),
            rate("+44", None, 5, 100),
            rate("+44", short, 6, 0),
            rate("+447", None, 7, 50),
        ]);
        for (phone, kind, at, credits) in [
            ("+13125550100", SenderKind::LongCode, 10, 2),
            ("+442012345678", SenderKind::LongCode, 99, 4),
            ("+442012345678", SenderKind::LongCode, 100, 5),
            ("+442012345678", SenderKind::ShortCode, 100, 6),
            ("+447700900123", SenderKind::ShortCode, 49, 6),
            ("+447700900123", SenderKind::ShortCode, 50, 7),
        ] {
            assert_eq!(
                table.price(phone, kind, 3, Instant(at)),
                3 * credits,
                "{phone} {kind} {at}"
            );
        }
        assert_eq!(RateTable::default().price("+1", SenderKind::TollFree, 2, Instant(0)), 2);
    }
}
