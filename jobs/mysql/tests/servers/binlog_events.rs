//! Events beside rows, and the definitions of tables, of real servers.

use mysql_async::prelude::Queryable;
use tideway_mysql::Role;
use tideway_mysql::binlog::definition::{history_column, matches};
use tideway_mysql::binlog::gtid_event::previous;
use tideway_mysql::binlog::metadata::Metadata;
use tideway_mysql::binlog::query::Query;
use tideway_mysql::binlog::rows::{Row, RowsEvent, has_rows};
use tideway_mysql::binlog::table_map::TableMap;
use tideway_mysql::binlog::value::Value;
use tideway_mysql::binlog::{Frames, Kind};
use tideway_mysql::gtid::GtidSet;
use tideway_mysql::schema::{TableDef, TableName, read_table};

use crate::binlog::{LIMIT, part, place, root, written};
use crate::binlog_decoder::Decoder;
use crate::server::{On, one};

fn schema_of(on: On, what: &str) -> String {
    format!("tw_{what}_{}_{}", std::process::id(), on as u32)
}

fn decode(bytes: &[u8]) -> Decoder {
    let mut frames = Frames::open(bytes, LIMIT).unwrap();
    let mut decoder = Decoder::default();
    while let Some(event) = frames.next().unwrap() {
        decoder.decode(&event, frames.format()).unwrap();
    }
    decoder
}

#[tokio::test]
async fn statements_carry_their_session() {
    for on in [On::MySql, On::MariaDb] {
        let schema = schema_of(on, "query");
        let create = format!("CREATE TABLE {schema}.t (c TIMESTAMP DEFAULT '2024-01-01 00:00:00')");
        let bytes = written(
            on,
            &[
                &format!("CREATE DATABASE {schema}"),
                &format!("USE {schema}"),
                "SET sql_mode = 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES', foreign_key_checks = 0",
                "SET unique_checks = 0, NAMES latin1 COLLATE latin1_bin, time_zone = '+05:30'",
                "SET collation_server = utf8mb4_bin, auto_increment_increment = 3",
                &create,
                &format!("DROP DATABASE {schema}"),
            ],
        )
        .await;
        let mut frames = Frames::open(&bytes[..], LIMIT).unwrap();
        let mut found = None;
        while let Some(event) = frames.next().unwrap() {
            if event.header.kind == Kind::QUERY {
                let query = Query::parse(&event, LIMIT).unwrap();
                if query.text.starts_with(create.as_bytes()) {
                    found = Some((
                        query.schema,
                        query.thread_id,
                        query.error_code,
                        query.status,
                    ));
                }
            }
        }
        let (current, thread, error, status) = found.unwrap();
        assert_eq!((&current, error), (&schema, 0), "{on:?}");
        assert!(thread > 0);
        // ANSI_QUOTES is 4 for both, NO_BACKSLASH_ESCAPES 2^20.
        assert_eq!(status.sql_mode.unwrap() & 0x10_0004, 0x10_0004, "{on:?}");
        assert_eq!(
            (status.foreign_key_checks, status.unique_checks),
            (Some(false), Some(false)),
            "{on:?}"
        );
        // latin1_bin is 47, utf8mb4_bin 46.
        assert_eq!(
            (
                status.client_collation.is_some(),
                status.connection_collation,
                status.server_collation
            ),
            (true, Some(47), Some(46)),
            "{on:?}"
        );
        // Told where the statement makes use of it.
        assert_eq!(status.time_zone.as_deref(), Some("+05:30"), "{on:?}");
        assert_eq!(status.auto_increment, Some((3, 1)), "{on:?}");
    }
}

