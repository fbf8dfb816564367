//! A dump made without the dump job: tables of a real server, read by the library's own encoder,
//! written as chunks, markers, plan and manifest; and the load job's binary run on it.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};

use chrono::Utc;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Row, Value};
use secrecy::SecretString;
use tideway_mysql::connect::{Role, Server};
use tideway_mysql::endpoint::{Endpoint, Tls};
use tideway_mysql::schema::{ColumnDef, TableDef, TableName, read_table, show_create_database};
use tideway_mysql::types::encode::{BatchBuilder, EncodeError};
use tideway_mysql::types::mapping::select_list;
use tideway_staging::Staging;
use tideway_staging::chunk::{ChunkWriter, ChunkWriterOptions};
use tideway_staging::document::{
    ChunkMarker, DataFile, DatabasePlan, Manifest, ManifestTable, Plan, TablePlan,
};
use tideway_staging::layout::{SourceKeys, TaskKeys};

/// Where the tests' servers are, from `infra/local/servers up`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    Source,
    MySql,
    MariaDb,
    TiDb,
}

pub const TARGETS: [At; 3] = [At::MySql, At::MariaDb, At::TiDb];

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| {
        panic!("{name} is not set: run `infra/local/servers up` and `. target/servers/env`")
    })
}

impl At {
    pub fn port(self) -> u16 {
        let name = match self {
            Self::Source => "TIDEWAY_TEST_MYSQL1_PORT",
            Self::MySql => "TIDEWAY_TEST_MYSQL_TARGET_PORT",
            Self::MariaDb => "TIDEWAY_TEST_MARIADB_PORT",
            Self::TiDb => "TIDEWAY_TEST_TIDB_PORT",
        };
        variable(name).parse().unwrap()
    }

    pub fn password(self) -> String {
        variable(match self {
            Self::TiDb => "TIDEWAY_TEST_TIDB_PASSWORD",
            _ => "TIDEWAY_TEST_ROOT_PASSWORD",
        })
    }

    pub async fn server(self) -> Server {
        let endpoint = Endpoint {
            host: "127.0.0.1".into(),
            port: self.port(),
            user: "root".into(),
            password: SecretString::from(self.password()),
            tls: Tls::Preferred,
            session: Default::default(),
            max_allowed_packet: None,
            name: format!("{self:?}"),
        };
        let role = if self == Self::Source {
            Role::Source
        } else {
            Role::Target
        };
        Server::connect(&endpoint, role, 4).await.unwrap()
    }
}

pub async fn run(conn: &mut Conn, statements: &[&str]) {
    for statement in statements {
        conn.query_drop(*statement)
            .await
            .unwrap_or_else(|error| panic!("{statement:.300}: {error}"));
    }
}

static NUMBER: AtomicU32 = AtomicU32::new(0);

/// A task with one source, its staging, and the databases named after it.
pub struct Bench {
    pub name: String,
    pub folder: tempfile::TempDir,
    pub target: At,
    pub staging: Staging,
    pub keys: SourceKeys,
    tables: Vec<(TablePlan, Vec<ChunkMarker>)>,
    databases: Vec<DatabasePlan>,
    pub exact: bool,
    pub session: String,
    pub extra: String,
    pub loader: String,
    pub row_group_bytes: usize,
}

impl Bench {
    pub async fn new(what: &str, target: At) -> Self {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("ld_{what}_{}_{number}", std::process::id());
        let folder = tempfile::tempdir().unwrap();
        let url = folder.path().join("staging").display().to_string();
        std::fs::create_dir_all(&url).unwrap();
        let staging = Staging::open(&url).await.unwrap();
        let keys = TaskKeys::new(&name).source("s1");
        Self {
            name,
            folder,
            target,
            staging,
            keys,
            tables: Vec::new(),
            databases: Vec::new(),
            exact: true,
            session: String::new(),
            extra: String::new(),
            loader: String::new(),
            row_group_bytes: 1 << 20,
        }
    }

    pub fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    /// The database of this bench on the server, made anew and used.
    pub async fn database(&self, server: &Server) -> Conn {
        let mut conn = server.conn().await.unwrap();
        let name = &self.name;
        run(
            &mut conn,
            &[
                &format!("DROP DATABASE IF EXISTS `{name}`"),
                &format!("CREATE DATABASE `{name}`"),
                &format!("USE `{name}`"),
            ],
        )
        .await;
        conn
    }

