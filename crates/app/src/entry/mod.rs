//! Where the outside asks: HTTP, Twilio's hooks, the progress page, the command line.

pub mod app;
pub mod carriers;
pub mod cli;
pub mod http;
pub mod mail;
pub mod operators;
pub mod payment_settings;
pub mod payments;
pub mod settings;
