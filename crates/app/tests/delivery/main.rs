//! The heart of the product, driven in this process on both engines: claims, dispatch, facts,
//! takeover, money. The carrier is a fake that keeps its own record; the database is real.

mod beats;
mod byhand;
mod campaigns;
mod carrier;
mod claims;
mod control;
mod failures;
mod harness;
mod keywords;
mod lanes;
mod limits;
mod marks;
mod money;
mod pools;
mod quiet;
mod reconciliation;
mod reminders;
mod routes;
mod scenarios;
mod statements;
mod stops;
mod subscriptions;
mod tamper;
mod unknowns;
mod week;
mod zombies;