#[tokio::test]
async fn gtids_are_those_that_the_server_counts() {
    for on in [On::MySql, On::MariaDb] {
        let schema = schema_of(on, "gtid");
        let mut conn = root(on).await;
        let mysql = on == On::MySql;
        let executed = match on {
            On::MariaDb => "SELECT @@gtid_binlog_state",
            _ => "SELECT @@gtid_executed",
        };
        let before = GtidSet::parse(&one(&mut conn, executed).await).unwrap();
        let mut statements = vec![
            format!("CREATE DATABASE {schema}"),
            format!("CREATE TABLE {schema}.t (i INT PRIMARY KEY)"),
            format!("INSERT INTO {schema}.t VALUES (1)"),
        ];
        if mysql {
            statements.push("SET gtid_next = 'AUTOMATIC:tideway_test'".into());
            statements.push(format!("INSERT INTO {schema}.t VALUES (2)"));
            statements.push("SET gtid_next = 'AUTOMATIC'".into());
        }
        statements.push(format!("DROP DATABASE {schema}"));
        let statements: Vec<&str> = statements.iter().map(String::as_str).collect();
        let decoder = decode(&written(on, &statements).await);
        let after = GtidSet::parse(&one(&mut conn, executed).await).unwrap();
        let mut found = GtidSet::parse("").unwrap();
        for begin in &decoder.begins {
            found.add(begin.gtid.as_ref().unwrap()).unwrap();
        }
        assert!(after.contains(&found), "{after} does not contain {found}");
        assert!(
            found.contains(&after.subtract(&before)) || after != before,
            "{found}"
        );
        if mysql {
            let tagged = decoder.begins.iter().filter(|begin| {
                let gtid = begin.gtid.as_ref().unwrap();
                gtid.to_string().contains(":tideway_test:")
            });
            assert_eq!(tagged.count(), 1, "{found}");
            let now = std::time::SystemTime::now();
            let now = now
                .duration_since(std::time::UNIX_EPOCH)
                .unwrap()
                .as_micros();
            for begin in &decoder.begins {
                let time = u128::from(begin.immediate_commit.unwrap());
                assert!(time <= now && time + 3_600_000_000 > now, "{time}");
                assert_eq!(begin.immediate_commit, begin.original_commit);
                assert!(begin.length.unwrap() > 0);
            }
        } else {
            let ddl = |begin: &&tideway_mysql::binlog::gtid_event::Begin| {
                begin.mariadb.as_ref().unwrap().ddl
            };
            assert!(decoder.begins.iter().filter(ddl).count() >= 3);
        }
        // The set that a file begins with.
        let (file, _) = place(&mut conn, on).await;
        let head = part(on, &file, 4, 300).await;
        let mut frames = Frames::open(&head[..], LIMIT).unwrap();
        let mut sets = 0;
        while let Some(event) = frames.next().unwrap() {
            if matches!(
                event.header.kind,
                Kind::PREVIOUS_GTIDS | Kind::MARIADB_GTID_LIST
            ) {
                let set = previous(&event).unwrap();
                assert!(after.contains(&set), "{after} does not contain {set}");
                sets += 1;
            }
        }
        assert_eq!(sets, 1, "{on:?}: {file}");
    }
}

#[tokio::test]
async fn xa_transactions_have_the_same_name_everywhere() {
    for on in [On::MySql, On::MariaDb] {
        let schema = schema_of(on, "xa");
        let bytes = written(
            on,
            &[
                &format!("CREATE DATABASE {schema}"),
                &format!("CREATE TABLE {schema}.t (i INT PRIMARY KEY)"),
                &format!("XA START '{schema}', 'b\\'ranch', 7"),
                &format!("INSERT INTO {schema}.t VALUES (1)"),
                &format!("XA END '{schema}', 'b\\'ranch', 7"),
                &format!("XA PREPARE '{schema}', 'b\\'ranch', 7"),
                &format!("XA COMMIT '{schema}', 'b\\'ranch', 7"),
                &format!("DROP DATABASE {schema}"),
            ],
        )
        .await;
        let decoder = decode(&bytes);
        let prepared: Vec<_> = decoder
            .prepared
            .iter()
            .filter(|prepare| prepare.name.global == schema.as_bytes())
            .collect();
        assert_eq!(prepared.len(), 1, "{on:?}");
        assert!(!prepared[0].one_phase);
        assert_eq!(
            (&prepared[0].name.branch[..], prepared[0].name.format),
            (&b"b'ranch"[..], 7)
        );
        let name = prepared[0].name.to_string();
        let commit = format!("XA COMMIT {name}");
        assert!(
            decoder.statements.iter().any(|(_, text)| *text == commit),
            "{on:?}: {commit}: {:?}",
            decoder.statements
        );
        if on == On::MariaDb {
            let of = |begin: &tideway_mysql::binlog::gtid_event::Begin| {
                let more = begin.mariadb.clone().unwrap();
                (more.prepared, more.completed)
            };
            let named = |id: &Option<_>| id.as_ref() == Some(&prepared[0].name);
            let begins: Vec<_> = decoder.begins.iter().map(of).collect();
            assert!(begins.iter().any(|(prepared, _)| named(prepared)));
            assert!(begins.iter().any(|(_, completed)| named(completed)));
        }
    }
}

