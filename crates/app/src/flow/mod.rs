//! What the business does: contacts, campaigns, single texts.
//!
//! Every entry (HTTP, command line, pages) calls these functions, so that a rule holds whichever
//! way it is reached. A function takes an open transaction where its effect must commit with
//! something else, and the [`Db`](store::Db) where it needs several.

pub mod account_settings;
pub mod accounts;
pub mod appointments;
pub mod audit;
pub mod campaigns;
pub mod carrier_record;
pub mod consent_proof;
pub mod consents;
pub mod contact_changes;
pub mod contacts;
pub mod figures;
pub mod groups;
pub mod holds;
pub mod import;
pub mod inbound;
pub mod inbox;
pub mod keywords;
pub mod messages;
pub mod notices;
pub mod opt_out_link;
pub mod quote;
pub mod reminders;
pub mod replies;
pub mod revenue;
pub mod sealing;
pub mod statements;
pub mod status;
pub mod templates;
pub mod texts;
pub mod timer;

pub use crate::refusal::{Refusal, Result, invalid};
