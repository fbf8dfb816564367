//! Precheck against real servers, through the binary: what each server is, does it say so.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::PathBuf;
use std::process::{Command, Output};

use mysql_async::prelude::Queryable as _;
use mysql_async::{Conn, OptsBuilder};
use serde_json::Value;

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| {
        panic!("{name} is not set: `. target/servers/env` after `infra/local/servers up`")
    })
}

fn port(server: &str) -> u16 {
    variable(&format!("TIDEWAY_TEST_{server}_PORT"))
        .parse()
        .unwrap()
}

fn root(server: &str) -> (String, String) {
    let password = if server == "TIDB" { "TIDB" } else { "ROOT" };
    (
        "root".into(),
        variable(&format!("TIDEWAY_TEST_{password}_PASSWORD")),
    )
}

async fn connect(server: &str) -> Conn {
    let (user, password) = root(server);
    let opts = OptsBuilder::default()
        .ip_or_hostname("127.0.0.1")
        .tcp_port(port(server))
        .user(Some(user))
        .pass(Some(password))
        .prefer_socket(false);
    Conn::new(opts).await.unwrap()
}

async fn run(server: &str, statements: &[String]) {
    let mut conn = connect(server).await;
    conn.query_drop("SET SESSION sql_mode = ''").await.unwrap();
    for statement in statements {
        conn.query_drop(statement)
            .await
            .unwrap_or_else(|e| panic!("{server}: {statement}: {e}"));
    }
    conn.disconnect().await.unwrap();
}

/// A database of its own on each server, and the files of a task over it.
struct Case {
    name: String,
    folder: tempfile::TempDir,
    sources: Vec<&'static str>,
    target: &'static str,
}

impl Case {
    async fn new(what: &str, sources: &[&'static str], target: &'static str) -> Self {
        let name = format!("pre_{what}_{}", std::process::id());
        let case = Self {
            name,
            folder: tempfile::tempdir().unwrap(),
            sources: sources.into(),
            target,
        };
        for server in sources.iter().chain([&target]) {
            run(server, &case.statements(&["DROP DATABASE IF EXISTS {db}"])).await;
        }
        for (number, server) in sources.iter().enumerate() {
            run(server, &case.statements(&["CREATE DATABASE {db}"])).await;
            let user = variable("TIDEWAY_TEST_AURORA_USER");
            let password = variable("TIDEWAY_TEST_AURORA_PASSWORD");
            case.source(number + 1, &user, &password);
        }
        case
    }

    fn statements(&self, texts: &[&str]) -> Vec<String> {
        texts
            .iter()
            .map(|text| text.replace("{db}", &self.name))
            .collect()
    }

    async fn on(&self, server: &str, texts: &[&str]) {
        run(server, &self.statements(texts)).await;
    }

    fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    fn source(&self, number: usize, user: &str, password: &str) {
        let port = port(self.sources[number - 1]);
        let text = format!(
            "source-id: s{number}\nfrom: {{host: 127.0.0.1, port: {port}, user: {user}, \
             password: \"{password}\"}}\n"
        );
        std::fs::write(self.path(&format!("s{number}.yaml")), text).unwrap();
    }

    fn task(&self, mode: &str, extra_args: &str, more: &str) {
        let (user, password) = root(self.target);
        let port = port(self.target);
        let mut text = format!(
            "name: {0}\ntask-mode: {mode}\nmeta-schema: {0}_meta\ntarget-database: \
             {{host: 127.0.0.1, port: {port}, user: {user}, password: \"{password}\"}}\n{more}\n\
             block-allow-list: {{g: {{do-dbs: [\"{0}\"]}}}}\n\
             mydumpers: {{g: {{extra-args: \"{extra_args}\"}}}}\nmysql-instances:\n",
            self.name
        );
        for number in 1..=self.sources.len() {
            text += &format!(
                "- {{source-id: s{number}, block-allow-list: g, mydumper-config-name: g}}\n"
            );
        }
        std::fs::write(self.path("task.yaml"), text).unwrap();
    }

    fn precheck(&self, args: &[&str]) -> Output {
        let files: Vec<String> = (1..=self.sources.len())
            .map(|n| self.path(&format!("s{n}.yaml")).display().to_string())
            .collect();
        let mut command = Command::new(env!("CARGO_BIN_EXE_tideway-precheck"));
        if !args.contains(&"--task") {
            command.arg("--task").arg(self.path("task.yaml"));
        }
        command
            .args(["--source", &files.join(","), "--staging"])
            .arg(self.path("staging"))
            .args(args)
            .output()
            .unwrap()
    }

    fn json(&self, code: i32, args: &[&str]) -> Value {
        let output = self.precheck(&[&["--output", "json"], args].concat());
        let text = String::from_utf8_lossy(&output.stdout);
        let log = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{text}\n{log}");
        serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text}\n{log}"))
    }

