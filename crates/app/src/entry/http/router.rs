//! The table of routes.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, FromRef};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{get, post};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::sync::Semaphore;
use tower_http::catch_panic::CatchPanicLayer;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::openapi::{self, Document};
use super::server::Closing;
use super::watch::Watchers;
use super::{
    accounts, adjustments, appointments, assets, automations, budget, campaigns, carriers,
    consents, contacts, docs, figures, guard, health, holds, hooks, messages, metrics, notices,
    opt_out, purchases, quote, rates, revenue, senders, settings, statements, stripe_hook,
    subscriptions, tasks, templates, threads, topups, wallet, watch,
};
use crate::entry::app::App;

const JSON_BYTES_MAX: usize = 256 << 10;
const CSV_BYTES_MAX: usize = 64 << 20;
const RECEIPT_BYTES_MAX: usize = 64 << 10;
const EVENT_BYTES_MAX: usize = 512 << 10;
/// An answer takes at most this long; a receipt's less (Twilio waits for 15 s), an import's longer.
const ANSWER_MAX: Duration = Duration::from_secs(60);
const RECEIPT_MAX: Duration = Duration::from_secs(14);
const IMPORT_MAX: Duration = Duration::from_secs(600);
/// Files read at once; each is held in memory.
const IMPORTS_MAX: usize = 4;

/// What endpoints work with.
#[derive(Clone)]
pub struct Web {
    app: Arc<App>,
    watchers: Arc<Watchers>,
    document: Arc<Document>,
    metrics: PrometheusHandle,
}

macro_rules! parts {
    ($($part:ident: $kind:ty),*) => {$(
        impl FromRef<Web> for $kind {
            fn from_ref(web: &Web) -> Self {
                web.$part.clone()
            }
        }
    )*};
}
parts!(app: Arc<App>, watchers: Arc<Watchers>, document: Arc<Document>, metrics: PrometheusHandle);

/// Every route, ready to be served. Live pages end only with their campaigns; see
/// [`super::serve`] for a server that ends them when it closes.
pub fn router(app: Arc<App>) -> Router {
    router_until(app, Closing::never())
}

/// Every route; live pages end when the server closes.
pub(super) fn router_until(app: Arc<App>, closing: Closing) -> Router {
    let (api, document) = api().merge(import()).split_for_parts();
    let web = Web {
        watchers: Arc::new(Watchers::new(Arc::clone(&app), closing)),
        document: Arc::new(openapi::finish(document)),
        metrics: metrics::install(),
        app: Arc::clone(&app),
    };
    let hooks = Router::new()
        .route("/hooks/twilio/status/{token}", post(hooks::twilio_status))
        .route("/hooks/twilio/inbound", post(hooks::twilio_inbound))
        .layer(DefaultBodyLimit::max(RECEIPT_BYTES_MAX))
        .layer(from_fn_with_state(RECEIPT_MAX, guard::limit_time));
    let events = Router::new()
        .route("/hooks/stripe", post(stripe_hook::receive))
        .layer(DefaultBodyLimit::max(EVENT_BYTES_MAX))
        .layer(from_fn_with_state(RECEIPT_MAX, guard::limit_time));
    let pages = Router::new()
        .route("/docs", get(docs::page))
        .route("/watch/{token}", get(watch::page))
        .route("/purchases/{token}", get(purchases::page))
        .route("/cards/{token}", get(purchases::card))
        .route("/watch/{token}/events", get(watch::events))
        .route("/assets/{name}", get(assets::asset))
        .layer(from_fn(guard::guard_page))
        .layer(from_fn_with_state(ANSWER_MAX, guard::limit_time));
    let forms = Router::new()
        .route("/o/{token}", get(opt_out::page).post(opt_out::opt_out))
        .layer(from_fn(guard::guard_form))
        .layer(from_fn_with_state(ANSWER_MAX, guard::limit_time));
    api.merge(hooks)
        .merge(events)
        .merge(pages)
        .merge(forms)
        .route("/openapi.json", get(openapi::json))
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(health::metrics))
        .fallback(guard::no_route)
        .method_not_allowed_fallback(guard::no_method)
        .layer(CatchPanicLayer::custom(guard::caught))
        .layer(from_fn(guard::count))
        .layer(from_fn_with_state(app, guard::finish))
        .with_state(web)
}

