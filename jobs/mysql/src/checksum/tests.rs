use super::*;

fn column(raw: &str) -> ColumnDef {
    serde_json::from_value(serde_json::json!({
        "name": "c`1", "raw_type": raw, "ty": ColumnType::parse(raw), "nullable": true,
        "charset": null, "collation": null, "generated": "none", "invisible": false,
        "auto_increment": false, "default": null,
    }))
    .unwrap()
}

fn compare(types: &[(&str, Flavor)]) -> (Compare, Vec<Option<String>>) {
    let columns: Vec<ColumnDef> = types.iter().map(|(raw, _)| column(raw)).collect();
    let sides: Vec<Side<'_>> = columns
        .iter()
        .zip(types)
        .map(|(column, (_, flavor))| Side {
            column,
            flavor: *flavor,
        })
        .collect();
    let compare = Compare::of(&sides);
    (
        compare,
        columns.iter().map(|column| compare.text(column)).collect(),
    )
}

#[test]
fn sides_of_different_width_are_brought_to_the_wider() {
    let (_, texts) = compare(&[("datetime", Flavor::MySql), ("datetime(3)", Flavor::TiDb)]);
    assert_eq!(
        texts[0].as_deref(),
        Some("CONCAT(CAST(`c``1` AS CHAR),'.000')")
    );
    assert_eq!(texts[1].as_deref(), Some("CAST(`c``1` AS CHAR)"));
    let (_, texts) = compare(&[
        ("decimal(9,2)", Flavor::MySql),
        ("decimal(9,4)", Flavor::TiDb),
    ]);
    assert_eq!(
        texts[0].as_deref(),
        Some("CONCAT(CAST(`c``1` AS CHAR),'00')")
    );
    let (_, texts) = compare(&[("int", Flavor::MySql), ("decimal(9,1)", Flavor::TiDb)]);
    assert_eq!(
        texts[0].as_deref(),
        Some("CONCAT(CAST(`c``1` AS CHAR),'.0')")
    );
    let (_, texts) = compare(&[("varchar(9)", Flavor::MySql), ("text", Flavor::TiDb)]);
    assert_eq!(texts[0], texts[1]);
    assert_eq!(
        texts[0].as_deref(),
        Some("SHA2(CONVERT(`c``1` USING utf8mb4),256)")
    );
    let (how, _) = compare(&[("longtext", Flavor::MariaDb), ("json", Flavor::TiDb)]);
    assert_eq!(how, Compare::Json);
    // A DOUBLE that a FLOAT rounded is not equal; a FLOAT that a DOUBLE took whole is.
    let (how, _) = compare(&[("double", Flavor::MySql), ("float", Flavor::MySql)]);
    assert_eq!(
        how,
        Compare::Float {
            single: false,
            signed_zero: true
        }
    );
    let digest = |value| how.digest(Flavor::MySql, &value);
    assert_ne!(digest(Value::Double(0.1)), digest(Value::Float(0.1)));
    assert_eq!(
        digest(Value::Float(0.1)),
        digest(Value::Double(f64::from(0.1f32)))
    );
}

#[test]
fn filling_zeros_are_left_out() {
    let (_, texts) = compare(&[("int(8) unsigned zerofill", Flavor::MySql)]);
    assert_eq!(texts[0].as_deref(), Some("CAST(`c``1`+0 AS CHAR)"));
}

#[test]
fn the_last_bit_of_a_double_and_the_sign_of_zero_count() {
    let exact = Compare::Float {
        single: false,
        signed_zero: true,
    };
    let digest = |how: &Compare, v: f64| how.digest(Flavor::MySql, &Value::Double(v)).unwrap();
    assert_ne!(
        digest(&exact, 0.1),
        digest(&exact, f64::from_bits(0.1f64.to_bits() + 1))
    );
    assert_ne!(digest(&exact, 0.0), digest(&exact, -0.0));
    let folded = Compare::of(&[
        Side {
            column: &column("double"),
            flavor: Flavor::MySql,
        },
        Side {
            column: &column("double"),
            flavor: Flavor::TiDb,
        },
    ]);
    assert_eq!(digest(&folded, 0.0), digest(&folded, -0.0));
    assert_ne!(digest(&folded, 5e-324), digest(&folded, -5e-324));
    let single = Compare::Float {
        single: true,
        signed_zero: true,
    };
    assert_eq!(
        single.digest(Flavor::MySql, &Value::Float(0.1)),
        single.digest(Flavor::TiDb, &Value::Double(f64::from(0.1f32)))
    );
    assert_eq!(exact.digest(Flavor::MySql, &Value::NULL), None);
}

