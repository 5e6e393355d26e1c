//! What a text is and costs.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use domain::rates::SenderKind;
use store::accounts;

use super::auth::Holder;
use super::idempotency::{Answer, Asked};
use super::problem::Result;
use crate::delivery::senders::choose;
use crate::entry::app::App;
use crate::flow::quote::{self, Quote, QuoteIn};

/// Measures and prices a text; nothing is sent.
#[utoipa::path(
    post, path = "/v1/quote", tag = "messages", security(("account" = [])),
    request_body(content = QuoteIn, example = json!({
        "body": "Your session with Sam is tomorrow at 9:00. Reply Y to confirm.",
        "to": "+13125550147"
    })),
    responses((status = 200, body = Quote)),
)]
pub async fn measure(
    State(app): State<Arc<App>>,
    holder: Holder,
    asked: Asked<QuoteIn>,
) -> Result<Answer> {
    if let Some(answer) = asked.once.before(&app, holder.account).await? {
        return Ok(answer);
    }
    let mut tx = app.db.read().await?;
    let account = accounts::account(&mut tx, holder.account).await?;
    let from = choose(&mut tx, holder.account, None, app.installation_sender()).await?;
    let kind = from.map_or(SenderKind::LongCode, |from| from.kind);
    let quote = quote::quote(&mut tx, &account, kind, &asked.wanted).await?;
    drop(tx);
    asked.once.after(&app, holder.account, StatusCode::OK, &quote).await
}
