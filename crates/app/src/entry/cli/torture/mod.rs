//! `ledgerline torture`: proof for those who distrust us, on their own machine.
//!
//! A real server texts a list through a real carrier, both of this very program, while they are
//! killed with `kill -9`, the carrier misbehaves, credits run out and clients ask twice. When it is
//! over, the carrier's own record must fit the database text by text and credit by credit.
//!
//! [`play`] is the course of events, [`rig`] the processes and how they are killed, [`faults`] what
//! is drawn from the seed, [`scene`] the account and what its clients were told, [`clients`] what
//! those do meanwhile, [`call`] how they ask. [`settle`] awaits the end, [`evidence`] is gathered
//! then, [`verdict`] compares it, [`words`] and [`board`] tell it.

mod board;
mod call;
mod clients;
mod evidence;
mod faults;
mod play;
mod rig;
mod scene;
mod settle;
mod verdict;
mod words;

pub use play::{Wanted, run};
