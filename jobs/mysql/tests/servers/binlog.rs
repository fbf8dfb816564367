//! Row events of real servers: what they decode to is what the server says in its own text.

use std::sync::atomic::{AtomicU32, Ordering};

use futures::StreamExt;
use mysql_async::prelude::Queryable;
use mysql_async::{BinlogStreamRequest, Conn, OptsBuilder};
use mysql_common::binlog::consts::BinlogVersion;
use tideway_mysql::binlog::frame::{Frames, MAGIC};
use tideway_mysql::binlog::rows::{Row, RowsEvent, has_rows};
use tideway_mysql::binlog::table_map::TableMap;
use tideway_mysql::binlog::value::{self, Value};
use tideway_mysql::binlog::{Event, Kind};

use crate::binlog_decoder::Decoder;
use crate::server::{On, variable};

pub const LIMIT: u32 = 16 << 20;

pub async fn root(on: On) -> Conn {
    let (port, password) = match on {
        On::MariaDb => ("TIDEWAY_TEST_MARIADB_PORT", "TIDEWAY_TEST_ROOT_PASSWORD"),
        _ => ("TIDEWAY_TEST_MYSQL1_PORT", "TIDEWAY_TEST_ROOT_PASSWORD"),
    };
    let opts = OptsBuilder::default()
        .ip_or_hostname("127.0.0.1")
        .tcp_port(variable(port).unwrap().parse().unwrap())
        .user(Some("root"))
        .pass(variable(password))
        .prefer_socket(false)
        .setup(vec![
            "SET NAMES utf8mb4".to_owned(),
            "SET time_zone = '+00:00', sql_mode = ''".to_owned(),
        ]);
    Conn::new(opts).await.unwrap()
}

/// The server id of the next reader.
static NEXT: AtomicU32 = AtomicU32::new(4_242_001);

/// What the statements write into the binlog, as a file of its own.
pub async fn written(on: On, statements: &[&str]) -> Vec<u8> {
    let mut conn = root(on).await;
    let (file, from) = place(&mut conn, on).await;
    for statement in statements {
        if let Err(error) = conn.query_drop(*statement).await {
            panic!("{statement}: {error}");
        }
    }
    let (last, end) = place(&mut conn, on).await;
    assert_eq!(
        file, last,
        "the binlog was rotated meanwhile: run the test again"
    );
    part(on, &file, from, end).await
}

/// What lies between two places of a file, as a file of its own.
pub async fn part(on: On, file: &str, from: u64, end: u64) -> Vec<u8> {
    // A second reader with the same id would end the first.
    let request = BinlogStreamRequest::new(NEXT.fetch_add(1, Ordering::Relaxed))
        .with_filename(file.as_bytes())
        .with_pos(from);
    let mut reader = root(on).await;
    if on == On::MariaDb {
        // Without it GTIDs come as statements.
        let capability = "SET @mariadb_slave_capability = 4";
        reader.query_drop(capability).await.unwrap();
    }
    let mut stream = reader.get_binlog_stream(request).await.unwrap();
    let mut bytes = MAGIC.to_vec();
    while let Some(event) = stream.next().await {
        let event = event.unwrap();
        let header = event.header();
        if header.event_type_raw() == Kind::ROTATE.0 {
            continue;
        }
        // The driver unpacks payloads: what it makes of them lies in no file.
        if header.log_pos() == 0 && header.event_type_raw() != Kind::FORMAT_DESCRIPTION.0 {
            continue;
        }
        event.write(BinlogVersion::Version4, &mut bytes).unwrap();
        if u64::from(header.log_pos()) >= end {
            break;
        }
    }
    bytes
}

pub async fn place(conn: &mut Conn, on: On) -> (String, u64) {
    let statement = match on {
        On::MariaDb => "SHOW MASTER STATUS",
        _ => "SHOW BINARY LOG STATUS",
    };
    let row: mysql_async::Row = conn.query_first(statement).await.unwrap().unwrap();
    (row.get(0).unwrap(), row.get(1).unwrap())
}

