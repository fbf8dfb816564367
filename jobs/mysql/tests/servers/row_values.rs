//! Values of row events, written as literals into another server: both then say the same.

use std::collections::BTreeMap;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Row as Answer};
use secrecy::SecretString;
use tideway_mysql::binlog::Kind;
use tideway_mysql::binlog::frame::Frames;
use tideway_mysql::binlog::rows::{Row, RowsEvent, has_rows};
use tideway_mysql::binlog::table_map::TableMap;
use tideway_mysql::binlog::value::Value;
use tideway_mysql::binlog::{json, json_diff};
use tideway_mysql::charset::Charset;
use tideway_mysql::checksum::json::digest;
use tideway_mysql::row::{KeyColumn, is_invalid_member, write_equals, write_literal};
use tideway_mysql::schema::{ColumnDef, TableDef, TableName, read_table};
use tideway_mysql::{Endpoint, Flavor, Role, Server, Tls};

use crate::binlog::{root, written};
use crate::server::{On, run, variable};

/// The servers that rows are written to.
async fn targets(database: &str) -> Vec<(Flavor, Server, Conn)> {
    let mut found = Vec::new();
    for (flavor, port, password) in [
        (
            Flavor::MySql,
            "TIDEWAY_TEST_MYSQL_TARGET_PORT",
            "TIDEWAY_TEST_ROOT_PASSWORD",
        ),
        (
            Flavor::MariaDb,
            "TIDEWAY_TEST_MARIADB_PORT",
            "TIDEWAY_TEST_ROOT_PASSWORD",
        ),
        (
            Flavor::TiDb,
            "TIDEWAY_TEST_TIDB_PORT",
            "TIDEWAY_TEST_TIDB_PASSWORD",
        ),
    ] {
        let endpoint = Endpoint {
            name: format!("target {flavor}"),
            host: "127.0.0.1".into(),
            port: variable(port).unwrap().parse().unwrap(),
            user: "root".into(),
            password: SecretString::from(variable(password).unwrap()),
            tls: Tls::Preferred,
            session: BTreeMap::new(),
            max_allowed_packet: None,
        };
        let server = Server::connect(&endpoint, Role::Target, 2).await.unwrap();
        let mut conn = server.conn().await.unwrap();
        run(
            &mut conn,
            &[
                &format!("DROP DATABASE IF EXISTS {database}"),
                &format!("CREATE DATABASE {database} DEFAULT CHARACTER SET utf8mb4"),
            ],
        )
        .await;
        found.push((flavor, server, conn));
    }
    found
}

/// A table's rows as the source wrote them into its binlog: its definition and the bytes.
async fn captured(on: On, schema: &str, create: &str, rows: &[String]) -> (TableDef, Vec<u8>) {
    let mut conn = root(on).await;
    run(
        &mut conn,
        &[
            &format!("DROP DATABASE IF EXISTS {schema}"),
            &format!("CREATE DATABASE {schema} DEFAULT CHARACTER SET utf8mb4"),
            &format!("CREATE TABLE {schema}.t ({create})"),
        ],
    )
    .await;
    let inserts: Vec<String> = rows
        .iter()
        .map(|row| format!("INSERT INTO {schema}.t VALUES ({row})"))
        .collect();
    let inserts: Vec<&str> = inserts.iter().map(String::as_str).collect();
    let bytes = written(on, &inserts).await;
    let server = on.server(Role::Source).await.unwrap();
    let definition = read_table(&mut conn, server.info(), &TableName::new(schema, "t"))
        .await
        .unwrap()
        .unwrap();
    (definition, bytes)
}

/// INSERT statements of the rows in a binlog, each with whether it has an invalid member of an ENUM.
fn inserts(bytes: &[u8], definition: &TableDef, flavor: Flavor) -> Vec<(String, bool)> {
    let mut found = Vec::new();
    each_row(bytes, &definition.name.schema, |row| {
        let mut out = format!("INSERT INTO {}.t VALUES (", definition.name.schema).into_bytes();
        let mut invalid = false;
        for (at, (column, value)) in definition.columns.iter().zip(&row.after).enumerate() {
            if at > 0 {
                out.push(b',');
            }
            write_literal(column, value, flavor, &mut out)
                .unwrap_or_else(|error| panic!("{error}"));
            invalid |= is_invalid_member(column, value);
        }
        out.push(b')');
        found.push((String::from_utf8(out).unwrap(), invalid));
    });
    found
}