#[tokio::test]
async fn compressed_transactions_hold_the_same_rows() {
    let schema = schema_of(On::MySql, "payload");
    let many = "SELECT 1 UNION ALL SELECT a + 1 FROM n WHERE a < 5000";
    let bytes = written(
        On::MySql,
        &[
            "SET cte_max_recursion_depth = 10000",
            &format!("CREATE DATABASE {schema}"),
            &format!("CREATE TABLE {schema}.t (i INT PRIMARY KEY, v VARCHAR(90))"),
            "SET binlog_transaction_compression = ON",
            &format!(
                "INSERT INTO {schema}.t WITH RECURSIVE n (a) AS ({many}) SELECT a, REPEAT('x', 80) FROM n"
            ),
            "SET binlog_transaction_compression_level_zstd = 22",
            &format!("UPDATE {schema}.t SET v = 'y'"),
            &format!("DROP DATABASE {schema}"),
        ],
    )
    .await;
    let decoder = decode(&bytes);
    let within = |kind: Kind| {
        decoder
            .within
            .iter()
            .filter(|found| **found == kind)
            .count()
    };
    assert!(within(Kind::QUERY) >= 2 && within(Kind::XID) >= 2);
    assert!(within(Kind::WRITE_ROWS) > 10 && within(Kind::UPDATE_ROWS) > 10);
    assert!(decoder.rows >= 10_000, "{}", decoder.rows);
}

/// Sets a variable for all, does something, and puts it back.
async fn with_global<T>(on: On, name: &str, value: &str, work: impl Future<Output = T>) -> T {
    let mut conn = root(on).await;
    let before = one(&mut conn, &format!("SELECT @@GLOBAL.{name}")).await;
    let before = match before.as_str() {
        number if number.parse::<u32>().is_ok() => before,
        _ => format!("'{before}'"),
    };
    conn.query_drop(format!("SET GLOBAL {name} = {value}"))
        .await
        .unwrap();
    let done = work.await;
    conn.query_drop(format!("SET GLOBAL {name} = {before}"))
        .await
        .unwrap();
    done
}

#[tokio::test]
async fn mariadbs_compressed_events_unpack() {
    let on = On::MariaDb;
    let schema = schema_of(on, "packed");
    let long = "x".repeat(3000);
    let create = format!("CREATE TABLE {schema}.t (i INT PRIMARY KEY, v TEXT) /* {long} */");
    let statements = [
        format!("CREATE DATABASE {schema}"),
        create.clone(),
        format!("INSERT INTO {schema}.t VALUES (1, '{long}'), (2, '{long}')"),
        format!("UPDATE {schema}.t SET v = CONCAT(v, 'y')"),
        format!("DELETE FROM {schema}.t"),
        format!("DROP DATABASE {schema}"),
    ];
    let statements: Vec<&str> = statements.iter().map(String::as_str).collect();
    // Sessions see it from their beginning on.
    let bytes = with_global(on, "log_bin_compress", "1", written(on, &statements)).await;
    let mut frames = Frames::open(&bytes[..], LIMIT).unwrap();
    let mut kinds = Vec::new();
    let mut decoder = Decoder::default();
    while let Some(event) = frames.next().unwrap() {
        kinds.push(event.header.kind);
        decoder.decode(&event, frames.format()).unwrap();
    }
    for kind in [
        Kind::QUERY_COMPRESSED,
        Kind::WRITE_ROWS_COMPRESSED,
        Kind::UPDATE_ROWS_COMPRESSED,
        Kind::DELETE_ROWS_COMPRESSED,
    ] {
        assert!(kinds.contains(&kind), "{kind:?} is not among {kinds:?}");
    }
    assert!(decoder.rows >= 6);
    assert!(decoder.statements.iter().any(|(_, text)| *text == create));
}

