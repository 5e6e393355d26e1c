//! The client against the sandbox carrier and against servers that misbehave, over real HTTP.

mod classifier;
mod malformed;
mod outcomes;
mod reading;
mod receipts;
mod rig;
mod signatures;