/// Each value's identity and predicate, row by row: what the predicate of one row finds must be the
/// rows with the same value there.
fn predicates(bytes: &[u8], definition: &TableDef, flavor: Flavor) -> Vec<Vec<(Vec<u8>, String)>> {
    let mut found = Vec::new();
    each_row(bytes, &definition.name.schema, |row| {
        let values = definition.columns.iter().zip(&row.after);
        let row = values.map(|(column, value)| {
            let mut identity = Vec::new();
            write_literal(column, value, flavor, &mut identity).unwrap();
            if let Value::Enum(member) = value {
                identity.extend(member.to_string().bytes());
            }
            let mut out = Vec::new();
            write_equals(column, &column.name, value, flavor, &mut out).unwrap();
            (identity, String::from_utf8(out).unwrap())
        });
        found.push(row.collect());
    });
    found
}

/// Tries all predicates on a table whose first column is its key.
async fn finds_its_own(
    conn: &mut Conn,
    table: &str,
    bytes: &[u8],
    definition: &TableDef,
    flavor: Flavor,
) {
    let rows = predicates(bytes, definition, flavor);
    let id = |row: &[(Vec<u8>, String)]| String::from_utf8(row[0].0.clone()).unwrap();
    for row in &rows {
        for (column, (identity, predicate)) in row.iter().enumerate() {
            let found: Vec<String> =
                shown(conn, &format!("SELECT id FROM {table} WHERE {predicate}"))
                    .await
                    .into_iter()
                    .map(|mut row| String::from_utf8(row.remove(0).unwrap()).unwrap())
                    .collect();
            let same = rows.iter().filter(|row| row[column].0 == *identity);
            let mut expected: Vec<String> = same.map(|row| id(row)).collect();
            let mut found = found;
            expected.sort();
            found.sort();
            assert_eq!(
                found, expected,
                "{flavor}: {:.300} of column {:?}",
                predicate, definition.columns[column]
            );
        }
    }
}

