//! The pass over a source's tables: which are in scope, what their definitions mean, and what is
//! at the target already.
//!
//! Definitions are read a few at a time and judged at once; what is kept of a table is its name,
//! its size and where it goes. So memory grows with the number of tables only by that.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt as _, TryStreamExt as _};
use tideway_config::ResolvedSource;
use tideway_job::{JobError, Progress};
use tideway_mysql::connect::Server;
use tideway_mysql::info::{Flavor, ServerInfo};
use tideway_mysql::schema::{self, Kind, Listing, TableDef, TableName};
use tideway_mysql::sql;

use crate::checks::cascades::{self, Cascades};
use crate::checks::charset::{self, TargetText, Uses};
use crate::checks::shards::{Shape, Shards};
use crate::checks::structure::{self, Remark};
use crate::checks::target::Existing;
use crate::facts::ask;
use crate::report::Check;
use crate::rows::{self, RowLimits};

/// Tables that are looked at side by side.
pub const PARALLEL: usize = 4;

/// What is kept of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// Its name at the source.
    pub name: TableName,
    /// Its name at the target.
    pub target: TableName,
    /// The route that sends it there.
    pub rule: Option<String>,
    /// Rows, as the source estimates.
    pub rows: u64,
    /// Bytes of its data, as the source estimates.
    pub bytes: u64,
    /// It has no key that tells one row from all others.
    pub keyless: bool,
}

/// What is in scope, by names alone.
#[derive(Debug, Default)]
pub struct Scope {
    /// Schemas of the source.
    pub schemas: BTreeSet<String>,
    /// Tables, not yet looked at.
    pub tables: Vec<(Listing, Table)>,
    /// Views; left out with a notice unless they are asked for.
    pub views: u64,
    /// Sequences and what else is no table; left out with a notice.
    pub others: u64,
    /// Tables whose routes contradict each other.
    pub route_errors: Vec<String>,
}

impl Scope {
    /// Reads the names of a source and applies filter and routes.
    pub async fn read(source: &ResolvedSource, server: &Server) -> Result<Self, JobError> {
        let mut conn = server.conn().await?;
        Ok(Self::of(source, schema::list(&mut conn).await?))
    }

    /// Applies filter and routes to what a server holds.
    pub fn of(source: &ResolvedSource, listings: Vec<Listing>) -> Self {
        let mut scope = Self::default();
        for listing in listings {
            let name = listing.name.clone();
            if !source.filter.includes(&name.schema, &name.table) {
                continue;
            }
            scope.schemas.insert(name.schema.clone());
            match listing.kind {
                Kind::BaseTable | Kind::SystemVersioned => {}
                Kind::View => {
                    scope.views += 1;
                    continue;
                }
                _ => {
                    scope.others += 1;
                    continue;
                }
            }
            let router = &source.router;
            let routed = router.route(&name.schema, &name.table).and_then(|target| {
                Ok((
                    target,
                    router.rule(&name.schema, &name.table)?.map(str::to_owned),
                ))
            });
            match routed {
                Ok(((schema, table), rule)) => {
                    let table = Table {
                        name,
                        target: TableName::new(schema, table),
                        rule,
                        rows: listing.estimated_rows,
                        bytes: listing.data_bytes,
                        keyless: false,
                    };
                    scope.tables.push((listing, table));
                }
                Err(error) => scope.route_errors.push(error.to_string()),
            }
        }
        scope
    }

    /// Schemas at the target.
    pub fn target_schemas(&self) -> BTreeSet<String> {
        self.tables
            .iter()
            .map(|(_, table)| table.target.schema.clone())
            .collect()
    }
}

/// What is known of the target before the tables are looked at.
pub struct TargetState<'a> {
    /// The target.
    pub server: &'a Server,
    /// Tables that exist there, folded where it folds names.
    pub existing: BTreeMap<TableName, TableName>,
    /// Its character sets and collations.
    pub text: TargetText,
    /// How large a row may be, and whether zero dates are refused.
    pub limits: RowLimits,
    /// A load of this task has been here before.
    pub begun: bool,
    /// Why it lets no rows of children follow their parents; `None` where it does.
    pub lacks_cascades: Option<String>,
}

