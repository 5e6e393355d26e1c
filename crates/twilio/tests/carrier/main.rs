//! The client against the sandbox carrier and against servers that misbehave, over real HTTP.

mod classifier;
mod connections;
mod malformed;
mod outcomes;
mod reading;
mod receipts;
mod rig;
mod scheduled;
mod signatures;
