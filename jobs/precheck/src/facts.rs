//! What precheck knows of a server before it judges: version, variables, privileges.
//!
//! Reading and judging are apart: everything under [`crate::checks`] is a function of facts, so
//! that each rule can be tested with the facts of a server that nobody has at hand.

use std::collections::{BTreeMap, BTreeSet};

use mysql_async::Conn;
use mysql_async::prelude::{FromRow, Queryable};
use tideway_config::{ResolvedSource, TaskMode};
use tideway_job::JobError;
use tideway_mysql::connect::Server;
use tideway_mysql::grants::{self, Grants};
use tideway_mysql::info::{Flavor, ServerInfo};

/// Facts of a server.
pub struct ServerFacts {
    /// `source aurora-1`, `target`.
    pub name: String,
    /// Host and port.
    pub address: String,
    /// Flavour and version.
    pub info: ServerInfo,
    /// Global variables by lower-case name.
    pub variables: BTreeMap<String, String>,
    /// Connections that are open now.
    pub connected: u64,
    /// What the user may do.
    pub privileges: Grants,
}

impl ServerFacts {
    /// Reads the facts of `server`.
    pub async fn read(server: &Server) -> Result<Self, JobError> {
        let mut conn = server.conn().await?;
        let variables: Vec<(String, String)> = ask(
            server,
            &mut conn,
            "read the variables",
            "SHOW GLOBAL VARIABLES",
        )
        .await?;
        // TiDB has no such status row: nothing is known then, and nothing counted.
        let sql = "SHOW GLOBAL STATUS LIKE 'Threads_connected'";
        let connected: Vec<(String, String)> =
            ask(server, &mut conn, "count the connections", sql).await?;
        let privileges = grants::read(&mut conn).await?;
        let endpoint = server.endpoint();
        Ok(Self {
            name: endpoint.name.clone(),
            address: format!("{}:{}", endpoint.host, endpoint.port),
            info: server.info().clone(),
            variables: variables
                .into_iter()
                .map(|(k, v)| (k.to_lowercase(), v))
                .collect(),
            connected: connected
                .first()
                .and_then(|(_, n)| n.parse().ok())
                .unwrap_or(0),
            privileges,
        })
    }

    /// A global variable.
    pub fn variable(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str)
    }

    /// Whether a global variable is on.
    pub fn is_on(&self, name: &str) -> bool {
        self.variable(name)
            .is_some_and(|v| v.eq_ignore_ascii_case("on") || v == "1")
    }

    /// A global variable as a number.
    pub fn number(&self, name: &str) -> Option<u64> {
        self.variable(name).and_then(|v| v.parse().ok())
    }

    /// Whether it is managed by AWS: Aurora, or RDS by its host name or admin variables.
    pub fn is_rds(&self) -> bool {
        self.info.flavor == Flavor::Aurora
            || self.address.contains(".rds.amazonaws.com")
            || self
                .variable("basedir")
                .is_some_and(|dir| dir.starts_with("/rdsdbbin"))
    }

    /// Flavour and version for people.
    pub fn version(&self) -> String {
        format!("{} {}", self.info.flavor, self.info.version_text)
    }
}

/// What a source writes into its binary log, by schema.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BinlogScope {
    /// `binlog_do_db`.
    pub do_db: Vec<String>,
    /// `binlog_ignore_db`.
    pub ignore_db: Vec<String>,
    /// `gtid_executed` holds tagged GTIDs.
    pub tagged_gtids: bool,
}

/// How long binary logs are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retention {
    /// Nobody purges them.
    Forever,
    /// This many seconds.
    Seconds(u64),
    /// RDS without `binlog retention hours`: purged as soon as possible.
    AsSoonAsPossible,
    /// It could not be read.
    Unknown,
}

/// Facts of a source, its tables apart.
pub struct SourceFacts<'a> {
    /// Its configuration.
    pub source: &'a ResolvedSource,
    /// The server.
    pub server: ServerFacts,
    /// What its binary log covers; `None` when it could not be read or the log is off.
    pub binlog: Option<BinlogScope>,
    /// How long it is kept.
    pub retention: Retention,
    /// Triggers, routines and events in the schemas of the task: they are not migrated.
    pub programs: Programs,
}

/// How many stored programs of each kind there are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Programs {
    /// Triggers.
    pub triggers: u64,
    /// Procedures and functions.
    pub routines: u64,
    /// Events.
    pub events: u64,
}

impl Programs {
    /// Those that are there, for people.
    pub fn named(&self) -> Vec<String> {
        [
            (self.triggers, "triggers"),
            (self.routines, "routines"),
            (self.events, "events"),
        ]
        .iter()
        .filter(|(n, _)| *n > 0)
        .map(|(n, what)| format!("{n} {what}"))
        .collect()
    }
}