    /// Dumps a table of the server, a chunk for each of the conditions; `RUN …` is a statement that
    /// runs between two of them.
    pub async fn dump(&mut self, server: &Server, table: &str, conditions: &[&str]) -> TableDef {
        let mut conn = server.conn().await.unwrap();
        let name = TableName::new(&self.name, table);
        let definition = read_table(&mut conn, server.info(), &name)
            .await
            .unwrap()
            .unwrap();
        if self.databases.is_empty() {
            let create_sql = show_create_database(&mut conn, &self.name)
                .await
                .unwrap()
                .unwrap();
            self.databases.push(DatabasePlan {
                db: self.name.clone(),
                create_sql,
            });
        }
        let mut markers = Vec::new();
        for condition in conditions {
            if let Some(statement) = condition.strip_prefix("RUN ") {
                run(&mut conn, &[&format!("USE `{}`", self.name), statement]).await;
                continue;
            }
            let number = u32::try_from(markers.len()).unwrap();
            markers.push(self.chunk(&mut conn, &definition, number, condition).await);
        }
        self.tables
            .push((self.plan(&definition, markers.len()), markers));
        definition
    }

    fn plan(&self, definition: &TableDef, chunks: usize) -> TablePlan {
        TablePlan {
            db: definition.name.schema.clone(),
            table: definition.name.table.clone(),
            definition: serde_json::to_value(definition).unwrap(),
            definition_hash: definition.hash(),
            position: serde_json::Value::Null,
            key: Vec::new(),
            bounds: vec![Vec::new(); chunks - 1],
            first_chunk: 0,
            estimated_rows: 0,
            estimated_bytes: 0,
            no_data: false,
            where_clause: None,
        }
    }

    async fn chunk(
        &self,
        conn: &mut Conn,
        definition: &TableDef,
        number: u32,
        condition: &str,
    ) -> ChunkMarker {
        let mut text_columns = BTreeSet::new();
        let file = loop {
            match self
                .try_chunk(conn, definition, number, condition, &text_columns)
                .await
            {
                Ok(file) => break file,
                Err(EncodeError::NeedsText { column }) => assert!(text_columns.insert(column)),
                Err(error) => panic!("{error}"),
            }
        };
        let key = self
            .keys
            .chunk_marker(&definition.name.schema, &definition.name.table, number);
        let marker = ChunkMarker {
            version: 1,
            db: definition.name.schema.clone(),
            table: definition.name.table.clone(),
            chunk: number,
            definition_hash: definition.hash(),
            attempt: "test".into(),
            rows: file.rows,
            raw_bytes: file.raw_bytes,
            files: vec![file],
            text_columns: text_columns.into_iter().collect(),
            position: serde_json::Value::Null,
            started_at: Utc::now(),
            finished_at: Utc::now(),
        };
        self.staging.create_json(&key, &marker).await.unwrap();
        marker
    }

    async fn try_chunk(
        &self,
        conn: &mut Conn,
        definition: &TableDef,
        number: u32,
        condition: &str,
        text_columns: &BTreeSet<String>,
    ) -> Result<DataFile, EncodeError> {
        let columns: Vec<&ColumnDef> = definition.stored_columns().collect();
        let mut builder = BatchBuilder::new(&columns, text_columns);
        let (db, table) = (&definition.name.schema, &definition.name.table);
        let key = self.keys.chunk_data(db, table, number, rand_attempt());
        let options = ChunkWriterOptions {
            row_group_bytes: self.row_group_bytes,
            zstd_level: 1,
            metadata: Vec::new(),
            dictionary_columns: Vec::new(),
        };
        let mut writer = ChunkWriter::create(&self.staging, key, builder.schema(), options)
            .await
            .unwrap();
        let sql = format!(
            "SELECT {} FROM {} WHERE {condition}",
            select_list(&columns),
            definition.name
        );
        let mut result = conn.exec_iter(sql, ()).await.unwrap();
        while let Some(row) = result.next().await.unwrap() {
            builder.push(row)?;
            if builder.bytes() > 1 << 20 {
                writer.write(&builder.finish()?).await.unwrap();
            }
        }
        drop(result);
        if builder.rows() > 0 {
            writer.write(&builder.finish()?).await.unwrap();
        }
        Ok(writer.finish().await.unwrap())
    }

