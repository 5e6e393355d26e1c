//! Real processes are killed with `kill -9` in the middle of a paid campaign on real contacts.
//! The witness is the carrier's own record, kept in another process.
//!
//! [`command`] runs the product's own torture; the tests here look closer at the credits, and at
//! the carrier that lives inside the server.

mod command;

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use domain::seam::{Dice as _, SeededDice};
use serde_json::Value;
use testkit::Engine;

testkit::both_engines!(
    torture_a_paid_campaign_survives_five_kills,
    torture_the_server_with_its_own_sandbox_survives_kills,
);

const PROGRAM: &str = env!("CARGO_BIN_EXE_ledgerline");
const CONTACTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/demo/contacts.csv");
const SID: &str = "AC0123456789abcdef0123456789abcdef";
const TOKEN: &str = "the-token-of-the-torture-test";
const WAIT: Duration = Duration::from_secs(90);

/// A process that dies with the test.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

struct Rig {
    database: String,
    home: tempfile::TempDir,
    server_port: u16,
    carrier_port: Option<u16>,
    dice: SeededDice,
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
    listener.local_addr().expect("bound").port()
}

fn await_port(port: u16) {
    let deadline = Instant::now() + WAIT;
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(Instant::now() < deadline, "nothing listens on {port}");
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

impl Rig {
    fn new(engine: &Engine, carrier_port: Option<u16>) -> Self {
        Self {
            database: engine.url().to_owned(),
            home: tempfile::tempdir().expect("a directory"),
            server_port: free_port(),
            carrier_port,
            dice: SeededDice::new(u64::from(std::process::id())),
        }
    }

    fn serve(&self) -> Process {
        let mut command = Command::new(PROGRAM);
        command
            .arg("serve")
            .env("LEDGERLINE_DATABASE_URL", &self.database)
            .env("LEDGERLINE_STATE_DIR", self.home.path().join("state"))
            .env("LEDGERLINE_BIND", format!("127.0.0.1:{}", self.server_port))
            .env("LEDGERLINE_SEGMENTS_PER_SECOND", "1500")
            .env("LEDGERLINE_LOG", "warn")
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.home.path().join("server.log"))
            .expect("opens");
        command.stderr(log);
        if let Some(port) = self.carrier_port {
            command
                .env("TWILIO_ACCOUNT_SID", SID)
                .env("TWILIO_AUTH_TOKEN", TOKEN)
                .env("TWILIO_PHONE_NUMBER", "+15005550006")
                .env("TWILIO_API_BASE", format!("http://127.0.0.1:{port}"));
        }
        let process = Process(command.spawn().expect("starts"));
        await_port(self.server_port);
        process
    }

    /// The command line, beside the running server; its answer is JSON.
    fn run(&self, arguments: &[&str]) -> Value {
        let output = Command::new(PROGRAM)
            .arg("--json")
            .args(arguments)
            .env("LEDGERLINE_DATABASE_URL", &self.database)
            .output()
            .expect("runs");
        let (out, err) = (output.stdout, output.stderr);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&err));
        let text = String::from_utf8(out).expect("UTF-8");
        serde_json::from_str(text.lines().last().unwrap_or("null")).unwrap_or_default()
    }

    fn account(&self) -> String {
        let made = self.run(&[
            "account",
            "create",
            "--name",
            "Torture",
            "--timezone",
            "America/New_York",
            "--quiet-hours",
            "off",
        ]);
        let account = made["id"].as_str().expect("an id").to_owned();
        let done = self.run(&["contacts", "import", CONTACTS, "--account", &account]);
        assert_eq!(
            (&done["created"], &done["rejected_count"]),
            (&5000.into(), &0.into()),
            "{done}"
        );
        account
    }

    fn credits(&self, account: &str, amount: &str) {
        self.run(&["credits", "grant", "--account", account, amount, "--reason", "for the test"]);
    }

    fn campaign(&self, account: &str) -> String {
        let made = self.run(&[
            "campaign",
            "create",
            "--account",
            account,
            "--name",
            "Spring",
            "--category",
            "marketing",
            "--body",
            "Spring check-up week: reply STOP to opt out.",
            "--all",
            "--resume-when-funded",
        ]);
        let id = made["id"].as_str().expect("an id").to_owned();
        self.run(&["campaign", "start", &id, "--account", account]);
        id
    }

    fn status(&self, account: &str, id: &str) -> Value {
        let all = self.run(&["campaign", "list", "--account", account]);
        let all = all.as_array().expect("a list").clone();
        all.into_iter().find(|one| one["id"] == id).expect("is there")
    }

    /// Lets the server live for a moment of chance, then kills it.
    fn kill_at_random(&self, mut server: Process) {
        let moment = Duration::from_millis(40 + self.dice.below(500));
        std::thread::park_timeout(moment);
        server.0.kill().expect("is there");
        server.0.wait().expect("ends");
    }

    fn await_status(&self, account: &str, id: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + WAIT;
        loop {
            let status = self.status(account, id);
            if wanted(&status) {
                return status;
            }
            let log = std::fs::read_to_string(self.home.path().join("server.log"));
            assert!(Instant::now() < deadline, "{status}\n{}", log.unwrap_or_default());
            std::thread::park_timeout(Duration::from_millis(100));
        }
    }

    fn assert_audit(&self, account: &str) {
        let audit = self.run(&["audit", "--account", account]);
        let text = audit.to_string();
        assert!(!text.contains("\"ok\":false") && text.contains("\"ok\":true"), "{text}");
    }
}