impl<'a> SourceFacts<'a> {
    /// Reads the facts of a source.
    pub async fn read(
        source: &'a ResolvedSource,
        server: &Server,
        schemas: &BTreeSet<String>,
    ) -> Result<Self, JobError> {
        let facts = ServerFacts::read(server).await?;
        let mut conn = server.conn().await?;
        let binlog = binlog_scope(&mut conn, &facts).await;
        let retention = retention(&mut conn, &facts).await;
        let programs = programs(server, &mut conn, schemas).await?;
        Ok(Self {
            source,
            server: facts,
            binlog,
            retention,
            programs,
        })
    }

    /// The source's id.
    pub fn id(&self) -> &str {
        &self.source.id
    }
}

/// What the checks need of the task.
#[derive(Debug, Clone, Copy)]
pub struct Context {
    /// What the task does.
    pub mode: TaskMode,
    /// Tables without a key may be inexact.
    pub allow_inexact: bool,
    /// Target tables may hold rows.
    pub into_existing: bool,
}

/// Asks a server, with the error that names it.
pub async fn ask<T: FromRow + Send + 'static>(
    server: &Server,
    conn: &mut Conn,
    what: &str,
    sql: impl AsRef<str>,
) -> Result<Vec<T>, JobError> {
    let rows = conn.query(sql.as_ref()).await;
    Ok(rows.map_err(|error| server.error(what, error))?)
}

/// The status of the binary log. Where the user may not read it the privilege check says so, so
/// here a refusal is no error.
async fn binlog_scope(conn: &mut Conn, facts: &ServerFacts) -> Option<BinlogScope> {
    if !facts.info.log_bin {
        return None;
    }
    let mut row = None;
    for sql in ["SHOW BINARY LOG STATUS", "SHOW MASTER STATUS"] {
        if let Ok(found) = conn.query_first::<mysql_async::Row, _>(sql).await {
            row = found;
            break;
        }
    }
    let row = row?;
    let list = |name: &str| -> Vec<String> {
        let text: Option<String> = row.get_opt(name).and_then(Result::ok);
        text.unwrap_or_default()
            .split(',')
            .filter(|s| !s.is_empty())
            .map(str::to_owned)
            .collect()
    };
    let gtids = facts.variable("gtid_executed").unwrap_or_default();
    Some(BinlogScope {
        do_db: list("Binlog_Do_DB"),
        ignore_db: list("Binlog_Ignore_DB"),
        tagged_gtids: has_tagged_gtids(gtids),
    })
}

/// Whether a GTID set of MySQL holds tags: `uuid:1-9:tag:1-3`.
pub fn has_tagged_gtids(set: &str) -> bool {
    set.split(',').any(|sid| {
        sid.trim().split(':').skip(1).any(|part| {
            part.trim()
                .starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        })
    })
}

async fn retention(conn: &mut Conn, facts: &ServerFacts) -> Retention {
    if facts.is_rds() {
        // A row (name, value, description); NULL means: purge as soon as possible.
        let rows: Result<Vec<mysql_async::Row>, _> =
            conn.query("CALL mysql.rds_show_configuration").await;
        let Ok(rows) = rows else {
            return Retention::Unknown;
        };
        let hours = rows.iter().find_map(|row| {
            let name: String = row.get_opt(0)?.ok()?;
            (name == "binlog retention hours").then(|| {
                row.get_opt::<Option<String>, _>(1)
                    .and_then(Result::ok)
                    .flatten()
            })
        });
        return match hours {
            Some(Some(hours)) => match hours.parse::<u64>() {
                Ok(hours) => Retention::Seconds(hours * 3600),
                Err(_) => Retention::Unknown,
            },
            Some(None) => Retention::AsSoonAsPossible,
            None => Retention::Unknown,
        };
    }
    retention_of(facts)
}

/// Retention by the server's variables.
pub fn retention_of(facts: &ServerFacts) -> Retention {
    let seconds = facts
        .number("binlog_expire_logs_seconds")
        .filter(|n| *n > 0);
    // MariaDB writes days with a fraction.
    let days = facts
        .variable("expire_logs_days")
        .and_then(|v| v.parse::<f64>().ok());
    match (seconds, days.filter(|d| *d > 0.0)) {
        (Some(seconds), _) => Retention::Seconds(seconds),
        (None, Some(days)) => Retention::Seconds((days * 86400.0) as u64),
        (None, None) => Retention::Forever,
    }
}

