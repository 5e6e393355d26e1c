//! The command line, tested as what people and scripts run: the real program.

mod business;
mod contacts;
mod demo;
mod inspect;
mod money;
mod operators;
mod program;
mod servers;
mod settings;
