//! Why a text is sent: the registry of contexts. A context gives a text its category and says
//! whether it may wake people up.

use crate::lanes::Lane;
use crate::permit::Category;

/// One reason for texting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Context {
    /// Its key, such as `message.notification`.
    pub key: &'static str,
    /// What consent its texts need.
    pub category: Category,
    /// Which texts it goes before.
    pub lane: Lane,
    /// Somebody waits for it: it leaves at night too.
    pub passes_quiet_hours: bool,
}

const fn context(
    key: &'static str,
    category: Category,
    lane: Lane,
    passes_quiet_hours: bool,
) -> Context {
    Context { key, category, lane, passes_quiet_hours }
}

/// Every context.
pub const CONTEXTS: &[Context] = &[
    context("campaign.marketing", Category::Marketing, Lane::Campaign, false),
    context("campaign.transactional", Category::Transactional, Lane::Campaign, false),
    context("campaign.test", Category::Transactional, Lane::Notification, true),
    context("message.notification", Category::Transactional, Lane::Notification, false),
    context("message.marketing", Category::Marketing, Lane::Notification, false),
    context("message.reply", Category::Transactional, Lane::Reply, false),
    context("message.reminder", Category::Transactional, Lane::Reminder, false),
    context("message.urgent", Category::Transactional, Lane::Urgent, true),
    context("message.code", Category::Transactional, Lane::Code, true),
];

/// The context with this key.
pub fn find(key: &str) -> Option<&'static Context> {
    CONTEXTS.iter().find(|context| context.key == key)
}

/// The context of a campaign's texts.
pub const fn of_campaign(category: Category) -> &'static Context {
    match category {
        Category::Marketing => &CONTEXTS[0],
        Category::Transactional => &CONTEXTS[1],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_unique_and_campaigns_find_theirs() {
        for (n, one) in CONTEXTS.iter().enumerate() {
            assert_eq!(find(one.key), Some(&CONTEXTS[n]));
        }
        for &category in Category::ALL {
            assert_eq!(of_campaign(category).category, category);
        }
        assert_eq!(find("campaign"), None);
    }
}
