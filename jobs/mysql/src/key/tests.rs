//! Tests of keys: values, and predicates against tuple comparison.

use super::*;

fn column(name: &str, raw: &str) -> ColumnDef {
    ColumnDef {
        nullable: false,
        ..ColumnDef::new(name, raw)
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
