//! Rows of the binary protocol → Arrow record batches, exactly.
//!
//! Each value goes straight from the row into its column's builder: no allocation per value beyond
//! what the driver made, no detour over text. What cannot be expressed is an error that names the
//! column, never a NULL or a neighbouring value:
//!
//! - a zero, partial or invalid date in a DATETIME or TIMESTAMP column is
//!   [`EncodeError::NeedsText`]: the caller reads the chunk again with that column as text;
//! - text that is not UTF-8 (the session asks the server for utf8mb4, so the data is damaged) and
//!   values of an unexpected kind are [`EncodeError::Value`].
//!
//! After an error the builder holds a part of that row: throw it away.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{
    ArrayBuilder, ArrayRef, BinaryBuilder, Decimal128Builder, Float64Builder, Int32Builder,
    Int64Builder, RecordBatch, RecordBatchOptions, StringBuilder, TimestampMicrosecondBuilder,
};
use arrow::datatypes::{DataType, SchemaRef};
use mysql_async::{Row, Value};

use super::column_type::ColumnType;
use super::mapping::{arrow_schema, decimal128};
use super::{date_text as text, decimal_text};
use crate::schema::ColumnDef;

/// Bytes that a column's builder has ready for the next batch at most.
const MAX_READY: usize = 2 << 20;

/// Why a row cannot be encoded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// A date that no timestamp can express: read the chunk again with this column as text.
    #[error("column `{column}` holds a zero, partial or invalid date: it must be kept as text")]
    NeedsText {
        /// The column.
        column: String,
    },
    /// A value that does not fit its column's type.
    #[error("column `{column}`: {what}")]
    Value {
        /// The column.
        column: String,
        /// What is wrong with it.
        what: String,
    },
    /// The server sent another number of columns than asked for, or Arrow refused the batch.
    #[error("cannot build a batch: {0}")]
    Batch(String),
}

impl EncodeError {
    /// The same row gives the same error: never worth repeating as it is.
    #[must_use]
    pub fn retryable(&self) -> bool {
        false
    }
}

/// What went wrong with one value; the column's name is added by [`BatchBuilder::push`].
enum Problem {
    NeedsText,
    Value(String),
}

/// Builds record batches out of rows. Reusable after [`BatchBuilder::finish`].
pub struct BatchBuilder {
    schema: SchemaRef,
    columns: Vec<Column>,
    names: Vec<String>,
    rows: usize,
    bytes: usize,
    largest: usize,
}

/// One column's builder, with what its conversion needs to know.
enum Column {
    Int32(Int32Builder),
    Int64(Int64Builder),
    Decimal(Decimal128Builder, u32),
    Float(Float64Builder),
    Timestamp(TimestampMicrosecondBuilder),
    Text(StringBuilder),
    Date(StringBuilder),
    Time(StringBuilder, u8),
    DateTimeText(StringBuilder, u8),
    Binary(BinaryBuilder, usize),
}

impl BatchBuilder {
    /// A builder for `cols`, as SELECTed by [`select_list`](super::mapping::select_list).
    #[must_use]
    pub fn new(cols: &[&ColumnDef], text_columns: &BTreeSet<String>) -> Self {
        Self {
            schema: arrow_schema(cols, text_columns),
            columns: cols
                .iter()
                .map(|col| Column::new(&col.ty, text_columns.contains(&col.name)))
                .collect(),
            names: cols.iter().map(|col| col.name.clone()).collect(),
            rows: 0,
            bytes: 0,
            largest: 0,
        }
    }

    /// The schema of the batches.
    #[must_use]
    pub fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    /// Rows since the last batch.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Bytes of values since the last batch.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The largest single value since the last batch, in bytes.
    #[must_use]
    pub fn largest_value(&self) -> usize {
        self.largest
    }

