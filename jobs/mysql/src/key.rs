//! Values of keys, and ranges over them.
//!
//! A chunk of a table is the range between two key values. Its predicate must choose exactly the
//! same rows on every server, let each use the key's index, and compare as the *column* does:
//!
//! - values are literals with an introducer, in hexadecimal, so neither `sql_mode` nor the session's
//!   character set changes them. A literal gives way to a column when collations meet, so the
//!   column's own governs, the one that orders its index;
//! - tuples are written out, `a >= x AND (a > x OR (a = x AND b >= y))`: no server ranges over
//!   `(a, b) >= (x, y)` with an upper bound well, and all of them take the first term for the
//!   index's range.
//!
//! Ranges are half-open, `[lower, upper)`; an open end takes what is beyond. So neighbouring ranges
//! neither overlap nor leave a gap, whatever is inserted meanwhile.

use std::fmt::Write as _;

use mysql_async::Value;
use serde::{Deserialize, Serialize};

use crate::schema::ColumnDef;
use crate::sql;
use crate::types::column_type::ColumnType;

/// A value of a key column, exactly.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyValue {
    /// A whole number.
    Int(i64),
    /// A whole number above [`i64::MAX`].
    #[serde(rename = "uint")]
    UInt(u64),
    /// Text; decimals, dates and times too.
    Text(String),
    /// Bytes.
    #[serde(with = "hex::serde")]
    Bytes(Vec<u8>),
}

/// A value that cannot bound a range.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("column {column} of the key holds {what}, which cannot bound a chunk")]
pub struct KeyError {
    /// The column.
    pub column: String,
    /// What it holds.
    pub what: String,
}

impl KeyError {
    /// The same value gives the same error.
    #[must_use]
    pub fn retryable(&self) -> bool {
        false
    }
}

/// The expression to SELECT for a key column so that [`KeyValue::from_value`] reads it exactly, by
/// the text as by the binary protocol.
#[must_use]
pub fn select_expr(column: &ColumnDef) -> String {
    sql::ident(&column.name)
}

impl KeyValue {
    /// Reads a value of `column` as the driver gave it.
    ///
    /// # Errors
    /// It is NULL, or not of the column's type.
    pub fn from_value(column: &ColumnDef, value: &Value) -> Result<Self, KeyError> {
        let wrong = |what: &str| KeyError {
            column: column.name.clone(),
            what: what.to_owned(),
        };
        match value {
            Value::NULL => Err(wrong("NULL")),
            Value::Int(n) => Ok(Self::Int(*n)),
            Value::UInt(n) => Ok(i64::try_from(*n).map_or(Self::UInt(*n), Self::Int)),
            Value::Bytes(bytes) if column.ty.is_binary() => Ok(Self::Bytes(padded(column, bytes))),
            Value::Bytes(bytes) => {
                let text =
                    std::str::from_utf8(bytes).map_err(|_| wrong("text that is not UTF-8"))?;
                if column.ty.is_integer() {
                    // The text protocol.
                    return text
                        .parse()
                        .map(Self::Int)
                        .or_else(|_| text.parse().map(Self::UInt))
                        .map_err(|_| wrong("what is no whole number"));
                }
                Ok(Self::Text(text.to_owned()))
            }
            Value::Date(year, month, day, hour, minute, second, micros) => {
                let mut text = format!("{year:04}-{month:02}-{day:02}");
                let fsp = match column.ty {
                    ColumnType::DateTime { fsp } | ColumnType::Timestamp { fsp } => Some(fsp),
                    _ => None,
                };
                // Writing to a String cannot fail.
                if let Some(fsp) = fsp {
                    let _ = write!(text, " {hour:02}:{minute:02}:{second:02}");
                    if fsp > 0 {
                        let _ = write!(text, ".{micros:06}");
                        text.truncate(text.len() - usize::from(6 - fsp.min(6)));
                    }
                }
                Ok(Self::Text(text))
            }
            Value::Float(_) | Value::Double(_) => Err(wrong("a floating-point number")),
            Value::Time(..) => Err(wrong("a time")),
        }
    }

