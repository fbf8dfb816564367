//! Replication as the tests drive it: processes that stay, and whole databases compared.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use rustix::process::{Pid, Signal};

use crate::command::{Ended, binary, run};
use crate::oracle;
use crate::scenario::Scenario;
use crate::workload::schema::json_columns;

/// A process that runs beside the test; asked to leave, then killed, when it is dropped.
#[derive(Debug)]
pub struct Running {
    child: Child,
    name: String,
    log: PathBuf,
}

impl Running {
    /// Starts a command; what it says goes to a file in the scenario's folder.
    pub fn start(scenario: &Scenario, name: &str, mut command: Command) -> Self {
        static NUMBER: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let log = scenario.path(&format!("{number:03}-{name}.log"));
        let file = File::create(&log).expect("log");
        let child = command
            .stdin(Stdio::null())
            .stdout(file.try_clone().expect("log"))
            .stderr(file)
            .spawn()
            .expect("start");
        Self {
            child,
            name: name.to_owned(),
            log,
        }
    }

    /// What it has said so far.
    #[must_use]
    pub fn said(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.child.id()).expect("id");
        let pid = Pid::from_raw(id).expect("id");
        // Fails only when it has ended.
        let _ = rustix::process::kill_process(pid, signal);
    }

    /// Whether it still runs.
    pub fn runs(&mut self) -> bool {
        self.child.try_wait().expect("wait").is_none()
    }

    /// Waits until it has ended, or fails the test with what it said.
    pub async fn ended(mut self, within: Duration) -> Ended {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("wait") {
                return Ended {
                    code: status.code(),
                    stdout: String::new(),
                    stderr: self.said(),
                };
            }
            assert!(
                begun.elapsed() < within,
                "{} has not ended within {within:?}:\n{}",
                self.name,
                self.said()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Kills it (SIGKILL), unless it ended before.
    pub async fn kill(mut self) -> Ended {
        let _ = self.child.kill();
        self.ended(Duration::from_secs(10)).await
    }

    /// Asks it to leave (SIGTERM), and waits.
    pub async fn terminate(self) -> Ended {
        self.signal(Signal::TERM);
        self.ended(Duration::from_secs(60)).await
    }

    /// Waits until it says `text`; fails the test when it ends before, or does not say it.
    pub async fn says(&mut self, text: &str, within: Duration) {
        let begun = Instant::now();
        while !self.said().contains(text) {
            let runs = self.runs();
            assert!(
                (runs || self.said().contains(text)) && begun.elapsed() < within,
                "{} does not say `{text}`:\n{}",
                self.name,
                self.said()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.runs() {
            self.signal(Signal::CONT);
            self.signal(Signal::TERM);
            for _ in 0..50 {
                if !self.runs() {
                    return;
                }
                std::thread::sleep(Duration::from_millis(100));
            }
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// What the tests of replication do with a [`Scenario`].
impl Scenario {
    /// Makes its task one of this mode: `all` or `incremental`.
    pub fn set_mode(&self, mode: &str) {
        let text = self
            .task_yaml("--consistency none")
            .replace("\"full\"", &format!("\"{mode}\""));
        self.write("task.yaml", &text);
    }

    /// `tideway-cdc` with a verb and flags.
    #[must_use]
    pub fn cdc(&self, verb: &str, flags: &[&str]) -> Command {
        let mut command = self.job("cdc");
        command.arg(verb).args(flags).args(["--log-format", "text"]);
        command
    }

    /// `tideway` with arguments, in the scenario's folder.
    #[must_use]
    pub fn tideway(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary("tideway"));
        command.current_dir(self.folder.path()).args(arguments);
        command
    }

    /// Captures and applies what the sources wrote up to now; how apply ended.
    pub fn sync(&self) -> Ended {
        run(&mut self.cdc("capture", &["--until", "now"])).expect(0);
        run(&mut self.cdc("apply", &["--until", "now"]))
    }

    /// Asserts that the target's database holds what the database at these sources does: the same
    /// tables with the same columns, indexes and rows.
    pub async fn assert_databases(&self, sources: &[usize]) {
        let mut to = self.target.connect().await;
        let mut expected = BTreeMap::new();
        for &source in sources {
            let server = self.sources[source];
            let mut from = server.connect().await;
            for table in tables(&mut from, &self.name).await {
                let what = format!("{}.{table} of source {}", self.name, source + 1);
                let here = shape(&mut from, &self.name, &table).await;
                let there = shape(&mut to, &self.name, &table).await;
                assert_eq!(
                    here, there,
                    "{what}: columns and indexes, source and target"
                );
                let json = json_columns(server);
                let here = oracle::rows(&mut from, &self.name, &table, json).await;
                let there = oracle::rows(&mut to, &self.name, &table, json).await;
                oracle::assert_same(&what, &here, &there);
                expected.insert(table, source);
            }
            from.disconnect().await.expect("disconnect");
        }
        let found = tables(&mut to, &self.name).await;
        let extra: Vec<_> = found
            .iter()
            .filter(|t| !expected.contains_key(*t))
            .collect();
        assert!(
            extra.is_empty(),
            "{}: of the target only: {extra:?}",
            self.name
        );
        to.disconnect().await.expect("disconnect");
    }

    /// Drops the databases of its workloads and all else it made.
    pub async fn clean_all(self) {
        for source in &self.sources {
            source
                .run(&[&format!("DROP DATABASE IF EXISTS `{}_other`", self.name)])
                .await;
        }
        self.clean().await;
    }
}

/// The base tables of a database.
pub async fn tables(conn: &mut Conn, database: &str) -> Vec<String> {
    conn.query(format!(
        "SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = '{database}' AND \
         TABLE_TYPE = 'BASE TABLE' ORDER BY TABLE_NAME"
    ))
    .await
    .expect("tables")
}

/// Columns and indexes of a table, in the words that all servers share.
async fn shape(conn: &mut Conn, database: &str, table: &str) -> Vec<String> {
    let mut found: Vec<String> = oracle::columns(conn, database, table)
        .await
        .into_iter()
        // What MariaDB calls JSON is a long text.
        .map(|(name, kind)| format!("{name} {}", kind.replace("json", "longtext")))
        .collect();
    let indexes: Vec<(String, u64, String, u64)> = conn
        .query(format!(
            "SELECT INDEX_NAME, SEQ_IN_INDEX, COLUMN_NAME, NON_UNIQUE FROM information_schema.STATISTICS WHERE \
             TABLE_SCHEMA = '{database}' AND TABLE_NAME = '{table}' ORDER BY 1, 2"
        ))
        .await
        .expect("indexes");
    found.extend(
        indexes
            .into_iter()
            .map(|(name, place, column, free)| format!("index {name} {place} {column} {free}")),
    );
    // Each server sorts names in its own way.
    found.sort_by_key(|line| {
        (
            line.starts_with("index "),
            line.starts_with("index ").then(|| line.clone()),
        )
    });
    found
}