    /// Appends one row.
    ///
    /// # Errors
    /// See [`EncodeError`]; the builder must then be thrown away.
    pub fn push(&mut self, row: Row) -> Result<(), EncodeError> {
        if row.len() != self.columns.len() && !self.columns.is_empty() {
            return Err(EncodeError::Batch(format!(
                "the server sent {} columns where {} were asked for",
                row.len(),
                self.columns.len()
            )));
        }
        let values = row.unwrap_raw();
        for (index, (column, value)) in self.columns.iter_mut().zip(values).enumerate() {
            let value = value.unwrap_or(Value::NULL);
            match column.push(value) {
                Ok(bytes) => {
                    self.bytes += bytes;
                    self.largest = self.largest.max(bytes);
                }
                Err(problem) => return Err(self.name(index, problem)),
            }
        }
        self.rows += 1;
        Ok(())
    }

    /// Ends the batch; the builder is empty afterwards.
    ///
    /// # Errors
    /// [`EncodeError::Batch`] when Arrow refuses it, or a decimal does not fit its precision.
    pub fn finish(&mut self) -> Result<RecordBatch, EncodeError> {
        let mut arrays: Vec<ArrayRef> = Vec::with_capacity(self.columns.len());
        for (index, column) in self.columns.iter_mut().enumerate() {
            let DataType::Decimal128(precision, scale) = self.schema.field(index).data_type()
            else {
                arrays.push(column.finish());
                continue;
            };
            let array = column.finish();
            let array = arrow::array::AsArray::as_primitive::<arrow::datatypes::Decimal128Type>(
                array.as_ref(),
            )
            .clone()
            .with_precision_and_scale(*precision, *scale)
            .map_err(|error| EncodeError::Batch(error.to_string()))?;
            arrays.push(Arc::new(array));
        }
        let options = RecordBatchOptions::new().with_row_count(Some(self.rows));
        let batch = RecordBatch::try_new_with_options(self.schema(), arrays, &options)
            .map_err(|error| EncodeError::Batch(error.to_string()))?;
        self.rows = 0;
        self.bytes = 0;
        self.largest = 0;
        Ok(batch)
    }

    fn name(&self, index: usize, problem: Problem) -> EncodeError {
        let column = self.names[index].clone();
        match problem {
            Problem::NeedsText => EncodeError::NeedsText { column },
            Problem::Value(what) => EncodeError::Value { column, what },
        }
    }
}

impl Column {
    fn new(ty: &ColumnType, as_text: bool) -> Self {
        match ty {
            ColumnType::TinyInt { .. }
            | ColumnType::SmallInt { .. }
            | ColumnType::Year
            | ColumnType::MediumInt { unsigned: false }
            | ColumnType::Int { unsigned: false } => Self::Int32(Int32Builder::new()),
            ColumnType::MediumInt { unsigned: true }
            | ColumnType::Int { unsigned: true }
            | ColumnType::BigInt { unsigned: false } => Self::Int64(Int64Builder::new()),
            ColumnType::BigInt { unsigned: true } => Self::Decimal(Decimal128Builder::new(), 0),
            ColumnType::Decimal {
                precision, scale, ..
            } => match decimal128(*precision, *scale) {
                Some(_) => Self::Decimal(Decimal128Builder::new(), u32::from(*scale)),
                None => Self::Text(StringBuilder::new()),
            },
            ColumnType::Float { .. } | ColumnType::Double { .. } => {
                Self::Float(Float64Builder::new())
            }
            ColumnType::DateTime { fsp } | ColumnType::Timestamp { fsp } => {
                if as_text {
                    Self::DateTimeText(StringBuilder::new(), *fsp)
                } else {
                    Self::Timestamp(TimestampMicrosecondBuilder::new().with_timezone("UTC"))
                }
            }
            ColumnType::Date => Self::Date(StringBuilder::new()),
            ColumnType::Time { fsp } => Self::Time(StringBuilder::new(), *fsp),
            ColumnType::Binary { len } => {
                Self::Binary(BinaryBuilder::new(), usize::try_from(*len).unwrap_or(0))
            }
            ColumnType::Bit { .. }
            | ColumnType::Varbinary { .. }
            | ColumnType::Blob { .. }
            | ColumnType::Geometry { .. }
            | ColumnType::Vector { .. } => Self::Binary(BinaryBuilder::new(), 0),
            ColumnType::Char { .. }
            | ColumnType::Varchar { .. }
            | ColumnType::Text { .. }
            | ColumnType::Enum { .. }
            | ColumnType::Set { .. }
            | ColumnType::Json
            | ColumnType::Other(_) => Self::Text(StringBuilder::new()),
        }
    }

