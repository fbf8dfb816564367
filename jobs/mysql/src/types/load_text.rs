//! Rows of a batch as the text that `LOAD DATA` reads: fields end with a tab, lines with a newline,
//! `\N` is NULL, and tab, newline and backslash are escaped by a backslash.
//!
//! The file is declared `CHARACTER SET utf8mb4`, so what is not text cannot travel as it is. Binary
//! columns go as hexadecimal digits through a user variable and `UNHEX`, BIT as a decimal through
//! `CAST(… AS UNSIGNED)`. Everything else is the text that the server itself would print. The tests
//! of the load job compare each type by HEX on MySQL, MariaDB and TiDB.

use arrow::record_batch::RecordBatch;

use crate::info::Flavor;
use crate::schema::ColumnDef;
use crate::sql;
use crate::types::cells::{Cells, Value};
use crate::types::column_type::ColumnType;
use crate::types::format;

/// Why a batch cannot be written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoadTextError {
    /// The batch lacks a column of the table's definition.
    #[error("the data has no column {column}, which the table's definition has")]
    MissingColumn {
        /// The column.
        column: String,
    },
    /// A column came as an Arrow type that none of MySQL's types is written as.
    #[error("column {column} came as {arrow_type}, which is not a type that the dump writes")]
    UnknownType {
        /// The column.
        column: String,
        /// The Arrow type.
        arrow_type: String,
    },
}

/// How a column's cells travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// As the text that the server prints.
    Plain,
    /// As hexadecimal digits.
    Hex,
    /// A bit string as a decimal number.
    Bits,
    /// A year with its four digits (`0` would be read as 2000).
    Year,
    /// Little-endian floats as `[1,2]`, which is what TiDB takes for a VECTOR.
    VectorText,
}

#[derive(Clone, Debug)]
struct Column {
    name: String,
    form: Form,
    fsp: u8,
    /// The column is an ENUM without an empty member: an empty text is the invalid value 0, which
    /// the server stores as it was, with one warning.
    warns_when_empty: bool,
}

/// The column list and the SET clause of a `LOAD DATA` statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadClauses {
    /// Such as ``(`a`,@v1)``.
    pub columns: String,
    /// Such as `` SET `b` = UNHEX(@v1)``; empty when nothing needs it.
    pub set: String,
}

/// Writes rows of a table as `LOAD DATA` text.
#[derive(Clone, Debug)]
pub struct LoadText {
    columns: Vec<Column>,
}

impl LoadText {
    /// A writer for these columns (none of them generated) and a target of this flavour.
    #[must_use]
    pub fn new(columns: &[&ColumnDef], flavor: Flavor) -> Self {
        let columns = columns
            .iter()
            .map(|column| Column {
                name: column.name.clone(),
                form: form(&column.ty, flavor),
                fsp: match column.ty {
                    ColumnType::DateTime { fsp } | ColumnType::Timestamp { fsp } => fsp,
                    _ => 0,
                },
                warns_when_empty: match &column.ty {
                    ColumnType::Enum { members } => !members.iter().any(String::is_empty),
                    _ => false,
                },
            })
            .collect();
        Self { columns }
    }

    /// The clauses of the statement that reads this text.
    #[must_use]
    pub fn clauses(&self) -> LoadClauses {
        let mut fields = Vec::with_capacity(self.columns.len());
        let mut sets = Vec::new();
        for (index, column) in self.columns.iter().enumerate() {
            let name = sql::ident(&column.name);
            match column.form {
                Form::Plain | Form::Year | Form::VectorText => fields.push(name),
                Form::Hex => {
                    fields.push(format!("@v{index}"));
                    sets.push(format!("{name} = UNHEX(@v{index})"));
                }
                Form::Bits => {
                    fields.push(format!("@v{index}"));
                    sets.push(format!("{name} = CAST(@v{index} AS UNSIGNED)"));
                }
            }
        }
        LoadClauses {
            columns: format!("({})", fields.join(",")),
            set: if sets.is_empty() {
                String::new()
            } else {
                format!(" SET {}", sets.join(", "))
            },
        }
    }

    /// Looks at a batch; its rows can then be written one by one.
    ///
    /// # Errors
    /// A column is missing, or of a type that the dump does not write.
    pub fn bind<'a>(&'a self, batch: &'a RecordBatch) -> Result<BoundBatch<'a>, LoadTextError> {
        let mut columns = Vec::with_capacity(self.columns.len());
        for column in &self.columns {
            let array =
                batch
                    .column_by_name(&column.name)
                    .ok_or_else(|| LoadTextError::MissingColumn {
                        column: column.name.clone(),
                    })?;
            let cells = Cells::new(array.as_ref()).ok_or_else(|| LoadTextError::UnknownType {
                column: column.name.clone(),
                arrow_type: array.data_type().to_string(),
            })?;
            columns.push((column, cells));
        }
        Ok(BoundBatch {
            columns,
            rows: batch.num_rows(),
        })
    }
}

fn form(ty: &ColumnType, flavor: Flavor) -> Form {
    match ty {
        ColumnType::Binary { .. }
        | ColumnType::Varbinary { .. }
        | ColumnType::Blob { .. }
        | ColumnType::Geometry { .. } => Form::Hex,
        ColumnType::Vector { .. } => match flavor {
            Flavor::TiDb => Form::VectorText,
            _ => Form::Hex,
        },
        ColumnType::Bit { .. } => Form::Bits,
        ColumnType::Year => Form::Year,
        _ => Form::Plain,
    }
}

