//! What is true of two tables, read by the tests themselves: every value as HEX, as a multiset.

use std::collections::BTreeMap;

use mysql_async::Conn;
use mysql_async::prelude::Queryable;

/// A table's rows, each as its columns' bytes in HEX, with how often it occurs.
pub type Rows = BTreeMap<Vec<Option<String>>, u64>;

/// Names of the columns of a table in their order, without generated ones.
pub async fn columns(conn: &mut Conn, schema: &str, table: &str) -> Vec<(String, String)> {
    conn.query_map(
        format!(
            "SELECT COLUMN_NAME AS n, DATA_TYPE AS t FROM information_schema.COLUMNS \
             WHERE TABLE_SCHEMA = '{schema}' AND TABLE_NAME = '{table}' ORDER BY ORDINAL_POSITION"
        ),
        |(name, kind): (String, String)| (name, kind),
    )
    .await
    .expect("columns")
}

/// All rows of a table. Floats are compared by their bits, JSON by its parsed value, all else by
/// the HEX of the bytes that the server shows in utf8mb4.
pub async fn rows(conn: &mut Conn, schema: &str, table: &str, json: &[&str]) -> Rows {
    let columns = columns(conn, schema, table).await;
    assert!(!columns.is_empty(), "{schema}.{table} does not exist");
    let list: Vec<String> = columns
        .iter()
        .map(|(name, kind)| (name.replace('`', "``"), name, kind))
        .map(|(quoted, name, kind)| match kind.as_str() {
            "float" | "double" | "json" => format!("`{quoted}`"),
            "bit" => format!("HEX(`{quoted}` + 0)"),
            "binary" | "varbinary" | "tinyblob" | "blob" | "mediumblob" | "longblob" => {
                format!("HEX(`{quoted}`)")
            }
            _ if json.contains(&name.as_str()) => format!("`{quoted}`"),
            _ => format!("HEX(CONVERT(`{quoted}` USING utf8mb4))"),
        })
        .collect();
    let sql = format!("SELECT {} FROM `{schema}`.`{table}`", list.join(", "));
    let found: Vec<mysql_async::Row> = conn.exec(sql, ()).await.expect("rows");
    let mut rows = Rows::new();
    for row in found {
        let values = row
            .unwrap()
            .into_iter()
            .zip(&columns)
            .map(|(value, (name, kind))| {
                text(value, kind == "json" || json.contains(&name.as_str()))
            })
            .collect();
        *rows.entry(values).or_default() += 1;
    }
    rows
}

fn text(value: mysql_async::Value, json: bool) -> Option<String> {
    match value {
        mysql_async::Value::NULL => None,
        mysql_async::Value::Float(f) => Some(format!("f{:08x}", f.to_bits())),
        mysql_async::Value::Double(d) => Some(format!("d{:016x}", d.to_bits())),
        mysql_async::Value::Bytes(bytes) if json => {
            let parsed: serde_json::Value = serde_json::from_slice(&bytes).expect("JSON");
            Some(plain_numbers(parsed).to_string())
        }
        mysql_async::Value::Bytes(bytes) => Some(String::from_utf8(bytes).expect("HEX")),
        other => Some(format!("{other:?}")),
    }
}

/// Servers print the double 1 as `1.0` or as `1`: one number, written in one way.
fn plain_numbers(value: serde_json::Value) -> serde_json::Value {
    use serde_json::Value;
    match value {
        Value::Number(number) => match number.as_f64() {
            // Whole and small enough to be exact as an integer.
            Some(f) if number.is_f64() && f.fract() == 0.0 && f.abs() < 9e15 =>
            {
                #[allow(clippy::cast_possible_truncation)]
                Value::from(f as i64)
            }
            _ => Value::Number(number),
        },
        Value::Array(items) => items.into_iter().map(plain_numbers).collect(),
        Value::Object(members) => members
            .into_iter()
            .map(|(name, value)| (name, plain_numbers(value)))
            .collect(),
        other => other,
    }
}

/// Asserts that two tables hold the same rows, the same number of times each.
pub fn assert_same(what: &str, source: &Rows, target: &Rows) {
    let count = |rows: &Rows| rows.values().sum::<u64>();
    let missing: Vec<_> = source
        .iter()
        .filter(|(row, n)| target.get(*row) != Some(n))
        .take(3)
        .collect();
    let extra: Vec<_> = target
        .iter()
        .filter(|(row, n)| source.get(*row) != Some(n))
        .take(3)
        .collect();
    assert!(
        missing.is_empty() && extra.is_empty(),
        "{what}: source has {} rows, target {}; of the source only: {missing:?}; of the target only: {extra:?}",
        count(source),
        count(target)
    );
}
