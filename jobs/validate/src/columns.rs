//! Which columns are compared, how, and by which key rows are told apart.

use tideway_mysql::checksum::{Compare, Side};
use tideway_mysql::info::Flavor;
use tideway_mysql::schema::{ColumnDef, Generated, TableDef};

/// A column that all sides have.
#[derive(Debug, Clone)]
pub struct Column {
    /// Its name at the source.
    pub name: String,
    /// How it is compared.
    pub compare: Compare,
    /// Whether it may be NULL on any side.
    pub nullable: bool,
}

/// What is compared of a table.
#[derive(Debug, Clone, Default)]
pub struct Columns {
    /// The columns that all sides have, in the source's order.
    pub shared: Vec<Column>,
    /// Columns of the source that the target does not have: their values are lost.
    pub missing: Vec<String>,
    /// Generated columns of the source that the target does not have: no value is lost.
    pub missing_generated: Vec<String>,
    /// Columns of the target that the source does not have (as those of `extract-table`).
    pub only_target: Vec<String>,
    /// Names of the columns that tell rows apart on all sides; `None` when there are none: rows
    /// are then compared as a multiset.
    pub key: Option<Vec<String>>,
}

/// A table on one side.
#[derive(Debug, Clone, Copy)]
pub struct Table<'a> {
    /// Its definition.
    pub def: &'a TableDef,
    /// The flavour of its server.
    pub flavor: Flavor,
}

impl Columns {
    /// Matches the columns of the source's tables (several when shards meet) with the target's, by
    /// name.
    #[must_use]
    pub fn of(sources: &[Table<'_>], target: Table<'_>) -> Self {
        let mut columns = Self::default();
        let Some(first) = sources.first() else {
            return columns;
        };
        for column in &first.def.columns {
            let Some(theirs) = target.def.column(&column.name) else {
                if column.generated == Generated::None {
                    columns.missing.push(column.name.clone());
                } else {
                    columns.missing_generated.push(column.name.clone());
                }
                continue;
            };
            let mut sides = vec![Side {
                column: theirs,
                flavor: target.flavor,
            }];
            for source in sources {
                if let Some(column) = source.def.column(&column.name) {
                    sides.push(Side {
                        column,
                        flavor: source.flavor,
                    });
                }
            }
            if sides.len() == sources.len() + 1 {
                columns.shared.push(Column {
                    name: column.name.clone(),
                    compare: Compare::of(&sides),
                    nullable: sides.iter().any(|side| side.column.nullable),
                });
            }
        }
        for column in &target.def.columns {
            if sources
                .iter()
                .all(|source| source.def.column(&column.name).is_none())
            {
                columns.only_target.push(column.name.clone());
            }
        }
        // A shard may have columns that the first one lacks.
        for source in sources.iter().skip(1) {
            for column in &source.def.columns {
                if target.def.column(&column.name).is_none()
                    && column.generated == Generated::None
                    && !columns.missing.contains(&column.name)
                {
                    columns.missing.push(column.name.clone());
                }
            }
        }
        columns.key = columns.key_of(sources, target.def);
        columns
    }

    /// The source's key, when every side has a unique key over just these columns.
    fn key_of(&self, sources: &[Table<'_>], target: &TableDef) -> Option<Vec<String>> {
        let key: Vec<String> = sources
            .first()?
            .def
            .row_key_columns()?
            .into_iter()
            .map(|column| column.name.clone())
            .collect();
        let everywhere = sources.iter().map(|source| source.def).chain([target]);
        let unique = everywhere.into_iter().all(|def| is_unique_by(def, &key));
        let compared = key
            .iter()
            .all(|name| self.shared.iter().any(|column| column.name == *name));
        (unique && compared).then_some(key)
    }
}

fn is_unique_by(def: &TableDef, key: &[String]) -> bool {
    def.keys
        .iter()
        .filter(|candidate| candidate.unique)
        .any(|candidate| {
            candidate.parts.len() == key.len()
                && candidate.parts.iter().all(|part| {
                    part.prefix.is_none()
                        && part.column.as_ref().is_some_and(|column| {
                            key.iter().any(|name| name.eq_ignore_ascii_case(column))
                        })
                })
        })
}

/// Whether ranges of this key hold the same rows on both sides: a text column sorts as its
/// collation does, so collations must agree.
#[must_use]
pub fn sorts_alike(key: &[String], sources: &[&TableDef], target: &TableDef) -> bool {
    let collation = |column: &ColumnDef| {
        if column.ty.is_text() {
            column.collation.as_ref().map(|c| c.to_ascii_lowercase())
        } else {
            None
        }
    };
    key.iter().all(|name| {
        let Some(theirs) = target.column(name) else {
            return false;
        };
        sources.iter().all(|source| {
            source.column(name).is_some_and(|ours| {
                ours.ty.is_text() == theirs.ty.is_text() && collation(ours) == collation(theirs)
            })
        })
    })
}
