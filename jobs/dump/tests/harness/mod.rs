//! One dump in a folder of its own, against the servers of `infra/local/servers up`, through the
//! binary; and its Parquet read back beside what the server says in its own text.

#![allow(dead_code, clippy::unwrap_used, clippy::expect_used)]

use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use arrow::array::{Array, AsArray};
use arrow::datatypes::{
    DataType, Decimal128Type, Float64Type, Int32Type, Int64Type, TimestampMicrosecondType,
};
use chrono::DateTime;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, OptsBuilder};
use tideway_mysql::schema::{ColumnDef, TableDef};
use tideway_mysql::types::column_type::ColumnType;
use tideway_staging::Staging;
use tideway_staging::chunk::ChunkReader;
use tideway_staging::document::{ChunkMarker, EffectivePlan, Manifest, read_plan};
use tideway_staging::layout::{SourceKeys, TaskKeys};

/// A server that dumps are tried on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Server {
    MySql,
    OtherMySql,
    MariaDb,
    TiDb,
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
            Self::TiDb => "TIDEWAY_TEST_TIDB_PORT",
        };
        variable(name).parse().expect("a port")
    }

    /// Password of root.
    pub fn root_password(self) -> String {
        variable(match self {
            Self::TiDb => "TIDEWAY_TEST_TIDB_PASSWORD",
            _ => "TIDEWAY_TEST_ROOT_PASSWORD",
        })
    }

    pub async fn connect(self) -> Conn {
        let opts = OptsBuilder::default()
            .ip_or_hostname("127.0.0.1")
            .tcp_port(self.port())
            .user(Some("root"))
            .pass(Some(self.root_password()))
            .prefer_socket(false)
            .setup(vec![
                "SET NAMES utf8mb4".to_owned(),
                "SET time_zone = '+00:00'".to_owned(),
                "SET sql_mode = 'NO_AUTO_VALUE_ON_ZERO,ALLOW_INVALID_DATES'".to_owned(),
            ]);
        Conn::new(opts).await.unwrap()
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

/// What differs between scenarios.
#[derive(Clone)]
pub struct Settings {
    pub mode: &'static str,
    pub extra_args: String,
    pub chunk_mib: u32,
    pub aurora: bool,
    pub threads: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            mode: "full",
            extra_args: "--consistency none".to_owned(),
            chunk_mib: 1,
            aurora: true,
            threads: 4,
        }
    }
}

