//! Connections: kept, given back, replaced only while nothing was written, and never shared.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use twilio::client::{Client, Config, Timeouts};
use twilio::outcome::{FailureKind, NotSentReason, Outcome, UnknownReason};
use twilio::sandbox::Knobs;
use twilio::wire::CreateMessage;

use crate::peer::{answer, read_request};
use crate::rig::{ACCOUNT, FROM, TOKEN, carrier, client, client_of, send};

const CREATED: &str = "{\"sid\":\"SM0123456789abcdef0123456789abcdef\",\"status\":\"queued\"}";
/// Enough for anything that happens soon.
const TRIES: usize = 10_000;

/// A server that says which connection each request came on, and closes each connection after
/// `requests_each` answers, unannounced, when told to; it says 0 then.
async fn server(
    requests_each: usize,
) -> (String, mpsc::UnboundedReceiver<usize>, mpsc::UnboundedSender<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let base = format!("http://{}", listener.local_addr().expect("bound"));
    let (seen, requests) = mpsc::unbounded_channel();
    let (close, mut closes) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        for connection in 1.. {
            let Ok((mut stream, _)) = listener.accept().await else { return };
            let mut buffer = Vec::new();
            for _ in 0..requests_each {
                if read_request(&mut stream, &mut buffer).await.is_none() {
                    break;
                }
                if stream.write_all(&answer(201, CREATED)).await.is_err() {
                    break;
                }
                if seen.send(connection).is_err() {
                    return;
                }
            }
            let told = closes.recv().await;
            drop(stream);
            if told.is_none() || seen.send(0).is_err() {
                return;
            }
        }
    });
    (base, requests, close)
}

#[tokio::test]
async fn one_connection_carries_one_text_after_another() {
    let (base, mut requests, _close) = server(usize::MAX).await;
    let client = client_of(&base, TOKEN);
    for _ in 0..5 {
        assert!(matches!(send(&client, "+13125550100").await, Outcome::Accepted { .. }));
        assert_eq!(requests.recv().await, Some(1));
    }
}

#[tokio::test]
async fn a_connection_that_was_closed_is_replaced_and_nothing_is_sent_twice() {
    let (base, mut requests, close) = server(1).await;
    let client = client_of(&base, TOKEN);
    let marks = Arc::new(AtomicUsize::new(0));
    for n in 1..=5 {
        let counted = Arc::clone(&marks);
        let mark = move || {
            counted.fetch_add(1, Ordering::SeqCst);
            Ok(())
        };
        let message = CreateMessage::new("+13125550100", FROM, "Hello");
        let outcome = client.create_message_marked(&message, mark).await;
        assert!(matches!(outcome, Outcome::Accepted { .. }), "{outcome:?}");
        assert_eq!(requests.recv().await, Some(n));
        assert_eq!(marks.load(Ordering::SeqCst), n);
        close.send(()).expect("it listens");
        assert_eq!(requests.recv().await, Some(0));
    }
}

#[tokio::test]
async fn whoever_gets_no_connection_in_time_sends_nothing() {
    let carrier = carrier(Knobs { share_hang: 1.0, ..Knobs::default() }).await;
    let timeouts =
        Timeouts { total: std::time::Duration::from_millis(1500), ..Timeouts::default() };
    let client = Client::new(Config {
        base: format!("http://{}", carrier.addr()),
        account_sid: ACCOUNT.to_owned(),
        username: ACCOUNT.to_owned(),
        password: TOKEN.to_owned().into(),
        concurrency: 1,
        timeouts,
    })
    .expect("a client");
    let (first, second) =
        tokio::join!(send(&client, "+13125550100"), send(&client, "+13125550101"));
    let reason = UnknownReason::Failed(FailureKind::Timeout);
    assert_eq!(first, Outcome::Unknown { reason });
    assert!(matches!(second, Outcome::NotSent { .. }), "{second:?}");
}

#[tokio::test]
async fn a_dropped_carrier_hangs_up_on_everyone() {
    let carrier = carrier(Knobs::default()).await;
    let client = client(&carrier);
    assert!(matches!(send(&client, "+13125550100").await, Outcome::Accepted { .. }));
    drop(carrier);
    let gone = Outcome::NotSent { reason: NotSentReason::NothingWritten(FailureKind::Connect) };
    for _ in 0..TRIES {
        if send(&client, "+13125550100").await == gone {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("it still answers");
}