impl<'a> TargetState<'a> {
    /// Reads what is at the target under these schemas.
    pub async fn read(
        server: &'a Server,
        schemas: &BTreeSet<String>,
        checkpoint: &TableName,
        limits: RowLimits,
        lacks_cascades: Option<String>,
    ) -> Result<Self, JobError> {
        let mut conn = server.conn().await?;
        let mut existing = BTreeMap::new();
        for schema in schemas {
            let sql = format!(
                "SELECT table_schema, table_name FROM information_schema.tables \
                 WHERE table_schema = {}",
                sql::quoted(schema)
            );
            let tables: Vec<(String, String)> =
                ask(server, &mut conn, "list the target's tables", sql).await?;
            for (schema, table) in tables {
                let name = TableName::new(schema, table);
                existing.insert(folded(server.info(), &name), name);
            }
        }
        let sql = format!(
            "SELECT table_name FROM information_schema.tables \
             WHERE table_schema = {} AND table_name = {}",
            sql::quoted(&checkpoint.schema),
            sql::quoted(&checkpoint.table)
        );
        let begun: Vec<String> = ask(server, &mut conn, "look for a checkpoint", sql).await?;
        let mut names = async |what: &str, sql: &str| -> Result<BTreeSet<String>, JobError> {
            let names: Vec<String> = ask(server, &mut conn, what, sql).await?;
            Ok(names
                .into_iter()
                .map(|name| name.to_ascii_lowercase())
                .collect())
        };
        let text = TargetText {
            charsets: names(
                "list the target's character sets",
                "SELECT character_set_name FROM information_schema.character_sets",
            )
            .await?,
            collations: names(
                "list the target's collations",
                "SELECT collation_name FROM information_schema.collations",
            )
            .await?,
        };
        Ok(Self {
            server,
            existing,
            text,
            limits,
            begun: !begun.is_empty(),
            lacks_cascades,
        })
    }
}

/// A name as the target folds it.
pub fn folded(target: &ServerInfo, name: &TableName) -> TableName {
    if target.lower_case_table_names == 0 {
        name.clone()
    } else {
        TableName::new(name.schema.to_lowercase(), name.table.to_lowercase())
    }
}

/// What the pass found.
#[derive(Debug, Default)]
pub struct Survey {
    /// The tables.
    pub tables: Vec<Table>,
    /// Remarks on them.
    pub remarks: Vec<(TableName, Remark)>,
    /// Character sets in use.
    pub uses: Uses,
    /// Tables that are at the target already.
    pub existing: Vec<Existing>,
    /// Tables without a primary key.
    pub without_primary: Vec<TableName>,
}

struct Look {
    table: Table,
    remarks: Vec<Remark>,
    uses: Uses,
    existing: Option<Existing>,
    has_primary: bool,
    shape: Option<Shape>,
}

/// Looks at every table in scope.
pub async fn survey(
    server: &Server,
    scope: Scope,
    target: &TargetState<'_>,
    (source, shards): (&str, &mut Shards),
    cascades: Cascades<'_>,
    progress: &Progress,
) -> Result<Survey, JobError> {
    let meeting = shards.meeting();
    let looks = futures::stream::iter(scope.tables)
        .map(async |(_, table)| {
            let look = Box::pin(look(server, table, target, cascades, &meeting)).await;
            progress.unit_done();
            look
        })
        // In order, so that two runs over one source give one report.
        .buffered(PARALLEL);
    let mut looks = std::pin::pin!(looks);
    let mut out = Survey::default();
    while let Some(look) = looks.try_next().await? {
        // A table dropped meanwhile is nobody's concern.
        let Some(look) = look else { continue };
        let name = &look.table.name;
        out.remarks.extend(
            look.remarks
                .into_iter()
                .map(|remark| (name.clone(), remark)),
        );
        for (key, used) in look.uses {
            let tables = out
                .uses
                .entry(key)
                .or_insert(charset::Use { tables: 0, ..used });
            tables.tables += 1;
        }
        out.existing.extend(look.existing);
        if !look.has_primary {
            out.without_primary.push(name.clone());
        }
        if let Some(shape) = look.shape {
            let at = folded(target.server.info(), &look.table.target);
            shards.add(source, name, &at, shape);
        }
        out.tables.push(look.table);
    }
    Ok(out)
}

