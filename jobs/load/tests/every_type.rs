//! Every type through Parquet into every target, compared value by value with the source.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use mysql_async::Value;
use support::{At, Bench, TARGETS, run};

const COLUMNS: &str = "
    id INT PRIMARY KEY,
    t1 TINYINT, t1u TINYINT UNSIGNED, t2 SMALLINT, t2u SMALLINT UNSIGNED,
    t3 MEDIUMINT, t3u MEDIUMINT UNSIGNED, t4u INT UNSIGNED, t8 BIGINT, t8u BIGINT UNSIGNED,
    d1 DECIMAL(10,2), d2 DECIMAL(38,30), d3 DECIMAL(65,30), d4 DECIMAL(5,0) UNSIGNED,
    f FLOAT, d DOUBLE, b1 BIT(1), b64 BIT(64), y YEAR,
    da DATE, ti TIME(6), dt DATETIME, dt6 DATETIME(6), ts TIMESTAMP NULL, ts3 TIMESTAMP(3) NULL,
    c CHAR(10), vc VARCHAR(200), tt TINYTEXT, tx TEXT, lt LONGTEXT,
    bi BINARY(8), vb VARBINARY(200), bl BLOB, lb LONGBLOB,
    en ENUM('a','it''s','é'), se SET('x','y','z'), js JSON,
    l1 VARCHAR(20) CHARACTER SET latin1, g VARCHAR(30) AS (CONCAT(id,'x')) STORED";

fn rows() -> Vec<String> {
    vec![
        // The least of everything.
        "1,-128,0,-32768,0,-8388608,0,0,-9223372036854775808,0,-99999999.99,\
         -12345678.012345678901234567890123456789,\
         -99999999999999999999999999999999999.999999999999999999999999999999,0,\
         -3.402823466e38,-1.7976931348623157e308,b'0',0,1901,\
         '1000-01-01','-838:59:59.000000','1000-01-01 00:00:00','1000-01-01 00:00:00.000001',\
         '1970-01-01 00:00:01','1970-01-01 00:00:01.001',\
         '','','','','','','','','','a','','[]',''"
            .into(),
        // The most.
        "2,127,255,32767,65535,8388607,16777215,4294967295,9223372036854775807,\
         18446744073709551615,99999999.99,0.000000000000000000000000000001,\
         99999999999999999999999999999999999.999999999999999999999999999999,99999,\
         3.402823466e38,1.7976931348623157e308,b'1',18446744073709551615,2155,\
         '9999-12-31','838:59:59.000000','9999-12-31 23:59:59','9999-12-31 23:59:59.999999',\
         '2038-01-19 03:14:07','2038-01-19 03:14:07.999',\
         'x','x','x','x','x',x'0102030405060708','x','x','x','it''s','x,y,z','{}','x'"
            .into(),
        // What quoting, escaping and character sets could hurt.
        "3,0,1,0,1,-1,1,1,-1,9223372036854775808,0.01,-0.5,0.5,1,0.1,0.1,NULL,1,0000,\
         '2024-02-29','-00:00:00.000001','2024-02-29 12:34:56','2024-02-29 12:34:56.000100',\
         '2001-09-09 01:46:40','2001-09-09 01:46:40.5',\
         'é😀','a\\tb\\nc\\\\d\\0e\\rf\\'g\"h`\\Z','NULL','\\\\N','\\\\\\n',\
         x'00ff0a095c27000d',x'00ff0a095c2700','\\n',x'5c4e','é','x,z',\
         '{\"k\\\\n\": \"v\\\\t\\\\\"é😀\\\\\\\\\", \"n\": [1, -2.5, 1e10, true, null]}','é'"
            .into(),
        // Nothing.
        format!("4{}", ",NULL".repeat(37)),
        // Dates that no calendar has, and the edges of floating point.
        "5,1,1,1,1,1,1,1,1,1,1,1,1,1,1.401298464324817e-45,5e-324,b'1',255,1970,\
         '0000-00-00','00:00:00','0000-00-00 00:00:00','2024-00-00 00:00:00',\
         '0000-00-00 00:00:00','0000-00-00 00:00:00',' lead','trail ','\\t','\\n','\\r',\
         'x','x','x','x','a','y','\"text\"','\\\\'"
            .into(),
    ]
}