    /// Appends one value and returns its size in bytes.
    fn push(&mut self, value: Value) -> Result<usize, Problem> {
        match (self, value) {
            (Self::Text(builder), Value::Bytes(bytes)) => match std::str::from_utf8(&bytes) {
                Ok(text) => {
                    builder.append_value(text);
                    Ok(bytes.len() + 4)
                }
                Err(error) => Err(Problem::Value(format!(
                    "{} bytes that are not valid UTF-8 ({error})",
                    bytes.len()
                ))),
            },
            (Self::Int32(builder), Value::Int(number)) => {
                builder.append_value(i32::try_from(number).map_err(|_| range(number))?);
                Ok(4)
            }
            (Self::Int32(builder), Value::UInt(number)) => {
                builder.append_value(i32::try_from(number).map_err(|_| range(number))?);
                Ok(4)
            }
            (Self::Int64(builder), Value::Int(number)) => {
                builder.append_value(number);
                Ok(8)
            }
            (Self::Int64(builder), Value::UInt(number)) => {
                builder.append_value(i64::try_from(number).map_err(|_| range(number))?);
                Ok(8)
            }
            (Self::Decimal(builder, scale), Value::Bytes(digits)) => {
                let number = decimal_text::parse(&digits, *scale)
                    .ok_or_else(|| Problem::Value("a decimal that is not one".to_owned()))?;
                builder.append_value(number);
                Ok(16)
            }
            (Self::Decimal(builder, 0), Value::UInt(number)) => {
                builder.append_value(i128::from(number));
                Ok(16)
            }
            (Self::Decimal(builder, 0), Value::Int(number)) => {
                builder.append_value(i128::from(number));
                Ok(16)
            }
            (Self::Float(builder), Value::Double(number)) => {
                builder.append_value(number);
                Ok(8)
            }
            // Widening is exact: every f32 is an f64.
            (Self::Float(builder), Value::Float(number)) => {
                builder.append_value(f64::from(number));
                Ok(8)
            }
            (
                Self::Timestamp(builder),
                Value::Date(year, month, day, hour, minute, second, micros),
            ) => {
                let days = text::days(year, month, day).ok_or(Problem::NeedsText)?;
                let clock =
                    text::micros_of_day(hour, minute, second, micros).ok_or(Problem::NeedsText)?;
                builder.append_value(days * 86_400_000_000 + clock);
                Ok(8)
            }
            (
                Self::DateTimeText(builder, fsp),
                Value::Date(year, month, day, hour, minute, second, micros),
            ) => {
                let text = text::Buffer::date_time(
                    (year, month, day),
                    (hour, minute, second, micros),
                    *fsp,
                );
                builder.append_value(text.as_str());
                Ok(text.as_str().len() + 4)
            }
            (Self::Date(builder), Value::Date(year, month, day, ..)) => {
                builder.append_value(text::Buffer::date(year, month, day).as_str());
                Ok(14)
            }
            (
                Self::Time(builder, fsp),
                Value::Time(negative, days, hours, minutes, seconds, micros),
            ) => {
                let hours = u64::from(days) * 24 + u64::from(hours);
                let text = text::Buffer::time(negative, hours, (minutes, seconds, micros), *fsp);
                builder.append_value(text.as_str());
                Ok(text.as_str().len() + 4)
            }
            (Self::Binary(builder, pad), Value::Bytes(mut bytes)) => {
                // The server pads BINARY(n) itself; one that does not must not shorten the value.
                if bytes.len() < *pad {
                    bytes.resize(*pad, 0);
                }
                builder.append_value(&bytes);
                Ok(bytes.len() + 4)
            }
            (column, Value::NULL) => {
                column.push_null();
                Ok(1)
            }
            (column, value) => Err(Problem::Value(format!(
                "the server sent {} where {} was expected",
                kind(&value),
                column.expects()
            ))),
        }
    }

