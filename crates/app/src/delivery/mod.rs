//! How a text leaves and what comes back.
//!
//! A text's way: [`claim`] takes up a piece of a stream, asks the [`gate`] and reserves credits in
//! one transaction; [`dispatch`] commits how far it may go (a [`beat`]) before it writes to the
//! wire, calls the [`carrier`], and has the outcome recorded by [`record`], the one place where
//! facts change messages and money. [`receipts`] brings the carrier's later news to the same place.
//! [`takeover`] picks up what a dead process left. [`stages`] moves a stream from state to state;
//! [`worker`] keeps it all going.

pub mod beat;
pub mod beats;
pub mod bounds;
pub mod carrier;
pub mod claim;
pub mod conversations;
pub mod dispatch;
pub mod gate;
pub mod integrity;
pub mod limits;
pub mod orphans;
pub mod outcomes;
pub mod pace;
pub mod poll;
pub mod receipts;
pub mod reconcile;
pub mod record;
pub mod redelivery;
pub mod routes;
pub mod senders;
pub mod slots;
pub mod stages;
pub mod takeover;
pub mod throttle;
pub mod watchman;
pub mod wire_log;
pub mod worker;