    /// Writes plan and manifest.
    pub async fn finish(&self) {
        let now = Utc::now();
        let plan = Plan {
            version: 1,
            task: self.name.clone(),
            source: "s1".into(),
            server_uuid: "test".into(),
            generation: 0,
            complete: false,
            consistency: if self.exact { "lock" } else { "none" }.into(),
            snapshot: self.exact,
            start: serde_json::Value::Null,
            databases: self.databases.clone(),
            tables: self.tables.iter().map(|(plan, _)| plan.clone()).collect(),
            views: Vec::new(),
            created_at: now,
            attempt: "test".into(),
        };
        self.staging
            .put_json(&self.keys.plan(0), &plan)
            .await
            .unwrap();
        let sum = |pick: fn(&ChunkMarker) -> u64| -> u64 {
            self.tables
                .iter()
                .flat_map(|(_, markers)| markers)
                .map(pick)
                .sum()
        };
        let manifest = Manifest {
            version: 1,
            task: self.name.clone(),
            source: "s1".into(),
            server_uuid: "test".into(),
            generation: 0,
            consistency: plan.consistency.clone(),
            exact: self.exact,
            start: serde_json::Value::Null,
            end: serde_json::Value::Null,
            tables: self
                .tables
                .iter()
                .map(|(plan, markers)| ManifestTable {
                    db: plan.db.clone(),
                    table: plan.table.clone(),
                    chunks: markers.iter().map(|m| m.chunk).collect(),
                    rows: markers.iter().map(|m| m.rows).sum(),
                    raw_bytes: markers.iter().map(|m| m.raw_bytes).sum(),
                    stored_bytes: markers.iter().map(ChunkMarker::stored_bytes).sum(),
                    files: markers.iter().map(|m| m.files.len() as u64).sum(),
                })
                .collect(),
            views: Vec::new(),
            rows: sum(|m| m.rows),
            raw_bytes: sum(|m| m.raw_bytes),
            stored_bytes: sum(ChunkMarker::stored_bytes),
            max_row_group_bytes: self
                .tables
                .iter()
                .flat_map(|(_, markers)| markers)
                .flat_map(|m| &m.files)
                .flat_map(|f| &f.row_groups)
                .map(|g| g.len)
                .max()
                .unwrap_or(0),
            finished_at: now,
        };
        self.staging
            .put_json(&self.keys.manifest(), &manifest)
            .await
            .unwrap();
        self.write_files();
    }

    pub fn write_files(&self) {
        let source = "source-id: s1\nfrom:\n  host: 127.0.0.1\n  port: 1\n  user: nobody\n";
        std::fs::write(self.path("source.yaml"), source).unwrap();
        let task = format!(
            "name: {0}\ntask-mode: full\nmeta-schema: {0}_meta\ntarget-database:\n  host: 127.0.0.1\n  port: {1}\n  user: root\n  password: \"{2}\"\n{3}mysql-instances:\n- source-id: s1\n  loader-config-name: l\n{4}loaders:\n  l:\n    pool-size: 4\n{5}",
            self.name,
            self.target.port(),
            self.target.password(),
            self.session,
            self.extra,
            self.loader,
        );
        std::fs::write(self.path("task.yaml"), task).unwrap();
    }

    pub fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tideway-load"));
        command
            .current_dir(self.folder.path())
            .env_remove("TIDEWAY_FAILPOINT")
            .args([
                "--task",
                "task.yaml",
                "--source",
                "source.yaml",
                "--log-format",
                "text",
            ])
            .args(["--staging", "staging"]);
        command
    }

    pub fn load(&self, arguments: &[&str]) -> Ended {
        Ended(self.command().args(arguments).output().unwrap())
    }

    /// All rows of a table, by the binary protocol, in the order of all columns' text.
    pub async fn rows(&self, conn: &mut Conn, table: &str, order: &str) -> Vec<Vec<Value>> {
        let rows: Vec<Row> = conn
            .exec(
                format!("SELECT * FROM `{}`.`{table}` ORDER BY {order}", self.name),
                (),
            )
            .await
            .unwrap();
        rows.into_iter().map(Row::unwrap).collect()
    }

    pub async fn count(&self, conn: &mut Conn, table: &str) -> u64 {
        conn.query_first(format!("SELECT COUNT(*) FROM `{}`.`{table}`", self.name))
            .await
            .unwrap()
            .unwrap()
    }

    pub async fn clean(&self) {
        for at in [At::Source, self.target] {
            let mut conn = at.server().await.conn().await.unwrap();
            run(
                &mut conn,
                &[
                    &format!("DROP DATABASE IF EXISTS `{}`", self.name),
                    &format!("DROP DATABASE IF EXISTS `{}_meta`", self.name),
                ],
            )
            .await;
        }
    }
}

fn rand_attempt() -> u32 {
    tideway_staging::layout::random_attempt()
}

/// How a run ended.
pub struct Ended(pub Output);

impl Ended {
    pub fn text(&self) -> String {
        format!(
            "{}\n{}",
            String::from_utf8_lossy(&self.0.stdout),
            String::from_utf8_lossy(&self.0.stderr)
        )
    }

    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.0.status.code(), Some(code), "{}", self.text());
        self
    }

    pub fn killed(self) -> Self {
        assert_eq!(
            self.0.status.code(),
            None,
            "was not killed\n{}",
            self.text()
        );
        self
    }

    pub fn says(self, parts: &[&str]) -> Self {
        for part in parts {
            assert!(
                self.text().contains(part),
                "does not say {part}\n{}",
                self.text()
            );
        }
        self
    }
}
