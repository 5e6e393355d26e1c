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
use crate::flow::groups::{self, GroupIn, GroupTaken};
use crate::flow::messages::{self, Asking, MessageIn, MessageTaken, Taken};
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
    let intake = messages::check(&app.db, asking(app, holder), text, once.key().cloned()).await?;
    match messages::take(&app.intakes, intake).await? {
        Taken::New(taken) => {
            app.call.notify_one();
            Ok(Answer::new(StatusCode::ACCEPTED, &taken))
        }
        Taken::Before(kept) => once.replay(kept),
    }
}

/// Takes a text to up to 1,000 people in, as one batch. Bad numbers are named and do not stop the
/// others.
#[utoipa::path(
    post, path = "/v1/messages/group", tag = "messages", security(("account" = [])),
    request_body(content = GroupIn, example = json!({
        "to": ["+13125550147", "+13125550148"],
        "body": "Saturday's workshop starts at 10:00 instead of 9:00.",
        "context": "message.notification"
    })),
    responses((status = 202, body = GroupTaken)),
)]
pub async fn send_group(
    State(app): State<Arc<App>>,
    holder: Holder,
    asked: Asked<GroupIn>,
) -> Result<Answer> {
    if let Some(answer) = asked.once.before(&app, holder.account).await? {
        return Ok(answer);
    }
    holder.check_may_send(&app)?;
    let key = asked.once.key();
    match groups::take(&app.db, asking(&app, &holder), &asked.wanted, key).await? {
        groups::Taken::New(taken) => {
            app.call.notify_one();
            Ok(Answer::new(StatusCode::ACCEPTED, &taken))
        }
        groups::Taken::Before(kept) => asked.once.replay(kept),
    }
}

pub(super) fn asking<'a>(app: &'a App, holder: &Holder) -> Asking<'a> {
    Asking {
        account: holder.account,
        installation_sender: app.installation_sender(),
        magic_allowed: app.is_sandboxed(),
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
