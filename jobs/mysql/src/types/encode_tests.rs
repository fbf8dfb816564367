use arrow::array::{Array, AsArray};
use arrow::datatypes::{
    Decimal128Type, Float64Type, Int32Type, Int64Type, TimestampMicrosecondType,
};
use mysql_common::row::new_row;
use mysql_common::value::Value::{self, Bytes, Date, Double, Float, Int, NULL, Time, UInt};

use super::*;

fn column(name: &str, raw_type: &str) -> ColumnDef {
    ColumnDef::new(name, raw_type)
}

fn row(values: Vec<Value>) -> Row {
    let column =
        mysql_common::packets::Column::new(mysql_common::constants::ColumnType::MYSQL_TYPE_STRING);
    let columns = vec![column; values.len()];
    new_row(values, columns.into())
}

/// Encodes one column's values.
fn encode(raw_type: &str, text: bool, values: Vec<Value>) -> Result<ArrayRef, EncodeError> {
    let column = column("c", raw_type);
    let text: BTreeSet<String> = text.then(|| "c".to_owned()).into_iter().collect();
    let mut builder = BatchBuilder::new(&[&column], &text);
    for value in values {
        builder.push(row(vec![value]))?;
    }
    let batch = builder.finish()?;
    assert_eq!(builder.rows(), 0);
    assert_eq!(builder.bytes(), 0);
    Ok(Arc::clone(batch.column(0)))
}

fn texts(raw_type: &str, text: bool, values: Vec<Value>) -> Vec<Option<String>> {
    let array = encode(raw_type, text, values).unwrap();
    array
        .as_string::<i32>()
        .iter()
        .map(|text| text.map(str::to_owned))
        .collect()
}

#[test]
fn integers_keep_their_ends() {
    let array = encode(
        "int",
        false,
        vec![Int(i32::MIN.into()), Int(i32::MAX.into()), NULL],
    );
    let array = array.unwrap();
    let array = array.as_primitive::<Int32Type>();
    assert_eq!((array.value(0), array.value(1)), (i32::MIN, i32::MAX));
    assert!(array.is_null(2));

    let array = encode("int unsigned", false, vec![UInt(u32::MAX.into()), Int(5)]).unwrap();
    assert_eq!(
        array.as_primitive::<Int64Type>().value(0),
        i64::from(u32::MAX)
    );

    let array = encode("bigint unsigned", false, vec![UInt(u64::MAX), Int(0)]).unwrap();
    assert_eq!(array.data_type(), &DataType::Decimal128(20, 0));
    assert_eq!(
        array.as_primitive::<Decimal128Type>().value(0),
        i128::from(u64::MAX)
    );

    let array = encode("bigint", false, vec![Int(i64::MIN)]).unwrap();
    assert_eq!(array.as_primitive::<Int64Type>().value(0), i64::MIN);
}

#[test]
fn a_value_outside_its_type_is_an_error_that_names_the_column() {
    let error = encode("int", false, vec![Int(i64::MAX)]).unwrap_err();
    assert!(
        matches!(&error, EncodeError::Value { column, .. } if column == "c"),
        "{error}"
    );
    let error = encode("int", false, vec![Bytes(b"5".to_vec())]).unwrap_err();
    assert!(
        error.to_string().contains("bytes where an integer"),
        "{error}"
    );
}

#[test]
fn decimals_by_their_digits() {
    let array = encode(
        "decimal(10,3)",
        false,
        vec![Bytes(b"-1.500".to_vec()), NULL],
    )
    .unwrap();
    assert_eq!(array.data_type(), &DataType::Decimal128(10, 3));
    assert_eq!(array.as_primitive::<Decimal128Type>().value(0), -1500);
    let digits = "9".repeat(65);
    let text = texts(
        "decimal(65,0)",
        false,
        vec![Bytes(digits.clone().into_bytes())],
    );
    assert_eq!(text, [Some(digits)]);
}

