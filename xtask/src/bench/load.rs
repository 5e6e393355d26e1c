//! Load at a fixed rate, whatever the server does: each request has its instant, and its latency
//! counts from there. A server that falls behind is not spared the requests that were due
//! meanwhile (no coordinated omission).

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until, timeout};

/// Twilio waits this long for a webhook's answer.
const ANSWER_MAX: Duration = Duration::from_secs(15);
const HEAD_END: &[u8] = b"\r\n\r\n";

/// What became of a request.
#[derive(Clone, Copy, Debug)]
pub struct Answered {
    /// The status; `None` when there was no whole answer.
    pub status: Option<u16>,
    /// From its instant to the first byte written: what our own side was late.
    pub late: Duration,
    /// From its instant to the end of the answer.
    pub took: Duration,
}

impl Answered {
    /// It was answered 2xx.
    pub fn is_accepted(&self) -> bool {
        self.status.is_some_and(|status| (200..300).contains(&status))
    }
}

/// Sends requests at `per_second` over so many kept connections, one at a time on each; a request
/// that finds all of them in use waits, which is part of its latency. Answers when the last one
/// ended, with the time from the first one's instant.
pub async fn send_at_rate(
    port: u16,
    requests: Vec<Vec<u8>>,
    per_second: u32,
    connections: usize,
) -> anyhow::Result<(Vec<Answered>, Duration)> {
    let mut wires = Vec::new();
    for _ in 0..connections {
        wires.push(Wire::open(port).await?);
    }
    let (requests, next) = (Arc::new(requests), Arc::new(AtomicUsize::new(0)));
    let gap = Duration::from_secs(1) / per_second;
    let started = Instant::now() + Duration::from_millis(100);
    let hands: Vec<_> = wires
        .into_iter()
        .map(|mut wire| {
            let (requests, next) = (Arc::clone(&requests), Arc::clone(&next));
            tokio::spawn(async move {
                let mut answers = Vec::new();
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    let Some(request) = requests.get(n) else { return answers };
                    let due = started + gap * u32::try_from(n).expect("bounded by the settings");
                    sleep_until(due).await;
                    let late = due.elapsed();
                    let status = wire.ask_again(request).await.map(|answer| answer.status);
                    answers.push(Answered { status, late, took: due.elapsed() });
                }
            })
        })
        .collect();
    let mut answers = Vec::new();
    for hand in hands {
        answers.extend(hand.await?);
    }
    Ok((answers, started.elapsed()))
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub body: Vec<u8>,
}

/// A kept connection to a server on loopback that answers with `Content-Length`, or 204.
pub struct Wire {
    port: u16,
    stream: TcpStream,
    read: Vec<u8>,
}

impl Wire {
    /// Connects.
    pub async fn open(port: u16) -> io::Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream.set_nodelay(true)?;
        Ok(Self { port, stream, read: Vec::with_capacity(4096) })
    }

    /// Sends one request and reads its whole answer.
    pub async fn ask(&mut self, request: &[u8]) -> anyhow::Result<Answer> {
        timeout(ANSWER_MAX, self.exchange(request)).await.context("no answer in time")?
    }

    /// Like [`Self::ask`]; after a failure the next request gets a fresh connection.
    async fn ask_again(&mut self, request: &[u8]) -> Option<Answer> {
        let answer = self.ask(request).await;
        if answer.is_err()
            && let Ok(fresh) = Self::open(self.port).await
        {
            *self = fresh;
        }
        answer.ok()
    }

    async fn exchange(&mut self, request: &[u8]) -> anyhow::Result<Answer> {
        self.stream.write_all(request).await?;
        loop {
            if let Some((answer, upto)) = parse(&self.read)? {
                self.read.drain(..upto);
                return Ok(answer);
            }
            if self.stream.read_buf(&mut self.read).await? == 0 {
                anyhow::bail!("the connection was closed");
            }
        }
    }
}

/// The answer that `bytes` begin with, and where it ends; `None` while it is not whole.
fn parse(bytes: &[u8]) -> anyhow::Result<Option<(Answer, usize)>> {
    let Some(head_end) = bytes.windows(HEAD_END.len()).position(|it| it == HEAD_END) else {
        return Ok(None);
    };
    let head = std::str::from_utf8(&bytes[..head_end])?;
    let status = head.split(' ').nth(1).and_then(|it| it.parse().ok()).context("a status")?;
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>())
    });
    let length = match length {
        Some(length) => length?,
        None if status == 204 => 0,
        None => anyhow::bail!("an answer without a length: {head}"),
    };
    let start = head_end + HEAD_END.len();
    let Some(body) = bytes.get(start..start + length) else { return Ok(None) };
    Ok(Some((Answer { status, body: body.to_vec() }, start + length)))
}

/// A request on a kept connection.
pub fn request(head: &str, kind: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "{head}\r\nHost: localhost\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n\
         {body}"
    )
    .into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_whole() {
        for (text, expected) in [
            ("", None),
            ("HTTP/1.1 204 No Content\r\ndate: x\r\n", None),
            ("HTTP/1.1 204 No Content\r\ndate: x\r\n\r\n", Some((204, "", 0))),
            ("HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\n{", None),
            ("HTTP/1.1 202 Accepted\r\ncontent-length: 2\r\n\r\n{}HTTP", Some((202, "{}", 4))),
        ] {
            let found = parse(text.as_bytes()).unwrap().map(|(answer, upto)| {
                let body = String::from_utf8(answer.body).unwrap();
                (answer.status, body, text.len() - upto)
            });
            let expected = expected.map(|(status, body, rest)| (status, body.to_owned(), rest));
            assert_eq!(found, expected, "{text:?}");
        }
        assert!(parse(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
    }
}