/// The documented routes.
fn api() -> OpenApiRouter<Web> {
    OpenApiRouter::with_openapi(openapi::base())
        // /v1/accounts …: the operator's key opens these, an account's key all others.
        .routes(routes!(accounts::list, accounts::open))
        .routes(routes!(accounts::make_key)) // POST …/{id}/keys
        .routes(routes!(accounts::adjust_credits)) // POST …/{id}/credits
        .routes(routes!(accounts::audit_account)) // GET …/{id}/audit
        .routes(routes!(subscriptions::give_plan)) // PUT …/{id}/subscription
        .routes(routes!(adjustments::list))
        .routes(routes!(adjustments::approve)) // POST …/{id}/approve
        .routes(routes!(adjustments::reject)) // POST …/{id}/reject
        .routes(routes!(carriers::show))
        .routes(routes!(rates::list))
        // /v1/senders, /v1/contacts
        .routes(routes!(senders::list, senders::add))
        .routes(routes!(senders::change)) // PATCH …/{id}
        .routes(routes!(contacts::list, contacts::keep))
        .routes(routes!(contacts::show, contacts::change)) // …/{id}
        // /v1/consents, /v1/settings, /v1/templates
        .routes(routes!(consents::list, consents::add))
        .routes(routes!(consents::prove_contact)) // GET /v1/contacts/{id}/consent-proof
        .routes(routes!(settings::show, settings::write))
        .routes(routes!(templates::list, templates::add))
        .routes(routes!(templates::replace, templates::remove)) // …/{id}
        .routes(routes!(templates::preview)) // POST …/preview
        // /v1/appointments, /v1/appointments/{id} …, /v1/series/{id}
        .routes(routes!(appointments::list, appointments::create))
        .routes(routes!(appointments::show, appointments::patch, appointments::remove))
        .routes(routes!(appointments::reschedule)) // POST …/reschedule
        .routes(routes!(appointments::cancel)) // POST …/cancel
        .routes(routes!(appointments::confirm)) // POST …/confirm
        .routes(routes!(appointments::remind)) // POST …/remind
        .routes(routes!(
            appointments::show_series,
            appointments::patch_series,
            appointments::end_series
        ))
        // /v1/campaigns, /v1/campaigns/{id} …
        .routes(routes!(campaigns::list, campaigns::create))
        .routes(routes!(campaigns::show))
        .routes(routes!(campaigns::recipients)) // GET …/recipients
        .routes(routes!(campaigns::quote)) // POST …/quote
        .routes(routes!(campaigns::start)) // POST …/start
        .routes(routes!(campaigns::pause)) // POST …/pause
        .routes(routes!(campaigns::resume)) // POST …/resume
        .routes(routes!(campaigns::cancel)) // POST …/cancel
        .routes(routes!(campaigns::test)) // POST …/test
        // /v1/quote, /v1/messages, /v1/messages/{id}
        .routes(routes!(quote::measure))
        .routes(routes!(messages::send))
        .routes(routes!(messages::send_group)) // POST …/group
        .routes(routes!(messages::show))
        // /v1/threads, /v1/threads/{id} …, /v1/canned-replies, /v1/tasks, /v1/automations
        .routes(routes!(threads::list, threads::start))
        .routes(routes!(threads::show, threads::change))
        .routes(routes!(threads::reply)) // POST …/messages
        .routes(routes!(threads::note)) // POST …/notes
        .routes(routes!(threads::canned, threads::add_canned))
        .routes(routes!(threads::replace_canned, threads::remove_canned))
        .routes(routes!(tasks::list, tasks::open))
        .routes(routes!(tasks::change))
        .routes(routes!(automations::list))
        .routes(routes!(figures::confirmations)) // GET /v1/figures/confirmations
        .merge(money())
        .layer(DefaultBodyLimit::max(JSON_BYTES_MAX))
        .layer(from_fn_with_state(ANSWER_MAX, guard::limit_time))
}

/// What is paid, owned, spent and limited.
fn money() -> OpenApiRouter<Web> {
    OpenApiRouter::new()
        // /v1/wallet, /v1/ledger, /v1/audit
        .routes(routes!(wallet::show))
        .routes(routes!(wallet::ledger))
        .routes(routes!(wallet::audit_own))
        .routes(routes!(statements::list))
        .routes(routes!(statements::show)) // GET …/{month}
        .routes(routes!(statements::show_account)) // GET /v1/accounts/{id}/statements/{month}
        // /v1/budget, /v1/holds, /v1/notices
        .routes(routes!(budget::show, budget::write))
        .routes(routes!(holds::list))
        .routes(routes!(holds::lift)) // POST …/{id}/lift
        .routes(routes!(notices::list))
        .routes(routes!(notices::seen)) // POST …/{id}/seen
        .routes(routes!(subscriptions::show, subscriptions::subscribe)) // /v1/subscription
        // /v1/packs, /v1/purchases, /v1/auto-topup; /v1/stripe-events for the operator
        .routes(routes!(purchases::packs))
        .routes(routes!(purchases::list, purchases::start))
        .routes(routes!(purchases::show)) // …/{id}
        .routes(routes!(topups::show, topups::write))
        .routes(routes!(stripe_hook::list))
        .routes(routes!(stripe_hook::retry)) // POST …/{id}/retry
}

/// Files are larger than other bodies and take longer.
fn import() -> OpenApiRouter<Web> {
    OpenApiRouter::new()
        .routes(routes!(contacts::import_csv)) // POST /v1/contacts/import
        .routes(routes!(appointments::import_csv)) // POST /v1/appointments/import
        .routes(routes!(rates::import)) // POST /v1/rates
        .routes(routes!(revenue::report))
        .routes(routes!(revenue::reconcile)) // GET /v1/reconciliation
        .layer(DefaultBodyLimit::max(CSV_BYTES_MAX))
        .layer(from_fn_with_state(Arc::new(Semaphore::new(IMPORTS_MAX)), guard::limit_number))
        .layer(from_fn_with_state(IMPORT_MAX, guard::limit_time))
}
