//! What changes of rows are told to touch: the canonical bytes of a key's values.
//!
//! Two values that a unique index of source or target could take for equal give the same bytes; the
//! reverse need not hold (see [`Fold`]). The bytes are for hashing; nothing is read back.
//!
//! A part of a key that indexes the first characters of a text is cut *before* it is folded: the
//! index compares just these characters. An expression has no value in a row event: its key
//! cannot be told, and its caller must take all rows of the table for one.

use crate::binlog::value::{self, DateTime, Value};
use crate::charset::Fold;
use crate::schema::ColumnDef;
use crate::types::column_type::ColumnType;
use crate::types::load_text::bits;

use super::literal::{damaged, is_unsigned, utf8};
use super::{ValueError, number};

/// A column as a part of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyColumn {
    fold: Fold,
    prefix: Option<usize>,
}

impl KeyColumn {
    /// A part of a key: its column at the source, the collation that the target gives it (`None` when
    /// it is the source's), and how many characters or bytes are indexed when not all.
    #[must_use]
    pub fn new(column: &ColumnDef, target: Option<&str>, prefix: Option<u32>) -> Self {
        // Without a collation nothing is known about how it compares.
        let source = column.collation.as_deref().map_or(Fold::One, Fold::of);
        Self {
            fold: target.map_or(source, |target| source.or(Fold::of(target))),
            prefix: prefix.and_then(|prefix| usize::try_from(prefix).ok()),
        }
    }

    /// Appends the canonical bytes of a value.
    ///
    /// # Errors
    /// [`ValueError`], which names the column.
    pub fn write(
        &self,
        column: &ColumnDef,
        value: &Value<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), ValueError> {
        // What ends one value and begins the next, so that ("a", "bc") is not ("ab", "c").
        out.push(0xFF);
        match (*value, &column.ty) {
            // Of another kind than an empty text.
            (Value::Null, _) => out.push(0xFE),
            (Value::Int { value, bytes }, ty) => {
                let value = if is_unsigned(ty) {
                    i128::from(value::unsigned(value, bytes))
                } else {
                    i128::from(value)
                };
                out.extend_from_slice(&value.to_be_bytes());
            }
            (Value::Float(value), _) => float(value.into(), out),
            (Value::Double(value), _) => float(value, out),
            (
                Value::Decimal {
                    packed,
                    precision,
                    scale,
                },
                _,
            ) => {
                let start = out.len();
                number::write_decimal(packed, precision, scale, out).map_err(damaged(column))?;
                shorten(start, out);
            }
            (Value::Year(year), _) => out.extend_from_slice(&year.to_be_bytes()),
            (Value::Date(time) | Value::DateTime(time), _) => moment(time, out),
            (Value::Timestamp { seconds, micros }, _) => {
                out.extend_from_slice(&seconds.to_be_bytes());
                out.extend_from_slice(&micros.to_be_bytes());
            }
            (
                Value::Time {
                    negative,
                    hours,
                    minutes,
                    seconds,
                    micros,
                },
                _,
            ) => {
                let zero = hours == 0 && minutes == 0 && seconds == 0 && micros == 0;
                out.push(u8::from(negative && !zero));
                out.extend_from_slice(&hours.to_be_bytes());
                out.extend_from_slice(&[minutes, seconds]);
                out.extend_from_slice(&micros.to_be_bytes());
            }
            (Value::Enum(member), _) => out.extend_from_slice(&member.to_be_bytes()),
            (Value::Set(members), _) => out.extend_from_slice(&members.to_be_bytes()),
            (Value::Bit(bytes), _) => out.extend_from_slice(&bits(bytes).to_be_bytes()),
            (
                Value::Text(bytes) | Value::Blob(bytes),
                ColumnType::Char { .. } | ColumnType::Varchar { .. } | ColumnType::Text { .. },
            ) => self.text(column, bytes, out)?,
            (Value::Text(bytes), ColumnType::Binary { .. }) => {
                // The event has its zero bytes cut; an index of a part of it may have more.
                let bytes = self.cut(bytes);
                let end = bytes
                    .iter()
                    .rposition(|&byte| byte != 0)
                    .map_or(0, |at| at + 1);
                out.extend_from_slice(bytes.get(..end).unwrap_or_default());
            }
            (
                Value::Text(bytes) | Value::Blob(bytes),
                ColumnType::Varbinary { .. } | ColumnType::Blob { .. } | ColumnType::Other(_),
            ) => out.extend_from_slice(self.cut(bytes)),
            // No server has a unique index over these as they are: all are one.
            (Value::Blob(_) | Value::Text(_) | Value::Json(_) | Value::JsonDiff(_), _) => {}
            (Value::Absent, _) => {
                return Err(ValueError::Absent {
                    column: column.name.clone(),
                });
            }
        }
        Ok(())
    }

