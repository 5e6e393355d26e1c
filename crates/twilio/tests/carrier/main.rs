//! The client against the sandbox carrier and against servers that misbehave, over real HTTP.

mod api;
mod classifier;
mod connections;
mod control;
mod creating;
mod credentials;
mod drafts;
mod inbound;
mod malformed;
mod outcomes;
mod peer;
mod queueing;
mod reading;
mod receipts;
mod removing;
mod requests;
mod rig;
mod scheduled;
mod signatures;
mod tls;