/// The images of the rows of `schema`.`table`, as text.
fn images(bytes: &[u8], schema: &str, unsigned: &[bool]) -> Vec<(Vec<String>, Vec<String>)> {
    let mut frames = Frames::open(bytes, LIMIT).unwrap();
    let mut map: Option<TableMap> = None;
    let mut found = Vec::new();
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
            let text = |image: &[Value<'_>]| -> Vec<String> {
                let values = image.iter().zip(unsigned);
                values
                    .map(|(value, unsigned)| render(value, *unsigned))
                    .collect()
            };
            found.push((text(&row.before), text(&row.after)));
        }
    }
    found
}

/// As the server prints it.
fn render(value: &Value<'_>, unsigned: bool) -> String {
    let fraction = |micros: u32| match micros {
        0 => String::new(),
        _ => format!(".{micros:06}"),
    };
    match *value {
        Value::Null => "NULL".into(),
        Value::Int { value, bytes } if unsigned => value::unsigned(value, bytes).to_string(),
        Value::Int { value, .. } => value.to_string(),
        Value::Float(value) => value.to_string(),
        Value::Double(value) if value.abs() >= 1e15 => format!("{value:e}"),
        Value::Double(value) => value.to_string(),
        Value::Decimal {
            packed,
            precision,
            scale,
        } => {
            let mut text = String::new();
            value::decimal(packed, precision, scale, &mut text).unwrap();
            text
        }
        Value::Year(year) => format!("{year:04}"),
        Value::Date(d) => format!("{:04}-{:02}-{:02}", d.year, d.month, d.day),
        Value::DateTime(d) => format!(
            "{:04}-{:02}-{:02} {:02}:{:02}:{:02}{}",
            d.year,
            d.month,
            d.day,
            d.hour,
            d.minute,
            d.second,
            fraction(d.micros)
        ),
        Value::Time {
            negative,
            hours,
            minutes,
            seconds,
            micros,
        } => format!(
            "{}{hours:02}:{minutes:02}:{seconds:02}{}",
            if negative { "-" } else { "" },
            fraction(micros)
        ),
        Value::Timestamp { seconds, micros } => format!("{seconds}{}", fraction(micros)),
        Value::Text(bytes) | Value::Blob(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Value::Bit(bytes) => hex::encode(bytes),
        Value::Enum(member) => member.to_string(),
        Value::Set(members) => members.to_string(),
        ref other => format!("{other:?}"),
    }
}

const COLUMNS: &str = "id INT PRIMARY KEY, t TINYINT, tu TINYINT UNSIGNED, s SMALLINT, \
    m MEDIUMINT, mu MEDIUMINT UNSIGNED, i INT, b BIGINT, bu BIGINT UNSIGNED, f FLOAT, d DOUBLE, \
    n1 DECIMAL(10,3), n2 DECIMAL(65,30), n3 DECIMAL(9,0), n4 DECIMAL(20,19), y YEAR, da DATE, \
    ti TIME(6), t0 TIME, t1 TIME(1), dt DATETIME(6), d3 DATETIME(3), ts TIMESTAMP(6) NULL, \
    c CHAR(10), lc CHAR(200), v VARCHAR(20), lv VARCHAR(500), vb VARBINARY(9), tx TEXT, \
    lb LONGBLOB, bi BIT(9), e ENUM('a','b'), st SET('x','y','z')";
/// How a query shows each as `render` does.
const SHOWN: &str = "id, t, tu, s, m, mu, i, b, bu, f, d, n1, n2, n3, n4, y, da, ti, t0, t1, dt, d3, \
    ROUND(UNIX_TIMESTAMP(ts), 6), c, lc, v, lv, vb, tx, lb, LOWER(LPAD(HEX(bi), 4, '0')), e + 0, st + 0";
const UNSIGNED: [&str; 3] = ["tu", "mu", "bu"];

const ROWS: [&str; 4] = [
    "(1, -128, 255, -32768, -8388608, 16777215, -2147483648, -9223372036854775808, \
      18446744073709551615, 1.5, -1e300, -1234567.891, -12345678901234567890123456789012345.123456789012345678901234567891, \
      999999999, -9.9999999999999999999, 2155, '9999-12-31', '-838:59:59.000000', '838:59:59', '-00:00:00.1', \
      '9999-12-31 23:59:59.999999', '2024-02-29 01:02:03.004', '2038-01-19 03:14:07.999999', \
      'abc', REPEAT('ä', 200), 'ü', REPEAT('x', 500), 'raw', 'text', REPEAT('b', 70000), b'100000001', 'b', 'x,z')",
    "(2, 127, 0, 32767, 8388607, 0, 2147483647, 9223372036854775807, 0, 0, 0, 0, 0, 0, 0, 1901, \
      '0000-00-00', '-00:00:00.000001', '00:00:00', '12:34:56.7', '0000-00-00', '2024-00-00', '1970-01-01 00:00:01', \
      '', '', '', '', '', '', '', 0, 'a', '')",
    "(3, -1, 1, -1, -1, 1, -1, -1, 1, -0.25, 0.1, 0.001, 0.000000000000000000000000000001, -1, 1.5, 0, \
      '2024-02-30', '00:00:00.5', '-12:34:56', '00:00:00.9', '1000-01-01 00:00:00.5', '1999-12-31', NULL, \
      'trail  ', 'x', 'y  ', 'z', 'a', 'b', 'c', 1, 2, 7)",
    "(4, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, \
      NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)",
];

#[tokio::test]
async fn rows_decode_to_what_the_server_says() {
    for on in [On::MySql, On::MariaDb] {
        let schema = format!("tw_binlog_{}_{}", std::process::id(), on as u32);
        let insert = format!("INSERT INTO {schema}.t VALUES {}", ROWS.join(", "));
        let update = format!("UPDATE {schema}.t SET i = 7, v = NULL WHERE id IN (2, 4)");
        let delete = format!("DELETE FROM {schema}.t WHERE id = 4");
        let create = format!("CREATE TABLE {schema}.t ({COLUMNS}) CHARACTER SET utf8mb4");
        let mut conn = root(on).await;
        conn.query_drop(format!("CREATE DATABASE {schema}"))
            .await
            .unwrap();
        let bytes = written(on, &[&create, &insert, &update, &delete]).await;
        let unsigned: Vec<bool> = SHOWN
            .split(", ")
            .map(|shown| UNSIGNED.contains(&shown))
            .chain(std::iter::repeat(false))
            .take(COLUMNS.split(", ").count())
            .collect();
        let found = images(&bytes, &schema, &unsigned);
        assert_eq!(found.len(), 4 + 2 + 1, "{on:?}");
        let shown: Vec<mysql_async::Row> = conn
            .query(format!("SELECT {SHOWN} FROM {schema}.t ORDER BY id"))
            .await
            .unwrap();
        let shown: Vec<Vec<String>> = shown.into_iter().map(texts).collect();
        assert_eq!(shown.len(), 3);
        let same = |found: &[String], shown: &[String]| {
            for (column, (found, shown)) in found.iter().zip(shown).enumerate() {
                assert_eq!(plain(found), plain(shown), "{on:?}: column {column}");
            }
        };
        // 1 and 3 as they were inserted, 2 as it was updated.
        same(&found[0].1, &shown[0]);
        same(&found[2].1, &shown[2]);
        same(&found[4].1, &shown[1]);
        // The images before are those of the inserts.
        assert_eq!(found[4].0, found[1].1);
        assert_eq!(found[5].0, found[3].1);
        assert!(found[3].1.iter().skip(1).all(|value| value == "NULL"));
        assert_eq!(found[6].0, found[5].1);
        conn.query_drop(format!("DROP DATABASE {schema}"))
            .await
            .unwrap();
    }
}

fn texts(row: mysql_async::Row) -> Vec<String> {
    let text = |value: mysql_async::Value| match value {
        mysql_async::Value::NULL => "NULL".to_owned(),
        mysql_async::Value::Bytes(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        other => format!("{other:?}"),
    };
    row.unwrap().into_iter().map(text).collect()
}

/// Without what two spellings of the same value differ in: zeros behind the point.
fn plain(text: &str) -> String {
    let zeros = text.split_once('.').filter(|(whole, digits)| {
        let ends = |c: Option<char>| c.is_some_and(|c| c.is_ascii_digit());
        ends(whole.chars().last()) && digits.chars().all(|c| c.is_ascii_digit())
    });
    match zeros {
        Some((whole, digits)) => match digits.trim_end_matches('0') {
            "" => whole.to_owned(),
            digits => format!("{whole}.{digits}"),
        },
        None => match text.parse::<f64>() {
            Ok(number) if text.contains('e') => format!("{number:e}"),
            _ => text.to_owned(),
        },
    }
}

/// `TIDEWAY_TEST_BINLOGS` names a folder with further files.
#[tokio::test]
async fn damaged_bodies_are_errors_and_no_panic() {
    let mut files = Vec::new();
    for on in [On::MySql, On::MariaDb] {
        let schema = format!("tw_damage_{}_{}", std::process::id(), on as u32);
        let create = format!("CREATE TABLE {schema}.t ({COLUMNS}) CHARACTER SET utf8mb4");
        let insert = format!("INSERT INTO {schema}.t VALUES {}", ROWS.join(", "));
        let update = format!("UPDATE {schema}.t SET i = 7, lb = NULL, v = NULL");
        let create_schema = format!("CREATE DATABASE {schema}");
        let drop_schema = format!("DROP DATABASE {schema}");
        files.push(
            written(
                on,
                &[&create_schema, &create, &insert, &update, &drop_schema],
            )
            .await,
        );
        // Other tests write meanwhile.
        let whole = walk(files.last().unwrap());
        assert!(whole.ends_with(" rows"), "{whole}");
    }
    if let Ok(folder) = std::env::var("TIDEWAY_TEST_BINLOGS") {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let bytes = std::fs::read(&path).unwrap();
            let found = walk(&bytes);
            println!("{}: {found}", path.display());
            // All of it, or where it ends.
            let told = found.ends_with(" rows") || found.contains("byte ");
            assert!(told, "{}: {found}", path.display());
            files.push(bytes);
        }
    }
    for bytes in files {
        let mut frames = Frames::open(&bytes[..], LIMIT).unwrap();
        let mut events: Vec<Event> = Vec::new();
        while let Ok(Some(event)) = frames.next() {
            events.push(event);
        }
        let mut wrong = 0;
        for index in 1..events.len() {
            wrong += damage(&events, index, frames.format().checksums);
        }
        println!(
            "{wrong} damaged bodies of {} events were noticed",
            events.len()
        );
    }
}

/// Damages an event in many ways, each with a checksum that fits, so that the decoders get to see it;
/// how many of them they noticed.
fn damage(events: &[Event], index: usize, checksums: bool) -> usize {
    let (before, from) = events.split_at(index);
    let [event, behind @ ..] = from else {
        return 0;
    };
    let maps = before.iter().rev();
    let maps = maps
        .filter(|event| event.header.kind == Kind::TABLE_MAP)
        .take(3);
    let mut head = MAGIC.to_vec();
    head.extend_from_slice(&events[0].bytes);
    for map in maps {
        head.extend_from_slice(&map.bytes);
    }
    let tail = behind.iter().take(2).flat_map(|event| &event.bytes);
    let tail: Vec<u8> = tail.copied().collect();
    let end = event.bytes.len();
    let mut wrong = 0;
    // The bytes that steer: what stands before the values, and some of these.
    for at in (19..end).take(300) {
        for flip in [0x01, 0x80, 0xff] {
            let mut damaged = event.bytes.clone();
            damaged[at] ^= flip;
            if checksums && end > 23 {
                let crc = crc32fast::hash(&damaged[..end - 4]);
                damaged[end - 4..].copy_from_slice(&crc.to_le_bytes());
            }
            let found = walk(&[&head[..], &damaged, &tail].concat());
            wrong += usize::from(found.contains("damaged"));
        }
    }
    wrong
}

/// Reads all of it; in words how far it went.
fn walk(bytes: &[u8]) -> String {
    let mut frames = match Frames::open(bytes, LIMIT) {
        Ok(frames) => frames,
        Err(error) => return error.to_string(),
    };
    let mut decoder = Decoder::default();
    let mut events = 0;
    loop {
        let event = match frames.next() {
            Ok(Some(event)) => event,
            Ok(None) => return format!("{events} events, {} rows", decoder.rows),
            Err(error) => return format!("{events} events, {} rows, then {error}", decoder.rows),
        };
        events += 1;
        if let Err(error) = decoder.decode(&event, frames.format()) {
            return format!("{events} events, {} rows, then {error}", decoder.rows);
        }
    }
}