/// A batch whose columns have been looked at.
#[derive(Debug)]
pub struct BoundBatch<'a> {
    columns: Vec<(&'a Column, Cells<'a>)>,
    rows: usize,
}

impl BoundBatch<'_> {
    /// Rows of the batch.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Appends one row, and returns how many warnings the server will rightly count for it
    /// (invalid values of ENUM, which it stores as they were).
    pub fn write_row(&self, row: usize, out: &mut Vec<u8>) -> u64 {
        let mut warnings = 0;
        for (index, (column, cells)) in self.columns.iter().enumerate() {
            if index > 0 {
                out.push(b'\t');
            }
            let value = cells.get(row);
            if column.warns_when_empty && value == Value::Text("") {
                warnings += 1;
            }
            write_field(column, value, out);
        }
        out.push(b'\n');
        warnings
    }

    /// The warnings that [`BoundBatch::write_row`] would announce for a row.
    #[must_use]
    pub fn expected_warnings(&self, row: usize) -> u64 {
        self.columns
            .iter()
            .filter(|(column, cells)| column.warns_when_empty && cells.get(row) == Value::Text(""))
            .count() as u64
    }
}

fn write_field(column: &Column, value: Value<'_>, out: &mut Vec<u8>) {
    match value {
        Value::Null => out.extend_from_slice(b"\\N"),
        Value::Int(value) if column.form == Form::Year => {
            let mut buffer = itoa::Buffer::new();
            let digits = buffer.format(value);
            out.extend(std::iter::repeat_n(
                b'0',
                4usize.saturating_sub(digits.len()),
            ));
            out.extend_from_slice(digits.as_bytes());
        }
        Value::Int(value) => format::write_int(value, out),
        Value::UInt(value) => format::write_uint(value, out),
        Value::Float(value) => format::write_float(value, out),
        Value::Decimal(value, scale) => format::write_decimal(value, scale, out),
        Value::WideDecimal(value, scale) => format::write_wide_decimal(value, scale, out),
        Value::Micros(micros) => format::write_datetime(micros, column.fsp, out),
        Value::Days(days) => format::write_date(days.into(), out),
        Value::Text(text) => match column.form {
            Form::Hex => write_hex(text.as_bytes(), out),
            Form::Plain | Form::Bits | Form::Year | Form::VectorText => {
                write_escaped(text.as_bytes(), out);
            }
        },
        Value::Bytes(bytes) => match column.form {
            Form::Hex => write_hex(bytes, out),
            Form::Bits => format::write_uint(bits(bytes), out),
            Form::VectorText => write_vector(bytes, out),
            Form::Plain | Form::Year => write_escaped(bytes, out),
        },
    }
}

/// A bit string, most significant byte first, as a number. BIT has at most 64 of them.
pub(crate) fn bits(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0, |number, &byte| (number << 8) | u64::from(byte))
}

/// A vector of little-endian single-precision floats as `[1,2.5]`.
pub(crate) fn write_vector(bytes: &[u8], out: &mut Vec<u8>) {
    out.push(b'[');
    for (index, float) in bytes.chunks_exact(4).enumerate() {
        if index > 0 {
            out.push(b',');
        }
        let float = f32::from_le_bytes([float[0], float[1], float[2], float[3]]);
        out.extend_from_slice(ryu::Buffer::new().format(float).as_bytes());
    }
    out.push(b']');
}

/// Bytes as hexadecimal digits.
pub(crate) fn write_hex(bytes: &[u8], out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let start = out.len();
    out.resize(start + bytes.len() * 2, 0);
    for (&byte, pair) in bytes.iter().zip(out[start..].chunks_exact_mut(2)) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
}

/// Text with tab, newline and backslash escaped.
fn write_escaped(mut text: &[u8], out: &mut Vec<u8>) {
    while let Some(at) = memchr::memchr3(b'\t', b'\n', b'\\', text) {
        out.extend_from_slice(&text[..at]);
        out.extend_from_slice(match text[at] {
            b'\t' => b"\\t",
            b'\n' => b"\\n",
            _ => b"\\\\",
        });
        text = &text[at + 1..];
    }
    out.extend_from_slice(text);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_escaped_where_the_server_would_cut_it() {
        let mut out = Vec::new();
        write_escaped(b"a\tb\nc\\d\0\r'\"\\N", &mut out);
        assert_eq!(out, b"a\\tb\\nc\\\\d\0\r'\"\\\\N");
    }

    #[test]
    fn bits_are_a_number() {
        assert_eq!(bits(&[]), 0);
        assert_eq!(bits(&[1, 0]), 256);
        assert_eq!(bits(&[0xFF; 8]), u64::MAX);
    }

    #[test]
    fn a_vector_is_a_list() {
        let mut bytes = 1.5f32.to_le_bytes().to_vec();
        bytes.extend((-2.0f32).to_le_bytes());
        let mut out = Vec::new();
        write_vector(&bytes, &mut out);
        assert_eq!(out, b"[1.5,-2.0]");
    }
}
