//! The operator's look at the carriers: how calls go, what nobody here knows, what waits.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use domain::instant::Instant;
use serde::Serialize;
use store::orphans::{self, OrphanState};

use super::auth::Operator;
use super::problem::Result;
use crate::delivery::routes::BreakerStatus;
use crate::entry::app::App;

/// Orphans shown at most.
const ORPHANS_MAX: i64 = 100;

/// The carriers.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct CarriersOut {
    /// One per carrier, and one per sender whose calls had something to tell.
    pub breakers: Vec<BreakerStatus>,
    /// Why nothing is sent: a carrier knew more than the database.
    pub quarantine: Option<String>,
    /// The newest texts a carrier held that nobody here knew.
    pub orphans: Vec<OrphanOut>,
}

/// A text a carrier held that nobody here knew.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct OrphanOut {
    /// Whose it is.
    pub carrier: String,
    /// The carrier's id of it.
    pub sid: String,
    /// To whom it went.
    pub to: String,
    /// When the carrier took it.
    #[schema(value_type = String)]
    pub created_at: Instant,
    /// `open`, `adopted` by a text of ours, or `foreign`.
    pub state: &'static str,
}

/// Shows the carriers: breakers, quarantine, orphans.
#[utoipa::path(
    get, path = "/v1/carriers", tag = "carriers", security(("operator" = [])),
    responses((status = 200, body = CarriersOut)),
)]
pub async fn show(State(app): State<Arc<App>>, _: Operator) -> Result<Json<CarriersOut>> {
    let mut tx = app.db.read().await?;
    let quarantine = orphans::quarantine(&mut tx).await?;
    let found = orphans::list_orphans(&mut tx, ORPHANS_MAX).await?;
    let orphans = found.into_iter().map(|one| OrphanOut {
        carrier: one.carrier,
        sid: one.sid,
        to: one.phone,
        created_at: one.created_at,
        state: OrphanState::as_str(one.state),
    });
    Ok(Json(CarriersOut {
        breakers: app.desk.routes.standings(app.clock.now()),
        quarantine,
        orphans: orphans.collect(),
    }))
}
