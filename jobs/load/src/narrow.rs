//! Columns of a target table that was there before, which would round or cut values unseen: strict
//! mode refuses a number out of range and a text too long, but not these.

use tideway_mysql::schema::ColumnDef;
use tideway_mysql::types::column_type::ColumnType;

/// Whether the target's column rounds or cuts values of the source's without an error.
#[must_use]
pub fn rounds(source: &ColumnType, target: &ColumnType) -> bool {
    use ColumnType as T;
    match (source, target) {
        (T::Double { .. }, T::Float { .. }) => true,
        (T::Double { .. } | T::Float { .. }, to) => is_integer(to) || is_decimal(to),
        (T::Decimal { scale, .. }, T::Decimal { scale: to, .. }) => to < scale,
        (T::Decimal { scale, .. }, to) if is_integer(to) => *scale > 0,
        (T::Decimal { .. } | T::BigInt { .. }, T::Double { .. } | T::Float { .. }) => true,
        (T::Int { .. }, T::Float { .. }) => true,
        (from, to) => match (fraction(from), fraction(to)) {
            (Some(from), Some(to)) => to < from,
            (Some(_), None) => matches!(to, T::Date),
            _ => false,
        },
    }
}

/// The pairs of columns that [`rounds`] tells, each as `` `c` is float and double at the source ``.
#[must_use]
pub fn rounding<'a>(
    source: impl Iterator<Item = &'a ColumnDef>,
    target: &[&ColumnDef],
) -> Vec<String> {
    let mut found = Vec::new();
    for column in source {
        let there = target
            .iter()
            .find(|c| c.name.eq_ignore_ascii_case(&column.name));
        if let Some(there) = there.filter(|there| rounds(&column.ty, &there.ty)) {
            found.push(format!(
                "{} is {} and {} at the source",
                tideway_mysql::sql::ident(&column.name),
                there.raw_type,
                column.raw_type
            ));
        }
    }
    found
}

fn is_integer(ty: &ColumnType) -> bool {
    matches!(
        ty,
        ColumnType::TinyInt { .. }
            | ColumnType::SmallInt { .. }
            | ColumnType::MediumInt { .. }
            | ColumnType::Int { .. }
            | ColumnType::BigInt { .. }
    )
}

fn is_decimal(ty: &ColumnType) -> bool {
    matches!(ty, ColumnType::Decimal { .. })
}

/// Fractional digits of seconds, of types that hold a time of day.
fn fraction(ty: &ColumnType) -> Option<u8> {
    match ty {
        ColumnType::Time { fsp } | ColumnType::DateTime { fsp } | ColumnType::Timestamp { fsp } => {
            Some(*fsp)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_rounds_unseen_is_known_and_what_widens_is_let_be() {
        let rounds = |from, to| rounds(&ColumnType::parse(from), &ColumnType::parse(to));
        for (wide, narrow) in [
            ("double", "float"),
            ("double", "decimal(20,5)"),
            ("float", "int"),
            ("decimal(10,4)", "decimal(10,2)"),
            ("decimal(10,2)", "bigint"),
            ("decimal(30,2)", "double"),
            ("bigint", "double"),
            ("int", "float"),
            ("datetime(6)", "datetime(3)"),
            ("timestamp(3)", "datetime"),
            ("time(1)", "time"),
            ("datetime", "date"),
        ] {
            assert!(rounds(wide, narrow), "{wide} into {narrow}");
            assert!(!rounds(wide, wide), "{wide}");
        }
        for (from, to) in [
            ("float", "double"),
            ("decimal(10,2)", "decimal(12,4)"),
            ("decimal(10,0)", "bigint"),
            ("int", "double"),
            ("bigint", "int"),
            ("datetime", "timestamp(6)"),
            ("date", "datetime"),
            ("varchar(9)", "char(3)"),
        ] {
            assert!(!rounds(from, to), "{from} into {to}");
        }
    }
}
