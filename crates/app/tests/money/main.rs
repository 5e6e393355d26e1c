//! Money under load and over time: the wallet as a bank, with every word of it checked.

mod bank;
