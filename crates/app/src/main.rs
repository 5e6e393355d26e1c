//! The executable: see `ledgerline --help`.

use std::process::ExitCode;

fn main() -> ExitCode {
    ledgerline::entry::cli::run()
}