fn get(port: u16, path: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("connects");
    write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").expect("writes");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("reads");
    text.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default()
}

/// Phones in the carrier's record; fails if one is there twice.
fn phones(lines: &str) -> BTreeSet<String> {
    let mut phones = BTreeSet::new();
    for line in lines.lines().filter(|line| !line.is_empty()) {
        let one: Value = serde_json::from_str(line).expect("a line");
        let to = one["to"].as_str().expect("a phone").to_owned();
        assert!(phones.insert(to), "texted twice: {line}");
    }
    phones
}

fn number(value: &Value) -> i64 {
    value.as_i64().unwrap_or(-1)
}

/// Everything but the texts that were handed to a socket without ever arriving is as without the
/// kills; those few stay unknown, and their credits reserved.
fn assert_first_half(rig: &Rig, account: &str, status: &Value, accepted: i64) {
    let unknown = number(&status["counts"]["unknown"]);
    assert!(unknown <= 10, "{status}");
    assert_eq!(accepted + unknown, 3000, "{status}");
    let wallet = rig.run(&["credits", "show", "--account", account]);
    assert_eq!(number(&wallet["available"]), 0, "{wallet}");
    assert_eq!(number(&wallet["spent"]), accepted, "{wallet}");
    assert_eq!(number(&wallet["reserved"]), unknown, "{wallet}");
}

async fn torture_a_paid_campaign_survives_five_kills(engine: Engine) {
    let carrier_port = free_port();
    let carrier = Command::new(PROGRAM)
        .args(["carrier", "--port", &carrier_port.to_string()])
        .args(["--account-sid", SID, "--auth-token", TOKEN, "--latency-ms", "5"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let _carrier = Process(carrier.expect("starts"));
    await_port(carrier_port);
    let rig = Rig::new(&engine, Some(carrier_port));
    let account = rig.account();
    rig.credits(&account, "3000");
    let id = rig.campaign(&account);
    for _ in 0..5 {
        rig.kill_at_random(rig.serve());
    }
    let server = rig.serve();
    let record = || phones(&get(carrier_port, "/sandbox/messages?limit=100000"));
    // Texts that were taken back from a dead process wait for credits like those never taken up.
    let settled = |status: &Value| {
        let counts = &status["counts"];
        number(&counts["sending"]) + number(&counts["sent"]) == 0
    };
    let status =
        rig.await_status(&account, &id, |status| status["state"] == "paused" && settled(status));
    assert_eq!(status["pause_reason"], "credits", "{status}");
    let accepted = i64::try_from(record().len()).expect("few");
    assert_first_half(&rig, &account, &status, accepted);
    assert_eq!(number(&status["counts"]["delivered"]), accepted, "{status}");
    rig.assert_audit(&account);

    rig.credits(&account, "5000");
    rig.kill_at_random(server);
    let _server = rig.serve();
    let status = rig.await_status(&account, &id, |status| {
        let state = status["state"].as_str().unwrap_or_default();
        matches!(state, "completed" | "draining")
            && settled(status)
            && number(&status["counts"]["deferred"]) == 0
    });
    let unknown = number(&status["counts"]["unknown"]);
    let accepted = i64::try_from(record().len()).expect("few");
    assert!(unknown <= 12, "{status}");
    assert_eq!(accepted + unknown, 4490, "{status}");
    assert_eq!(number(&status["counts"]["skipped"]), 510, "{status}");
    assert_eq!(status["state"], if unknown == 0 { "completed" } else { "draining" });
    let wallet = rig.run(&["credits", "show", "--account", &account]);
    assert_eq!(number(&wallet["available"]), 8000 - 4490, "{wallet}");
    rig.assert_audit(&account);
}

async fn torture_the_server_with_its_own_sandbox_survives_kills(engine: Engine) {
    let rig = Rig::new(&engine, None);
    let account = rig.account();
    rig.credits(&account, "3000");
    let id = rig.campaign(&account);
    for _ in 0..3 {
        rig.kill_at_random(rig.serve());
    }
    let _server = rig.serve();
    let status = rig.await_status(&account, &id, |status| {
        let counts = &status["counts"];
        let moving = number(&counts["sent"]) + number(&counts["sending"]);
        status["state"] == "paused" && moving == 0
    });
    // The carrier died with the server each time; its record decides about every text.
    let unknown = number(&status["counts"]["unknown"]);
    assert_eq!(unknown, 0, "{status}");
    assert_eq!(number(&status["counts"]["delivered"]) + unknown, 3000, "{status}");
    let files = std::fs::read_dir(record_dir(&rig, &engine)).expect("a directory");
    let record = files
        .filter_map(|file| Some(file.ok()?.path()))
        .find(|path| {
            let name = path.to_string_lossy();
            name.contains("sandbox") && name.ends_with(".jsonl")
        })
        .expect("a record");
    let lines = std::fs::read_to_string(record).expect("reads");
    let accepted: Vec<&str> = lines.lines().filter(|line| line.contains("\"to\":")).collect();
    let accepted = phones(&accepted.join("\n"));
    assert_eq!(i64::try_from(accepted.len()).expect("few") + unknown, 3000);
    rig.assert_audit(&account);
}

fn record_dir(rig: &Rig, engine: &Engine) -> std::path::PathBuf {
    match engine.directory() {
        Some(directory) => Path::new(directory).to_path_buf(),
        None => rig.home.path().join("state"),
    }
}
