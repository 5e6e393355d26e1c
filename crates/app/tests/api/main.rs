//! The HTTP API, driven in this process on both engines. Modules mirror URLs; the actors are
//! `anon`, the operator, and holders of keys of two accounts.

mod accounts;
mod bad_input;
mod boot;
mod campaigns;
mod contacts;
mod docs;
mod groups;
mod health;
mod hooks;
mod idempotency;
mod inbound;
mod messages;
mod replies;
mod senders;
mod server;
mod wallet;
mod watch;
