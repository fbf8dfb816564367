//! One source captured into a folder of its own, through the binary, against the servers of
//! `infra/local/servers up`; and the binlog as the server itself sends it, to compare with.

#![allow(dead_code, clippy::unwrap_used, clippy::expect_used)]

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use mysql_async::prelude::Queryable;
use mysql_async::{BinlogStreamRequest, Conn, OptsBuilder};
use tideway_mysql::binlog::frame::{Frames, MAGIC};
use tideway_mysql::binlog::header::{FLAG_ARTIFICIAL, HEADER, Header};
use tideway_mysql::binlog::rows::{Row, RowsEvent, has_rows};
use tideway_mysql::binlog::table_map::TableMap;
use tideway_mysql::binlog::{Event, Kind};
use tideway_mysql::position::BinlogPosition;
use tideway_staging::Staging;
use tideway_staging::control::{Scope, What, post};
use tideway_staging::document::Start;
use tideway_staging::heartbeat::Heartbeat;
use tideway_staging::layout::{SourceKeys, TaskKeys};
use tideway_staging::segment::{Chain, SegmentMarker, SegmentReader, read_marker, verify_segments};

/// A server whose binlog is captured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Server {
    MySql,
    OtherMySql,
    MariaDb,
}

pub fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| {
        panic!("{name} is not set: run `make test`, or `. target/servers/env` after `infra/local/servers up`")
    })
}

impl Server {
    pub fn port(self) -> u16 {
        let name = match self {
            Self::MySql => "TIDEWAY_TEST_MYSQL1_PORT",
            Self::OtherMySql => "TIDEWAY_TEST_MYSQL2_PORT",
            Self::MariaDb => "TIDEWAY_TEST_MARIADB_PORT",
        };
        variable(name).parse().expect("a port")
    }

    pub async fn connect(self) -> Conn {
        let opts = OptsBuilder::default()
            .ip_or_hostname("127.0.0.1")
            .tcp_port(self.port())
            .user(Some("root"))
            .pass(Some(variable("TIDEWAY_TEST_ROOT_PASSWORD")))
            .prefer_socket(false)
            .setup(vec!["SET NAMES utf8mb4", "SET time_zone = '+00:00'"]);
        Conn::new(opts).await.unwrap()
    }

    pub async fn position(self) -> BinlogPosition {
        let statement = match self {
            Self::MariaDb => "SHOW MASTER STATUS",
            _ => "SHOW BINARY LOG STATUS",
        };
        let mut conn = self.connect().await;
        let row: mysql_async::Row = conn.query_first(statement).await.unwrap().unwrap();
        conn.disconnect().await.unwrap();
        BinlogPosition {
            file: row.get(0).unwrap(),
            pos: row.get(1).unwrap(),
            gtid_set: None,
        }
    }
}

/// One task with one source.
pub struct Scenario {
    pub folder: tempfile::TempDir,
    pub name: String,
    pub server: Server,
    pub staging_url: String,
}

static NUMBER: AtomicU32 = AtomicU32::new(0);

impl Scenario {
    pub async fn new(what: &str, server: Server, gtid: bool) -> Self {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("capture_{what}_{}_{number}", std::process::id());
        let folder = tempfile::tempdir().unwrap();
        let staging_url = folder.path().join("staging").display().to_string();
        let scenario = Self {
            folder,
            name,
            server,
            staging_url,
        };
        scenario.write_source(server, gtid);
        scenario.write(
            "task.yaml",
            &format!(
                "name: \"{0}\"\ntask-mode: all\ntarget-database: {{host: 127.0.0.1, port: 4000, user: root, password: \"\"}}\n\
                 mysql-instances:\n- {{source-id: \"{0}\", block-allow-list: global}}\n\
                 block-allow-list:\n  global:\n    do-dbs: [\"{0}\"]\n",
                scenario.name
            ),
        );
        let mut conn = server.connect().await;
        conn.query_drop(format!("CREATE DATABASE `{}`", scenario.name))
            .await
            .unwrap();
        conn.disconnect().await.unwrap();
        scenario
    }

    pub fn write(&self, file: &str, text: &str) {
        std::fs::write(self.folder.path().join(file), text).unwrap();
    }

    pub fn write_source(&self, server: Server, gtid: bool) {
        self.write_source_as("root", server, gtid);
    }

    /// All users have the same password.
    pub fn write_source_as(&self, user: &str, server: Server, gtid: bool) {
        self.write(
            "source.yaml",
            &format!(
                "source-id: \"{}\"\nenable-gtid: {gtid}\nfrom:\n  host: 127.0.0.1\n  port: {}\n  user: {user}\n  password: \"{}\"\n",
                self.name,
                server.port(),
                variable("TIDEWAY_TEST_ROOT_PASSWORD"),
            ),
        );
    }