impl Scenario {
    pub async fn new(what: &str, server: Server, settings: &Settings) -> Self {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("twdump_{what}_{}_{number}", std::process::id());
        let folder = tempfile::tempdir().unwrap();
        let staging_url = folder.path().join("staging").display().to_string();
        let scenario = Self {
            folder,
            name,
            server,
            staging_url,
        };
        scenario.write_source(server, settings.aurora);
        scenario.write_task(settings);
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

    pub fn write_source(&self, server: Server, aurora: bool) {
        let (user, password) = if aurora && server != Server::TiDb {
            (
                variable("TIDEWAY_TEST_AURORA_USER"),
                variable("TIDEWAY_TEST_AURORA_PASSWORD"),
            )
        } else {
            ("root".to_owned(), server.root_password())
        };
        self.write(
            "source.yaml",
            &format!(
                "source-id: s1\nenable-gtid: false\nfrom:\n  host: 127.0.0.1\n  port: {}\n  user: \"{user}\"\n  password: \"{password}\"\n",
                server.port()
            ),
        );
    }

    pub fn write_task(&self, settings: &Settings) {
        self.write(
            "task.yaml",
            &format!(
                "name: \"{0}\"\ntask-mode: {1}\ntarget-database: {{host: 127.0.0.1, port: 4000, user: root, password: \"\"}}\n\
                 mysql-instances:\n- {{source-id: s1, block-allow-list: global, mydumper-config-name: global}}\n\
                 block-allow-list:\n  global:\n    do-dbs: [\"{0}\"]\n\
                 mydumpers:\n  global:\n    threads: {2}\n    chunk-filesize: {3}\n    extra-args: \"{4}\"\n",
                self.name, settings.mode, settings.threads, settings.chunk_mib, settings.extra_args
            ),
        );
    }

    /// Runs statements in the scenario's database.
    pub async fn sql(&self, statements: &[&str]) {
        let mut conn = self.connect().await;
        for statement in statements {
            conn.query_drop(*statement)
                .await
                .unwrap_or_else(|error| panic!("{statement:.300}: {error}"));
        }
        conn.disconnect().await.unwrap();
    }

    pub async fn connect(&self) -> Conn {
        let mut conn = self.server.connect().await;
        conn.query_drop(format!("USE `{}`", self.name))
            .await
            .unwrap();
        conn
    }

    /// The binary with the flags of this scenario.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tideway-dump"));
        command
            .current_dir(self.folder.path())
            .args([
                "--task",
                "task.yaml",
                "--source",
                "source.yaml",
                "--settle",
                "1s",
            ])
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

    /// Waits until a started dump has begun to write rows.
    pub async fn first_rows(&self) {
        while self.data_files().is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub fn run(&self, args: &[&str]) -> Ended {
        Ended::of(&self.command(args).output().unwrap())
    }

    pub fn run_with_failpoint(&self, failpoint: &str, args: &[&str]) -> Ended {
        Ended::of(
            &self
                .command(args)
                .env("TIDEWAY_FAILPOINT", failpoint)
                .output()
                .unwrap(),
        )
    }

    pub async fn staging(&self) -> Staging {
        Staging::open(&self.staging_url).await.unwrap()
    }

    pub fn keys(&self) -> SourceKeys {
        TaskKeys::new(&self.name).source("s1")
    }

    pub async fn plan(&self) -> EffectivePlan {
        read_plan(&self.staging().await, &self.keys())
            .await
            .unwrap()
            .expect("a plan")
    }

    pub async fn manifest(&self) -> Option<Manifest> {
        self.staging()
            .await
            .get_json(&self.keys().manifest())
            .await
            .unwrap()
    }

    pub async fn markers(&self, table: &str) -> Vec<ChunkMarker> {
        let staging = self.staging().await;
        let plan = self.plan().await;
        let planned = plan
            .tables
            .iter()
            .find(|t| t.table == table)
            .expect("table in the plan");
        let mut markers = Vec::new();
        for number in planned.chunk_numbers() {
            let key = self.keys().chunk_marker(&self.name, table, number);
            if let Some(marker) = staging.get_json(&key).await.unwrap() {
                markers.push(marker);
            }
        }
        markers
    }

    /// All rows of a table's committed chunks, as text, sorted.
    pub async fn dumped(&self, table: &str) -> Vec<Vec<Option<String>>> {
        let staging = self.staging().await;
        let plan = self.plan().await;
        let planned = plan
            .tables
            .iter()
            .find(|t| t.table == table)
            .expect("table in the plan");
        let def: TableDef = serde_json::from_value(planned.definition.clone()).unwrap();
        let mut rows = Vec::new();
        for marker in self.markers(table).await {
            let mut counted = 0;
            for file in &marker.files {
                let mut reader = ChunkReader::open(&staging, file).await.unwrap();
                while let Some(batch) = reader.next_batch(1 << 20).await.unwrap() {
                    counted += batch.num_rows() as u64;
                    for row in 0..batch.num_rows() {
                        let values = def.stored_columns().map(|col| {
                            render(col, batch.column_by_name(&col.name).unwrap().as_ref(), row)
                        });
                        rows.push(values.collect());
                    }
                }
            }
            assert_eq!(counted, marker.rows, "rows of chunk {}", marker.chunk);
        }
        rows.sort();
        rows
    }

    /// All rows of a table as the server's own text, sorted.
    pub async fn served(&self, table: &str) -> Vec<Vec<Option<String>>> {
        let plan = self.plan().await;
        let planned = plan
            .tables
            .iter()
            .find(|t| t.table == table)
            .expect("table in the plan");
        let def: TableDef = serde_json::from_value(planned.definition.clone()).unwrap();
        let mut conn = self.connect().await;
        let columns: Vec<&ColumnDef> = def.stored_columns().collect();
        let expressions: Vec<String> = columns.iter().map(|col| expression(col)).collect();
        let query = format!("SELECT {} FROM `{table}`", expressions.join(","));
        let found: Vec<mysql_async::Row> = conn.query(query).await.unwrap();
        let mut rows: Vec<Vec<Option<String>>> = found
            .into_iter()
            .map(|row| {
                let values = row.unwrap().into_iter().zip(&columns);
                values.map(|(value, col)| served_text(col, value)).collect()
            })
            .collect();
        rows.sort();
        conn.disconnect().await.unwrap();
        rows
    }

    /// Asserts that what was dumped of `table` is what the server holds.
    pub async fn assert_table(&self, table: &str) {
        let (dumped, served) = (self.dumped(table).await, self.served(table).await);
        assert_eq!(dumped.len(), served.len(), "rows of {table}");
        for (dumped, served) in dumped.iter().zip(&served) {
            assert_eq!(dumped, served, "a row of {table}");
        }
    }

    /// Asserts that the dump folder holds just what the manifest and its markers name.
    pub async fn assert_tidy(&self) {
        let plan = self.plan().await;
        let mut named = std::collections::BTreeSet::new();
        for table in &plan.tables {
            for marker in self.markers(&table.table).await {
                named.extend(marker.files.iter().map(|file| file.key.clone()));
            }
        }
        let mut found = std::collections::BTreeSet::new();
        let staging = self.staging().await;
        let dir = self.keys().dump_dir();
        let mut list = staging.list(&dir);
        while let Some(meta) = futures::TryStreamExt::try_next(&mut list).await.unwrap() {
            if meta.location.as_ref().ends_with(".parquet") {
                found.insert(meta.location.to_string());
            }
        }
        assert_eq!(found, named, "data files");
    }

    pub fn data_files(&self) -> Vec<PathBuf> {
        let dir = self
            .folder
            .path()
            .join("staging")
            .join(&self.name)
            .join("s1/dump");
        let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
        entries
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_some_and(|e| e == "parquet"))
            .collect()
    }

    pub async fn clean(self) {
        let mut conn = self.server.connect().await;
        conn.query_drop(format!("DROP DATABASE IF EXISTS `{}`", self.name))
            .await
            .unwrap();
        conn.disconnect().await.unwrap();
    }
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

fn is_bytes(ty: &ColumnType) -> bool {
    matches!(
        ty,
        ColumnType::Bit { .. }
            | ColumnType::Binary { .. }
            | ColumnType::Varbinary { .. }
            | ColumnType::Blob { .. }
            | ColumnType::Geometry { .. }
            | ColumnType::Vector { .. }
    )
}

fn is_float(ty: &ColumnType) -> bool {
    matches!(ty, ColumnType::Float { .. } | ColumnType::Double { .. })
}

/// What the server is asked for, so that its answer is exact text.
fn expression(col: &ColumnDef) -> String {
    let name = format!("`{}`", col.name.replace('`', "``"));
    match &col.ty {
        // HEX of a BIT is that of a number, without leading zeros.
        ColumnType::Bit { width } => {
            format!(
                "LPAD(HEX({name}), {}, '0')",
                u32::from(*width).div_ceil(8) * 2
            )
        }
        ty if is_bytes(ty) => format!("HEX({name})"),
        // Widened by the server: MariaDB and MySQL print a FLOAT itself with 6 digits only.
        ty if is_float(ty) => format!("CAST({name} AS DOUBLE)"),
        // A number again, without the leading zeros of ZEROFILL.
        ty if ty.is_integer() => format!("CAST({name} + 0 AS CHAR)"),
        _ => format!("CAST({name} AS CHAR)"),
    }
}

fn served_text(col: &ColumnDef, value: mysql_async::Value) -> Option<String> {
    let text = match value {
        mysql_async::Value::NULL => return None,
        mysql_async::Value::Bytes(bytes) => String::from_utf8(bytes).unwrap(),
        other => panic!("{other:?}"),
    };
    Some(if is_float(&col.ty) {
        format!("{:016x}", text.parse::<f64>().unwrap().to_bits())
    } else {
        text
    })
}

/// What was dumped, as the same text.
fn render(col: &ColumnDef, array: &dyn Array, row: usize) -> Option<String> {
    if array.is_null(row) {
        return None;
    }
    Some(match array.data_type() {
        DataType::Int32 if col.ty == ColumnType::Year => {
            format!("{:04}", array.as_primitive::<Int32Type>().value(row))
        }
        DataType::Int32 => array.as_primitive::<Int32Type>().value(row).to_string(),
        DataType::Int64 => array.as_primitive::<Int64Type>().value(row).to_string(),
        DataType::Decimal128(..) => array.as_primitive::<Decimal128Type>().value_as_string(row),
        DataType::Float64 => {
            format!(
                "{:016x}",
                array.as_primitive::<Float64Type>().value(row).to_bits()
            )
        }
        DataType::Utf8 => array.as_string::<i32>().value(row).to_owned(),
        DataType::Binary => hex::encode_upper(array.as_binary::<i32>().value(row)),
        DataType::Timestamp(..) => {
            let micros = array.as_primitive::<TimestampMicrosecondType>().value(row);
            let text = DateTime::from_timestamp_micros(micros)
                .unwrap()
                .format("%Y-%m-%d %H:%M:%S%.6f")
                .to_string();
            let fsp = match col.ty {
                ColumnType::DateTime { fsp } | ColumnType::Timestamp { fsp } => usize::from(fsp),
                _ => panic!("{:?}", col.ty),
            };
            let len = if fsp == 0 { 19 } else { 20 + fsp };
            text[..len].to_owned()
        }
        other => panic!("{other}"),
    })
}
