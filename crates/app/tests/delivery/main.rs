//! The heart of the product, driven in this process on both engines: claims, dispatch, facts,
//! takeover, money. The carrier is a fake that keeps its own record; the database is real.

mod campaigns;
mod carrier;
mod control;
mod failures;
mod harness;
mod lanes;
mod money;
mod pools;
mod quiet;
mod routes;
mod scenarios;
mod unknowns;
