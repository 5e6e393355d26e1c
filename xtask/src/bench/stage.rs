//! Where a benchmark runs: a database, the sandbox carrier and the server, all made for it and
//! gone after it.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};
use cluster::Cluster;
use tempfile::TempDir;

use super::processes::{Cost, Program, cost_of_family};
use super::shop::Shop;

/// Builds the server for release and says where it is.
pub fn build() -> anyhow::Result<PathBuf> {
    let built = Command::new(env!("CARGO"))
        .args(["build", "--release", "--quiet", "--package", "ledgerline"])
        .status()?;
    ensure!(built.success(), "the release build failed");
    let here = std::env::current_exe()?;
    let program = here.parent().context("xtask runs from the target directory")?;
    Ok(program.join("ledgerline"))
}

/// The engines named in `only`, in the order of this list.
pub fn engines(only: &[String]) -> impl Iterator<Item = &'static str> {
    ["sqlite", "postgres"].into_iter().filter(|engine| only.iter().any(|name| name == engine))
}

/// What the carrier does beside accepting texts.
#[derive(Clone, Copy, Debug, Default)]
pub struct Carrying {
    /// It sends receipts.
    pub receipts: bool,
    /// It keeps its record in a file.
    pub record: bool,
}

/// A server that sends to a carrier. Parts are ended in the order they stand here.
pub struct Stage {
    pub server: Program,
    pub carrier: Program,
    pub shop: Shop,
    cluster: Option<Cluster>,
    home: TempDir,
}

impl Stage {
    /// Starts everything on an empty database of `engine`.
    pub fn set(program: &Path, engine: &str, carrying: Carrying) -> anyhow::Result<Self> {
        let home = tempfile::Builder::new().prefix("ledgerline-bench").tempdir()?;
        let cluster = (engine == "postgres").then(Cluster::start_on_disk).transpose()?;
        let database = match &cluster {
            Some(cluster) => cluster.url().to_owned(),
            None => format!("sqlite://{}", home.path().join("bench.db").display()),
        };
        let record = carrying.record.then(|| record_in(home.path()));
        let carrier = Program::carrier(program, carrying.receipts, record.as_deref())?;
        let server = Program::server(program, &database, home.path(), carrier.port)?;
        let shop = Shop { program: program.to_owned(), database };
        Ok(Self { server, carrier, shop, cluster, home })
    }

    /// The directory of this stage.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// The file of the carrier's own record, if it keeps one: a JSON object a line.
    pub fn record(&self) -> PathBuf {
        record_in(self.home())
    }

    /// What each process cost so far.
    pub fn costs(&self) -> Vec<(&'static str, Cost)> {
        let postgres = self.cluster.as_ref().map(|cluster| cost_of_family(cluster.keeper_id()));
        let costs = [self.carrier.cost(), self.server.cost(), postgres];
        let named = ["carrier", "server", "postgres"].into_iter().zip(costs);
        named.filter_map(|(name, cost)| Some((name, cost?))).collect()
    }

    /// What each process cost since `before`.
    pub fn costs_since(&self, before: &[(&'static str, Cost)]) -> Vec<(&'static str, Cost)> {
        let earlier =
            |name| before.iter().find(|one| one.0 == name).map_or(Cost::default(), |one| one.1);
        let now = self.costs().into_iter();
        now.map(|(name, cost)| (name, cost.since(earlier(name)))).collect()
    }

    /// Audits the books and ends the processes in order.
    pub fn strike(self) -> anyhow::Result<()> {
        self.shop.run(&["audit"]).context("the audit after the run")?;
        self.server.stop()?;
        self.carrier.stop()
    }
}

fn record_in(home: &Path) -> PathBuf {
    home.join("carrier.jsonl")
}
