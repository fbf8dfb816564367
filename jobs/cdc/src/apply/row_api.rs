#![allow(missing_docs)]
use tideway_mysql::binlog::value::Value;
use tideway_mysql::info::Flavor;
use tideway_mysql::row::{ValueError, write_literal};
use tideway_mysql::schema::ColumnDef;
pub fn write_key(_column: &ColumnDef, value: &Value<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(format!("{value:?}").to_lowercase().as_bytes());
}
pub fn write_equals(
    column: &ColumnDef,
    name: &str,
    value: &Value<'_>,
    flavor: Flavor,
    out: &mut Vec<u8>,
) -> Result<(), ValueError> {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"<=>");
    write_literal(column, value, flavor, out)
}
pub fn apply_json_diff(_c: &str, _b: &Value<'_>, _d: &[u8]) -> Result<Vec<u8>, ValueError> {
    Ok(Vec::new())
}