#[test]
fn the_row_hash_says_where_a_text_ends_and_what_is_null() {
    let (text, number) = (column("varchar(9)"), column("int"));
    let expr = row_expr(&[
        Compared {
            column: &text,
            compare: Compare::Text { digest: false },
            nullable: true,
        },
        Compared {
            column: &number,
            compare: Compare::Integer,
            nullable: false,
        },
    ]);
    assert_eq!(
        expr,
        "SHA2(CONCAT_WS(',',ISNULL(`c``1`),CHAR_LENGTH(`c``1`),CONVERT(`c``1` USING utf8mb4),CAST(`c``1` AS CHAR)),256)"
    );
    assert_eq!(row_expr(&[]), "SHA2('',256)");
    let server = [7; 32];
    let value = Some([1; 32]);
    assert_ne!(
        row_hash(&server, [None, value]),
        row_hash(&server, [value, None])
    );
}

#[test]
fn a_sum_over_a_row_without_a_hash_is_refused() {
    assert_eq!(read_sum(None), Some(0));
    assert_eq!(
        read_sum(Some("18446744073709551615")),
        Some(u128::from(u64::MAX))
    );
    let one_without = format!("{}", NO_HASH.parse::<u128>().unwrap() + 5);
    assert_eq!(read_sum(Some(&one_without)), None);
    // More of them than the type holds.
    assert_eq!(read_sum(Some(&"9".repeat(50))), None);
}

#[test]
fn json_is_equal_by_its_meaning() {
    let same = [
        (
            r#"{"b":1,"a":[1.0, 2]}"#,
            r#"{ "a": [1,2.0e0], "b": 10e-1 }"#,
        ),
        (r#""\u00e9\/\ud83d\ude00\n""#, "\"é/😀\\n\""),
        (r#"{"x":1,"y":0,"x":2}"#, r#"{"y":0,"x":2}"#),
        ("-0", "0"),
        ("-0.0", "0.000"),
        ("1e15", "1000000000000000"),
        ("1.152921504606847e18", "1152921504606847000"),
        ("1.8446744073709552e19", "18446744073709552000"),
        ("1.5e300", "1.5e+300"),
        ("0.0000001", "1e-7"),
        ("5e-324", "4.9406564584124654e-324"),
    ];
    for (a, b) in same {
        assert_eq!(
            digest_of(a, Flavor::MySql),
            digest_of(b, Flavor::TiDb),
            "{a} and {b} mean the same"
        );
    }
}

#[test]
fn json_differs_in_the_last_digit_and_in_kind() {
    let different = [
        ("9007199254740993", "9007199254740992"),
        ("18446744073709551615", "18446744073709551614"),
        ("-9223372036854775808", "-9223372036854775807"),
        ("0.1", "0.10000000000000002"),
        ("1.12345678901234567890", "1.1234567890123457"),
        ("1", "\"1\""),
        ("null", "\"null\""),
        ("true", "1"),
        ("[]", "{}"),
        ("[1,2]", "[2,1]"),
        ("[[1],2]", "[[1,2]]"),
        (r#"{"a":1}"#, r#"{"A":1}"#),
        (r#"{"a":{"b":1}}"#, r#"{"a":1,"b":1}"#),
        (r#""a""#, r#""a ""#),
        (r#"{"x":1,"x":2}"#, r#"{"x":1}"#),
        (r#""\ud800""#, r#""?""#),
        ("[1", "[1]"),
        ("", "\"\""),
    ];
    for (a, b) in different {
        for flavor in [Flavor::MySql, Flavor::TiDb] {
            assert_ne!(
                digest_of(a, flavor),
                digest_of(b, flavor),
                "{a} and {b} differ"
            );
        }
    }
}

#[test]
fn what_mariadb_keeps_as_it_was_written_is_what_others_make_of_it() {
    assert_eq!(
        digest_of("18446744073709551616.10", Flavor::MariaDb),
        digest_of("1.8446744073709552e19", Flavor::MySql)
    );
    assert_eq!(
        digest_of("0.1000000000000000055511151231257827", Flavor::MariaDb),
        digest_of("0.1", Flavor::TiDb)
    );
    assert_eq!(
        digest_of("nonsense", Flavor::MariaDb),
        digest_of("nonsense", Flavor::TiDb)
    );
}

#[test]
fn a_deep_document_does_not_overflow_the_stack() {
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(
        digest_of(&deep, Flavor::MariaDb),
        digest_of(&deep, Flavor::MariaDb)
    );
    assert_ne!(
        digest_of(&deep, Flavor::MariaDb),
        digest_of("[]", Flavor::MariaDb)
    );
}

fn digest_of(text: &str, flavor: Flavor) -> Hash {
    json::digest(text.as_bytes(), flavor)
}
