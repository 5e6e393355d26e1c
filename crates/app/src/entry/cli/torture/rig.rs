//! The processes: the server, the carrier and, for `PostgreSQL`, a private database server. All
//! are started here, killed here and ended here, by their ids and in no other way.

use std::fs::File;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use clap::ValueEnum;
use cluster::Cluster;
use data_encoding::HEXLOWER;
use domain::seam::Dice;
use serde::Serialize;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};
use twilio::sandbox::Knobs;

use super::call::{ANSWER_MAX, Api, Ask};
use super::faults::{Kill, absence, fair_weather};
use crate::entry::cli::failure::{Failure, Result, failed};
use crate::seam::SystemDice;

const SID: &str = "AC0123456789abcdef0123456789abcdef";
const TOKEN: &str = "the token of the torture";
const SENDER: &str = "+15005550006";
/// A process that does not answer by then never will.
const START_MAX: Duration = Duration::from_secs(90);
const LOOK: Duration = Duration::from_millis(5);
const LOOK_MAX: Duration = Duration::from_secs(2);
/// A server that ends at once is started again after this pause, as a supervisor does.
const RESTART_PAUSE: Duration = Duration::from_millis(100);
/// Ports are taken from here on, up to where the system's own choice begins: no connection may
/// take the port of a process that is away.
const PORTS_FROM: u16 = 20_000;
/// How soon an unknown text is decided, in seconds: as little as real processes on a busy machine
/// allow, so that a run sees many of them decided.
const BOUNDS: [(&str, &str); 5] = [
    ("LEDGERLINE_VALIDITY_SECONDS", "5"),
    ("LEDGERLINE_TRANSIT_SECONDS", "2"),
    ("LEDGERLINE_MARGIN_SECONDS", "2"),
    ("LEDGERLINE_LEASE_SECONDS", "10"),
    ("LEDGERLINE_POLL_AFTER_SECONDS", "5"),
];

/// Which database keeps what must not be lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Engine {
    /// The file inside the server
    Sqlite,
    /// A private server, with the programs of Debian's package `postgresql`
    Postgres,
}

/// Everything that runs.
pub struct Rig {
    program: PathBuf,
    /// Ends a process when this one is gone; where there is no such program, only we do.
    leash: Option<PathBuf>,
    home: PathBuf,
    database_url: String,
    cluster: Option<Cluster>,
    engine: Engine,
    server: Option<Child>,
    carrier: Option<Child>,
    server_port: u16,
    carrier_port: u16,
    operator_key: String,
    segments_per_second: u32,
    knobs: Knobs,
    server_was_up: bool,
    /// How often the server ended although nobody killed it and it was serving already. One that
    /// finds no database at its start ends, and is started again, in good order.
    pub ended_by_itself: u64,
}

impl Rig {
    /// Prepares everything in `home`; nothing runs yet but the database server.
    pub async fn prepare(home: &Path, engine: Engine, segments_per_second: u32) -> Result<Self> {
        let program = std::env::current_exe()
            .map_err(|error| failed(format!("cannot find this program: {error}")))?;
        let cluster = match engine {
            Engine::Sqlite => None,
            Engine::Postgres => Some(start_cluster().await?),
        };
        let database_url = cluster.as_ref().map_or_else(
            || format!("sqlite://{}", home.join("ledgerline.db").display()),
            |cluster| cluster.url().to_owned(),
        );
        Ok(Self {
            program,
            leash: find_program("setpriv"),
            home: home.to_owned(),
            database_url,
            cluster,
            engine,
            server: None,
            carrier: None,
            server_port: free_port()?,
            carrier_port: free_port()?,
            operator_key: operator_key(),
            segments_per_second,
            knobs: fair_weather(),
            server_was_up: false,
            ended_by_itself: 0,
        })
    }

    /// The database.
    pub fn database_url(&self) -> &str {
        &self.database_url
    }

    /// The database is a server that can be killed.
    pub fn has_database_server(&self) -> bool {
        self.engine == Engine::Postgres
    }

    /// The server's paths for its operator.
    pub fn operator_api(&self) -> Api {
        Api { port: self.server_port, key: self.operator_key.clone() }
    }