    /// The value as a literal to compare `column` with.
    #[must_use]
    pub fn literal(&self, column: &ColumnDef) -> String {
        match self {
            Self::Int(n) => n.to_string(),
            Self::UInt(n) => n.to_string(),
            Self::Bytes(bytes) => sql::binary(bytes),
            Self::Text(text) => match column.ty {
                // As a string a decimal would be compared as a floating-point number.
                ColumnType::Decimal { .. } if is_decimal(text) => text.clone(),
                // Its own characters only, and a plain literal is what servers turn into a date.
                ColumnType::Date | ColumnType::DateTime { .. } | ColumnType::Timestamp { .. } => {
                    sql::quoted(text)
                }
                _ => sql::literal(text),
            },
        }
    }
}

/// What a column is compared by: BINARY(n) as stored, with its trailing zero bytes.
fn padded(column: &ColumnDef, bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    if let ColumnType::Binary { len } = column.ty {
        let len = usize::try_from(len).unwrap_or(bytes.len());
        if bytes.len() < len {
            bytes.resize(len, 0);
        }
    }
    bytes
}

fn is_decimal(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    digits.starts_with(|c: char| c.is_ascii_digit())
        && digits.chars().all(|c| c.is_ascii_digit() || c == '.')
        && digits.matches('.').count() <= 1
}

/// The predicate of `[lower, upper)` over the columns of a key; `None` when both ends are open.
///
/// Bounds may have fewer values than the key has columns: they then bound its prefix.
#[must_use]
pub fn range_predicate(
    key: &[&ColumnDef],
    lower: Option<&[KeyValue]>,
    upper: Option<&[KeyValue]>,
) -> Option<String> {
    let lower = lower.and_then(|bound| tuple(key, bound, ">", ">="));
    let upper = upper.and_then(|bound| tuple(key, bound, "<", "<"));
    match (lower, upper) {
        (Some(lower), Some(upper)) => Some(format!("{lower} AND {upper}")),
        (one, None) | (None, one) => one,
    }
}

/// The predicate of one row's key.
#[must_use]
pub fn equals(key: &[&ColumnDef], values: &[KeyValue]) -> String {
    let terms: Vec<String> = key
        .iter()
        .zip(values)
        .map(|(column, value)| format!("{} = {}", sql::ident(&column.name), value.literal(column)))
        .collect();
    terms.join(" AND ")
}

