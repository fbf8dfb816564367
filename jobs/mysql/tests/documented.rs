//! `docs/types.md` says what the code does: its table is made from the table of types.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fmt::Write as _;
use std::path::Path;

use arrow::datatypes::DataType;
use tideway_mysql::checksum::{Compare, Side};
use tideway_mysql::info::Flavor;
use tideway_mysql::schema::ColumnDef;
use tideway_mysql::types::mapping::arrow_type;

const BEGIN: &str = "<!-- begin: made from jobs/mysql/src/types -->\n";
const END: &str = "<!-- end -->";

/// One of each type, as a server writes it.
const TYPES: &[&str] = &[
    "tinyint",
    "tinyint unsigned",
    "smallint unsigned",
    "mediumint",
    "mediumint unsigned",
    "int",
    "int unsigned",
    "bigint",
    "bigint unsigned",
    "decimal(9,2)",
    "decimal(18,6)",
    "decimal(38,10)",
    "decimal(65,30)",
    "float",
    "double",
    "bit(64)",
    "year",
    "date",
    "time(6)",
    "datetime(6)",
    "timestamp(6)",
    "char(10)",
    "varchar(255)",
    "longtext",
    "binary(8)",
    "varbinary(255)",
    "longblob",
    "enum('a','b')",
    "set('a','b')",
    "json",
    "geometry",
];

fn column(raw: &str) -> ColumnDef {
    ColumnDef::new("c", raw)
}

/// How the Parquet writer stores an Arrow type.
fn parquet(ty: &DataType) -> String {
    match ty {
        DataType::Int32 => "INT32".into(),
        DataType::Int64 => "INT64".into(),
        DataType::Float64 => "DOUBLE".into(),
        DataType::Utf8 => "BYTE_ARRAY STRING".into(),
        DataType::Binary => "BYTE_ARRAY".into(),
        DataType::Timestamp(..) => "INT64 TIMESTAMP(MICROS, UTC)".into(),
        DataType::Decimal128(p @ 0..=9, s) => format!("INT32 DECIMAL({p},{s})"),
        DataType::Decimal128(p @ 10..=18, s) => format!("INT64 DECIMAL({p},{s})"),
        DataType::Decimal128(p, s) => format!("FIXED_LEN_BYTE_ARRAY DECIMAL({p},{s})"),
        other => panic!("no line for {other}"),
    }
}

fn table() -> String {
    let mut text =
        String::from("| MySQL | Arrow | Parquet | compared by |\n| --- | --- | --- | --- |\n");
    for raw in TYPES {
        let column = column(raw);
        let arrow = arrow_type(&column.ty, false);
        let sides = [Flavor::MySql, Flavor::TiDb].map(|flavor| Side {
            column: &column,
            flavor,
        });
        let compared = if Compare::of(&sides).on_client() {
            "the job, value by value"
        } else {
            "the servers"
        };
        let arrow_name = match &arrow {
            DataType::Timestamp(..) => "Timestamp(µs, UTC)".to_owned(),
            other => other.to_string(),
        };
        writeln!(
            text,
            "| `{raw}` | {arrow_name} | {} | {compared} |",
            parquet(&arrow)
        )
        .unwrap();
    }
    text
}

/// `TIDEWAY_WRITE_DOCS=1 cargo test --workspace --test documented` writes it anew.
#[test]
fn the_page_of_types_is_true() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/types.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let (head, rest) = page.split_once(BEGIN).expect("the begin mark");
    let (_, tail) = rest.split_once(END).expect("the end mark");
    let now = format!("{head}{BEGIN}{}{END}{tail}", table());
    let write = std::env::var_os("TIDEWAY_WRITE_DOCS").is_some();
    if write {
        std::fs::write(&path, &now).unwrap();
    }
    assert!(
        page == now || write,
        "docs/types.md is out of date: run this test with TIDEWAY_WRITE_DOCS=1"
    );
}
