//! Databases of a test's own on real servers, and the binary run over them as a person runs it.
//!
//! The servers are those of `infra/local/servers up`, found by its variables.

#![allow(dead_code)] // Each test file uses its part.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, OptsBuilder};
use serde_json::Value;

/// A server of the tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Server {
    MySql1,
    MySql2,
    MySqlTarget,
    MariaDb,
    TiDb,
}

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| {
        panic!("{name} is not set: run `make test`, or `. target/servers/env` after `infra/local/servers up`")
    })
}

impl Server {
    pub fn port(self) -> u16 {
        let name = match self {
            Self::MySql1 => "TIDEWAY_TEST_MYSQL1_PORT",
            Self::MySql2 => "TIDEWAY_TEST_MYSQL2_PORT",
            Self::MySqlTarget => "TIDEWAY_TEST_MYSQL_TARGET_PORT",
            Self::MariaDb => "TIDEWAY_TEST_MARIADB_PORT",
            Self::TiDb => "TIDEWAY_TEST_TIDB_PORT",
        };
        variable(name).parse().unwrap()
    }

    pub fn password(self) -> String {
        match self {
            Self::TiDb => variable("TIDEWAY_TEST_TIDB_PASSWORD"),
            _ => variable("TIDEWAY_TEST_ROOT_PASSWORD"),
        }
    }

    pub async fn connect(self) -> Conn {
        let opts = OptsBuilder::default()
            .ip_or_hostname("127.0.0.1")
            .tcp_port(self.port())
            .user(Some("root"))
            .pass(Some(self.password()))
            .prefer_socket(false)
            .setup(vec![
                "SET NAMES utf8mb4",
                "SET time_zone = '+00:00'",
                "SET sql_mode = 'NO_AUTO_VALUE_ON_ZERO,ALLOW_INVALID_DATES'",
            ]);
        Conn::new(opts).await.unwrap()
    }
}

/// How a command ended.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Ended {
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(
            self.code,
            Some(code),
            "unexpected end\n--- stdout\n{}\n--- stderr\n{}",
            self.stdout,
            self.stderr
        );
        self
    }

    /// The reports, of a run with `--output json`.
    pub fn reports(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap()
    }
}

/// A migration that somebody else has done: source and target with what the test put there.
pub struct Pair {
    pub folder: tempfile::TempDir,
    pub name: String,
    pub sources: Vec<Server>,
    pub target: Server,
    /// Routes of the task file.
    pub routes: String,
    /// The mode of the task.
    pub mode: &'static str,
}

static NUMBER: AtomicU32 = AtomicU32::new(0);

impl Pair {
    /// Databases of one name on both servers.
    pub async fn new(source: Server, target: Server) -> Self {
        Self::with(&[source], target, false).await
    }

    /// With several sources; `routed`: the target's database has another name.
    pub async fn with(sources: &[Server], target: Server, routed: bool) -> Self {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("tw_validate_{}_{number}", std::process::id());
        let same = sources.iter().any(|source| source.port() == target.port());
        let routes = if routed || same {
            format!(
                "routes:\n  r:\n    schema-pattern: \"{name}\"\n    target-schema: \"{name}_t\"\n"
            )
        } else {
            String::new()
        };
        let pair = Self {
            folder: tempfile::tempdir().unwrap(),
            name,
            sources: sources.to_vec(),
            target,
            routes,
            mode: "full",
        };
        for source in sources {
            let mut conn = source.connect().await;
            for statement in ["DROP DATABASE IF EXISTS", "CREATE DATABASE"] {
                conn.query_drop(format!("{statement} `{}`", pair.name))
                    .await
                    .unwrap();
            }
        }
        let mut conn = target.connect().await;
        for statement in ["DROP DATABASE IF EXISTS", "CREATE DATABASE"] {
            conn.query_drop(format!("{statement} `{}`", pair.target_schema()))
                .await
                .unwrap();
        }
        pair.write_files();
        pair
    }

    pub fn target_schema(&self) -> String {
        if self.routes.is_empty() {
            self.name.clone()
        } else {
            format!("{}_t", self.name)
        }
    }

    /// Where apply's checkpoint would be.
    pub fn meta_schema(&self) -> String {
        format!("{}_meta", self.name)
    }