    async fn drop(self) {
        for server in self.sources.iter().chain([&self.target]) {
            run(server, &self.statements(&["DROP DATABASE IF EXISTS {db}"])).await;
        }
    }
}

/// The result of a name and source.
fn result<'a>(report: &'a Value, name: &str, source: &str) -> &'a Value {
    report["results"]
        .as_array()
        .unwrap()
        .iter()
        .find(|r| r["name"] == name && r["source"] == source)
        .unwrap_or_else(|| panic!("no {name} of {source:?} in {report:#}"))
}

fn errors(result: &Value) -> String {
    let errors = result["errors"].as_array().unwrap();
    errors
        .iter()
        .map(|e| format!("{} {}\n", e["self"], e["short_error"]))
        .collect()
}

const STRUCTURE: &str = "table structure compatibility check";
const DUMP: &str = "source db dump privilege checker";

#[tokio::test]
async fn two_good_sources_pass_and_leave_a_report() {
    let case = Case::new("good", &["MYSQL1", "MYSQL2"], "TIDB").await;
    case.on(
        "MYSQL1",
        &["CREATE TABLE {db}.t1 (id INT PRIMARY KEY, v VARCHAR(20))"],
    )
    .await;
    case.on("MYSQL1", &["INSERT INTO {db}.t1 VALUES (1, 'a'), (2, 'b')"])
        .await;
    case.on("MYSQL2", &["CREATE TABLE {db}.t2 (id INT PRIMARY KEY)"])
        .await;
    case.task("all", "--consistency none", "");
    let report = case.json(0, &[]);
    assert_eq!(report["summary"]["passed"], true);
    assert_eq!(report["summary"]["failed"], 0);
    for name in [
        "mysql_version",
        "mysql_server_id",
        "mysql_binlog_enable",
        "mysql_binlog_format",
        "mysql_binlog_row_image",
        DUMP,
        "source db replication privilege checker",
        STRUCTURE,
        "dumper_conn_number_checker",
    ] {
        for source in ["s1", "s2"] {
            assert_eq!(
                result(&report, name, source)["state"],
                "success",
                "{name}: {report:#}"
            );
        }
    }
    for name in [
        "target db privilege checker",
        "loader_conn_number_checker",
        "staging probe",
    ] {
        assert_eq!(result(&report, name, "")["state"], "success", "{name}");
    }
    assert_eq!(report["estimate"][0]["tables"], 1);
    let stored = case
        .path("staging")
        .join(&case.name)
        .join("precheck/report.json");
    let stored: Value = serde_json::from_slice(&std::fs::read(stored).unwrap()).unwrap();
    assert_eq!(stored["summary"], report["summary"]);
    let text = String::from_utf8(case.precheck(&[]).stdout).unwrap();
    assert!(text.contains("ok    mysql_version"), "{text}");
    assert!(text.contains("s1: 1 tables, about "), "{text}");
    assert!(text.trim_end().ends_with(" 0 failed"), "{text}");
    case.drop().await;
}

