//! When a person may be reminded: the hours of every zone that their clock may show.

use domain::contexts::Context;
use domain::permit::Category;
use domain::quiet_hours::{QuietHours, zone};
use domain::settings::{Settings, StateHours};
use domain::windows::{SendingHours, WeeklyHours, state_of, zones_of};
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
    let zones = possible_zones(owner, to);
    if context.passes_quiet_hours {
        return SendingHours::new(&zones, None, None);
    }
    let quiet = to.quiet_hours.or(owner.quiet_hours);
    let stricter = match choices.state_hours {
        StateHours::Off => false,
        StateHours::Marketing => context.category == Category::Marketing,
        StateHours::All => true,
    };
    // Reading a number takes long: only where it is asked for.
    let state = if stricter { state_of(to.phone) } else { None };
    let weekly = state.and_then(WeeklyHours::of_state);
    SendingHours::new(&zones, quiet, weekly)
}

fn possible_zones(owner: &Account, to: Recipient<'_>) -> Vec<TimeZone> {
    let known = to.timezone.and_then(|name| zone(name).ok());
    let mut zones: Vec<TimeZone> = match known {
        Some(zone) => vec![zone],
        None => zones_of(to.phone).iter().filter_map(|name| zone(name).ok()).collect(),
    };
    if zones.is_empty() {
        zones.push(zone(&owner.timezone).unwrap_or(TimeZone::UTC));
    }
    zones
}
