//! What an account's texts come from.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use domain::ids::SenderId;
use serde::Serialize;
use store::senders::{Sender, list_senders};

use super::auth::Holder;
use super::idempotency::{Answer, Asked};
use super::page::{List, Page, PageIn, PageOut};
use super::params::Id;
use super::problem::Result;
use crate::entry::app::App;
use crate::flow::accounts::{SenderIn, SenderPatch, add_sender, patch_sender};

/// A sender.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct SenderOut {
    /// Its id.
    #[schema(value_type = String)]
    pub id: SenderId,
    /// `long_code`, `toll_free`, `short_code`, `10dlc`, `messaging_service` or `whatsapp`.
    pub kind: &'static str,
    /// E.164 number, short code, or the SID of a messaging service.
    pub address: String,
    /// What the carrier lets it send.
    pub segments_per_second: u32,
    /// It may be used.
    pub active: bool,
    /// `carrier` or `ledgerline`: who answers STOP, START and HELP that come to it.
    pub answers_stop: &'static str,
}

impl From<Sender> for SenderOut {
    fn from(sender: Sender) -> Self {
        Self {
            id: sender.id,
            kind: sender.kind.as_str(),
            address: sender.address,
            segments_per_second: sender.segments_per_second,
            active: sender.active,
            answers_stop: sender.answers_stop.as_str(),
        }
    }
}

/// Adds a sender. Without any, texts leave from the installation's own.
#[utoipa::path(
    post, path = "/v1/senders", tag = "senders", security(("account" = [])),
    request_body(content = SenderIn, example = json!({
        "kind": "10dlc", "address": "+13125550100", "segments_per_second": 75
    })),
    responses((status = 201, body = SenderOut)),
)]
pub async fn add(
    State(app): State<Arc<App>>,
    holder: Holder,
    asked: Asked<SenderIn>,
) -> Result<Answer> {
    let (dice, wanted, account) = (&*app.dice, &asked.wanted, holder.account);
    let added = asked.once.run(&app, account, |mut tx| async move {
        let sender = add_sender(&mut tx, dice, account, wanted).await?;
        Ok((tx, StatusCode::CREATED, SenderOut::from(sender)))
    });
    added.await
}

/// Changes a sender. What is left out stays.
#[utoipa::path(
    patch, path = "/v1/senders/{id}", tag = "senders", security(("account" = [])),
    params(("id" = String, Path, description = "The sender, `snd_…`")),
    request_body(content = SenderPatch, example = json!({"answers_stop": "ledgerline"})),
    responses((status = 200, body = SenderOut)),
)]
pub async fn change(
    State(app): State<Arc<App>>,
    holder: Holder,
    Id(id): Id<SenderId>,
    asked: Asked<SenderPatch>,
) -> Result<Answer> {
    let (wanted, account) = (&asked.wanted, holder.account);
    let changed = asked.once.run(&app, account, |mut tx| async move {
        let sender = patch_sender(&mut tx, account, id, wanted).await?;
        Ok((tx, StatusCode::OK, SenderOut::from(sender)))
    });
    changed.await
}

/// Lists senders, oldest first.
#[utoipa::path(
    get, path = "/v1/senders", tag = "senders", security(("account" = [])),
    params(PageIn),
    responses((status = 200, body = PageOut<SenderOut>)),
)]
pub async fn list(
    State(app): State<Arc<App>>,
    holder: Holder,
    page: Page,
) -> Result<Json<PageOut<SenderOut>>> {
    let after = page.after(List::Senders)?.map(SenderId);
    let mut tx = app.db.read().await?;
    // An account has few senders, so its list is read whole and cut here.
    let mut rows = list_senders(&mut tx, holder.account).await?;
    rows.retain(|sender| after.is_none_or(|after| sender.id > after));
    let key = |sender: &Sender| sender.id.0;
    Ok(Json(page.out(List::Senders, rows, key, SenderOut::from)))
}
