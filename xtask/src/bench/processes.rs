//! Processes of the benchmark, and what they cost.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

const SID: &str = "AC00000000000000000000000000000001";
const TOKEN: &str = "a token for the bench";
/// The kernel counts CPU time in hundredths of a second (`USER_HZ`).
const TICK: Duration = Duration::from_millis(10);

/// CPU time and peak memory of a process, or of several.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cost {
    pub cpu: Duration,
    pub peak_kib: u64,
}

impl Cost {
    /// The CPU time since an earlier reading; the peak is the later one.
    pub fn since(self, earlier: Self) -> Self {
        Self { cpu: self.cpu.saturating_sub(earlier.cpu), ..self }
    }
}

/// A process of ours, ended when dropped.
pub struct Program {
    child: Child,
    pub port: u16,
}

impl Program {
    /// The sandbox carrier; `record` is the file that keeps what it accepted.
    pub fn carrier(program: &Path, receipts: bool, record: Option<&Path>) -> anyhow::Result<Self> {
        let port = free_port()?;
        let mut command = Command::new(program);
        command.args(["carrier", "--port", &port.to_string()]);
        command.args(["--account-sid", SID, "--auth-token", TOKEN]);
        if let Some(record) = record {
            command.arg("--record").arg(record);
        }
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let carrier = Self { child, port };
        carrier.await_port()?;
        let knobs = format!("{{\"receipts\":{receipts},\"receipt_delay_ms\":100}}");
        post(port, "/sandbox/knobs", &knobs)?;
        Ok(carrier)
    }

    /// The server, sending to the carrier on `carrier_port`.
    pub fn server(
        program: &Path,
        database: &str,
        home: &Path,
        carrier_port: u16,
    ) -> anyhow::Result<Self> {
        let port = free_port()?;
        let log = fs::File::create(home.join("server.log"))?;
        let child = Command::new(program)
            .arg("serve")
            .env("LEDGERLINE_DATABASE_URL", database)
            .env("LEDGERLINE_STATE_DIR", home.join("wire"))
            .env("LEDGERLINE_BIND", format!("127.0.0.1:{port}"))
            .env("LEDGERLINE_LOG", "warn")
            .env("TWILIO_ACCOUNT_SID", SID)
            .env("TWILIO_AUTH_TOKEN", TOKEN)
            .env("TWILIO_PHONE_NUMBER", "+15005550006")
            .env("TWILIO_API_BASE", format!("http://127.0.0.1:{carrier_port}"))
            .env("LEDGERLINE_SEGMENTS_PER_SECOND", "1000000")
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()?;
        let server = Self { child, port };
        server.await_port()?;
        Ok(server)
    }

    fn await_port(&self) -> anyhow::Result<()> {
        let deadline = Instant::now() + Duration::from_secs(30);
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            if Instant::now() > deadline {
                bail!("nothing listens on port {}", self.port);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// What it cost so far.
    pub fn cost(&self) -> Option<Cost> {
        cost_of(self.child.id())
    }

    /// Ends it in order.
    pub fn stop(mut self) -> anyhow::Result<()> {
        Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status()?;
        let deadline = Instant::now() + Duration::from_secs(30);
        while self.child.try_wait()?.is_none() {
            if Instant::now() > deadline {
                bail!("a process does not end when asked to");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn free_port() -> anyhow::Result<u16> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// What a process cost so far; `None` when it is gone.
pub fn cost_of(id: u32) -> Option<Cost> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The name in parentheses may hold blanks; fields are counted after it.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks: u32 = fields.get(11)?.parse::<u32>().ok()? + fields.get(12)?.parse::<u32>().ok()?;
    let status = fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let peak =
        status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.split_whitespace().next());
    Some(Cost { cpu: TICK * ticks, peak_kib: peak?.parse().ok()? })
}

/// What a process and all its descendants cost; memory that they share is counted for each.
pub fn cost_of_family(id: u32) -> Cost {
    let mut sum = Cost::default();
    let mut family = vec![id];
    while let Some(id) = family.pop() {
        if let Some(cost) = cost_of(id) {
            sum.cpu += cost.cpu;
            sum.peak_kib += cost.peak_kib;
        }
        let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children"));
        family.extend(
            children.unwrap_or_default().split_whitespace().filter_map(|id| id.parse::<u32>().ok()),
        );
    }
    sum
}

/// What all programs of this machine used of its processors since it was started.
pub fn cost_of_machine() -> anyhow::Result<Duration> {
    let stat = fs::read_to_string("/proc/stat")?;
    let first = stat.lines().next().unwrap_or_default();
    let fields: Vec<u64> = first.split_whitespace().filter_map(|it| it.parse().ok()).collect();
    // user nice system idle iowait irq softirq
    let [user, nice, system, _, _, irq, softirq, ..] = fields[..] else {
        bail!("/proc/stat begins with {first:?}");
    };
    let ticks = user + nice + system + irq + softirq;
    Ok(Duration::from_millis(ticks * 10))
}

/// How many programs wanted a processor during the last minute.
pub fn load() -> anyhow::Result<String> {
    let load = fs::read_to_string("/proc/loadavg")?;
    Ok(load.split(' ').next().unwrap_or_default().to_owned())
}

/// One GET on loopback.
pub fn get(port: u16, path: &str) -> anyhow::Result<String> {
    exchange(port, &format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"))
}

/// One GET on loopback that an API key opens.
pub fn get_with_key(port: u16, path: &str, key: &str) -> anyhow::Result<String> {
    let head = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n");
    exchange(port, &format!("{head}Authorization: Bearer {key}\r\n\r\n"))
}

/// One POST of JSON on loopback.
pub fn post(port: u16, path: &str, body: &str) -> anyhow::Result<String> {
    exchange(
        port,
        &format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: \
         application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ),
    )
}

fn exchange(port: u16, request: &str) -> anyhow::Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.write_all(request.as_bytes())?;
    let mut reader = BufReader::new(stream);
    let mut first = String::new();
    reader.read_line(&mut first)?;
    let mut rest = String::new();
    reader.read_to_string(&mut rest)?;
    let (_, body) = rest.split_once("\r\n\r\n").context("an HTTP answer")?;
    if !first.contains(" 200 ") {
        bail!("{}: {body}", first.trim());
    }
    Ok(body.to_owned())
}

/// The account and token of the benchmark's carrier.
pub const fn credentials() -> (&'static str, &'static str) {
    (SID, TOKEN)
}