    /// The carrier's own paths.
    pub fn carrier_api(&self) -> Api {
        Api { port: self.carrier_port, key: String::new() }
    }

    /// Starts the carrier and the server.
    pub async fn start(&mut self) -> Result {
        self.start_carrier()?;
        self.start_server()?;
        self.await_up().await
    }

    /// Kills a victim, lets it stay away for a while, and starts it again.
    pub async fn kill(&mut self, victim: Kill, dice: &dyn Dice) -> Result {
        match victim {
            Kill::Server => {
                end(&mut self.server).await;
                sleep(absence(dice)).await;
                self.start_server()
            }
            Kill::Carrier => {
                end(&mut self.carrier).await;
                sleep(absence(dice)).await;
                self.start_carrier()
            }
            Kill::ServerAndCarrier => {
                self.end_processes().await;
                sleep(absence(dice)).await;
                self.start_carrier()?;
                self.start_server()
            }
            Kill::Database => {
                self.order_cluster(Cluster::crash).await?;
                sleep(absence(dice)).await;
                self.order_cluster(Cluster::recover).await
            }
        }
    }

    /// Waits until everything answers; starts the server again if it ended by itself.
    pub async fn await_up(&mut self) -> Result {
        self.keep_up().await?;
        let until = Instant::now() + START_MAX;
        while !answers(&self.carrier_api(), "/sandbox/summary").await {
            let ended = self.carrier.as_mut().is_none_or(|one| !matches!(one.try_wait(), Ok(None)));
            if ended || Instant::now() > until {
                return Err(self.does_not_start("carrier"));
            }
            sleep(LOOK).await;
        }
        self.tell_knobs().await?;
        while !answers(&self.operator_api(), "/healthz").await {
            self.keep_up().await?;
            if Instant::now() > until {
                return Err(self.does_not_start("server"));
            }
            sleep(LOOK).await;
        }
        self.server_was_up = true;
        Ok(())
    }

    /// Starts the server again if it ended by itself, as a supervisor does.
    pub async fn keep_up(&mut self) -> Result {
        let lives = |server: &mut Child| matches!(server.try_wait(), Ok(None));
        if self.server.as_mut().is_some_and(lives) {
            return Ok(());
        }
        self.ended_by_itself += u64::from(self.server_was_up);
        sleep(RESTART_PAUSE).await;
        self.start_server()
    }

    /// Has the carrier behave so from now on.
    pub async fn set_knobs(&mut self, knobs: Knobs) -> Result {
        self.knobs = knobs;
        self.tell_knobs().await
    }

    async fn tell_knobs(&self) -> Result {
        let body = serde_json::to_vec(&self.knobs).expect("knobs are valid JSON");
        let ask = Ask::post("/sandbox/knobs", &body);
        self.carrier_api().insist(&ask, ANSWER_MAX).await?.done("the carrier's knobs").map(drop)
    }

    /// Ends everything, whatever it is doing.
    pub async fn end(&mut self) {
        self.end_processes().await;
        self.cluster = None;
    }

    async fn end_processes(&mut self) {
        tokio::join!(end(&mut self.server), end(&mut self.carrier));
    }

    /// Has a database server learn how many rows there are, before all of them are read.
    pub async fn prepare_to_read(&mut self) -> Result {
        self.order_cluster(|cluster| cluster::query(cluster.url(), "analyze")).await
    }

    /// Keeps a copy of a database that would go with its server.
    pub fn keep_database(&self) -> std::io::Result<()> {
        match &self.cluster {
            Some(cluster) => cluster::dump(cluster.url(), &self.home.join("database.sql")),
            None => Ok(()),
        }
    }

    fn start_server(&mut self) -> Result {
        let mut command = self.command("server.log")?;
        command
            .arg("serve")
            .envs(BOUNDS)
            .env("LEDGERLINE_DATABASE_URL", &self.database_url)
            .env("LEDGERLINE_STATE_DIR", self.home.join("state"))
            .env("LEDGERLINE_BIND", format!("127.0.0.1:{}", self.server_port))
            .env("LEDGERLINE_OPERATOR_KEY", &self.operator_key)
            .env("LEDGERLINE_SEGMENTS_PER_SECOND", self.segments_per_second.to_string())
            .env("TWILIO_ACCOUNT_SID", SID)
            .env("TWILIO_AUTH_TOKEN", TOKEN)
            .env("TWILIO_PHONE_NUMBER", SENDER)
            .env("TWILIO_API_BASE", format!("http://127.0.0.1:{}", self.carrier_port));
        self.server = Some(spawn(&mut command)?);
        self.server_was_up = false;
        Ok(())
    }

