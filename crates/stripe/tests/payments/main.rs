//! The client against servers that say anything and against the sandbox, over real HTTP;
//! signatures, events and objects.

mod calls;
mod events;
mod hooks;
mod objects;
mod pages;
mod paying;
mod plans;
mod refusals;
mod requests;
mod returns;
mod rig;
mod signatures;
