//! One HTTP request to a process that may die at any moment: a complete answer, or none.

use std::io;
use std::net::Ipv4Addr;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

use crate::entry::cli::failure::{Result, failed};

/// An answer takes this long at most, an import's longer.
pub const ANSWER_MAX: Duration = Duration::from_secs(20);
pub const IMPORT_MAX: Duration = Duration::from_secs(600);
/// Whoever got no answer asks again after this pause,
const PAUSE: Duration = Duration::from_millis(50);
/// and gives up after this long: longer than anything that is killed stays away.
const PATIENCE: Duration = Duration::from_secs(180);

/// Where to ask, and as whom.
#[derive(Clone, Debug)]
pub struct Api {
    /// On loopback.
    pub port: u16,
    /// The bearer key.
    pub key: String,
}

/// What is asked.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    method: &'static str,
    path: &'a str,
    kind: &'static str,
    body: &'a [u8],
    once: Option<&'a str>,
}

impl<'a> Ask<'a> {
    /// A question.
    pub const fn get(path: &'a str) -> Self {
        Self { method: "GET", path, kind: "application/json", body: &[], once: None }
    }

    /// A wish, in JSON.
    pub const fn post(path: &'a str, body: &'a [u8]) -> Self {
        Self { method: "POST", path, kind: "application/json", body, once: None }
    }

    /// A wish, in CSV.
    pub const fn post_csv(path: &'a str, body: &'a [u8]) -> Self {
        Self { method: "POST", path, kind: "text/csv", body, once: None }
    }

    /// With an `Idempotency-Key`.
    #[must_use]
    pub const fn once(mut self, key: &'a str) -> Self {
        self.once = Some(key);
        self
    }

    fn bytes(&self, bearer: &str) -> Vec<u8> {
        let once = self.once.map_or(String::new(), |key| format!("Idempotency-Key: {key}\r\n"));
        let head = format!(
            "{} {} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\
             Authorization: Bearer {bearer}\r\n{once}Content-Type: {}\r\n\
             Content-Length: {}\r\n\r\n",
            self.method,
            self.path,
            self.kind,
            self.body.len(),
        );
        [head.as_bytes(), self.body].concat()
    }
}

/// A complete answer.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Its body.
    pub body: String,
}

impl Answer {
    /// The body; `null` when it is no JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }

    /// The body, if what was asked was done.
    pub fn done(&self, what: &str) -> Result<Value> {
        match self.status {
            200..=299 => Ok(self.json()),
            status => Err(failed(format!("{what} was refused ({status}): {}", self.body))),
        }
    }
}

impl Api {
    /// Asks once; `None` when no complete answer came in time.
    pub async fn ask(&self, ask: &Ask<'_>, within: Duration) -> Option<Answer> {
        let bytes = ask.bytes(&self.key);
        timeout(within, exchange(self.port, &bytes)).await.ok()?.ok()
    }

    /// Asks until there is an answer that is no outage.
    pub async fn insist(&self, ask: &Ask<'_>, within: Duration) -> Result<Answer> {
        let until = Instant::now() + PATIENCE.max(within);
        loop {
            let answer = self.ask(ask, within).await;
            match answer {
                Some(answer) if answer.status < 500 => return Ok(answer),
                other if Instant::now() > until => {
                    let last = other.map_or("none".to_owned(), |answer| answer.body);
                    let (method, path) = (ask.method, ask.path);
                    let words = format!("{method} {path} is not answered; last answer: {last}");
                    return Err(failed(words));
                }
                _ => sleep(PAUSE).await,
            }
        }
    }
}

async fn exchange(port: u16, request: &[u8]) -> io::Result<Answer> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
    stream.write_all(request).await?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await?;
    read(&bytes).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
}

/// Reads an answer that ends with its connection; `None` when it was cut short.
fn read(bytes: &[u8]) -> Option<Answer> {
    let text = std::str::from_utf8(bytes).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    let mut lines = head.lines();
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let length = lines.find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    let whole = length.is_none_or(|length| length == body.len());
    whole.then(|| Answer { status, body: body.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_answers_count() {
        for (text, expected) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", Some((200, "ok"))),
            ("HTTP/1.1 204 No Content\r\n\r\n", Some((204, ""))),
            ("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nok", None),
            ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n", None),
            ("", None),
        ] {
            let answer = read(text.as_bytes());
            let answer = answer.as_ref().map(|answer| (answer.status, answer.body.as_str()));
            assert_eq!(answer, expected, "{text:?}");
        }
    }

    #[test]
    fn a_request_says_whose_and_which_it_is() {
        let bytes = Ask::post("/v1/messages", b"{}").once("k-1").bytes("ll_live_1");
        let text = String::from_utf8(bytes).expect("UTF-8");
        assert!(text.starts_with("POST /v1/messages HTTP/1.1\r\n"), "{text}");
        for part in ["Bearer ll_live_1\r\n", "Idempotency-Key: k-1\r\n", "Length: 2\r\n\r\n{}"] {
            assert!(text.contains(part), "{part:?} is missing in {text}");
        }
    }
}