    pub async fn connect(&self) -> Conn {
        let mut conn = self.server.connect().await;
        conn.query_drop(format!("USE `{}`", self.name))
            .await
            .unwrap();
        conn
    }

    /// Runs statements in the scenario's database, on one connection.
    pub async fn sql(&self, statements: &[&str]) {
        let mut conn = self.connect().await;
        for statement in statements {
            conn.query_drop(*statement)
                .await
                .unwrap_or_else(|error| panic!("{statement:.300}: {error}"));
        }
        conn.disconnect().await.unwrap();
    }

    /// A table with rows of about 1000 bytes, inserted in one transaction.
    pub async fn rows(&self, table: &str, count: u32) {
        let rows = format!(
            "INSERT INTO {table} WITH RECURSIVE n AS (SELECT 1 i UNION ALL SELECT i + 1 FROM n WHERE i < {count})
             SELECT i, REPEAT(CHAR(65 + i % 26), 1000) FROM n"
        );
        let deeper = match self.server {
            Server::MariaDb => "SET max_recursive_iterations = 1000000",
            _ => "SET cte_max_recursion_depth = 1000000",
        };
        let create = format!("CREATE TABLE {table} (id INT PRIMARY KEY, v VARCHAR(1000))");
        self.sql(&[deeper, &create, &rows]).await;
    }