/// `(key) op (bound)` written out: `strict` for all columns but the last, `last` for that one.
fn tuple(key: &[&ColumnDef], bound: &[KeyValue], strict: &str, last: &str) -> Option<String> {
    let pairs: Vec<(String, String)> = key
        .iter()
        .zip(bound)
        .map(|(column, value)| (sql::ident(&column.name), value.literal(column)))
        .collect();
    let (name, value) = pairs.last()?;
    let mut text = format!("{name} {last} {value}");
    for (name, value) in pairs.iter().rev().skip(1) {
        text = format!("({name} {strict} {value} OR ({name} = {value} AND {text}))");
    }
    if pairs.len() == 1 {
        return Some(text);
    }
    let (first, value) = pairs.first()?;
    Some(format!("{first} {strict}= {value} AND {text}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::Generated;

    fn column(name: &str, raw: &str) -> ColumnDef {
        ColumnDef {
            name: name.into(),
            raw_type: raw.into(),
            ty: ColumnType::parse(raw),
            nullable: false,
            charset: None,
            collation: None,
            generated: Generated::None,
            invisible: false,
            auto_increment: false,
            default: None,
        }
    }

    fn bytes(text: &str) -> Value {
        Value::Bytes(text.as_bytes().to_vec())
    }

    #[test]
    fn one_column_needs_no_tuple() {
        let id = column("id", "bigint");
        let range = range_predicate(
            &[&id],
            Some(&[KeyValue::Int(-5)]),
            Some(&[KeyValue::Int(9)]),
        );
        assert_eq!(range.as_deref(), Some("`id` >= -5 AND `id` < 9"));
        assert_eq!(range_predicate(&[&id], None, None), None);
        assert_eq!(
            range_predicate(&[&id], None, Some(&[KeyValue::UInt(u64::MAX)])).as_deref(),
            Some("`id` < 18446744073709551615")
        );
    }

    #[test]
    fn tuples_are_written_out_with_a_bound_for_the_index() {
        let (a, b, c) = (
            column("a", "int"),
            column("b", "varchar(9)"),
            column("c", "date"),
        );
        let bound = [
            KeyValue::Int(1),
            KeyValue::Text("x'".into()),
            KeyValue::Text("2020-02-30".into()),
        ];
        assert_eq!(
            range_predicate(&[&a, &b, &c], Some(&bound), None).as_deref(),
            Some(
                "`a` >= 1 AND (`a` > 1 OR (`a` = 1 AND (`b` > _utf8mb4 0x7827 OR \
                 (`b` = _utf8mb4 0x7827 AND `c` >= '2020-02-30'))))"
            )
        );
        assert_eq!(
            range_predicate(&[&a, &b, &c], None, Some(&bound[..2])).as_deref(),
            Some("`a` <= 1 AND (`a` < 1 OR (`a` = 1 AND `b` < _utf8mb4 0x7827))")
        );
        assert_eq!(
            equals(&[&a, &b], &bound[..2]),
            "`a` = 1 AND `b` = _utf8mb4 0x7827"
        );
    }

    #[test]
    fn values_come_exactly_by_both_protocols() {
        let id = column("id", "bigint unsigned");
        for value in [bytes("18446744073709551615"), Value::UInt(u64::MAX)] {
            assert_eq!(
                KeyValue::from_value(&id, &value),
                Ok(KeyValue::UInt(u64::MAX))
            );
        }
        for value in [bytes("7"), Value::UInt(7), Value::Int(7)] {
            assert_eq!(KeyValue::from_value(&id, &value), Ok(KeyValue::Int(7)));
        }
        let fixed = column("b", "binary(4)");
        assert_eq!(
            KeyValue::from_value(&fixed, &Value::Bytes(vec![1, 0])),
            Ok(KeyValue::Bytes(vec![1, 0, 0, 0]))
        );
        let at = column("at", "datetime(3)");
        let value = Value::Date(2024, 2, 29, 1, 2, 3, 45_000);
        let read = KeyValue::from_value(&at, &value);
        assert_eq!(read, Ok(KeyValue::Text("2024-02-29 01:02:03.045".into())));
        let zero = Value::Date(0, 0, 0, 0, 0, 0, 0);
        assert_eq!(
            KeyValue::from_value(&column("d", "date"), &zero),
            Ok(KeyValue::Text("0000-00-00".into()))
        );
        let amount = column("d", "decimal(65,30)");
        let read = KeyValue::from_value(&amount, &bytes("-0.000000000000000000000000000001"));
        assert_eq!(
            read.map(|v| v.literal(&amount)),
            Ok("-0.000000000000000000000000000001".to_owned())
        );
    }

    #[test]
    fn what_cannot_bound_is_an_error_that_names_the_column() {
        let id = column("id", "int");
        let error = KeyValue::from_value(&id, &Value::NULL).unwrap_err();
        assert!(
            error
                .to_string()
                .contains("column id of the key holds NULL")
        );
        assert!(KeyValue::from_value(&id, &Value::Double(0.5)).is_err());
        assert!(KeyValue::from_value(&id, &bytes("x")).is_err());
    }

    #[test]
    fn a_decimal_that_is_none_stays_in_quotes() {
        let amount = column("d", "decimal(10,2)");
        let literal = KeyValue::Text("1 OR 1=1".into()).literal(&amount);
        assert_eq!(literal, "_utf8mb4 0x31204f5220313d31");
    }

    #[test]
    fn documents_keep_values_exactly() {
        for value in [
            KeyValue::Int(i64::MIN),
            KeyValue::UInt(u64::MAX),
            KeyValue::Text("é\u{0}'".into()),
            KeyValue::Bytes(vec![0, 255]),
        ] {
            let json = serde_json::to_value(&value).unwrap();
            assert_eq!(serde_json::from_value::<KeyValue>(json).unwrap(), value);
        }
        let json = serde_json::to_string(&KeyValue::Bytes(vec![0, 255])).unwrap();
        assert_eq!(json, r#"{"bytes":"00ff"}"#);
    }

    /// The predicate, read back: the tests' own meaning of `(a,b,c) op bound`.
    fn inside(row: &[i64], lower: Option<&[i64]>, upper: Option<&[i64]>) -> bool {
        lower.is_none_or(|l| &row[..l.len()] >= l) && upper.is_none_or(|u| &row[..u.len()] < u)
    }

    /// Evaluates the predicate's grammar: names, numbers, comparisons, AND, OR, brackets.
    fn evaluate(text: &str, row: &[i64]) -> bool {
        fn or(tokens: &[String], at: &mut usize, row: &[i64]) -> bool {
            let mut value = and(tokens, at, row);
            while tokens.get(*at).is_some_and(|t| t == "OR") {
                *at += 1;
                value |= and(tokens, at, row);
            }
            value
        }
        fn and(tokens: &[String], at: &mut usize, row: &[i64]) -> bool {
            let mut value = term(tokens, at, row);
            while tokens.get(*at).is_some_and(|t| t == "AND") {
                *at += 1;
                value &= term(tokens, at, row);
            }
            value
        }
        fn term(tokens: &[String], at: &mut usize, row: &[i64]) -> bool {
            if tokens[*at] == "(" {
                *at += 1;
                let value = or(tokens, at, row);
                *at += 1;
                return value;
            }
            let column = usize::from(tokens[*at].trim_matches('`').as_bytes()[0] - b'a');
            let right: i64 = tokens[*at + 2].parse().unwrap();
            let result = match tokens[*at + 1].as_str() {
                "<" => row[column] < right,
                "<=" => row[column] <= right,
                ">" => row[column] > right,
                ">=" => row[column] >= right,
                "=" => row[column] == right,
                other => panic!("{other}"),
            };
            *at += 3;
            result
        }
        let spaced = text.replace('(', "( ").replace(')', " )");
        let tokens: Vec<String> = spaced.split_whitespace().map(str::to_owned).collect();
        let mut at = 0;
        let value = or(&tokens, &mut at, row);
        assert_eq!(at, tokens.len(), "{text}");
        value
    }

    proptest::proptest! {
        #[test]
        fn predicates_mean_tuple_comparison(
            row in proptest::collection::vec(-2_i64..3, 3),
            lower in proptest::option::of(proptest::collection::vec(-2_i64..3, 1..4)),
            upper in proptest::option::of(proptest::collection::vec(-2_i64..3, 1..4)),
        ) {
            let columns = [column("a", "int"), column("b", "int"), column("c", "int")];
            let key: Vec<&ColumnDef> = columns.iter().collect();
            let values = |bound: &Vec<i64>| -> Vec<KeyValue> {
                bound.iter().map(|n| KeyValue::Int(*n)).collect()
            };
            let (low, up) = (lower.as_ref().map(values), upper.as_ref().map(values));
            let found = range_predicate(&key, low.as_deref(), up.as_deref())
                .is_none_or(|text| evaluate(&text, &row));
            proptest::prop_assert_eq!(found, inside(&row, lower.as_deref(), upper.as_deref()));
        }
    }
}