async fn programs(
    server: &Server,
    conn: &mut Conn,
    schemas: &BTreeSet<String>,
) -> Result<Programs, JobError> {
    if schemas.is_empty() {
        return Ok(Programs::default());
    }
    let list = schemas
        .iter()
        .map(|s| tideway_mysql::sql::quoted(s))
        .collect::<Vec<_>>()
        .join(", ");
    let sql = format!(
        "SELECT (SELECT COUNT(*) FROM information_schema.triggers WHERE trigger_schema IN ({list})), \
         (SELECT COUNT(*) FROM information_schema.routines WHERE routine_schema IN ({list})), \
         (SELECT COUNT(*) FROM information_schema.events WHERE event_schema IN ({list}))"
    );
    let rows: Vec<(u64, u64, u64)> =
        ask(server, conn, "count triggers, routines and events", sql).await?;
    let (triggers, routines, events) = rows.first().copied().unwrap_or_default();
    Ok(Programs {
        triggers,
        routines,
        events,
    })
}

#[cfg(test)]
pub(crate) mod fake {
    //! Facts of servers that nobody has at hand, for testing the rules.
    use super::*;
    use tideway_mysql::info::Version;

    /// Privileges written short: `SELECT`, `SELECT ON schema`, `SELECT ON schema.table`.
    pub(crate) fn granted(short: &[&str]) -> Grants {
        Grants::parse(short.iter().map(|text| {
            let (privilege, object) = text.split_once(" ON ").unwrap_or((text, "*"));
            let object = match object.split_once('.') {
                Some((schema, table)) => format!("`{schema}`.`{table}`"),
                None if object == "*" => "*.*".to_owned(),
                None => format!("`{object}`.*"),
            };
            format!("GRANT {privilege} ON {object} TO `u`@`%`")
        }))
    }

    pub(crate) fn server(flavor: Flavor, version: (u16, u16, u16)) -> ServerFacts {
        let version = Version::new(version.0, version.1, version.2);
        ServerFacts {
            name: "source a".into(),
            address: "db:3306".into(),
            info: ServerInfo {
                flavor,
                version,
                version_text: version.to_string(),
                aurora_version: None,
                uuid: "u".into(),
                server_id: 1,
                max_allowed_packet: 64 << 20,
                lower_case_table_names: 0,
                has_tls: true,
                max_connections: 151,
                log_bin: true,
                gtid: true,
                read_only: false,
                time_zone: "SYSTEM".into(),
                sql_mode: String::new(),
            },
            variables: BTreeMap::new(),
            connected: 1,
            privileges: Grants::default(),
        }
    }

    pub(crate) fn source(yaml: &str) -> ResolvedSource {
        let task = format!(
            "name: t\ntask-mode: all\ntarget-database: {{host: h}}\nmysql-instances:\n\
             - source-id: a\n  {yaml}\n"
        );
        let (task, _) = tideway_config::parse_task(&task, "task.yaml").unwrap();
        let (source, _) =
            tideway_config::parse_source("source-id: a\nfrom: {host: db}", "source.yaml").unwrap();
        let options = tideway_config::Options::default();
        let (task, _) = tideway_config::resolve(&task, &[source], &options).unwrap();
        task.sources.into_iter().next().unwrap()
    }

    pub(crate) fn facts(source: &ResolvedSource, server: ServerFacts) -> SourceFacts<'_> {
        SourceFacts {
            source,
            server,
            binlog: Some(BinlogScope::default()),
            retention: Retention::Forever,
            programs: Programs::default(),
        }
    }

    pub(crate) fn context(mode: TaskMode) -> Context {
        Context {
            mode,
            allow_inexact: false,
            into_existing: false,
        }
    }

    #[test]
    fn tagged_gtids_are_seen() {
        assert!(!has_tagged_gtids(""));
        assert!(!has_tagged_gtids(
            "3e11fa47-71ca-11e1-9e33-c80aa9429562:1-5:7,\nabc:1"
        ));
        assert!(has_tagged_gtids(
            "3e11fa47-71ca-11e1-9e33-c80aa9429562:1-5:tag:1"
        ));
        assert!(!has_tagged_gtids("0-1-100"));
    }

    #[test]
    fn retention_by_variables() {
        let mut s = server(Flavor::MySql, (8, 0, 36));
        assert_eq!(retention_of(&s), Retention::Forever);
        s.variables.insert("expire_logs_days".into(), "1.5".into());
        assert_eq!(retention_of(&s), Retention::Seconds(129_600));
        s.variables
            .insert("binlog_expire_logs_seconds".into(), "2592000".into());
        assert_eq!(retention_of(&s), Retention::Seconds(2_592_000));
    }
}