#[tokio::test]
async fn what_tables_hold_is_said() {
    let case = Case::new("tables", &["MYSQL1"], "TIDB").await;
    case.on(
        "MYSQL1",
        &[
            "CREATE TABLE {db}.nokey (a INT)",
            "CREATE TABLE {db}.shapes (id INT PRIMARY KEY, g GEOMETRY)",
            "CREATE TABLE {db}.old (id INT PRIMARY KEY, d DATETIME DEFAULT '0000-00-00 00:00:00', \
             v VARCHAR(9)) CHARSET latin1",
            "INSERT INTO {db}.old (id) VALUES (1)",
            "CREATE TABLE {db}.parent (id INT PRIMARY KEY)",
            "CREATE TABLE {db}.child (id INT PRIMARY KEY, p INT, FOREIGN KEY (p) REFERENCES \
             {db}.parent (id) ON DELETE CASCADE)",
            "CREATE TABLE {db}.big (id INT PRIMARY KEY, b LONGBLOB)",
            "INSERT INTO {db}.big VALUES (1, REPEAT('x', 7 * 1024 * 1024))",
            "SET SESSION sql_generate_invisible_primary_key = ON",
            "CREATE TABLE {db}.hidden (a INT)",
            "CREATE VIEW {db}.v AS SELECT 1",
            "CREATE TRIGGER {db}.tr BEFORE INSERT ON {db}.nokey FOR EACH ROW SET NEW.a = 1",
        ],
    )
    .await;
    case.task("all", "--consistency none", "");
    let report = case.json(3, &[]);
    let structure = result(&report, STRUCTURE, "s1");
    assert_eq!(structure["state"], "fail");
    let said = errors(structure);
    for part in [
        "nokey`\" \"has no primary key",
        "shapes`\" \"column `g` is geometry, which TiDB does not have",
        "old`\" \"column `d` has the zero date",
        "old`\" \"1 rows hold zero dates",
        "child`\" \"has foreign keys with cascades (",
        "big`\" \"holds a row of 7.0 MiB, TiDB's txn-entry-size-limit is 6.0 MiB",
        "hidden`\" \"has a generated invisible primary key",
        "not migrated: 1 triggers",
    ] {
        assert!(said.contains(part), "{part} in\n{said}");
    }
    assert!(
        structure["extra"]
            .as_str()
            .unwrap()
            .contains("1 views are left out")
    );
    let charset = result(&report, "character set and collation check", "s1");
    assert_eq!(charset["state"], "warn");
    assert!(
        errors(charset).contains("TiDB has no latin1"),
        "{charset:#}"
    );

    // The same on MySQL: nothing fails, and the row fits.
    let mysql = Case {
        target: "MYSQL_TARGET",
        ..case
    };
    mysql
        .on("MYSQL_TARGET", &["DROP DATABASE IF EXISTS {db}"])
        .await;
    mysql.task("all", "--consistency none", "");
    let report = mysql.json(0, &["--accept-changes"]);
    assert_eq!(result(&report, STRUCTURE, "s1")["state"], "warn");
    mysql.drop().await;
}

#[tokio::test]
async fn children_that_would_stay_behind_are_named() {
    const CHILD: &str = "CREATE TABLE {db}.child (id INT PRIMARY KEY, p INT, CONSTRAINT c FOREIGN KEY \
                         (p) REFERENCES {db}.parent (id) ON DELETE CASCADE)";
    let case = Case::new("cascade", &["MARIADB", "MYSQL1"], "TIDB").await;
    for server in ["MARIADB", "MYSQL1"] {
        case.on(
            server,
            &["CREATE TABLE {db}.parent (id INT PRIMARY KEY)", CHILD],
        )
        .await;
    }
    case.on(
        "MARIADB",
        &[
            "DROP DATABASE IF EXISTS {db}_out",
            "CREATE DATABASE {db}_out",
            "CREATE TABLE {db}_out.parent (id INT PRIMARY KEY)",
            "CREATE TABLE {db}.outside (id INT PRIMARY KEY, p INT, FOREIGN KEY (p) REFERENCES \
             {db}_out.parent (id) ON UPDATE SET NULL)",
        ],
    )
    .await;
    case.task("all", "--consistency none", "");
    let said = |args: &[&str], code| {
        let report = case.json(code, args);
        errors(result(&report, STRUCTURE, "s1"))
    };
    let one = ["--source-id", "s1"];
    let text = said(&one, 3);
    assert!(
        text.contains("outside`\" \"has foreign keys with cascades"),
        "{text}"
    );
    assert!(text.contains("parent` is not migrated"), "{text}");
    assert!(!text.contains("lacks c"), "{text}");

    // A table at the target without the constraint.
    case.on(
        "MARIADB",
        &["DROP TABLE {db}.outside", "DROP DATABASE {db}_out"],
    )
    .await;
    assert!(!said(&one, 0).contains("does not have"));
    case.on(
        "TIDB",
        &[
            "CREATE DATABASE {db}",
            "CREATE TABLE {db}.child (id INT PRIMARY KEY, p INT)",
        ],
    )
    .await;
    let text = said(&one, 3);
    assert!(text.contains("the table at the target lacks c"), "{text}");
    // MySQL 9.6 and later logs what a cascade changes.
    let report = case.json(0, &["--source-id", "s2"]);
    let text = errors(result(&report, STRUCTURE, "s2"));
    assert!(
        text.contains("has foreign keys with cascades (c)"),
        "{text}"
    );
    // Nobody follows changes.
    let report = case.json(0, &["--source-id", "s1", "--task-mode", "full"]);
    let text = errors(result(&report, STRUCTURE, "s1"));
    assert!(!text.contains("does not have"), "{text}");
    case.drop().await;
}