async fn look(
    server: &Server,
    mut table: Table,
    target: &TargetState<'_>,
    cascades: Cascades<'_>,
    meeting: &BTreeSet<TableName>,
) -> Result<Option<Look>, JobError> {
    let mut conn = server.conn().await?;
    let Some(def) = schema::read_table(&mut conn, server.info(), &table.name).await? else {
        return Ok(None);
    };
    table.keyless = def.row_key().is_none();
    let info = target.server.info();
    let mut remarks = structure::remarks(&def, info.flavor, info.version);
    remarks.extend(rows::look(server, &mut conn, &def, &table, &target.limits).await);
    drop(conn);
    let mut uses = Uses::new();
    charset::collect(&def, &mut uses);
    let at = folded(info, &table.target);
    let existing = match target.existing.get(&at) {
        Some(name) => at_target(target.server, name, &def).await?,
        None => None,
    };
    let (existing, at_target) = existing.unzip();
    let lacking = target.lacks_cascades.as_deref();
    remarks.extend(cascades::remark(
        &def,
        &cascades,
        lacking,
        at_target.as_ref(),
    ));
    Ok(Some(Look {
        table,
        remarks,
        uses,
        existing,
        has_primary: def.keys.iter().any(|key| key.primary),
        shape: meeting.contains(&at).then(|| Shape::of(&def)),
    }))
}

/// The table that is at the target already.
async fn at_target(
    server: &Server,
    name: &TableName,
    source: &TableDef,
) -> Result<Option<(Existing, TableDef)>, JobError> {
    let mut conn = server.conn().await?;
    let Some(def) = schema::read_table(&mut conn, server.info(), name).await? else {
        return Ok(None);
    };
    let sql = format!("SELECT 1 FROM {name} LIMIT 1");
    let row: Vec<u8> = ask(server, &mut conn, "look into a target table", sql).await?;
    let missing = source
        .stored_columns()
        .filter(|column| def.column(&column.name).is_none())
        .map(|column| column.name.clone())
        .collect();
    let existing = Existing {
        name: name.clone(),
        from: source.name.clone(),
        has_rows: !row.is_empty(),
        missing,
    };
    Ok(Some((existing, def)))
}

/// What the tables' remarks and the scope say, as DM's check.
pub fn table_structure(
    source: &str,
    survey: &Survey,
    scope: &ScopeNotes,
    target: Flavor,
) -> crate::report::CheckResult {
    let name = "table structure compatibility check";
    let desc = "check compatibility of table structure";
    let mut check = Check::new("table_schema", name, desc, source);
    check.note(format!("{} tables for {target}", survey.tables.len()));
    for error in &scope.route_errors {
        check.fail(error.clone(), "narrow the routes' patterns");
    }
    for (table, remark) in &survey.remarks {
        check.add(
            remark.severity,
            remark.what.clone(),
            remark.way_out,
            &table.to_string(),
        );
    }
    if survey.tables.is_empty() && scope.route_errors.is_empty() {
        let what = "no table of this source is in scope";
        check.warn(
            what,
            "look at block-allow-list, and at what the user may see",
        );
    }
    match scope.views {
        0 => {}
        n if scope.leave_views => check.note(format!("{n} views are left out")),
        n => check.warn(
            format!("{n} views are left out: their definitions are dumped (--no-views=false), none is created"),
            "make them at the target by hand, after the load",
        ),
    }
    if scope.others > 0 {
        check.note(format!(
            "{} sequences or other objects are left out",
            scope.others
        ));
    }
    let left = scope.programs.named();
    if !left.is_empty() {
        let what = format!("not migrated: {}", left.join(", "));
        check.warn(what, "make them at the target by hand, after the migration");
    }
    check.finish()
}

/// What is left of a [`Scope`] once its tables were looked at.
#[derive(Debug, Default)]
pub struct ScopeNotes {
    /// Views in scope.
    pub views: u64,
    /// Views are left out.
    pub leave_views: bool,
    /// Sequences and the like.
    pub others: u64,
    /// Routes that contradict each other.
    pub route_errors: Vec<String>,
    /// Stored programs.
    pub programs: crate::facts::Programs,
}
