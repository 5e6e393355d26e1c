//! Single texts: sent, and told about.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use domain::ids::MessageId;

use super::auth::Holder;
use super::idempotency::{Answer, Asked, Once};
use super::params::Id;
use super::problem::Result;
use crate::entry::app::App;
use crate::flow::messages::{self, MessageIn, MessageTaken, Taken};
use crate::flow::status::{MessageStatus, message_status};

/// Takes a text in. When this is answered the text is durable; it leaves as soon as it may.
#[utoipa::path(
    post, path = "/v1/messages", tag = "messages", security(("account" = [])),
    request_body(content = MessageIn, example = json!({
        "to": "+13125550147", "body": "Your session with Sam is tomorrow at 9:00.",
        "context": "message.notification"
    })),
    responses((status = 202, body = MessageTaken)),
)]
pub async fn send(
    State(app): State<Arc<App>>,
    holder: Holder,
    asked: Asked<MessageIn>,
) -> Result<Answer> {
    if let Some(answer) = asked.once.before(&app, holder.account).await? {
        return Ok(answer);
    }
    take(&app, &holder, &asked.wanted, &asked.once).await
}

/// Takes a text in under a request's key.
pub async fn take(app: &App, holder: &Holder, text: &MessageIn, once: &Once) -> Result<Answer> {
    holder.check_may_send(app)?;
    let (from, magic) = (app.installation_sender(), app.is_sandboxed());
    let key = once.key().cloned();
    let intake = messages::check(&app.db, holder.account, text, key, from, magic).await?;
    match messages::take(&app.intakes, intake).await? {
        Taken::New(taken) => {
            app.call.notify_one();
            Ok(Answer::new(StatusCode::ACCEPTED, &taken))
        }
        Taken::Before(kept) => once.replay(kept),
    }
}

/// Shows a text: where it stands, what decided about it, everything that happened to it.
#[utoipa::path(
    get, path = "/v1/messages/{id}", tag = "messages", security(("account" = [])),
    params(("id" = String, Path, description = "The message, `msg_…`")),
    responses((status = 200, body = MessageStatus)),
)]
pub async fn show(
    State(app): State<Arc<App>>,
    holder: Holder,
    Id(id): Id<MessageId>,
) -> Result<Json<MessageStatus>> {
    Ok(Json(message_status(&app.db, holder.account, id).await?))
}