/// The maps of a table, with their metadata, and how many values its rows have.
fn maps(bytes: &[u8], name: &TableName) -> Vec<(TableMap, Metadata)> {
    let mut frames = Frames::open(bytes, LIMIT).unwrap();
    let mut found: Vec<(TableMap, Metadata)> = Vec::new();
    while let Some(event) = frames.next().unwrap() {
        let kind = event.header.kind;
        if kind == Kind::TABLE_MAP {
            let map = TableMap::parse(&event, frames.format()).unwrap();
            let metadata = Metadata::parse(&map, &event, frames.format()).unwrap();
            if map.name == *name {
                found.push((map, metadata));
            }
        } else if has_rows(kind) {
            let mut rows = RowsEvent::parse(&event, frames.format()).unwrap();
            let Some((map, _)) = found.last().filter(|(map, _)| map.id == rows.table_id) else {
                continue;
            };
            let mut row = Row::default();
            while rows.next(map, &mut row).unwrap() {
                let values = row.before.iter().chain(&row.after);
                assert!(values.clone().count() >= map.columns.len());
                for value in values {
                    assert_ne!(*value, Value::Absent, "{name}");
                }
            }
        }
    }
    found
}

const OF_BOTH: &str = "id INT PRIMARY KEY, t TINYINT, tu TINYINT UNSIGNED, s SMALLINT, m MEDIUMINT, \
    mu MEDIUMINT UNSIGNED, b BIGINT, bu BIGINT UNSIGNED ZEROFILL, f FLOAT, fu FLOAT UNSIGNED, d DOUBLE, \
    n1 DECIMAL(10,3), n2 DECIMAL(65,30) UNSIGNED, y YEAR, da DATE, ti TIME(6), t0 TIME, t1 TIME(1), \
    dt DATETIME(6), d0 DATETIME, ts TIMESTAMP(6) NULL, c CHAR(10), lc CHAR(200), \
    cl CHAR(5) CHARACTER SET latin1, v VARCHAR(20), lv VARCHAR(500), vl VARCHAR(90) CHARACTER SET cp1251, \
    bn BINARY(9), vb VARBINARY(9), lvb VARBINARY(300), tt TINYTEXT, tx TEXT, mt MEDIUMTEXT, lt LONGTEXT, \
    tb TINYBLOB, bl BLOB, mb MEDIUMBLOB, lb LONGBLOB, bi BIT(9), b1 BIT, e ENUM('a','b'), \
    el ENUM('ä') CHARACTER SET latin1, st SET('x','y','z'), \
    st9 SET('1','2','3','4','5','6','7','8','9'), j JSON, g GEOMETRY, p POINT, \
    gs INT AS (id + 1) STORED, gv INT AS (id + 2) VIRTUAL, iv INT INVISIBLE, \
    gi VARCHAR(9) AS (c) VIRTUAL INVISIBLE, u8 VARCHAR(9) CHARACTER SET utf8mb3";