    fn push_null(&mut self) {
        match self {
            Self::Int32(builder) => builder.append_null(),
            Self::Int64(builder) => builder.append_null(),
            Self::Decimal(builder, _) => builder.append_null(),
            Self::Float(builder) => builder.append_null(),
            Self::Timestamp(builder) => builder.append_null(),
            Self::Text(builder)
            | Self::Date(builder)
            | Self::Time(builder, _)
            | Self::DateTimeText(builder, _) => builder.append_null(),
            Self::Binary(builder, _) => builder.append_null(),
        }
    }

    /// The array of all values. The builder is ready for a batch of the same size: growing again
    /// from nothing would copy every value about once more.
    fn finish(&mut self) -> ArrayRef {
        match self {
            Self::Int32(builder) => {
                let rows = builder.len();
                let full = std::mem::replace(builder, Int32Builder::with_capacity(rows));
                finished(full)
            }
            Self::Int64(builder) => {
                let rows = builder.len();
                let full = std::mem::replace(builder, Int64Builder::with_capacity(rows));
                finished(full)
            }
            Self::Decimal(builder, _) => {
                let rows = builder.len();
                let full = std::mem::replace(builder, Decimal128Builder::with_capacity(rows));
                finished(full)
            }
            Self::Float(builder) => {
                let rows = builder.len();
                let full = std::mem::replace(builder, Float64Builder::with_capacity(rows));
                finished(full)
            }
            Self::Timestamp(builder) => {
                let next = TimestampMicrosecondBuilder::with_capacity(builder.len());
                let full = std::mem::replace(builder, next.with_timezone("UTC"));
                finished(full)
            }
            Self::Text(builder)
            | Self::Date(builder)
            | Self::Time(builder, _)
            | Self::DateTimeText(builder, _) => {
                let (rows, bytes) = (builder.len(), again(builder.values_slice().len()));
                let full = std::mem::replace(builder, StringBuilder::with_capacity(rows, bytes));
                finished(full)
            }
            Self::Binary(builder, _) => {
                let (rows, bytes) = (builder.len(), again(builder.values_slice().len()));
                let full = std::mem::replace(builder, BinaryBuilder::with_capacity(rows, bytes));
                finished(full)
            }
        }
    }

    fn expects(&self) -> &'static str {
        match self {
            Self::Int32(_) | Self::Int64(_) => "an integer",
            Self::Decimal(..) => "a decimal",
            Self::Float(_) => "a floating-point number",
            Self::Timestamp(_) | Self::DateTimeText(..) | Self::Date(_) => "a date",
            Self::Time(..) => "a time",
            Self::Text(_) => "text",
            Self::Binary(..) => "bytes",
        }
    }
}

fn finished(mut builder: impl ArrayBuilder) -> ArrayRef {
    builder.finish()
}

/// Bytes to have ready after a batch of `bytes`: a little more, for batches differ; not those of one
/// huge value, which need not come again.
fn again(bytes: usize) -> usize {
    (bytes + bytes / 8).min(MAX_READY)
}

fn range(number: impl std::fmt::Display) -> Problem {
    Problem::Value(format!("{number} lies outside the column's type"))
}

/// The kind of a value, without the value: errors must not carry data into logs.
fn kind(value: &Value) -> &'static str {
    match value {
        Value::NULL => "NULL",
        Value::Bytes(_) => "bytes",
        Value::Int(_) => "a signed integer",
        Value::UInt(_) => "an unsigned integer",
        Value::Float(_) => "a FLOAT",
        Value::Double(_) => "a DOUBLE",
        Value::Date(..) => "a date",
        Value::Time(..) => "a time",
    }
}

#[cfg(test)]
#[path = "encode_tests.rs"]
mod tests;