    /// The binary with the flags of this scenario.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tideway-cdc"));
        command
            .current_dir(self.folder.path())
            .arg("capture")
            .args(["--task", "task.yaml", "--source", "source.yaml"])
            .args(["--staging", &self.staging_url])
            .args(args)
            .stdin(Stdio::null());
        command
    }

    /// Starts the binary beside the test; [`Ended::of`] takes its output.
    pub fn start(&self, args: &[&str]) -> Child {
        self.command(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    pub fn run(&self, args: &[&str]) -> Ended {
        Ended::of(&self.command(args).output().unwrap())
    }

    /// Captures what is there now.
    pub fn catch_up(&self, args: &[&str]) -> Ended {
        self.run(&[&["--until", "now"], args].concat())
    }

    pub fn run_with_failpoint(&self, failpoint: &str, args: &[&str]) -> Ended {
        let mut command = self.command(args);
        Ended::of(
            &command
                .env("TIDEWAY_FAILPOINT", failpoint)
                .output()
                .unwrap(),
        )
    }

    pub async fn staging(&self) -> Staging {
        Staging::open(&self.staging_url).await.unwrap()
    }

    pub fn keys(&self) -> SourceKeys {
        TaskKeys::new(&self.name).source(&self.name)
    }

    pub async fn start_position(&self) -> BinlogPosition {
        let staging = self.staging().await;
        let start: Start = staging
            .get_json(&self.keys().start())
            .await
            .unwrap()
            .expect("a start");
        serde_json::from_value(start.position).unwrap()
    }

    /// All segments with their content, the chain checked.
    pub async fn segments(&self) -> Vec<(SegmentMarker, Vec<u8>)> {
        let (staging, keys) = (self.staging().await, self.keys());
        let mut chain = Chain::start(&staging, &keys).await.unwrap();
        let mut segments = Vec::new();
        let mut to = serde_json::to_value(self.start_position().await).unwrap();
        while let Some((marker, hash)) = read_marker(&staging, &keys, chain.next()).await.unwrap() {
            chain.accept(&staging, &keys, &marker, &hash).unwrap();
            assert_eq!(marker.from, to, "segment {}", marker.number);
            to = marker.to.clone();
            let mut reader = SegmentReader::open(&staging, &marker).unwrap();
            let mut bytes = Vec::new();
            while let Some(block) = reader.next_block().await.unwrap() {
                bytes.extend_from_slice(&block);
            }
            segments.push((marker, bytes));
        }
        let report = verify_segments(&staging, &keys, |_, _| {}).await.unwrap();
        assert_eq!(report.problems, []);
        assert_eq!(report.segments, segments.len() as u64);
        segments
    }

    pub async fn last_to(&self) -> BinlogPosition {
        match self.segments().await.last() {
            Some((marker, _)) => serde_json::from_value(marker.to.clone()).unwrap(),
            None => self.start_position().await,
        }
    }

    /// The events of all segments that were received, without what each segment begins with.
    pub async fn events(&self) -> Vec<Vec<u8>> {
        let mut found = Vec::new();
        let mut open = false;
        for (marker, bytes) in self.segments().await {
            assert_eq!(marker.continued, open, "segment {}", marker.number);
            open = marker.continues;
            let own: Vec<Vec<u8>> = events(&bytes)
                .into_iter()
                .filter(is_received)
                .map(|event| event.bytes)
                .collect();
            assert_eq!(own.len() as u64, marker.events, "segment {}", marker.number);
            found.extend(own);
        }
        found
    }

    /// Nothing is missing, doubled or changed: what was captured is what the server sends from the
    /// start of the task to the end of the last segment.
    pub async fn assert_complete(&self) {
        let captured = self.events().await;
        let sent = sent(
            self.server,
            &self.start_position().await,
            &self.last_to().await,
        )
        .await;
        let kinds = |events: &[Vec<u8>]| -> Vec<Kind> {
            events
                .iter()
                .map(|event| Header::parse(event.first_chunk::<HEADER>().unwrap()).kind)
                .collect()
        };
        assert!(
            captured == sent,
            "captured {:?}\nsent {:?}",
            kinds(&captured),
            kinds(&sent)
        );
    }

    /// Waits until the heartbeat's message, or the log of segments, says that something is there.
    pub async fn wait_for(&self, what: &str, done: impl AsyncFn() -> bool) {
        let begun = Instant::now();
        while !done().await {
            assert!(begun.elapsed() < Duration::from_secs(60), "waiting: {what}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Waits until all that the server has now is committed.
    pub async fn wait_captured(&self) {
        let now = self.server.position().await;
        self.wait_for("captured", async || {
            let (staging, keys) = (self.staging().await, self.keys());
            let last = tideway_staging::segment::last(&staging, &keys)
                .await
                .unwrap();
            last.is_some_and(|(marker, _)| {
                let to: BinlogPosition = serde_json::from_value(marker.to).unwrap();
                to.reached(&now)
            })
        })
        .await;
    }

    pub async fn wait_started(&self) {
        self.wait_for("start.json", async || {
            let key = self.keys().start();
            self.staging().await.head(&key).await.unwrap().is_some()
        })
        .await;
    }

    /// The segments as files that mysqlbinlog opens.
    pub async fn files(&self) -> Vec<PathBuf> {
        let mut files = Vec::new();
        for (marker, bytes) in self.segments().await {
            if marker.is_empty() {
                continue;
            }
            let path = self
                .folder
                .path()
                .join(format!("{:06}.binlog", marker.number));
            std::fs::write(&path, bytes).unwrap();
            files.push(path);
        }
        files
    }

    /// Wants something of the captures of a run: what is wanted of a whole run its runner passes on.
    pub async fn wish(&self, run: &str, what: What) {
        let keys = TaskKeys::new(&self.name);
        let mut scope = Scope::run(run);
        scope.job = Some("capture".to_owned());
        post(&self.staging().await, &keys, what, scope, "test")
            .await
            .unwrap();
    }

    /// What the heartbeat says that the capture is at.
    pub async fn stage(&self) -> String {
        let key = TaskKeys::new(&self.name).status("capture", &self.name, 0);
        let beat: Option<Heartbeat> = self.staging().await.get_json(&key).await.unwrap();
        beat.map(|beat| beat.stage).unwrap_or_default()
    }

    pub async fn clean(self) {
        let mut conn = self.server.connect().await;
        conn.query_drop(format!("DROP DATABASE IF EXISTS `{}`", self.name))
            .await
            .unwrap();
        conn.disconnect().await.unwrap();
    }
}

/// The events of a binlog file.
pub fn events(bytes: &[u8]) -> Vec<Event> {
    if bytes.is_empty() {
        return Vec::new();
    }
    assert_eq!(bytes[..4], MAGIC);
    let mut frames = Frames::open(bytes, 1 << 30).unwrap();
    let mut found = Vec::new();
    while let Some(event) = frames.next().unwrap() {
        found.push(event);
    }
    found
}

/// How many rows of tables in `schema` are in a segment, decoded with nothing but the segment.
pub fn rows_of(bytes: &[u8], schema: &str) -> usize {
    let mut frames = Frames::open(bytes, 1 << 30).unwrap();
    let mut maps: HashMap<u64, TableMap> = HashMap::new();
    let mut count = 0;
    while let Some(event) = frames.next().unwrap() {
        if event.header.kind == Kind::TABLE_MAP {
            let map = TableMap::parse(&event, frames.format()).unwrap();
            maps.insert(map.id, map);
        } else if has_rows(event.header.kind) {
            let mut rows = RowsEvent::parse(&event, frames.format()).unwrap();
            let map = maps.get(&rows.table_id).expect("the map of the rows");
            let mut row = Row::default();
            while rows.next(map, &mut row).unwrap() {
                count += usize::from(map.name.schema == schema);
            }
        }
    }
    count
}

/// Whether an event is one that the server wrote into its file, other than a format description.
pub fn is_received(event: &Event) -> bool {
    event.header.kind != Kind::FORMAT_DESCRIPTION && event.header.flags & FLAG_ARTIFICIAL == 0
}

static NEXT: AtomicU32 = AtomicU32::new(0);

/// The events between two places as the server sends them to anybody.
async fn sent(server: Server, from: &BinlogPosition, to: &BinlogPosition) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    let (mut file, mut pos) = (from.file.clone(), from.pos);
    if to.reached(&BinlogPosition {
        file: file.clone(),
        pos,
        gtid_set: None,
    }) && (&file, pos) == (&to.file, to.pos)
    {
        return found;
    }
    let mut conn = server.connect().await;
    if server == Server::MariaDb {
        conn.query_drop("SET @mariadb_slave_capability = 4")
            .await
            .unwrap();
    }
    // A second reader with the same id would end the first.
    let id = 3_000_000_000 + std::process::id() * 100 + NEXT.fetch_add(1, Ordering::Relaxed);
    let request = BinlogStreamRequest::new(id)
        .with_filename(from.file.as_bytes())
        .with_pos(from.pos);
    let mut stream = conn.get_binlog_stream(request).await.unwrap();
    loop {
        let mut bytes = Vec::new();
        assert!(stream.next_raw(&mut bytes).await.unwrap());
        let header = Header::parse(bytes.first_chunk::<HEADER>().unwrap());
        if header.flags & FLAG_ARTIFICIAL != 0 || header.next == 0 || header.kind == Kind::HEARTBEAT
        {
            continue;
        }
        pos = header.next.into();
        if header.kind == Kind::ROTATE {
            let name = &bytes[HEADER + 8..bytes.len() - 4];
            (file, pos) = (String::from_utf8(name.to_vec()).unwrap(), 4);
        }
        if header.kind != Kind::FORMAT_DESCRIPTION {
            found.push(bytes);
        }
        let here = BinlogPosition {
            file: file.clone(),
            pos,
            gtid_set: None,
        };
        if here.reached(to) {
            return found;
        }
    }
}

/// What `mysqlbinlog` prints of rows and statements.
pub fn printed(args: &[&str]) -> Vec<String> {
    printed_by(&variable("TIDEWAY_TEST_MYSQLBINLOG"), args)
}

/// The same by MariaDB's own, beside its client; MySQL's does not know MariaDB's events.
pub fn printed_by_mariadb(args: &[&str]) -> Vec<String> {
    let client = variable("TIDEWAY_TEST_MARIADB_CLIENT");
    printed_by(&format!("{client}-binlog"), args)
}

fn printed_by(program: &str, args: &[&str]) -> Vec<String> {
    let output = Command::new(program)
        .args(["--no-defaults", "-v", "--base64-output=decode-rows"])
        .args(args)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "mysqlbinlog {args:?}: {}\n{text:.2000}",
        String::from_utf8_lossy(&output.stderr)
    );
    text.lines()
        .filter(|line| {
            let upper = line.to_ascii_uppercase();
            upper.starts_with("###")
                || ["BEGIN", "COMMIT", "CREATE", "ALTER", "DROP", "INSERT"]
                    .iter()
                    .any(|word| upper.starts_with(word))
        })
        .map(str::to_owned)
        .collect()
}

/// How a command ended and what it said.
pub struct Ended {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Ended {
    pub fn of(output: &Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Asks a started capture to stop, as a workflow does.
    pub fn stopped(child: Child) -> Self {
        let pid = child.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &pid]).status().unwrap();
        assert!(sent.success());
        Self::of(&child.wait_with_output().unwrap())
    }

    /// `None`: killed.
    #[track_caller]
    pub fn expect(self, code: impl Into<Option<i32>>) -> Self {
        let code = code.into();
        assert_eq!(
            self.code, code,
            "unexpected end\n--- stdout\n{}\n--- stderr\n{}",
            self.stdout, self.stderr
        );
        self
    }

    #[track_caller]
    pub fn says(self, parts: &[&str]) -> Self {
        for part in parts {
            assert!(
                self.stderr.contains(part) || self.stdout.contains(part),
                "does not say `{part}`\n--- stdout\n{}\n--- stderr\n{}",
                self.stdout,
                self.stderr
            );
        }
        self
    }
}