/// Hands out each row of a schema's tables.
fn each_row(bytes: &[u8], schema: &str, mut with: impl FnMut(&Row<'_>)) {
    let mut frames = Frames::open(bytes, 64 << 20).unwrap();
    let mut map: Option<TableMap> = None;
    while let Some(event) = frames.next().unwrap() {
        if event.header.kind == Kind::TABLE_MAP {
            map = Some(TableMap::parse(&event, frames.format()).unwrap());
        }
        let Some(map) = map.as_ref().filter(|map| map.name.schema == schema) else {
            continue;
        };
        if !has_rows(event.header.kind) {
            continue;
        }
        let mut rows = RowsEvent::parse(&event, frames.format()).unwrap();
        let mut row = Row::default();
        while rows.next(map, &mut row).unwrap() {
            with(&row);
        }
    }
}

async fn apply(conn: &mut Conn, inserts: &[(String, bool)]) {
    for (insert, invalid) in inserts {
        let modes = [
            "SET @mode = @@SESSION.sql_mode, SESSION sql_mode = 'NO_AUTO_VALUE_ON_ZERO,ALLOW_INVALID_DATES'",
            "SET SESSION sql_mode = @mode",
        ];
        if *invalid {
            run(conn, &[modes[0], insert, modes[1]]).await;
        } else {
            run(conn, &[insert]).await;
            let warnings: Vec<Answer> = conn.query("SHOW WARNINGS").await.unwrap();
            assert!(warnings.is_empty(), "{insert:.300}: {warnings:?}");
        }
    }
}

async fn shown(conn: &mut Conn, sql: &str) -> Vec<Vec<Option<Vec<u8>>>> {
    let rows: Vec<Answer> = conn
        .query(sql)
        .await
        .unwrap_or_else(|error| panic!("{sql}: {error}"));
    rows.into_iter()
        .map(|row| {
            row.unwrap()
                .into_iter()
                .map(|value| match value {
                    mysql_async::Value::NULL => None,
                    mysql_async::Value::Bytes(bytes) => Some(bytes),
                    other => Some(format!("{other:?}").into_bytes()),
                })
                .collect()
        })
        .collect()
}

const ALL: [On; 2] = [On::MySql, On::MariaDb];

const SCALARS: &str = "id INT PRIMARY KEY, t TINYINT, tu TINYINT UNSIGNED, s SMALLINT, su SMALLINT UNSIGNED, \
    m MEDIUMINT, mu MEDIUMINT UNSIGNED, i INT, iu INT UNSIGNED ZEROFILL, b BIGINT, bu BIGINT UNSIGNED, \
    bo BOOLEAN, f FLOAT, f2 FLOAT(9,3), d DOUBLE, d2 DOUBLE(15,4), n1 DECIMAL(10,3), n2 DECIMAL(65,30), n3 DECIMAL(9,0), \
    n4 DECIMAL(20,19) UNSIGNED, y YEAR, da DATE, ti TIME(6), t0 TIME, t1 TIME(1), dt DATETIME(6), d0 DATETIME, \
    d3 DATETIME(3), ts TIMESTAMP(6) NULL, t2 TIMESTAMP(2) NULL, t9 TIMESTAMP NULL, bi BIT(9), b6 BIT(64), \
    e ENUM('a','b','it''s','é',''), e0 ENUM('x','y'), st SET('x','y','z','it''s','\\\\'), \
    bn BINARY(7), vb VARBINARY(900), lb LONGBLOB";

fn scalar_rows() -> Vec<String> {
    let mut rows = vec![
        "1, -128, 255, -32768, 65535, -8388608, 16777215, -2147483648, 4294967295, \
         -9223372036854775808, 18446744073709551615, 1, 1.5, 123456.789, -1e300, -12345678901.2345, \
         -1234567.891, -12345678901234567890123456789012345.123456789012345678901234567891, 999999999, \
         9.9999999999999999999, 2155, '9999-12-31', '-838:59:59.000000', '838:59:59', '-00:00:00.1', \
         '9999-12-31 23:59:59.999999', '9999-12-31 23:59:59', '2024-02-29 01:02:03.004', \
         '2038-01-19 03:14:07.999999', '2024-03-31 02:30:00.25', '1970-01-01 00:00:01', b'100000001', \
         0xffffffffffffffff, 'it''s', 'x', 'x,z,it''s', 'a\\0b\\0', X'00FF27225C0A0D1A', REPEAT('b', 70000)"
            .to_owned(),
        "2, 127, 0, 32767, 0, 8388607, 0, 2147483647, 0, 9223372036854775807, 0, 0, 0, 0, 0, 0, 0, 0, \
         0, 0, 1901, '0000-00-00', '-00:00:00.000001', '00:00:00', '12:34:56.7', '0000-00-00', \
         '0000-00-00', '2024-00-00', '0000-00-00', '0000-00-00', '0000-00-00', 0, 0, 'a', '', '', '', '', ''"
            .to_owned(),
        "3, -1, 1, -1, 1, -1, 1, -1, 1, -1, 1, 2, -0.0, -0.001, -0.0, -0.0001, 0.001, \
         0.000000000000000000000000000001, -1, 1.5, '0000', '2024-02-30', '00:00:00.5', '-12:34:56', \
         '00:00:00.9', '1000-01-01 00:00:00.5', '2024-02-31 10:00:00', '1999-12-31', NULL, NULL, NULL, 1, \
         0x8000000000000000, '', 'nothing', '\\\\', '\\0', '\\0', X'00'"
            .to_owned(),
    ];
    let nulls = vec!["NULL"; SCALARS.split(", ").count() - 1 + 4];
    let count = SCALARS.split(", ").count();
    rows.push(format!("4, {}", nulls[..count - 1].join(", ")));
    // Numbers at the edges of their digits.
    for (at, float) in [
        "3.4028234e38",
        "1.17549435e-38",
        "1.4e-45",
        "0.1",
        "16777217",
        "1e-5",
        "9.999999e9",
        "123456.7",
        "-1.0000001",
        "7.0385307e-26",
    ]
    .into_iter()
    .enumerate()
    {
        let doubles = [
            "1.7976931348623157e308",
            "2.2250738585072014e-308",
            "5e-324",
            "0.1",
            "9007199254740993",
            "1e15",
            "1e16",
            "123456789012345678",
            "0.30000000000000004",
            "-1e-7",
        ];
        let mut row = vec!["NULL".to_owned(); count - 1];
        row[11] = float.to_owned();
        row[13] = doubles[at].to_owned();
        rows.push(format!("{}, {}", 10 + at, row.join(", ")));
    }
    rows
}

/// How each is compared: what prints all of it.
fn scalar_list(definition: &TableDef) -> String {
    let of = |name: &str, raw: &str| {
        if raw.starts_with("float") {
            // All of its digits.
            format!("{name} * 1e0")
        } else if raw.contains("blob") || raw.contains("binary") || raw.starts_with("bit") {
            format!("HEX({name})")
        } else {
            name.to_owned()
        }
    };
    let columns = definition.columns.iter();
    columns
        .map(|column| of(&format!("`{}`", column.name), &column.raw_type))
        .collect::<Vec<_>>()
        .join(", ")
}

#[tokio::test]
async fn scalars_are_the_same_on_every_target() {
    for on in ALL {
        let schema = format!("values_s_{}", on as u32);
        let copy = format!("values_s_{}_copy", on as u32);
        let (mut definition, bytes) = captured(on, &schema, SCALARS, &scalar_rows()).await;
        let mut source = root(on).await;
        let list = scalar_list(&definition);
        let expected = shown(
            &mut source,
            &format!("SELECT {list} FROM {schema}.t ORDER BY id"),
        )
        .await;
        for (flavor, _server, mut conn) in targets(&copy).await {
            let creates = inserts(&bytes, &definition, flavor);
            definition.name = TableName::new(&schema, "t");
            run(&mut conn, &[&format!("CREATE TABLE {copy}.t ({SCALARS})")]).await;
            let creates: Vec<(String, bool)> = creates
                .into_iter()
                .map(|(sql, invalid)| (sql.replacen(&schema, &copy, 1), invalid))
                .collect();
            apply(&mut conn, &creates).await;
            let found = shown(
                &mut conn,
                &format!("SELECT {list} FROM {copy}.t ORDER BY id"),
            )
            .await;
            compare(on, flavor, &expected, &found);
            finds_its_own(&mut conn, &format!("{copy}.t"), &bytes, &definition, flavor).await;
            run(&mut conn, &[&format!("DROP DATABASE {copy}")]).await;
        }
        run(&mut source, &[&format!("DROP DATABASE {schema}")]).await;
    }
}

fn compare(
    on: On,
    flavor: Flavor,
    expected: &[Vec<Option<Vec<u8>>>],
    found: &[Vec<Option<Vec<u8>>>],
) {
    assert_eq!(expected.len(), found.len(), "{on:?} to {flavor}");
    for (row, (expected, found)) in expected.iter().zip(found).enumerate() {
        for (column, (expected, found)) in expected.iter().zip(found).enumerate() {
            let text = |value: &Option<Vec<u8>>| {
                value
                    .as_ref()
                    .map(|bytes| String::from_utf8_lossy(bytes).into_owned())
            };
            let (expected, found) = (text(expected), text(found));
            let number =
                |text: &Option<String>| text.as_ref().and_then(|text| text.parse::<f64>().ok());
            if expected != found
                && (number(&expected).is_none() || number(&expected) != number(&found))
            {
                panic!(
                    "{on:?} to {flavor}, row {row}, column {column}: {expected:?} became {found:?}"
                );
            }
        }
    }
}

/// Every character set of MySQL: each of its letters once, in CHAR, VARCHAR and TEXT.
#[tokio::test]
async fn text_of_every_character_set_arrives() {
    for on in ALL {
        let schema = format!("values_t_{}", on as u32);
        let mut source = root(on).await;
        let sets: Vec<String> = source
            .query("SELECT CHARACTER_SET_NAME FROM information_schema.CHARACTER_SETS")
            .await
            .unwrap();
        let sets: Vec<String> = sets.into_iter().filter(|set| set != "binary").collect();
        assert!(sets.len() > 35);
        let mut create = "id INT PRIMARY KEY".to_owned();
        for set in &sets {
            create += &format!(
                ", c_{set} CHAR(40) CHARACTER SET {set}, t_{set} TEXT CHARACTER SET {set}"
            );
        }
        let texts = [
            "plain text",
            "it''s \\\\ \\0 \\n %_\"",
            "äöü ßÄ éà",
            "Привет, мир",
            "αβγ ΩΣς",
            "שלום",
            "مرحبا",
            "日本語カナｱ〜",
            "汉字 漢字",
            "한국어",
            "ไทย",
            "€ № ™ ‘’",
            "😀 𠀀",
            "trailing  ",
            "",
            "ա բ",
            "ა ბ",
            "\u{3000}\u{feff}",
        ];
        let rows: Vec<String> = texts
            .iter()
            .enumerate()
            .map(|(id, text)| {
                let values = sets.iter().map(|_| format!("'{text}', '{text}'"));
                format!("{id}, {}", values.collect::<Vec<_>>().join(", "))
            })
            .collect();
        // What a set lacks becomes `?`: the session at the source is not strict.
        let (definition, bytes) = captured(on, &schema, &create, &rows).await;
        for column in &definition.columns[1..] {
            assert!(
                Charset::find(column.charset.as_deref().unwrap()).is_some(),
                "{column:?}"
            );
        }
        let expected = shown(
            &mut source,
            &format!("SELECT * FROM {schema}.t ORDER BY id"),
        )
        .await;
        let copy = format!("{schema}_copy");
        let mut copied = "id INT PRIMARY KEY".to_owned();
        for set in &sets {
            copied += &format!(", c_{set} CHAR(40), t_{set} TEXT");
        }
        for (flavor, _server, mut conn) in targets(&copy).await {
            run(&mut conn, &[&format!("CREATE TABLE {copy}.t ({copied})")]).await;
            let sql: Vec<(String, bool)> = inserts(&bytes, &definition, flavor)
                .into_iter()
                .map(|(sql, invalid)| (sql.replacen(&schema, &copy, 1), invalid))
                .collect();
            apply(&mut conn, &sql).await;
            let found = shown(&mut conn, &format!("SELECT * FROM {copy}.t ORDER BY id")).await;
            compare(on, flavor, &expected, &found);
            finds_its_own(&mut conn, &format!("{copy}.t"), &bytes, &definition, flavor).await;
            run(&mut conn, &[&format!("DROP DATABASE {copy}")]).await;
        }
        run(&mut source, &[&format!("DROP DATABASE {schema}")]).await;
    }
}

/// The document of 100 levels.
const DEEP: usize = 13;

/// Documents with all that MySQL keeps in them. TiDB prints numbers in its own way.
#[tokio::test]
async fn documents_arrive_as_the_source_prints_them() {
    let schema = "values_j";
    let documents = [
        "'null'",
        "'true'",
        "'[]'",
        "'{}'",
        "'[1, -1, 32767, 32768, -32769, 65536, 2147483648, -2147483649]'",
        "'[18446744073709551615, -9223372036854775808, 9223372036854775807]'",
        "'[1.0, 0.1, -0.0, 1e100, 1e15, 1e14, 1e16, 123456789012345680, 1e-5, 1e-14, 1e-15, 1.5e-16, 5e-324, 1.7976931348623157e308, 0.30000000000000004]'",
        "'{\"b\": 1, \"a\": 2, \"aa\": 3, \"\": 4, \"é\": \"😀\"}'",
        "'\"it''s \\\\\\\\ \\\\\" \\\\n \\\\t \\\\u0001 \\\\u007f \\\\b\\\\f\\\\r /\"'",
        "JSON_ARRAY(CAST('2024-02-29' AS DATE), CAST('12:34:56.789' AS TIME(3)), CAST('-838:59:59' AS TIME), \
         CAST('2024-02-29 01:02:03.000004' AS DATETIME(6)), TIMESTAMP '1999-12-31 23:59:59')",
        "JSON_ARRAY(CAST(1.50 AS DECIMAL(10,2)), CAST(-123456789012345678901234567890.5 AS DECIMAL(40,1)), 0.0)",
        "JSON_OBJECT('bits', b'101', 'bytes', X'00FF', 'long', CAST(REPEAT('x', 200) AS BINARY), 'empty', CAST('' AS BINARY))",
        "JSON_OBJECT('point', ST_GeomFromText('POINT(1 2)'))",
        "CONCAT(REPEAT('[', 99), '1', REPEAT(']', 99))",
        "CONCAT('[', REPEAT('\"0123456789\", ', 9000), '1]')",
        "CONCAT('{\"a\": [', REPEAT('70000, ', 30000), '1]}')",
        "NULL",
    ];
    let rows: Vec<String> = documents
        .iter()
        .enumerate()
        .map(|(id, document)| format!("{id}, {document}"))
        .collect();
    let create = "id INT PRIMARY KEY, j JSON";
    let (definition, bytes) = captured(On::MySql, schema, create, &rows).await;
    let mut source = root(On::MySql).await;
    let select = |schema: &str| format!("SELECT j FROM {schema}.t ORDER BY id");
    let expected = shown(&mut source, &select(schema)).await;
    // The very text that the source prints.
    for (at, (sql, _)) in inserts(&bytes, &definition, Flavor::MySql)
        .iter()
        .enumerate()
    {
        let Some(expected) = &expected[at][0] else {
            continue;
        };
        let text = String::from_utf8(expected.clone()).unwrap();
        let text = text.replace('\\', "\\\\").replace('\'', "\\'");
        let begin = format!("INSERT INTO {schema}.t VALUES ({at},'");
        assert_eq!(sql.strip_prefix(&begin).unwrap(), format!("{text}')"));
    }
    for (flavor, _server, mut conn) in targets("values_j_copy").await {
        run(
            &mut conn,
            &[&format!("CREATE TABLE values_j_copy.t ({create})")],
        )
        .await;
        let mut sql: Vec<(String, bool)> = inserts(&bytes, &definition, flavor)
            .into_iter()
            .map(|(sql, invalid)| (sql.replacen(schema, "values_j_copy", 1), invalid))
            .collect();
        if flavor == Flavor::MariaDb {
            // Its JSON is a text with a check, which takes 32 levels.
            sql.remove(DEEP);
        }
        apply(&mut conn, &sql).await;
        let mut expected = expected.clone();
        if flavor == Flavor::MariaDb {
            expected.remove(DEEP);
        }
        let found = shown(&mut conn, &select("values_j_copy")).await;
        assert_eq!(found.len(), expected.len());
        for (row, (expected, found)) in expected.iter().zip(&found).enumerate() {
            let (Some(expected), Some(found)) = (&expected[0], &found[0]) else {
                assert_eq!(expected[0], found[0]);
                continue;
            };
            let same = digest(expected, Flavor::MySql) == digest(found, flavor);
            // A DECIMAL of so many digits becomes a double, as after dump and load.
            assert!(
                same || row == 10,
                "row {row}: {flavor}: {}",
                String::from_utf8_lossy(found)
            );
        }
        if flavor != Flavor::TiDb {
            // TiDB prints 1.0 as 1, so there is nothing to tell them apart by.
            let rows = predicates(&bytes, &definition, flavor);
            for (id, row) in rows.iter().enumerate() {
                if flavor == Flavor::MariaDb && id == DEEP {
                    continue;
                }
                let sql = format!("SELECT id FROM values_j_copy.t WHERE {}", row[1].1);
                let found = shown(&mut conn, &sql).await;
                assert_eq!(found, [[Some(id.to_string().into_bytes())]], "{flavor}");
            }
        }
        run(&mut conn, &["DROP DATABASE values_j_copy"]).await;
    }
    run(&mut source, &[&format!("DROP DATABASE {schema}")]).await;
}

/// A long document changed in many ways, logged as differences.
#[tokio::test]
async fn differences_of_documents_give_the_document() {
    let schema = "values_d";
    let mut conn = root(On::MySql).await;
    let filler = "x".repeat(300);
    let document = format!(
        r#"{{"a": 1, "b": [1, 2, {{"c": "{filler}", "d e": [true, null, 1.5]}}], "name": "{filler}", "long": "{filler}", "ü.x": {{"y": 70000}}, "q\\"r": 5}}"#
    );
    let create = format!("CREATE TABLE {schema}.t (id INT PRIMARY KEY, j JSON)");
    run(
        &mut conn,
        &[
            &format!("DROP DATABASE IF EXISTS {schema}"),
            &format!("CREATE DATABASE {schema}"),
            &create,
        ],
    )
    .await;
    let changes = [
        "JSON_SET(j, '$.a', 2)",
        "JSON_REPLACE(j, '$.a', 'text', '$.b[0]', -5, '$.b[2].c', 'short')",
        "JSON_SET(j, '$.new', JSON_OBJECT('k', JSON_ARRAY(1, 70000, 5000000000)))",
        "JSON_REMOVE(j, '$.name')",
        "JSON_REMOVE(j, '$.b[1]')",
        "JSON_SET(j, '$.b[9]', 'end')",
        "JSON_SET(j, '$.b[1].\"d e\"[1]', 1e100, '$.\"ü.x\".y', CAST('2024-02-29' AS DATE))",
        "JSON_SET(j, '$.\"q\\\\\"r\"', true)",
        "JSON_SET(JSON_REMOVE(j, '$.a'), '$.long', 'l', '$.z', NULL)",
        "JSON_SET(j, '$.b[0]', JSON_ARRAY())",
    ];
    let mut statements = vec![
        "SET SESSION binlog_row_value_options = 'PARTIAL_JSON'".to_owned(),
        format!("INSERT INTO {schema}.t VALUES (1, '{document}')"),
    ];
    statements.extend(
        changes
            .iter()
            .map(|change| format!("UPDATE {schema}.t SET j = {change}")),
    );
    let mut expected = vec![String::new()];
    // A second table goes through the same, to be read after each step.
    run(
        &mut conn,
        &[
            &format!("CREATE TABLE {schema}.s (id INT PRIMARY KEY, j JSON)"),
            &format!("INSERT INTO {schema}.s VALUES (1, '{document}')"),
        ],
    )
    .await;
    for change in changes {
        run(&mut conn, &[&format!("UPDATE {schema}.s SET j = {change}")]).await;
        expected.push(crate::server::one(&mut conn, &format!("SELECT j FROM {schema}.s")).await);
    }
    let statements: Vec<&str> = statements.iter().map(String::as_str).collect();
    let bytes = written(On::MySql, &statements).await;
    let (mut at, mut differences) = (0, 0);
    each_row(&bytes, schema, |row| {
        if at > 0 {
            let Value::Json(before) = row.before[1] else {
                panic!("{:?}", row.before);
            };
            let whole = match row.after[1] {
                Value::JsonDiff(diff) => {
                    differences += 1;
                    for end in 0..diff.len() {
                        let _ = json_diff::apply(before, &diff[..end]);
                    }
                    json_diff::apply(before, diff).unwrap()
                }
                Value::Json(whole) => whole.to_vec(),
                ref other => panic!("{other:?}"),
            };
            let mut text = Vec::new();
            json::write_text(&whole, &mut text).unwrap();
            assert_eq!(String::from_utf8(text).unwrap(), expected[at], "{at}");
            // Damage is an error or another document, never a panic.
            for byte in 0..whole.len() {
                let mut damaged = whole.clone();
                damaged[byte] ^= 0x81;
                let mut text = Vec::new();
                let _ = json::write_text(&damaged, &mut text);
            }
        }
        at += 1;
    });
    assert_eq!(at, expected.len());
    assert!(differences >= 5, "{differences}");
    run(&mut conn, &[&format!("DROP DATABASE {schema}")]).await;
}

/// Pieces of texts that collations treat in special ways.
const PIECES: &[&str] = &[
    "a", "A", "b", "s", "S", "ss", "ß", "ẞ", "e", "é", "É", "e\u{301}", "æ", "ae", "Æ", "œ", "oe",
    "ü", "u", "ue", "y", "ÿ", "ﬁ", "fi", "½", "1", "2", "１", "²", "①", "ı", "İ", "i", "j", "I",
    "𝐚", "😀", "\u{200b}", "\t", "-", "_", " ", "  ", "å", "aa", "ø", "o", "ä", "ö", "ch", "cs",
    "ccs", "cscs", "dz", "dzs", "ddz", "lj", "ǆ", "dž", "ǉ", "ll", "ñ", "n", "ン", "ﾝ", "か", "が",
    "ガ", "漢", "字", "д", "Д", "ё", "е", "σ", "ς", "Σ", "ь", "đ", "d", "ł", "l", "þ", "th", "~",
    "[", "\\", "]", "v", "w", "x", "ks", "\u{ad}", "‰", "µ", "μ", "K", "K", "Å", "Ω", "Ω", "ª",
    "º", "ŉ", "Ŀ", "ǌ", "nj", "gg", "ggy", "gygy", "t", "ţ", "ț", "ş", "ș", "z", "ž", "㏒", "log",
    "℡", "tel", "…", "...", "ﷺ", "一", "\u{0}", "\u{7f}",
];

/// Whatever a collation of any server calls equal has the same key.
#[tokio::test]
async fn what_a_collation_calls_equal_has_one_key() {
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = |below: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        usize::try_from(random % u64::try_from(below).unwrap()).unwrap()
    };
    let mut pool: Vec<String> = PIECES.iter().map(|piece| (*piece).to_owned()).collect();
    for _ in 0..80 {
        let count = 2 + next(3);
        pool.push((0..count).map(|_| PIECES[next(PIECES.len())]).collect());
    }
    // Neighbours that differ in one piece only.
    for at in 0..60 {
        let base = pool[PIECES.len() + at].clone();
        pool.push(base + PIECES[next(PIECES.len())]);
    }
    for on in crate::server::ALL {
        let schema = format!("values_f_{}", on as u32);
        let server = on.server(Role::Target).await.unwrap();
        let mut conn = server.conn().await.unwrap();
        run(
            &mut conn,
            &[
                &format!("DROP DATABASE IF EXISTS {schema}"),
                &format!("CREATE DATABASE {schema}"),
                &format!("CREATE TABLE {schema}.p (n INT PRIMARY KEY, t VARCHAR(40) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin)"),
            ],
        )
        .await;
        for (n, text) in pool.iter().enumerate() {
            let insert = format!(
                "INSERT INTO {schema}.p VALUES ({n}, CONVERT(X'{}' USING utf8mb4))",
                hex::encode(text)
            );
            run(&mut conn, &[&insert]).await;
        }
        let collations: Vec<(String, String)> = match on {
            On::MariaDb => conn
                .query("SELECT CHARACTER_SET_NAME, FULL_COLLATION_NAME FROM information_schema.COLLATION_CHARACTER_SET_APPLICABILITY")
                .await
                .unwrap(),
            _ => conn
                .query("SELECT CHARACTER_SET_NAME, COLLATION_NAME FROM information_schema.COLLATIONS")
                .await
                .unwrap(),
        };
        let mut coarse = 0;
        for (set, collation) in &collations {
            if set == "binary" {
                continue;
            }
            let converted = format!("CONVERT(t USING {set}) COLLATE {collation}");
            let texts = shown(&mut conn, &format!("SELECT CONVERT(CONVERT(t USING {set}) USING utf8mb4) FROM {schema}.p ORDER BY n")).await;
            let mut column = ColumnDef::new("t", "varchar(40)");
            column.charset = Some("utf8mb4".into());
            column.collation = Some(collation.clone());
            let part = KeyColumn::new(&column, None, None);
            let keys: Vec<Vec<u8>> = texts
                .iter()
                .map(|row| {
                    let mut key = Vec::new();
                    part.write(&column, &Value::Text(row[0].as_ref().unwrap()), &mut key)
                        .unwrap();
                    key
                })
                .collect();
            coarse += usize::from(keys.iter().all(|key| *key == keys[0]));
            // Each text with the first one that it equals.
            let sql = format!(
                "SELECT b.n, MIN(a.n) FROM (SELECT n, {converted} AS t FROM {schema}.p) a \
                 JOIN (SELECT n, {converted} AS t FROM {schema}.p) b ON a.t = b.t GROUP BY b.n"
            );
            let pairs: Vec<(usize, usize)> = conn
                .query(&sql)
                .await
                .unwrap_or_else(|error| panic!("{sql}: {error}"));
            assert_eq!(pairs.len(), pool.len(), "{on:?} {collation}");
            for (a, b) in pairs {
                assert_eq!(
                    keys[a], keys[b],
                    "{on:?} {collation}: {:?} = {:?}",
                    pool[a], pool[b]
                );
            }
        }
        println!(
            "{on:?}: {} collations, {coarse} with one key for all texts",
            collations.len()
        );
        run(&mut conn, &[&format!("DROP DATABASE {schema}")]).await;
    }
}