#[tokio::test]
async fn privileges_are_read_truthfully() {
    let case = Case::new("grants", &["MYSQL1"], "MYSQL_TARGET").await;
    let user = format!("u{}", std::process::id());
    let create = format!("CREATE USER `{user}`@`%` IDENTIFIED BY 'pw'");
    let role = format!("CREATE ROLE `r{user}`");
    case.on(
        "MYSQL1",
        &[
            "CREATE TABLE {db}.t (id INT PRIMARY KEY)",
            "CREATE TABLE {db}.nokey (a INT)",
            &format!("DROP USER IF EXISTS `{user}`@`%`"),
            &format!("DROP ROLE IF EXISTS `r{user}`"),
            &create,
            &role,
            // Dynamic privileges that no check asks for.
            &format!("GRANT XA_RECOVER_ADMIN, AUDIT_ABORT_EXEMPT ON *.* TO `{user}`@`%`"),
            &format!("GRANT SELECT ON {{db}}.* TO `r{user}`"),
            &format!("GRANT `r{user}` TO `{user}`@`%`"),
            &format!("SET DEFAULT ROLE ALL TO `{user}`@`%`"),
        ],
    )
    .await;
    case.source(1, &user, "pw");
    // SELECT comes by a role; without LOCK TABLES the table without a key is inexact.
    case.task("all", "--consistency none", "");
    let report = case.json(3, &[]);
    let said = errors(result(&report, DUMP, "s1"));
    assert!(
        said.contains("nokey`\" \"has no key and cannot be locked"),
        "{said}"
    );
    assert!(!said.contains("SELECT"), "{said}");
    let replication = result(&report, "source db replication privilege checker", "s1");
    assert!(
        errors(replication).contains("lacks REPLICATION SLAVE"),
        "{replication:#}"
    );
    // Ignored checks leave no trace.
    case.task(
        "all",
        "--consistency none",
        "ignore-checking-items: [dump_privilege, replication_privilege]",
    );
    let report = case.json(0, &["--accept-changes"]);
    assert!(
        !report
            .to_string()
            .contains("privilege checker\",\"desc\":\"check dump")
    );
    // What `auto` falls back to is asked for.
    case.task("full", "--consistency auto", "");
    let report = case.json(3, &["--accept-changes"]);
    let said = errors(result(&report, DUMP, "s1"));
    assert!(said.contains("lacks RELOAD for FLUSH TABLES WITH READ LOCK, and LOCK TABLES"));
    case.on(
        "MYSQL1",
        &[&format!("GRANT LOCK TABLES ON {{db}}.* TO `{user}`@`%`")],
    )
    .await;
    assert_eq!(
        result(&case.json(0, &["--accept-changes"]), DUMP, "s1")["state"],
        "success"
    );
    case.task("full", "--consistency flush", "");
    let report = case.json(3, &["--accept-changes"]);
    assert!(errors(result(&report, DUMP, "s1")).contains("lacks RELOAD"));
    case.on("MYSQL1", &[&format!("REVOKE `r{user}` FROM `{user}`@`%`")])
        .await;
    // Without SELECT the tables are not even seen.
    case.task("full", "--consistency none", "");
    let report = case.json(3, &["--accept-changes"]);
    assert!(!report["summary"]["passed"].as_bool().unwrap());
    case.on(
        "MYSQL1",
        &[
            &format!("DROP USER `{user}`@`%`"),
            &format!("DROP ROLE `r{user}`"),
        ],
    )
    .await;
    case.drop().await;
}

