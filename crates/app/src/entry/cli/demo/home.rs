//! The demo's directory: its database, its settings, and what is remembered between two runs.

use std::fs;
use std::io::Write as _;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use domain::ids::{AccountId, SenderId, StreamId};
use serde::{Deserialize, Serialize};

use crate::entry::app::is_file_served;
use crate::entry::cli::failure::{Failure, Result, failed, usage};
use crate::entry::settings::Settings;

/// Only a directory with this file is the demo's to empty.
const MARK: &str = ".ledgerline-demo.json";
/// Every other file of the demo begins so.
const PREFIX: &str = "ledgerline.";
const DATABASE: &str = "ledgerline.db";
const CONFIG: &str = "ledgerline.toml";
const LOG: &str = "ledgerline.log";

/// What is remembered.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Memory {
    /// Where the server listened; receipts come back there.
    pub bind: SocketAddr,
    /// Opens the operator's routes.
    pub operator_key: String,
    /// The invented business, once it is there.
    pub cast: Option<Cast>,
}

/// Who plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cast {
    /// The account.
    pub account: AccountId,
    /// Its sender.
    pub sender: SenderId,
    /// The campaign.
    pub campaign: StreamId,
}

/// The directory.
#[derive(Clone, Debug)]
pub struct Home {
    dir: PathBuf,
    /// As it was named, for sentences.
    shown: PathBuf,
}

impl Home {
    /// A new or emptied directory.
    pub fn fresh(dir: &Path) -> Result<Self> {
        fs::create_dir_all(dir).map_err(|error| cannot("make", dir, &error))?;
        let home = Self::at(dir)?;
        let entries = fs::read_dir(&home.dir).map_err(|error| cannot("read", dir, &error))?;
        let paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
        if !paths.is_empty() && !home.dir.join(MARK).is_file() {
            return Err(usage(format!(
                "--dir: {} holds files that are not the demo's; name another directory",
                dir.display()
            )));
        }
        if home.is_served()? {
            return Err(failed(format!(
                "a demo runs in {} already; stop it first, or top it up with --top-up",
                dir.display()
            )));
        }
        for path in paths {
            remove_ours(&path).map_err(|error| cannot("empty", dir, &error))?;
        }
        Ok(home)
    }

    /// The directory of an earlier run, with what is remembered of it.
    pub fn open(dir: &Path) -> Result<(Self, Memory)> {
        let none = || {
            usage(format!(
                "there is no demo in {}; start one with `ledgerline demo`",
                dir.display()
            ))
        };
        if !dir.join(MARK).is_file() {
            return Err(none());
        }
        let home = Self::at(dir)?;
        let text =
            fs::read_to_string(home.dir.join(MARK)).map_err(|error| cannot("read", dir, &error))?;
        let memory = serde_json::from_str(&text).map_err(|_| none())?;
        Ok((home, memory))
    }

    fn at(dir: &Path) -> Result<Self> {
        let full = dir.canonicalize().map_err(|error| cannot("find", dir, &error))?;
        Ok(Self { dir: full, shown: dir.to_path_buf() })
    }

    /// A server sends from the demo's database now.
    pub fn is_served(&self) -> Result<bool> {
        let path = self.dir.join(DATABASE);
        if !path.exists() {
            return Ok(false);
        }
        is_file_served(&path).map_err(|error| cannot("lock", &self.shown, &error))
    }

    /// Keeps what must be remembered, and the settings for other commands.
    pub fn keep(&self, memory: &Memory) -> Result {
        let json = serde_json::to_vec(memory).expect("plain values are valid JSON");
        self.write(MARK, &json)?;
        self.write(CONFIG, self.config_text(memory).as_bytes())
    }

    fn config_text(&self, memory: &Memory) -> String {
        // A JSON string is a TOML string as well.
        let text = |text: &str| serde_json::to_string(text).expect("texts are valid JSON");
        format!(
            "# The demo's settings: ledgerline --config {} serve\n\
             database_url = {}\nbind = {}\noperator_key = {}\n",
            self.config().display(),
            text(&self.database_url()),
            text(&memory.bind.to_string()),
            text(&memory.operator_key),
        )
    }

