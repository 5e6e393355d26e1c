//! `ledgerline migrate`: brings the database's schema up to date, and says what it is.

use serde_json::json;

use super::failure::Result;
use super::outlet::{mark, strong};
use super::workplace::{Shared, Workplace};

/// Runs the command. Opening a database migrates it.
pub async fn run(shared: &Shared) -> Result {
    let work = Workplace::open(shared).await?;
    let (engine, version) = (work.db.engine().as_str(), store::schema_version());
    work.out.tell(&json!({ "engine": engine, "schema": version }), || {
        format!("{} the {engine} database is at schema {}", mark(true), strong(version))
    })
}