#[tokio::test]
async fn tables_that_meet_must_be_alike() {
    let case = Case::new("shards", &["MYSQL1", "MYSQL2"], "TIDB").await;
    case.on(
        "MYSQL1",
        &[
            "CREATE TABLE {db}.t (id INT AUTO_INCREMENT PRIMARY KEY, v INT)",
            "CREATE TABLE {db}.one (id INT PRIMARY KEY)",
            "CREATE VIEW {db}.w AS SELECT 1",
        ],
    )
    .await;
    case.on(
        "MYSQL2",
        &["CREATE TABLE {db}.t (id INT AUTO_INCREMENT PRIMARY KEY, v BIGINT, late INT)"],
    )
    .await;
    case.task("full", "--consistency none --no-views=false", "");
    let report = case.json(3, &["--dump-processes", "3", "--load-processes", "4"]);
    let shards = result(&report, "sharding table consistency check", "");
    assert_eq!(shards["state"], "fail");
    assert_eq!(
        errors(shards).trim(),
        format!(
            "\"s2 `{}`.`t`\" \"column `v` is bigint, there int, column `late` is in this one only\"",
            case.name
        )
    );
    let numbered = result(&report, "sharding table auto-increment check", "");
    assert_eq!(numbered["state"], "warn");
    assert_eq!(numbered["errors"].as_array().unwrap().len(), 2);
    // Views are never created at the target: said, and no privilege asked for.
    let structure = result(&report, STRUCTURE, "s1");
    assert!(
        errors(structure).contains("1 views are left out"),
        "{structure:#}"
    );
    // Each process opens its threads and two more.
    let dumper = result(&report, "dumper_conn_number_checker", "s1");
    assert_eq!(dumper["extra"], "18 connections", "{dumper:#}");
    let loader = result(&report, "loader_conn_number_checker", "");
    assert_eq!(loader["extra"], "144 connections", "{loader:#}");
    // A source alone meets nobody.
    let alone = case.json(0, &["--source-id", "s1"]);
    assert!(!alone.to_string().contains("sharding table"), "{alone:#}");
    case.drop().await;
}

#[tokio::test]
async fn a_primary_key_is_asked_for_and_a_position_looked_up() {
    let case = Case::new("position", &["MYSQL1"], "TIDB").await;
    case.on(
        "MYSQL1",
        &[
            "CREATE TABLE {db}.t (id INT PRIMARY KEY)",
            "CREATE TABLE {db}.u (id INT NOT NULL UNIQUE)",
        ],
    )
    .await;
    case.task("full", "--consistency none", "");
    let report = case.json(0, &[]);
    assert!(!report.to_string().contains("primary key check"));
    let report = case.json(3, &["--require-primary-key"]);
    let said = errors(result(&report, "primary key check", "s1"));
    assert!(said.contains("u`\" \"has no primary key"), "{said}");
    assert!(!said.contains("t`\""), "{said}");

    case.task("incremental", "--consistency none", "");
    let with = |meta: &str| {
        let task = std::fs::read_to_string(case.path("task.yaml")).unwrap();
        let task = task.replace(
            "- {source-id: s1,",
            &format!("- {{source-id: s1, meta: {{{meta}}},"),
        );
        std::fs::write(case.path("other.yaml"), task).unwrap();
        let other = case.path("other.yaml").display().to_string();
        let output = case.precheck(&["--output", "json", "--accept-changes", "--task", &other]);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        serde_json::from_str::<Value>(&text)
            .unwrap_or_else(|e| panic!("{e}: {text}\n{}", String::from_utf8_lossy(&output.stderr)))
    };
    let logs: Vec<(String, u64, String)> = connect("MYSQL1")
        .await
        .query("SHOW BINARY LOGS")
        .await
        .unwrap();
    let (last, ..) = logs.last().unwrap();
    let report = with(&format!("binlog-name: {last}, binlog-pos: 4"));
    let position = result(&report, "meta position check", "s1");
    assert_eq!(position["state"], "success", "{position:#}");
    let report = with("binlog-name: nowhere.000001, binlog-pos: 4");
    let said = errors(result(&report, "meta position check", "s1"));
    assert!(
        said.contains("the source has no binary log nowhere.000001"),
        "{said}"
    );
    case.drop().await;
}