#[test]
fn floats_by_their_bits() {
    let array = encode("float", false, vec![Float(0.1), Float(f32::MIN_POSITIVE)]).unwrap();
    let array = array.as_primitive::<Float64Type>();
    assert_eq!(array.value(0) as f32, 0.1_f32);
    assert_eq!(array.value(1) as f32, f32::MIN_POSITIVE);
    let array = encode("double", false, vec![Double(-0.0), Double(f64::MAX)]).unwrap();
    let array = array.as_primitive::<Float64Type>();
    assert_eq!(array.value(0).to_bits(), (-0.0_f64).to_bits());
}

#[test]
fn dates_that_no_timestamp_can_express_need_text() {
    for (y, m, d) in [
        (0, 0, 0),
        (2024, 0, 1),
        (2024, 2, 0),
        (2024, 2, 31),
        (0, 1, 1),
    ] {
        let value = Date(y, m, d, 1, 2, 3, 4);
        let error = encode("datetime(6)", false, vec![value.clone()]).unwrap_err();
        assert_eq!(
            error,
            EncodeError::NeedsText {
                column: "c".to_owned()
            }
        );
        let text = format!("{y:04}-{m:02}-{d:02} 01:02:03.000004");
        assert_eq!(texts("datetime(6)", true, vec![value]), [Some(text)]);
    }
    let text = texts("timestamp", true, vec![Date(0, 0, 0, 0, 0, 0, 0), NULL]);
    assert_eq!(text, [Some("0000-00-00 00:00:00".to_owned()), None]);
}

#[test]
fn timestamps_count_microseconds_since_1970() {
    let array = encode(
        "datetime(6)",
        false,
        vec![
            Date(1970, 1, 1, 0, 0, 0, 1),
            Date(1969, 12, 31, 23, 59, 59, 999_999),
            Date(9999, 12, 31, 23, 59, 59, 999_999),
            Date(1, 1, 1, 0, 0, 0, 0),
        ],
    )
    .unwrap();
    let array = array.as_primitive::<TimestampMicrosecondType>();
    assert_eq!(array.value(0), 1);
    assert_eq!(array.value(1), -1);
    assert_eq!(array.value(2), 253_402_300_799_999_999);
    assert_eq!(array.value(3), -62_135_596_800_000_000);
}

#[test]
fn dates_and_times_as_the_server_prints_them() {
    assert_eq!(
        texts(
            "date",
            false,
            vec![
                Date(0, 0, 0, 0, 0, 0, 0),
                Date(2024, 2, 0, 0, 0, 0, 0),
                NULL
            ]
        ),
        [
            Some("0000-00-00".to_owned()),
            Some("2024-02-00".to_owned()),
            None
        ]
    );
    // 838 hours come as 34 days and 22 hours.
    assert_eq!(
        texts(
            "time(3)",
            false,
            vec![Time(true, 34, 22, 59, 59, 0), Time(false, 0, 0, 0, 1, 500)]
        ),
        [
            Some("-838:59:59.000".to_owned()),
            Some("00:00:01.000".to_owned())
        ]
    );
}

#[test]
fn binary_is_padded_and_text_must_be_utf8() {
    let array = encode("binary(4)", false, vec![Bytes(b"ab".to_vec())]).unwrap();
    assert_eq!(array.as_binary::<i32>().value(0), b"ab\0\0");
    let array = encode("varbinary(4)", false, vec![Bytes(vec![0xff, 0])]).unwrap();
    assert_eq!(array.as_binary::<i32>().value(0), [0xff, 0]);
    let error = encode("varchar(4)", false, vec![Bytes(vec![0xff])]).unwrap_err();
    assert!(error.to_string().contains("UTF-8"), "{error}");
}

#[test]
fn a_row_of_another_width_is_refused() {
    let column = column("c", "int");
    let mut builder = BatchBuilder::new(&[&column], &BTreeSet::new());
    assert!(builder.push(row(vec![Int(1), Int(2)])).is_err());
}

#[test]
fn rows_without_columns_still_count() {
    let mut builder = BatchBuilder::new(&[], &BTreeSet::new());
    builder.push(row(vec![Int(1)])).unwrap();
    builder.push(row(vec![Int(1)])).unwrap();
    assert_eq!(builder.finish().unwrap().num_rows(), 2);
}
