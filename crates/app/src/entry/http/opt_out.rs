//! The public page behind the opt-out link of a text: `GET /o/{token}` shows it and changes
//! nothing, `POST` opts out, with or without a form.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use askama::Template;
use axum::extract::{ConnectInfo, Path, Request, State};
use axum::http::header::{CACHE_CONTROL, USER_AGENT};
use axum::http::{Extensions, HeaderMap};
use axum::response::{Html, IntoResponse, Response};
use domain::ids::AccountId;

use super::problem::{Code, Problem, Result};
use crate::entry::app::App;
use crate::flow::opt_out_link::{self, OptOutPage, Visitor};

/// Transactions that meet others are run again this often.
const ATTEMPTS_MAX: u32 = 4;
const USER_AGENT_CHARS_MAX: usize = 500;

/// What the page says, in one language.
struct Words {
    lang: &'static str,
    ask: &'static str,
    about: &'static str,
    button: &'static str,
    done: &'static str,
    back: &'static str,
}

const LANGUAGES: [Words; 3] = [
    Words {
        lang: "en",
        ask: "Stop texts from",
        about: "No more texts will go to this number:",
        button: "Unsubscribe",
        done: "You are unsubscribed",
        back: "To get texts again, reply START to any of them.",
    },
    Words {
        lang: "es",
        ask: "Dejar de recibir mensajes de",
        about: "No se enviarán más mensajes a este número:",
        button: "Cancelar la suscripción",
        done: "Ha cancelado la suscripción",
        back: "Para volver a recibirlos, responda START a cualquiera de ellos.",
    },
    Words {
        lang: "fr",
        ask: "Ne plus recevoir les messages de",
        about: "Plus aucun message ne sera envoyé à ce numéro :",
        button: "Se désinscrire",
        done: "Vous êtes désinscrit",
        back: "Pour en recevoir à nouveau, répondez START à l'un d'eux.",
    },
];

#[derive(Template)]
#[template(path = "opt_out.html")]
struct Page {
    words: &'static Words,
    shown: OptOutPage,
}

impl Page {
    fn answer(shown: OptOutPage) -> Result<Response> {
        let locale = shown.locale.clone().unwrap_or_default().to_ascii_lowercase();
        let spoken = |words: &&Words| locale.split(['-', '_']).next() == Some(words.lang);
        let words = LANGUAGES.iter().find(spoken).unwrap_or(&LANGUAGES[0]);
        let html = Self { words, shown }
            .render()
            .map_err(|error| Problem::internal(format!("the opt-out page: {error}")))?;
        Ok(([(CACHE_CONTROL, "no-store")], Html(html)).into_response())
    }
}

fn open(app: &App, token: &str) -> Result<(AccountId, String)> {
    opt_out_link::open(&app.secret, token)
        .ok_or_else(|| Problem::new(Code::NotFound, "this link is not complete; open it again"))
}

/// The page.
pub async fn page(State(app): State<Arc<App>>, Path(token): Path<String>) -> Result<Response> {
    let (account, phone) = open(&app, &token)?;
    let mut tx = app.db.read().await?;
    Page::answer(opt_out_link::page(&mut tx, account, &phone).await?)
}

/// The button. Whoever posts need not send anything.
pub async fn opt_out(
    State(app): State<Arc<App>>,
    Path(token): Path<String>,
    request: Request,
) -> Result<Response> {
    let (account, phone) = open(&app, &token)?;
    let visitor = visitor(request.headers(), request.extensions());
    let mut attempt = 1;
    loop {
        match record(&app, account, &phone, &visitor).await {
            Err(problem) if problem.is_passing() && attempt < ATTEMPTS_MAX => attempt += 1,
            Err(problem) => return Err(problem),
            Ok(shown) => return Page::answer(shown),
        }
    }
}

async fn record(
    app: &App,
    account: AccountId,
    phone: &str,
    visitor: &Visitor,
) -> Result<OptOutPage> {
    let mut tx = app.db.begin().await?;
    opt_out_link::opt_out(&mut tx, &*app.dice, account, phone, visitor).await?;
    let shown = opt_out_link::page(&mut tx, account, phone).await?;
    tx.commit().await?;
    Ok(shown)
}

/// Where a request comes from. A proxy before the server says so in the last part of
/// `X-Forwarded-For`; anybody else's word on it is not believed.
fn visitor(headers: &HeaderMap, extensions: &Extensions) -> Visitor {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let peer = extensions.get::<ConnectInfo<SocketAddr>>().map(|peer| peer.0.ip());
    let told = text("x-forwarded-for").and_then(|list| list.rsplit(',').next());
    let told = told.and_then(|ip| ip.trim().parse::<IpAddr>().ok());
    let ip = match peer {
        Some(peer) if !is_near(peer) => Some(peer),
        near => told.or(near),
    };
    Visitor {
        ip: ip.map(|ip| ip.to_string()),
        user_agent: text(USER_AGENT.as_str())
            .map(|agent| agent.chars().take(USER_AGENT_CHARS_MAX).collect()),
    }
}

fn is_near(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => ip.is_loopback() || ip.is_private() || ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_proxy_is_believed() {
        for (peer, told, expected) in [
            (Some("203.0.113.7"), None, Some("203.0.113.7")),
            (Some("203.0.113.7"), Some("198.51.100.1"), Some("203.0.113.7")),
            (Some("127.0.0.1"), Some("198.51.100.1"), Some("198.51.100.1")),
            (Some("10.0.0.2"), Some("6.6.6.6, 198.51.100.1"), Some("198.51.100.1")),
            (Some("::1"), Some("nobody"), Some("::1")),
            (None, Some("2001:db8::7"), Some("2001:db8::7")),
            (None, None, None),
        ] {
            let (mut headers, mut extensions) = (HeaderMap::new(), Extensions::new());
            if let Some(told) = told {
                headers.insert("x-forwarded-for", told.parse().expect("a header"));
            }
            if let Some(peer) = peer {
                let peer = SocketAddr::new(peer.parse().expect("an address"), 9);
                extensions.insert(ConnectInfo(peer));
            }
            let found = visitor(&headers, &extensions).ip;
            assert_eq!(found.as_deref(), expected, "{peer:?} {told:?}");
        }
    }
}
