//! Programs that stay: how they begin, and how they end when asked to.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use testkit::Engine;

use crate::program::{Desk, program, text};

testkit::both_engines!(
    a_server_says_what_it_is_and_ends_when_asked,
    checkout_pages_are_found_again_after_a_start,
);

/// A process that does not outlive its test.
struct Running {
    child: Child,
    lines: BufReader<ChildStderr>,
}

impl Running {
    fn start(command: &mut Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let lines = BufReader::new(child.stderr.take().expect("piped"));
        Self { child, lines }
    }

    /// A server of the desk's database, on a free port.
    fn serve(desk: &Desk) -> Self {
        let mut command = desk.command(&["serve"]);
        command
            .env("LEDGERLINE_BIND", "127.0.0.1:0")
            .env("LEDGERLINE_STATE_DIR", desk.home.path().join("state"));
        Self::start(&mut command)
    }

    /// Reads what it says on the error output up to a line with `part`.
    #[track_caller]
    fn hear(&mut self, part: &str) -> String {
        let mut heard = String::new();
        while !heard.contains(part) {
            let read = self.lines.read_line(&mut heard).expect("it speaks UTF-8");
            assert!(read > 0, "it ended without saying {part:?}: {heard}");
        }
        heard
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).expect("it runs");
    }

    fn ends(mut self) -> Option<i32> {
        self.child.wait().expect("it ends").code()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn get(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("it listens");
    write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").expect("writes");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    answer
}

/// The address in the first `http://…` of a text.
fn address_in(text: &str) -> String {
    let (_, rest) = text.split_once("http://").expect("an address");
    let end = rest.find(|it: char| !it.is_ascii_digit() && !".:".contains(it));
    rest[..end.unwrap_or(rest.len())].trim_end_matches('.').to_owned()
}

async fn a_server_says_what_it_is_and_ends_when_asked(engine: Engine) {
    let desk = Desk::new(engine);
    let mut server = Running::serve(&desk);
    let heard = server.hear("\"message\":\"started\"");
    let name = if desk.engine.is_postgres() { "PostgreSQL" } else { "SQLite" };
    for part in [name, "sandbox carrier", "nobody gets one", "LEDGERLINE_OPERATOR_KEY", "/docs"] {
        assert!(heard.contains(part), "{part} in {heard}");
    }
    assert!(get(&address_in(&heard), "/healthz").starts_with("HTTP/1.1 200"));
    if !desk.engine.is_postgres() {
        let mut second = desk.command(&["serve"]);
        second.env("LEDGERLINE_BIND", "127.0.0.1:0");
        let refusal = crate::program::run(&mut second).refused(1);
        assert!(refusal.contains("another ledgerline server"), "{refusal}");
    }
    server.signal(Signal::TERM);
    server.hear("\"message\":\"stopped\"");
    assert_eq!(server.ends(), Some(0));
}

async fn checkout_pages_are_found_again_after_a_start(engine: Engine) {
    let desk = Desk::new(engine);
    let start_and_stop = || {
        let mut server = Running::serve(&desk);
        let heard = server.hear("\"message\":\"started\"");
        let (_, stripe) = heard.split_once("sandbox Stripe").expect("it takes payments");
        server.signal(Signal::TERM);
        assert_eq!(server.ends(), Some(0));
        address_in(stripe)
    };
    assert_eq!(start_and_stop(), start_and_stop());
}

#[test]
fn a_carrier_keeps_a_record_and_tells_what_it_took() {
    let home = tempfile::tempdir().expect("a directory");
    let mut command = program(home.path());
    command.args(["carrier", "--port", "0", "--record", "record.jsonl", "--json"]);
    let mut carrier = Running::start(&mut command);
    let mut output = BufReader::new(carrier.child.stdout.take().expect("piped"));
    let mut line = String::new();
    output.read_line(&mut line).expect("it speaks");
    assert!(get(&address_in(&line), "/sandbox/summary").contains("\"accepted\":0"));
    assert!(home.path().join("record.jsonl").exists());
    carrier.signal(Signal::INT);
    line.clear();
    output.read_line(&mut line).expect("it speaks");
    assert!(line.contains("\"accepted\":0"), "{line}");
    assert_eq!(carrier.ends(), Some(0));
}

/// A text whose answer never comes holds an orderly end up; a second signal does not wait.
#[test]
fn a_second_signal_ends_at_once() {
    let desk = Desk::new(Engine::sqlite());
    let mut command = program(Path::new("."));
    command.args(["carrier", "--port", "0", "--share-hang-after", "1"]);
    let mut carrier = Running::start(&mut command);
    let mut output = BufReader::new(carrier.child.stdout.take().expect("piped"));
    let mut line = String::new();
    output.read_line(&mut line).expect("it speaks");
    let carrier_address = address_in(&line);

    let zone = ["--timezone", "America/New_York", "--quiet-hours", "off"];
    desk.run(&[&["account", "create", "--name", "Northside"], &zone[..]].concat()).said();
    desk.file("one.csv", "phone,consent\n+13125550100,opted_in\n");
    desk.run(&["contacts", "import", "one.csv"]).said();
    desk.run(&["credits", "grant", "1", "--reason", "x"]).said();
    let made = desk.ask(&["campaign", "create", "--name", "a", "--body", "b", "--all"]);
    desk.run(&["campaign", "start", &text(&made["id"])]).said();

    let mut command = desk.command(&["serve"]);
    command
        .env("LEDGERLINE_BIND", "127.0.0.1:0")
        .env("TWILIO_ACCOUNT_SID", "AC1")
        .env("TWILIO_AUTH_TOKEN", "t")
        .env("TWILIO_PHONE_NUMBER", "+15005550006")
        .env("TWILIO_API_BASE", format!("http://{carrier_address}"));
    let mut server = Running::start(&mut command);
    server.hear("\"message\":\"started\"");
    while !get(&carrier_address, "/sandbox/summary").contains("\"accepted\":1") {
        std::thread::park_timeout(Duration::from_millis(10));
    }
    server.signal(Signal::TERM);
    server.hear("A second Ctrl-C");
    server.signal(Signal::TERM);
    assert_eq!(server.ends(), Some(130));
}
