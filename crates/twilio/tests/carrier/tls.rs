//! TLS for real: a server with a certificate of a private authority, and clients that trust that
//! authority or do not.
//!
//! The certificates in `tests/vectors/tls` were made once for the address 127.0.0.1 and end in
//! 2120; the authority's key was thrown away, the server's opens nothing but this test.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ServerConfig, crypto};
use twilio::client::{Client, Config, ConfigError, Timeouts};
use twilio::outcome::{FailureKind, NotSentReason, Outcome, UnknownReason};
use twilio::wire::CreateMessage;

use crate::peer::{Peer, Says, answer, converse};
use crate::rig::{ACCOUNT, FROM, TOKEN, next, until};

const AUTHORITY: &[u8] = include_bytes!("../vectors/tls/authority.der");
const SERVER: &[u8] = include_bytes!("../vectors/tls/server.der");
const SERVER_KEY: &[u8] = include_bytes!("../vectors/tls/server_key.der");
const CREATED: &str = "{\"sid\":\"SM0123456789abcdef0123456789abcdef\",\"status\":\"queued\"}";

fn acceptor() -> TlsAcceptor {
    let key = PrivateKeyDer::try_from(SERVER_KEY.to_vec()).expect("a key");
    let config = ServerConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring offers them")
        .with_no_client_auth()
        .with_single_cert(vec![CertificateDer::from(SERVER)], key)
        .expect("the key is the certificate's");
    TlsAcceptor::from(Arc::new(config))
}

/// A peer behind TLS, and how many handshakes failed.
async fn secure_peer(
    says: impl Fn(usize, &crate::peer::Heard) -> Says + Send + Sync + 'static,
) -> (Peer, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let base = format!("https://{}", listener.local_addr().expect("bound"));
    let (tell, heard) = mpsc::unbounded_channel();
    let failures = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&failures);
    let (says, count) = (Arc::new(says), Arc::new(AtomicUsize::new(0)));
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            match acceptor().accept(tcp).await {
                Ok(tls) => {
                    let (says, count) = (Arc::clone(&says), Arc::clone(&count));
                    tokio::spawn(converse(tls, tell.clone(), says, count));
                }
                Err(_) => {
                    counted.fetch_add(1, Ordering::SeqCst);
                }
            }
        }
    });
    (Peer { base, heard }, failures)
}

fn config(base: &str) -> Config {
    Config {
        base: base.to_owned(),
        account_sid: ACCOUNT.to_owned(),
        username: ACCOUNT.to_owned(),
        password: TOKEN.to_owned().into(),
        concurrency: 2,
        timeouts: Timeouts { connect: Duration::from_secs(30), ..Timeouts::default() },
    }
}

fn trusting(base: &str) -> Client {
    Client::with_authorities(config(base), &[AUTHORITY]).expect("a client")
}

/// Sends one text; its outcome, and how often the mark was called.
async fn send(client: &Client) -> (Outcome, usize) {
    let marks = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&marks);
    let mark = move || {
        counted.fetch_add(1, Ordering::SeqCst);
        Ok(())
    };
    let message = CreateMessage::new("+13125550100", FROM, "Hello");
    let outcome = client.create_message_marked(&message, mark).await;
    (outcome, marks.load(Ordering::SeqCst))
}

fn nothing_written(kind: FailureKind) -> Outcome {
    Outcome::NotSent { reason: NotSentReason::NothingWritten(kind) }
}

#[tokio::test]
async fn texts_go_through_tls_one_after_another_on_one_connection() {
    let (mut peer, failures) = secure_peer(|_, _| Says::Bytes(answer(201, CREATED))).await;
    let client = trusting(&peer.base);
    for _ in 0..3 {
        let (outcome, marks) = send(&client).await;
        assert!(matches!(outcome, Outcome::Accepted { .. }), "{outcome:?}");
        assert_eq!(marks, 1);
        let heard = next(&mut peer.heard).await;
        assert!(heard.header("authorization").is_some());
        let host = peer.base.strip_prefix("https://");
        assert_eq!(heard.header("host"), host);
    }
    assert_eq!(failures.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_certificate_nobody_vouches_for_stops_before_the_first_byte() {
    let (mut peer, failures) = secure_peer(|_, _| Says::Bytes(answer(201, CREATED))).await;
    let client = Client::new(config(&peer.base)).expect("a client");
    assert_eq!(send(&client).await, (nothing_written(FailureKind::Tls), 0));
    until(|| failures.load(Ordering::SeqCst) == 1).await;
    assert!(peer.heard.try_recv().is_err());
}

#[tokio::test]
async fn a_certificate_for_another_name_stops_before_the_first_byte() {
    let (mut peer, failures) = secure_peer(|_, _| Says::Bytes(answer(201, CREATED))).await;
    let elsewhere = peer.base.replace("127.0.0.1", "localhost");
    assert_eq!(send(&trusting(&elsewhere)).await, (nothing_written(FailureKind::Tls), 0));
    until(|| failures.load(Ordering::SeqCst) == 1).await;
    assert!(peer.heard.try_recv().is_err());
}

#[tokio::test]
async fn a_server_without_tls_stops_before_the_first_byte() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let noise = format!("https://{}", listener.local_addr().expect("bound"));
    tokio::spawn(async move {
        while let Ok((mut tcp, _)) = listener.accept().await {
            drop(tokio::io::AsyncWriteExt::write_all(&mut tcp, b"220 mail.example\r\n").await);
            drop(tcp.read_to_end(&mut Vec::new()).await);
        }
    });
    assert_eq!(send(&trusting(&noise)).await, (nothing_written(FailureKind::Tls), 0));
}

#[tokio::test]
async fn a_handshake_that_never_ends_is_a_connection_that_takes_too_long() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let base = format!("https://{}", listener.local_addr().expect("bound"));
    let connect = Duration::from_millis(500);
    let hasty = Config { timeouts: Timeouts { connect, ..Timeouts::default() }, ..config(&base) };
    let client = Client::with_authorities(hasty, &[AUTHORITY]).expect("a client");
    let expected = (nothing_written(FailureKind::ConnectTimeout), 0);
    assert_eq!(send(&client).await, expected);
    drop(listener);
}

#[tokio::test]
async fn whoever_hangs_up_after_the_request_leaves_it_unknown() {
    let (mut peer, _) = secure_peer(|_, _| Says::Last(Vec::new())).await;
    let reason = UnknownReason::Failed(FailureKind::Closed);
    assert_eq!(send(&trusting(&peer.base)).await, (Outcome::Unknown { reason }, 1));
    next(&mut peer.heard).await;
}

#[test]
fn an_authority_must_be_a_certificate() {
    let refused = |der: &[u8]| Client::with_authorities(config("https://h.example"), &[der]).err();
    assert_eq!(refused(AUTHORITY), None);
    assert_eq!(refused(b"-----BEGIN"), Some(ConfigError::Authority));
    assert_eq!(refused(b""), Some(ConfigError::Authority));
}
