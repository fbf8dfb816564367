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

/// A column that some of the source's tables lack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partial {
    /// Its name at the source.
    pub name: String,
    /// Indexes of the tables that lack it.
    pub lacking: Vec<usize>,
}

/// What is compared of a table.
#[derive(Debug, Clone, Default)]
pub struct Columns {
    /// The columns that all sides have, in the source's order.
    pub shared: Vec<Column>,
    /// Columns that the target and some of the meeting tables have, not all: they are not compared,
    /// for what the target holds in the other tables' rows is its own default.
    pub partial: Vec<Partial>,
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
        for name in union(sources) {
            let ours: Vec<Option<&ColumnDef>> = sources
                .iter()
                .map(|source| source.def.column(name))
                .collect();
            let generated = ours
                .iter()
                .flatten()
                .all(|column| column.generated != Generated::None);
            let Some(theirs) = target.def.column(name) else {
                if generated {
                    columns.missing_generated.push(name.to_owned());
                } else {
                    columns.missing.push(name.to_owned());
                }
                continue;
            };
            let mut sides = vec![Side {
                column: theirs,
                flavor: target.flavor,
            }];
            let mut lacking = Vec::new();
            for (index, (source, column)) in sources.iter().zip(ours).enumerate() {
                match column {
                    Some(column) => sides.push(Side {
                        column,
                        flavor: source.flavor,
                    }),
                    None => lacking.push(index),
                }
            }
            if lacking.is_empty() {
                columns.shared.push(Column {
                    name: name.to_owned(),
                    compare: Compare::of(&sides),
                    nullable: sides.iter().any(|side| side.column.nullable),
                });
            } else {
                columns.partial.push(Partial {
                    name: name.to_owned(),
                    lacking,
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

/// The names of all columns of all tables, each once, the first table's first.
fn union<'a>(sources: &[Table<'a>]) -> Vec<&'a str> {
    let mut names: Vec<&str> = Vec::new();
    for (index, source) in sources.iter().enumerate() {
        let seen = |name: &str| {
            sources[..index]
                .iter()
                .any(|former| former.def.column(name).is_some())
        };
        let columns = source.def.columns.iter().map(|c| c.name.as_str());
        names.extend(columns.filter(|name| !seen(name)));
    }
    names
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
