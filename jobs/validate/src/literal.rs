//! Values as they come from a server, as SQL literals and as text for people.

use mysql_async::Value;
use tideway_mysql::info::Flavor;
use tideway_mysql::schema::ColumnDef;
use tideway_mysql::sql;
use tideway_mysql::types::cells;
use tideway_mysql::types::column_type::ColumnType;
use tideway_mysql::types::literal::write_literal;

/// What to SELECT for the exact value of a column, for [`write()`] and [`shown`].
#[must_use]
pub fn select(column: &ColumnDef) -> String {
    let name = sql::ident(&column.name);
    match column.ty {
        // Text, since a driver's date type has no zero or partial dates that it prints alike.
        ColumnType::Date
        | ColumnType::Time { .. }
        | ColumnType::DateTime { .. }
        | ColumnType::Timestamp { .. }
        | ColumnType::Other(_) => format!("CAST({name} AS CHAR)"),
        ColumnType::Year => format!("{name}+0"),
        _ => name,
    }
}

/// The literal of a value of `column`, selected as [`select`] says, for a server of `flavor`.
#[must_use]
pub fn write(column: &ColumnDef, flavor: Flavor, value: &Value) -> String {
    let mut out = Vec::new();
    let cell = match value {
        Value::NULL => cells::Value::Null,
        Value::Int(i) => cells::Value::Int(*i),
        Value::UInt(u) => cells::Value::UInt(*u),
        Value::Float(f) => cells::Value::Float(f64::from(*f)),
        Value::Double(d) => cells::Value::Float(*d),
        Value::Bytes(bytes) if is_bytes(&column.ty) => cells::Value::Bytes(bytes),
        Value::Bytes(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => cells::Value::Text(text),
            // Text that is no UTF-8 (TiDB can hold it with `tidb_skip_utf8_check`).
            Err(_) => cells::Value::Bytes(bytes),
        },
        // `select` asks for none of these; as SQL they are quoted text.
        Value::Date(..) | Value::Time(..) => return value.as_sql(true),
    };
    write_literal(&column.ty, cell, flavor, &mut out);
    String::from_utf8_lossy(&out).into_owned()
}

/// The value for a person, cut after `limit` characters.
#[must_use]
pub fn shown(column: &ColumnDef, value: &Value, limit: usize) -> Option<String> {
    let text = match value {
        Value::NULL => return None,
        Value::Int(i) => i.to_string(),
        Value::UInt(u) => u.to_string(),
        Value::Float(f) => format!("{f:?}"),
        Value::Double(d) => format!("{d:?}"),
        Value::Bytes(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) if !is_bytes(&column.ty) => return Some(cut(text, limit)),
            _ => {
                let end = bytes.len().min(limit / 2);
                let more = if end < bytes.len() { "…" } else { "" };
                return Some(format!(
                    "0x{}{more} ({} bytes)",
                    hex::encode(&bytes[..end]),
                    bytes.len()
                ));
            }
        },
        Value::Date(..) | Value::Time(..) => value.as_sql(true),
    };
    Some(cut(&text, limit))
}

fn cut(text: &str, limit: usize) -> String {
    match text.char_indices().nth(limit) {
        Some((end, _)) => format!("{}… ({} bytes)", &text[..end], text.len()),
        None => text.to_owned(),
    }
}

fn is_bytes(ty: &ColumnType) -> bool {
    ty.is_binary()
        || matches!(
            ty,
            ColumnType::Bit { .. } | ColumnType::Geometry { .. } | ColumnType::Vector { .. }
        )
}
