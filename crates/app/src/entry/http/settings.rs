//! What an account chooses.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;

use super::auth::Holder;
use super::idempotency::{Answer, Asked};
use super::problem::Result;
use crate::entry::app::App;
use crate::flow::account_settings::{self, SettingsIn, SettingsOut};

/// Shows an account's settings, with every context as its texts are sent.
#[utoipa::path(
    get, path = "/v1/settings", tag = "settings", security(("account" = [])),
    responses((status = 200, body = SettingsOut)),
)]
pub async fn show(State(app): State<Arc<App>>, holder: Holder) -> Result<Json<SettingsOut>> {
    let mut tx = app.db.read().await?;
    Ok(Json(account_settings::read(&mut tx, holder.account).await?))
}

/// Changes an account's settings. What is left out stays, so a whole document that was read can be
/// written back, or only what is to change.
#[utoipa::path(
    put, path = "/v1/settings", tag = "settings", security(("account" = [])),
    request_body(content = SettingsIn, example = json!({
        "reminder_offsets_minutes": [2880, 120],
        "contexts": {"appointment.reminder": {"enabled": true, "parties": ["client", "coach"]}},
        "quiet_hours": {"start": "21:00", "end": "08:00"},
        "footer": "Reply STOP to opt out."
    })),
    responses((status = 200, body = SettingsOut)),
)]
pub async fn write(
    State(app): State<Arc<App>>,
    holder: Holder,
    asked: Asked<SettingsIn>,
) -> Result<Answer> {
    let (dice, wanted, account) = (&*app.dice, &asked.wanted, holder.account);
    let actor = &holder.actor();
    let written = asked.once.run(&app, account, |mut tx| async move {
        let out = account_settings::write(&mut tx, dice, account, actor, wanted).await?;
        Ok((tx, StatusCode::OK, out))
    });
    written.await
}
