//! When a person may be reminded: the hours of every zone that their clock may show.

use domain::contexts::Context;
use domain::quiet_hours::{QuietHours, zone};
use domain::settings::Settings;
use domain::windows::SendingHours;
use jiff::tz::TimeZone;
use store::accounts::Account;

/// Somebody who is to be texted.
#[derive(Clone, Copy, Debug)]
pub struct Recipient<'a> {
    /// Where, E.164.
    pub phone: &'a str,
    /// Whose clock it is, when known.
    pub timezone: Option<&'a str>,
    /// The hours that the person chose.
    pub quiet_hours: Option<QuietHours>,
}

/// When texts of this context may leave for a recipient. Whose zone is unknown may sit in any zone
/// of the area code; where that says nothing, the account's clock counts.
pub fn hours_for(
    owner: &Account,
    choices: &Settings,
    context: &Context,
    to: Recipient<'_>,
) -> SendingHours {
    let home = zone(&owner.timezone).unwrap_or(TimeZone::UTC);
    if context.passes_quiet_hours {
        return SendingHours::of_phone(to.phone, to.timezone, &home, None, false);
    }
    let quiet = to.quiet_hours.or(owner.quiet_hours);
    let in_state = choices.keeps_state_hours(context.category, owner.quiet_hours);
    SendingHours::of_phone(to.phone, to.timezone, &home, quiet, in_state)
}