#[tokio::test]
async fn maps_match_the_definitions_that_are_read() {
    for on in [On::MySql, On::MariaDb] {
        for metadata in ["MINIMAL", "FULL"] {
            let schema = schema_of(on, &format!("map_{}", metadata.to_lowercase()));
            let more = match on {
                On::MariaDb => ", u UUID, i6 INET6, UNIQUE (tx)",
                _ => ", ve VECTOR(3), KEY ((id + 1)), KEY (gv)",
            };
            let mut conn = root(on).await;
            for statement in [
                format!("CREATE DATABASE {schema} CHARACTER SET utf8mb4"),
                format!("CREATE TABLE {schema}.t ({OF_BOTH}{more})"),
                format!("CREATE TABLE {schema}.nothing (c INT)"),
            ] {
                conn.query_drop(statement).await.unwrap();
            }
            let mut tables = vec!["t"];
            let mut statements = vec![
                format!("INSERT INTO {schema}.t (id, c) VALUES (1, 'c')"),
                format!("UPDATE {schema}.t SET c = 'd'"),
                format!("DELETE FROM {schema}.t"),
            ];
            if on == On::MariaDb {
                let versioned = format!("CREATE TABLE {schema}.v (i INT) WITH SYSTEM VERSIONING");
                conn.query_drop(versioned).await.unwrap();
                statements.push(format!("INSERT INTO {schema}.v VALUES (1)"));
                tables.push("v");
            } else {
                let generated = "SET sql_generate_invisible_primary_key = ON";
                conn.query_drop(generated).await.unwrap();
                let keyless = format!("CREATE TABLE {schema}.k (i INT)");
                conn.query_drop(keyless).await.unwrap();
                statements.push(format!("INSERT INTO {schema}.k VALUES (1)"));
                tables.push("k");
            }
            let statements: Vec<&str> = statements.iter().map(String::as_str).collect();
            let work = written(on, &statements);
            let bytes = with_global(on, "binlog_row_metadata", metadata, work).await;
            let server = on.server(Role::Source).await.unwrap();
            for table in tables {
                let name = TableName::new(&schema, table);
                let def = read_table(&mut conn, server.info(), &name)
                    .await
                    .unwrap()
                    .unwrap();
                let maps = maps(&bytes, &name);
                assert!(!maps.is_empty());
                for (map, metadata) in &maps {
                    if let Err(error) = matches(map, metadata, &def) {
                        panic!("{on:?}: {error}");
                    }
                    assert_eq!(history_column(map, &def), (table == "v").then_some(2));
                    differ_without_a_column(map, metadata, &def);
                }
                if metadata == "FULL" {
                    compare_full(on, &maps[0].1, &def);
                }
            }
            conn.query_drop(format!("DROP DATABASE {schema}"))
                .await
                .unwrap();
        }
    }
}

fn differ_without_a_column(map: &TableMap, metadata: &Metadata, def: &TableDef) {
    let mut less = def.clone();
    less.columns.remove(0);
    assert!(matches(map, metadata, &less).is_err());
    let mut more = def.clone();
    let last = more.columns.last().unwrap().clone();
    more.columns.insert(0, last);
    assert!(matches(map, metadata, &more).is_err());
}

/// What the metadata says beyond what [`matches()`] compares.
fn compare_full(on: On, metadata: &Metadata, def: &TableDef) {
    for (sent, column) in metadata.columns.iter().zip(&def.columns) {
        assert_eq!(sent.name.as_ref(), Some(&column.name), "{on:?}");
        if on == On::MySql {
            assert_eq!(sent.visible, Some(!column.invisible), "{}", column.name);
        }
        if column.ty.is_text() || column.ty.is_binary() {
            assert!(sent.collation.is_some(), "{on:?}: {}", column.name);
        }
    }
    if def.name.table == "t" {
        assert_eq!(metadata.primary_key, Some(vec![(0, 0)]), "{on:?}");
        let of = |name: &str| {
            let at = def.columns.iter().position(|column| column.name == name);
            &metadata.columns[at.unwrap()]
        };
        let members = |name: &str| of(name).members.clone().unwrap();
        assert_eq!(members("e"), [b"a", b"b"]);
        assert_eq!(members("st"), [b"x", b"y", b"z"]);
        assert_eq!(members("el").len(), 1);
        println!("{on:?}: ä in latin1 is {:02x?}", members("el"));
        assert_eq!(
            (of("g").geometry, of("p").geometry),
            (Some(0), Some(1)),
            "{on:?}"
        );
        if on == On::MySql {
            assert_eq!(of("ve").dimensions, Some(3));
        }
    }
}