    fn start_carrier(&mut self) -> Result {
        let mut command = self.command("carrier.log")?;
        command
            .args(["carrier", "--port", &self.carrier_port.to_string()])
            .args(["--account-sid", SID, "--auth-token", TOKEN, "--record"])
            .arg(self.home.join("carrier.jsonl"));
        self.carrier = Some(spawn(&mut command)?);
        Ok(())
    }

    /// This program in an environment of its own, so that no setting of yours reaches it.
    fn command(&self, log: &str) -> Result<Command> {
        let mut command = match &self.leash {
            Some(leash) => {
                let mut command = Command::new(leash);
                command.args(["--pdeathsig", "KILL", "--"]).arg(&self.program);
                command
            }
            None => Command::new(&self.program),
        };
        let log = File::options().create(true).append(true).open(self.home.join(log))?;
        command
            .env_clear()
            .current_dir(&self.home)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true);
        // A planted bug bites in what is tortured, so that the torture can be seen to find it.
        if cfg!(feature = "mutants") {
            command.envs(std::env::vars_os().filter(|(name, _)| name == "LEDGERLINE_MUTANT"));
        }
        Ok(command)
    }

    async fn order_cluster(
        &mut self,
        order: impl FnOnce(&mut Cluster) -> std::io::Result<()> + Send + 'static,
    ) -> Result {
        let Some(mut cluster) = self.cluster.take() else { return Ok(()) };
        // The clients go on meanwhile.
        let obeyed = tokio::task::spawn_blocking(move || {
            let outcome = order(&mut cluster);
            (cluster, outcome)
        });
        let (cluster, outcome) = obeyed.await.expect("it does not panic");
        self.cluster = Some(cluster);
        outcome.map_err(|error| failed(error.to_string()))
    }

    fn does_not_start(&self, what: &str) -> Failure {
        let log = self.home.join(format!("{what}.log"));
        let text = std::fs::read_to_string(log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        let last = lines[lines.len().saturating_sub(10)..].join("\n");
        failed(format!("the {what} does not start; its log ends so:\n{last}"))
    }
}

fn operator_key() -> String {
    let mut chance = [0; 16];
    SystemDice.fill(&mut chance);
    HEXLOWER.encode(&chance)
}

fn spawn(command: &mut Command) -> Result<Child> {
    command.spawn().map_err(|error| failed(format!("cannot start a process: {error}")))
}

/// `kill -9`.
async fn end(process: &mut Option<Child>) {
    if let Some(mut child) = process.take() {
        // It may have ended already; the next start tells.
        drop(child.kill().await);
    }
}

async fn start_cluster() -> Result<Cluster> {
    let started = tokio::task::spawn_blocking(Cluster::start).await.expect("it does not panic");
    started.map_err(|error| failed(error.to_string()))
}

/// A process takes connections before it answers.
async fn answers(api: &Api, path: &str) -> bool {
    let answer = api.ask(&Ask::get(path), LOOK_MAX).await;
    answer.is_some_and(|answer| answer.status == 200)
}

fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).map(|place| place.join(name)).find(|file| file.is_file())
}

/// A port that nobody has, outside of those that the system gives to connections.
fn free_port() -> Result<u16> {
    const TRIES: usize = 200;
    let range = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range");
    let first = range.unwrap_or_default().split_whitespace().next().and_then(|n| n.parse().ok());
    let upto = first.filter(|first| *first > PORTS_FROM).unwrap_or(u16::MAX);
    (0..TRIES)
        .filter_map(|_| {
            let nth = SystemDice.below(u64::from(upto - PORTS_FROM));
            Some(PORTS_FROM + u16::try_from(nth).ok()?)
        })
        .find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok())
        .ok_or_else(|| failed("no free port was found on 127.0.0.1"))
}