/// Every byte and pair of bytes of every character set, converted here and there.
#[tokio::test]
async fn character_sets_convert_as_the_server_does() {
    for on in ALL {
        let mut conn = root(on).await;
        // Else what is damaged is cut off or replaced, each server in its way.
        run(&mut conn, &["SET sql_mode = 'STRICT_TRANS_TABLES'"]).await;
        let sets: Vec<(String, u32)> = conn
            .query("SELECT CHARACTER_SET_NAME, MAXLEN FROM information_schema.CHARACTER_SETS")
            .await
            .unwrap();
        let schema = format!("values_c_{}", on as u32);
        run(
            &mut conn,
            &[
                &format!("DROP DATABASE IF EXISTS {schema}"),
                &format!("CREATE DATABASE {schema}"),
                &format!("CREATE TABLE {schema}.d (d INT PRIMARY KEY)"),
                &format!("INSERT INTO {schema}.d WITH RECURSIVE n AS (SELECT 0 AS d UNION ALL SELECT d + 1 FROM n WHERE d < 255) SELECT d FROM n"),
            ],
        )
        .await;
        for (set, bytes) in sets {
            let Some(charset) = Charset::find(&set) else {
                assert_eq!(set, "binary");
                continue;
            };
            if set == "utf8mb4" && on == On::MariaDb {
                // It replaces what is damaged when bytes become text; a column's are sent as they are.
                continue;
            }
            let codes = match bytes {
                1 => "CHAR(a.d)".to_owned(),
                // The server would put the zeros there itself.
                _ if set == "utf32" => "CONCAT(CHAR(0), CHAR(0), CHAR(a.d), CHAR(b.d))".to_owned(),
                _ => "CONCAT(CHAR(a.d), CHAR(b.d))".to_owned(),
            };
            let from = match bytes {
                1 => format!("{schema}.d a"),
                _ => format!("{schema}.d a JOIN {schema}.d b"),
            };
            let mut lists = vec![format!("SELECT {codes} AS x FROM {from}")];
            if matches!(set.as_str(), "ujis" | "eucjpms") {
                lists.push(format!(
                    "SELECT CONCAT(CHAR(143), {codes}) AS x FROM {from}"
                ));
            }
            if set == "gb18030" {
                lists.push(format!("SELECT CONCAT(CHAR(129), CHAR(48 + a.d % 10), CHAR(129 + b.d % 126), CHAR(48 + b.d % 10)) AS x FROM {from}"));
                lists.push(format!("SELECT CONCAT(CHAR(129 + a.d % 126), CHAR(48 + a.d % 10), CHAR(129 + b.d % 126), CHAR(48 + b.d % 10)) AS x FROM {from}"));
            }
            for list in lists {
                let sql = format!(
                    "SELECT x, CAST(CONVERT(CONVERT(x USING {set}) USING utf8mb4) AS BINARY) FROM ({list}) l"
                );
                for row in shown(&mut conn, &sql).await {
                    let (code, Some(expected)) = (row[0].as_ref().unwrap(), &row[1]) else {
                        // MySQL gives NULL for what is damaged.
                        continue;
                    };
                    match charset.to_utf8(code) {
                        // It cuts a character off that is not whole.
                        Ok(found)
                            if on == On::MySql
                                && found.as_bytes().strip_suffix(b"?") == Some(expected) => {}
                        Ok(found) => assert_eq!(
                            found,
                            String::from_utf8_lossy(expected),
                            "{on:?} {set} {}",
                            hex::encode(code)
                        ),
                        Err(_) => assert!(
                            std::str::from_utf8(expected).is_err(),
                            "{on:?} {set} {} {}",
                            hex::encode(code),
                            hex::encode(expected)
                        ),
                    }
                }
            }
        }
        run(&mut conn, &[&format!("DROP DATABASE {schema}")]).await;
    }
}