async fn every_type(target: At) {
    let source = At::Source.server().await;
    let mut bench = Bench::new("values", target).await;
    let mut conn = bench.database(&source).await;
    run(
        &mut conn,
        &[&format!(
            "CREATE TABLE v ({COLUMNS}) DEFAULT CHARSET utf8mb4"
        )],
    )
    .await;
    let names: Vec<&str> = COLUMNS
        .split(", ")
        .flat_map(|part| part.split(",\n"))
        .map(|part| part.split_whitespace().next().unwrap())
        .filter(|name| *name != "g")
        .collect();
    for row in rows() {
        run(&mut conn, &["SET sql_mode = 'ALLOW_INVALID_DATES'"]).await;
        run(
            &mut conn,
            &[&format!(
                "INSERT INTO v ({}) VALUES ({row})",
                names.join(",")
            )],
        )
        .await;
    }
    // An ENUM value that its list does not have.
    run(
        &mut conn,
        &["INSERT IGNORE INTO v (id, en) VALUES (6, 'nowhere')"],
    )
    .await;
    bench
        .dump(&source, "v", &["id <= 2", "id IN (3, 4)", "id >= 5"])
        .await;
    bench.finish().await;
    bench.load(&[]).expect(0);

    let expected = bench.rows(&mut conn, "v", "id").await;
    let mut at_target = target.server().await.conn().await.unwrap();
    let found = bench.rows(&mut at_target, "v", "id").await;
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(&expected) {
        for (column, (found, expected)) in
            names.iter().chain(&["g"]).zip(found.iter().zip(expected))
        {
            let equal = same(found, expected) || *column == "js" && same_json(found, expected);
            assert!(equal, "{target:?}: {column}: {found:?} is not {expected:?}");
        }
    }
    bench.clean().await;
}

fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Float(a), Value::Float(b)) => a.to_bits() == b.to_bits(),
        (Value::Double(a), Value::Double(b)) => a.to_bits() == b.to_bits(),
        (a, b) => a == b || number(a).is_some() && number(a) == number(b),
    }
}

/// Servers order the keys of an object in their own ways, and print 1e10 with or without a point.
fn same_json(a: &Value, b: &Value) -> bool {
    let parse = |value: &Value| match value {
        Value::Bytes(text) => serde_json::from_slice(text).ok().map(doubles),
        _ => None,
    };
    parse(a).is_some() && parse(a) == parse(b)
}

fn doubles(json: serde_json::Value) -> serde_json::Value {
    use serde_json::Value as Json;
    match json {
        Json::Number(n) => n.as_f64().into(),
        Json::Array(list) => list.into_iter().map(doubles).collect(),
        Json::Object(map) => map.into_iter().map(|(k, v)| (k, doubles(v))).collect(),
        other => other,
    }
}

/// Signedness of a column may differ in how it is sent.
fn number(value: &Value) -> Option<i128> {
    match value {
        Value::Int(n) => Some((*n).into()),
        Value::UInt(n) => Some((*n).into()),
        _ => None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_type_arrives_in_mysql() {
    every_type(At::MySql).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_type_arrives_in_mariadb() {
    every_type(At::MariaDb).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_type_arrives_in_tidb() {
    every_type(At::TiDb).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_of_one_text_column_keeps_its_empty_lines() {
    for target in TARGETS {
        let source = At::Source.server().await;
        let mut bench = Bench::new("lines", target).await;
        let mut conn = bench.database(&source).await;
        run(
            &mut conn,
            &[
                "CREATE TABLE one (c VARCHAR(20))",
                "INSERT INTO one VALUES (''), (NULL), (''), ('a'), ('\\\\N'), ('NULL'), ('')",
            ],
        )
        .await;
        bench.dump(&source, "one", &["1"]).await;
        bench.finish().await;
        bench.load(&[]).expect(0);
        let expected = bench.rows(&mut conn, "one", "c").await;
        let mut at_target = target.server().await.conn().await.unwrap();
        assert_eq!(
            bench.rows(&mut at_target, "one", "c").await,
            expected,
            "{target:?}"
        );
        bench.clean().await;
    }
}
