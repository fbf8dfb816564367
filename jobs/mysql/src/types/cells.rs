//! Reading one cell of an Arrow column as the few kinds of value that MySQL's types need.
//!
//! Parquet files of other makers use other Arrow types for the same column (`Int32` or `Int64`,
//! `Utf8` or `LargeUtf8`); here they become one [`Value`], without allocating and without losing a
//! bit: a `FLOAT` is widened to the `f64` that is exactly the same number.

use arrow::array::{
    Array, BinaryArray, BinaryViewArray, BooleanArray, Date32Array, Decimal128Array,
    Decimal256Array, FixedSizeBinaryArray, Float32Array, Float64Array, Int8Array, Int16Array,
    Int32Array, Int64Array, LargeBinaryArray, LargeStringArray, StringArray, StringViewArray,
    TimestampMicrosecondArray, UInt8Array, UInt16Array, UInt32Array, UInt64Array,
};
use arrow::datatypes::{DataType, TimeUnit, i256};

/// One cell, borrowed from its column.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// SQL NULL.
    Null,
    /// A signed integer.
    Int(i64),
    /// An integer above what a signed one holds, or of an unsigned column.
    UInt(u64),
    /// A floating-point number, widened from `f32` where it was one.
    Float(f64),
    /// A decimal: unscaled value and digits behind the point.
    Decimal(i128, i8),
    /// A decimal of more than 38 digits.
    WideDecimal(i256, i8),
    /// Text.
    Text(&'a str),
    /// Bytes.
    Bytes(&'a [u8]),
    /// A point in time: microseconds since 1970 in UTC.
    Micros(i64),
    /// A date: days since 1970.
    Days(i32),
}

/// A column of a batch with its Arrow type found out once, so that reading a cell is one branch.
#[derive(Clone, Copy, Debug)]
pub enum Cells<'a> {
    /// Booleans, read as 0 and 1.
    Bool(&'a BooleanArray),
    /// 8-bit integers.
    I8(&'a Int8Array),
    /// 16-bit integers.
    I16(&'a Int16Array),
    /// 32-bit integers.
    I32(&'a Int32Array),
    /// 64-bit integers.
    I64(&'a Int64Array),
    /// Unsigned 8-bit integers.
    U8(&'a UInt8Array),
    /// Unsigned 16-bit integers.
    U16(&'a UInt16Array),
    /// Unsigned 32-bit integers.
    U32(&'a UInt32Array),
    /// Unsigned 64-bit integers.
    U64(&'a UInt64Array),
    /// Single-precision numbers.
    F32(&'a Float32Array),
    /// Double-precision numbers.
    F64(&'a Float64Array),
    /// Decimals of up to 38 digits, and the digits behind the point.
    Decimal(&'a Decimal128Array, i8),
    /// Decimals of up to 76 digits, and the digits behind the point.
    WideDecimal(&'a Decimal256Array, i8),
    /// Text.
    Text(&'a StringArray),
    /// Text with 64-bit offsets.
    LargeText(&'a LargeStringArray),
    /// Text as views.
    TextView(&'a StringViewArray),
    /// Bytes.
    Bytes(&'a BinaryArray),
    /// Bytes with 64-bit offsets.
    LargeBytes(&'a LargeBinaryArray),
    /// Bytes as views.
    BytesView(&'a BinaryViewArray),
    /// Bytes of one length.
    FixedBytes(&'a FixedSizeBinaryArray),
    /// Microseconds since 1970.
    Micros(&'a TimestampMicrosecondArray),
    /// Days since 1970.
    Days(&'a Date32Array),
}

impl<'a> Cells<'a> {
    /// Looks at a column; `None` for an Arrow type that no MySQL column is written as.
    #[must_use]
    pub fn new(array: &'a dyn Array) -> Option<Self> {
        let any = array.as_any();
        Some(match array.data_type() {
            DataType::Boolean => Self::Bool(any.downcast_ref()?),
            DataType::Int8 => Self::I8(any.downcast_ref()?),
            DataType::Int16 => Self::I16(any.downcast_ref()?),
            DataType::Int32 => Self::I32(any.downcast_ref()?),
            DataType::Int64 => Self::I64(any.downcast_ref()?),
            DataType::UInt8 => Self::U8(any.downcast_ref()?),
            DataType::UInt16 => Self::U16(any.downcast_ref()?),
            DataType::UInt32 => Self::U32(any.downcast_ref()?),
            DataType::UInt64 => Self::U64(any.downcast_ref()?),
            DataType::Float32 => Self::F32(any.downcast_ref()?),
            DataType::Float64 => Self::F64(any.downcast_ref()?),
            DataType::Decimal128(_, scale) => Self::Decimal(any.downcast_ref()?, *scale),
            DataType::Decimal256(_, scale) => Self::WideDecimal(any.downcast_ref()?, *scale),
            DataType::Utf8 => Self::Text(any.downcast_ref()?),
            DataType::LargeUtf8 => Self::LargeText(any.downcast_ref()?),
            DataType::Utf8View => Self::TextView(any.downcast_ref()?),
            DataType::Binary => Self::Bytes(any.downcast_ref()?),
            DataType::LargeBinary => Self::LargeBytes(any.downcast_ref()?),
            DataType::BinaryView => Self::BytesView(any.downcast_ref()?),
            DataType::FixedSizeBinary(_) => Self::FixedBytes(any.downcast_ref()?),
            DataType::Timestamp(TimeUnit::Microsecond, _) => Self::Micros(any.downcast_ref()?),
            DataType::Date32 => Self::Days(any.downcast_ref()?),
            _ => return None,
        })
    }

    /// The cell in `row`.
    ///
    /// # Panics
    /// When `row` is not below the length of the column, as Arrow's own accessors do.
    #[must_use]
    #[inline]
    pub fn get(&self, row: usize) -> Value<'a> {
        macro_rules! cell {
            ($array:ident, $value:ident => $make:expr) => {
                if $array.is_null(row) {
                    Value::Null
                } else {
                    let $value = $array.value(row);
                    $make
                }
            };
        }
        match *self {
            Self::Bool(a) => cell!(a, v => Value::Int(i64::from(v))),
            Self::I8(a) => cell!(a, v => Value::Int(v.into())),
            Self::I16(a) => cell!(a, v => Value::Int(v.into())),
            Self::I32(a) => cell!(a, v => Value::Int(v.into())),
            Self::I64(a) => cell!(a, v => Value::Int(v)),
            Self::U8(a) => cell!(a, v => Value::UInt(v.into())),
            Self::U16(a) => cell!(a, v => Value::UInt(v.into())),
            Self::U32(a) => cell!(a, v => Value::UInt(v.into())),
            Self::U64(a) => cell!(a, v => Value::UInt(v)),
            Self::F32(a) => cell!(a, v => Value::Float(v.into())),
            Self::F64(a) => cell!(a, v => Value::Float(v)),
            Self::Decimal(a, scale) => cell!(a, v => Value::Decimal(v, scale)),
            Self::WideDecimal(a, scale) => cell!(a, v => Value::WideDecimal(v, scale)),
            Self::Text(a) => cell!(a, v => Value::Text(v)),
            Self::LargeText(a) => cell!(a, v => Value::Text(v)),
            Self::TextView(a) => cell!(a, v => Value::Text(v)),
            Self::Bytes(a) => cell!(a, v => Value::Bytes(v)),
            Self::LargeBytes(a) => cell!(a, v => Value::Bytes(v)),
            Self::BytesView(a) => cell!(a, v => Value::Bytes(v)),
            Self::FixedBytes(a) => cell!(a, v => Value::Bytes(v)),
            Self::Micros(a) => cell!(a, v => Value::Micros(v)),
            Self::Days(a) => cell!(a, v => Value::Days(v)),
        }
    }
}
