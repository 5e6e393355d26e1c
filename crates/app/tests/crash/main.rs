//! Every flow, dropped at every point at which it waits, and every commit of it lost in every way:
//! afterwards another process goes on, and nothing is sent twice, skipped or unexplained. How it
//! is done is told in `docs/TESTING.md`, which crash leaves what in `takeover` and `dispatch`.

mod carrier;
mod checks;
mod control;
mod handover;
mod intake;
mod news;
mod plan;
mod reminders;
mod search;
mod sending;
mod shop;
mod town;
mod trial;