#[tokio::test]
async fn target_tables_that_exist_or_meet() {
    let case = Case::new("target", &["MYSQL1", "MYSQL2"], "TIDB").await;
    for server in ["MYSQL1", "MYSQL2"] {
        case.on(server, &["CREATE TABLE {db}.t (id INT PRIMARY KEY, v INT)"])
            .await;
    }
    case.on(
        "TIDB",
        &[
            "CREATE DATABASE {db}",
            "CREATE TABLE {db}.T (id INT PRIMARY KEY)",
        ],
    )
    .await;
    case.on("TIDB", &["INSERT INTO {db}.t VALUES (1)"]).await;
    case.task("full", "--consistency none", "");
    let report = case.json(3, &[]);
    let said = errors(result(&report, "target table empty check", "s1"));
    assert!(said.contains("exists and lacks the columns v"), "{said}");
    assert!(said.contains("exists and holds rows"), "{said}");
    let conflict = result(&report, "target table conflict check", "");
    assert_eq!(conflict["state"], "fail");
    assert!(
        conflict["errors"][0]["other"]
            .as_str()
            .unwrap()
            .contains("s2 "),
        "{conflict:#}"
    );
    case.on("TIDB", &["ALTER TABLE {db}.t ADD COLUMN v INT"])
        .await;
    // One source alone meets nobody, and may load into what is there.
    let report = case.json(0, &["--into-existing", "--source-id", "s1"]);
    assert_eq!(
        result(&report, "target table empty check", "s1")["state"],
        "warn"
    );
    case.drop().await;
}

#[tokio::test]
async fn mariadb_as_source_and_nothing_in_scope() {
    let case = Case::new("maria", &["MARIADB"], "TIDB").await;
    case.task("all", "--consistency none", "");
    let report = case.json(3, &[]);
    assert_eq!(
        result(&report, "migration scope check", "")["state"],
        "fail"
    );
    case.on(
        "MARIADB",
        &["CREATE TABLE {db}.t (id INT PRIMARY KEY, v TEXT, d DATE)"],
    )
    .await;
    case.on(
        "MARIADB",
        &["INSERT INTO {db}.t VALUES (1, 'x', '2020-00-01')"],
    )
    .await;
    let report = case.json(0, &[]);
    let version = result(&report, "mysql_version", "s1");
    assert!(
        version["extra"]
            .as_str()
            .unwrap()
            .starts_with("MariaDB 10."),
        "{version:#}"
    );
    assert!(errors(result(&report, STRUCTURE, "s1")).contains("1 rows hold zero dates"));
    case.drop().await;
}

#[tokio::test]
async fn wrong_configuration_is_exit_2_and_shows_no_password() {
    let case = Case::new("config", &["MYSQL1"], "TIDB").await;
    case.source(1, "nobody_here", "hunter2");
    case.task("full", "", "");
    let output = case.precheck(&[]);
    let log = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{log}");
    assert!(
        log.contains("source s1") && !log.contains("hunter2"),
        "{log}"
    );
    case.task("full", "", "ignore-checking-items: [dump_priv]");
    let output = case.precheck(&[]);
    let log = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{log}");
    assert!(
        log.contains("did you mean `dump_privilege`? Known are: all, "),
        "{log}"
    );
    case.drop().await;
}
