//! The HTTP API, driven in this process on both engines. Modules mirror URLs; the actors are
//! `anon`, the operator, and holders of keys of two accounts.

mod accounts;
mod adjustments;
mod appointment_files;
mod appointments;
mod bad_input;
mod boot;
mod budget;
mod campaigns;
mod consents;
mod contacts;
mod contexts;
mod docs;
mod figures;
mod groups;
mod health;
mod hooks;
mod idempotency;
mod inbound;
mod inbox;
mod keywords;
mod messages;
mod notices;
mod purchases;
mod rates;
mod replies;
mod senders;
mod server;
mod settings;
mod stripe_events;
mod tasks;
mod till;
mod topups;
mod wallet;
mod watch;
