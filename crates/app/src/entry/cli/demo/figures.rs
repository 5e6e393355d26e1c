//! What the demo proves: its own books against the carrier's record.

use std::collections::{BTreeMap, HashSet};

use domain::ledger::Wallet;
use store::{campaigns, wallets};
use twilio::sandbox::Sandbox;

use super::home::Cast;
use crate::entry::app::App;
use crate::entry::cli::failure::Result;
use crate::flow::audit::{Audit, audit};
use crate::flow::status::{CampaignStatus, campaign_status, list_recipients};

const RECIPIENTS_A_PAGE: i64 = 1000;

/// The figures of one moment.
pub struct Figures {
    /// The campaign.
    pub status: CampaignStatus,
    /// Its texts in the carrier's own record.
    pub accepted: usize,
    /// Different phones among them.
    pub phones: usize,
    /// The wallet.
    pub wallet: Wallet,
    /// The audit of the account.
    pub audit: Audit,
    /// Skipped recipients, by the rule that refused.
    pub skipped: BTreeMap<&'static str, i64>,
}

impl Figures {
    /// Gathers them.
    pub async fn gather(app: &App, cast: Cast) -> Result<Self> {
        let audit = audit(&app.db, cast.account).await?;
        let mut tx = app.db.read().await?;
        let status = campaign_status(&mut tx, cast.account, cast.campaign, 0.0).await?;
        let campaign = campaigns::campaign(&mut tx, cast.account, cast.campaign).await?;
        let wallet = wallets::wallet(&mut tx, cast.account).await?;
        let (mut skipped, mut after) = (BTreeMap::new(), 0);
        loop {
            let (account, id) = (cast.account, cast.campaign);
            let state = Some("suppressed");
            let page =
                list_recipients(&mut tx, account, id, state, after, RECIPIENTS_A_PAGE).await?;
            let Some(last) = page.last() else { break };
            after = last.id.ord;
            for one in &page {
                *skipped.entry(one.why.rule.unwrap_or("none")).or_default() += 1;
            }
        }
        drop(tx);
        let body = campaign.sealed_body.unwrap_or(campaign.body);
        let record = app.sandbox.as_ref().map(Sandbox::accepted).unwrap_or_default();
        let texts: Vec<&str> = record
            .iter()
            .filter(|(_, _, text)| *text == body)
            .map(|(_, to, _)| to.as_str())
            .collect();
        let phones = texts.iter().collect::<HashSet<_>>().len();
        Ok(Self { status, accepted: texts.len(), phones, wallet, audit, skipped })
    }

    /// Phones that got the text more than once.
    pub const fn twice(&self) -> usize {
        self.accepted - self.phones
    }

    /// Credits ever given to the account.
    pub const fn granted(&self) -> i64 {
        let books = &self.wallet.books;
        books.available + books.reserved + books.spent - books.owed
    }

    /// What the campaign counts as taken by the carrier.
    pub const fn taken(&self) -> i64 {
        let counts = &self.status.counts;
        counts.sent + counts.delivered + counts.undelivered
    }

    /// The carrier's record says the same as the campaign. An unknown text may be in it or not.
    pub fn agree(&self) -> bool {
        let accepted = i64::try_from(self.accepted).unwrap_or(i64::MAX);
        let unknown = self.status.counts.unknown;
        (self.taken()..=self.taken() + unknown).contains(&accepted)
    }

    /// Everything is as it should be.
    pub fn all_well(&self) -> bool {
        self.audit.ok && self.twice() == 0 && self.agree()
    }
}