    fn cut<'v>(&self, bytes: &'v [u8]) -> &'v [u8] {
        match self.prefix {
            Some(prefix) => bytes.get(..prefix).unwrap_or(bytes),
            None => bytes,
        }
    }

    fn text(&self, column: &ColumnDef, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), ValueError> {
        if self.fold == Fold::One {
            return Ok(());
        }
        let text = utf8(column, bytes)?;
        let end = self
            .prefix
            .and_then(|prefix| text.char_indices().nth(prefix))
            .map_or(text.len(), |(at, _)| at);
        self.fold.write(text.get(..end).unwrap_or(&text), out);
        Ok(())
    }
}

/// Appends the canonical bytes of a whole column's value, compared as at the source.
///
/// # Errors
/// [`ValueError`], which names the column.
pub fn write_key(
    column: &ColumnDef,
    value: &Value<'_>,
    out: &mut Vec<u8>,
) -> Result<(), ValueError> {
    KeyColumn::new(column, None, None).write(column, value, out)
}

/// `-0.0` is `0.0` for an index.
fn float(value: f64, out: &mut Vec<u8>) {
    let value = if value == 0.0 { 0.0 } else { value };
    out.extend_from_slice(&value.to_bits().to_be_bytes());
}

fn moment(time: DateTime, out: &mut Vec<u8>) {
    out.extend_from_slice(&time.year.to_be_bytes());
    out.extend_from_slice(&[time.month, time.day, time.hour, time.minute, time.second]);
    out.extend_from_slice(&time.micros.to_be_bytes());
}

/// Takes the zeros at the end of a fraction and the sign of a zero away.
fn shorten(start: usize, out: &mut Vec<u8>) {
    if out.iter().skip(start).any(|&byte| byte == b'.') {
        while out.last() == Some(&b'0') {
            out.pop();
        }
        if out.last() == Some(&b'.') {
            out.pop();
        }
    }
    if out.get(start..) == Some(b"-0") {
        out.remove(start);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Bound<'a>(&'a ColumnDef, KeyColumn);

    impl<'a> Bound<'a> {
        fn new(column: &'a ColumnDef, target: Option<&str>, prefix: Option<u32>) -> Self {
            Self(column, KeyColumn::new(column, target, prefix))
        }
    }

    fn key(column: &Bound<'_>, value: Value<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        column.1.write(column.0, &value, &mut out).unwrap();
        out
    }

    fn text(raw: &str, collation: &str) -> ColumnDef {
        let mut column = ColumnDef::new("c", raw);
        column.charset = Some("utf8mb4".into());
        column.collation = Some(collation.into());
        column
    }

    #[test]
    fn equal_keys_have_the_same_bytes() {
        let double = ColumnDef::new("d", "double");
        let double = Bound::new(&double, None, None);
        assert_eq!(
            key(&double, Value::Double(-0.0)),
            key(&double, Value::Double(0.0))
        );
        let binary = ColumnDef::new("b", "binary(4)");
        let part = Bound::new(&binary, None, Some(2));
        assert_eq!(
            key(&part, Value::Text(b"a\0b")),
            key(&part, Value::Text(b"a"))
        );
        let name = text("varchar(9)", "utf8mb4_0900_ai_ci");
        let name = Bound::new(&name, None, Some(2));
        let of = |text: &'static str| key(&name, Value::Text(text.as_bytes()));
        assert_eq!(of("Éab"), of("eAx"));
        assert_ne!(of("eab"), of("ebb"));
        assert_ne!(of(""), key(&name, Value::Null));
    }

    #[test]
    fn a_coarser_target_counts() {
        let name = text("varchar(9)", "utf8mb4_bin");
        let exact = Bound::new(&name, None, None);
        let coarse = Bound::new(&name, Some("utf8mb4_general_ci"), None);
        let of = |column: &Bound<'_>, text: &'static str| key(column, Value::Text(text.as_bytes()));
        assert_ne!(of(&exact, "a"), of(&exact, "A"));
        assert_eq!(of(&coarse, "a"), of(&coarse, "A"));
    }

    #[test]
    fn decimals_have_one_form() {
        let form = |text: &str| {
            let mut out = b"xx".to_vec();
            out.extend_from_slice(text.as_bytes());
            shorten(2, &mut out);
            String::from_utf8(out.split_off(2)).unwrap()
        };
        assert_eq!(form("1.50"), "1.5");
        assert_eq!(form("-0.00"), "0");
        assert_eq!(form("100"), "100");
        assert_eq!(form("-100.0"), "-100");
    }
}
