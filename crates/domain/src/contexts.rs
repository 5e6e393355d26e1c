//! Why a text is sent: the registry of contexts. A context gives a text its category and says
//! whether it may wake people up.

use crate::permit::Category;

/// One reason for texting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Context {
    /// Its key, such as `message.notification`.
    pub key: &'static str,
    /// What consent its texts need.
    pub category: Category,
    /// Somebody waits for it: it leaves at night too.
    pub passes_quiet_hours: bool,
}

const fn context(key: &'static str, category: Category, passes_quiet_hours: bool) -> Context {
    Context { key, category, passes_quiet_hours }
}

/// Every context.
pub const CONTEXTS: &[Context] = &[
    context("campaign.marketing", Category::Marketing, false),
    context("campaign.transactional", Category::Transactional, false),
    context("campaign.test", Category::Transactional, true),
    context("message.notification", Category::Transactional, false),
    context("message.marketing", Category::Marketing, false),
    context("message.urgent", Category::Transactional, true),
    context("message.code", Category::Transactional, true),
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