    /// The file holds keys: only its owner reads it.
    fn write(&self, name: &str, bytes: &[u8]) -> Result {
        let path = self.dir.join(name);
        let mut options = fs::OpenOptions::new();
        let file = options.write(true).create(true).truncate(true).mode(0o600).open(&path);
        file.and_then(|mut file| file.write_all(bytes))
            .map_err(|error| cannot("write", &path, &error))
    }

    /// The settings file, as a person types it.
    pub fn config(&self) -> PathBuf {
        self.shown.join(CONFIG)
    }

    /// The directory, as it was named.
    pub fn shown(&self) -> &Path {
        &self.shown
    }

    /// Where the log goes while the terminal shows other things.
    pub fn log(&self) -> Result<fs::File> {
        let path = self.dir.join(LOG);
        let file = fs::OpenOptions::new().create(true).append(true).open(&path);
        file.map_err(|error| cannot("write", &path, &error))
    }

    fn database_url(&self) -> String {
        let path = self.dir.join(DATABASE).display().to_string();
        format!("sqlite://{}", path.replace('%', "%25").replace('?', "%3F").replace('#', "%23"))
    }

    /// The demo's own settings; the environment has no say, so that no text reaches anybody.
    pub fn settings(&self, memory: &Memory) -> Settings {
        Settings {
            database_url: self.database_url(),
            bind: memory.bind,
            operator_key: Some(memory.operator_key.clone().into()),
            ..Settings::private(&self.dir)
        }
    }
}

fn remove_ours(path: &Path) -> std::io::Result<()> {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    // The mark stays until all is written anew, so that a killed demo can be emptied again.
    if !name.starts_with(PREFIX) {
        return Ok(());
    }
    if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }
}

fn cannot(what: &str, path: &Path, error: &std::io::Error) -> Failure {
    failed(format!("cannot {what} {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory() -> Memory {
        let bind = SocketAddr::from(([127, 0, 0, 1], 8080));
        Memory { bind, operator_key: "a key".to_owned(), cast: None }
    }

    #[test]
    fn only_a_demo_is_emptied() {
        let dir = tempfile::tempdir().expect("a directory");
        fs::write(dir.path().join("letter.txt"), "dear").expect("writes");
        assert!(matches!(Home::fresh(dir.path()), Err(Failure::Usage(_))));
        assert!(matches!(Home::open(dir.path()), Err(Failure::Usage(_))));
        assert!(dir.path().join("letter.txt").exists());

        let demo = dir.path().join("100% demo?");
        let home = Home::fresh(&demo).expect("a new one");
        home.keep(&memory()).expect("writes");
        fs::create_dir(demo.join("ledgerline.db.wire")).expect("makes");
        fs::write(demo.join(DATABASE), "old").expect("writes");
        fs::write(demo.join("notes.txt"), "mine").expect("writes");
        assert_eq!(Home::open(&demo).expect("is there").1.operator_key, "a key");
        Home::fresh(&demo).expect("emptied");
        assert!(!demo.join(DATABASE).exists() && !demo.join("ledgerline.db.wire").exists());
        assert!(demo.join("notes.txt").exists() && demo.join(MARK).exists());
    }

    #[test]
    fn other_commands_find_the_demo_by_its_settings() {
        let dir = tempfile::tempdir().expect("a directory");
        let home = Home::fresh(&dir.path().join("50% \"off\"?")).expect("a new one");
        home.keep(&memory()).expect("writes");
        let settings = home.settings(&memory());
        let text = fs::read_to_string(home.config()).expect("is there");
        assert!(text.contains("50%25 \\\"off\\\"%3F/ledgerline.db"), "{text}");
        assert!(settings.database_url.ends_with("50%25 \"off\"%3F/ledgerline.db"));
        assert!(settings.twilio.is_none());
    }
}