    pub fn write_files(&self) {
        let mut task = format!(
            "name: \"{}\"\ntask-mode: \"{}\"\nmeta-schema: \"{}\"\ntarget-database:\n  host: \"127.0.0.1\"\n  port: {}\n  user: \"root\"\n  password: \"{}\"\nmysql-instances:\n",
            self.name,
            self.mode,
            self.meta_schema(),
            self.target.port(),
            self.target.password()
        );
        for (number, source) in self.sources.iter().enumerate() {
            let rules = if self.routes.is_empty() {
                ""
            } else {
                "  route-rules: [\"r\"]\n"
            };
            task += &format!("- source-id: \"s{number}\"\n  block-allow-list: \"b\"\n{rules}");
            let file = format!(
                "source-id: \"s{number}\"\nfrom:\n  host: \"127.0.0.1\"\n  port: {}\n  user: \"root\"\n  password: \"{}\"\n",
                source.port(),
                source.password()
            );
            std::fs::write(self.folder.path().join(format!("s{number}.yaml")), file).unwrap();
        }
        task += &format!(
            "block-allow-list:\n  b:\n    do-dbs: [\"{}\"]\n{}",
            self.name, self.routes
        );
        std::fs::write(self.folder.path().join("task.yaml"), task).unwrap();
    }

    /// Runs statements on the source and on the target, in their databases.
    pub async fn both(&self, statements: &[&str]) {
        for index in 0..self.sources.len() {
            self.source(index, statements).await;
        }
        self.target(statements).await;
    }

    pub async fn source(&self, index: usize, statements: &[&str]) {
        run(self.sources[index], &self.name, statements).await;
    }

    pub async fn target(&self, statements: &[&str]) {
        run(self.target, &self.target_schema(), statements).await;
    }

    pub fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tideway-validate"));
        command
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .args([
                "--task",
                "task.yaml",
                "--staging",
                "staging",
                "--workers",
                "2",
            ]);
        for number in 0..self.sources.len() {
            command.arg("--source").arg(format!("s{number}.yaml"));
        }
        command
    }

    pub fn validate(&self, args: &[&str]) -> Ended {
        let output = self.command().args(args).output().unwrap();
        Ended {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Validates to equality.
    pub fn assert_equal(&self) {
        let ended = self.validate(&[]).expect(0);
        assert!(
            ended.stdout.ends_with("no differences\n"),
            "{}",
            ended.stdout
        );
    }

    /// Validates to a difference, and returns the reports.
    pub fn differences(&self) -> Value {
        self.validate(&["--output", "json"]).expect(4).reports()
    }

    pub fn validate_folder(&self) -> PathBuf {
        self.folder
            .path()
            .join("staging")
            .join(&self.name)
            .join("s0")
            .join("validate")
    }

    /// Runs the repair SQL of the last report on the target, by the client that a person would use
    /// (its parser of statements too).
    pub fn repair(&self) {
        let mut files: Vec<PathBuf> = std::fs::read_dir(self.validate_folder())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|e| e == "sql"))
            .collect();
        files.sort();
        assert!(!files.is_empty(), "there is no repair SQL");
        for file in files {
            let output = Command::new("mysql")
                .args([
                    "--host=127.0.0.1",
                    "--user=root",
                    "--default-character-set=utf8mb4",
                ])
                .arg("--max-allowed-packet=256M")
                .arg(format!("--port={}", self.target.port()))
                .env("MYSQL_PWD", self.target.password())
                .stdin(std::fs::File::open(&file).unwrap())
                .output()
                .unwrap();
            let text = std::fs::read_to_string(&file).unwrap();
            assert!(
                output.status.success(),
                "{}\n{text:.2000}",
                String::from_utf8_lossy(&output.stderr)
            );
        }
    }

    pub async fn clean(self) {
        for source in &self.sources {
            let mut conn = source.connect().await;
            conn.query_drop(format!("DROP DATABASE `{}`", self.name))
                .await
                .unwrap();
        }
        let mut conn = self.target.connect().await;
        for schema in [self.target_schema(), self.meta_schema()] {
            conn.query_drop(format!("DROP DATABASE IF EXISTS `{schema}`"))
                .await
                .unwrap();
        }
    }
}

async fn run(server: Server, schema: &str, statements: &[&str]) {
    let mut conn = server.connect().await;
    conn.query_drop(format!("USE `{schema}`")).await.unwrap();
    for statement in statements {
        conn.query_drop(*statement)
            .await
            .unwrap_or_else(|error| panic!("{server:?}: {statement:.300}: {error}"));
    }
    conn.disconnect().await.unwrap();
}

/// The one table of a report of one source.
pub fn table<'a>(reports: &'a Value, name: &str) -> &'a Value {
    reports
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|report| report["tables"].as_array().unwrap())
        .find(|table| table["table"] == name)
        .unwrap_or_else(|| panic!("no table {name} in {reports:#}"))
}
