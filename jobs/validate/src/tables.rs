//! Which tables are compared with which: the source's tables by filter and route, grouped by the
//! table of the target that they meet in.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tideway_config::ResolvedSource;
use tideway_job::Job;
use tideway_mysql::connect::Server;
use tideway_mysql::schema::{Kind, TableDef, TableName, list, read_table};
use tideway_staging::document::{EffectivePlan, TablePlan, read_manifest, read_plan};

use crate::columns::{self, Columns, Table};
use crate::error::{Error, Result};
use crate::ranges::{self, Range};
use crate::report::Finding;
use crate::side::SideTable;
use crate::unit::Sides;

/// What decides how tables are cut.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// This process compares all ranges; several share those of the dump's plan, or whole tables.
    pub one_process: bool,
    /// Rows of a range, where the dump's plan does not say.
    pub range_rows: Option<u64>,
}

/// A source that takes part.
pub struct Source {
    /// Its id in the task.
    pub id: String,
    /// Its server.
    pub server: Server,
    /// The effective plan of its dump, when there is one.
    pub plan: Option<EffectivePlan>,
}

/// Where tables are looked for.
#[derive(Clone, Copy)]
pub struct Scope<'a> {
    /// The sources as the task has them.
    pub resolved: &'a [&'a ResolvedSource],
    /// The same sources, opened.
    pub sources: &'a [Source],
    /// The target.
    pub target: &'a Server,
    /// How tables are cut.
    pub options: Options,
}

/// A source's table that is to be compared.
struct Member {
    source: usize,
    def: TableDef,
    plan: Option<TablePlan>,
    rows: u64,
    bytes: u64,
}

/// A table of the target with all that should be in it.
pub struct TableJob {
    /// Index of the source whose report it stands in: the first that has a part in it.
    pub source: usize,
    /// Indexes of all sources that have a part in it.
    pub source_indexes: Vec<usize>,
    /// Its name at the target.
    pub target: TableName,
    /// Its tables at the sources, for people.
    pub sources: Vec<String>,
    /// Differences of the definition.
    pub findings: Vec<Finding>,
    /// What is worth knowing.
    pub notes: Vec<String>,
    /// What to compare; `None` when there is nothing to compare.
    pub sides: Option<Sides>,
    /// The ranges to compare.
    pub ranges: Vec<Range>,
    /// Rows by the source's own estimate.
    pub estimated_rows: u64,
    /// Bytes by the source's own estimate.
    pub estimated_bytes: u64,
}

/// Opens a source and checks that it is the one that was dumped.
///
/// # Errors
/// [`Error::AnotherServer`], and those of server and staging.
pub async fn open_source(job: &Job, source: &ResolvedSource, server: Server) -> Result<Source> {
    let keys = job.keys.source(&source.id);
    let plan = read_plan(&job.staging, &keys).await?;
    let manifest = read_manifest(&job.staging, &keys).await?;
    let dumped = manifest
        .as_ref()
        .map(|manifest| manifest.server_uuid.clone())
        .or_else(|| plan.as_ref().map(|plan| plan.server_uuid.clone()));
    let found = &server.info().uuid;
    match dumped {
        Some(dumped) if dumped != *found => {
            return Err(Error::AnotherServer {
                source_id: source.id.clone(),
                dumped,
                found: found.clone(),
            });
        }
        Some(_) => {}
        None => tracing::warn!(
            "source {}: staging holds no dump of it; source and target are compared all the same",
            source.id
        ),
    }
    Ok(Source {
        id: source.id.clone(),
        server,
        plan,
    })
}

/// Finds the tables of all sources and what to compare them with; `only` those of these names at the
/// target.
///
/// # Errors
/// Those of the servers, and of the routes.
pub async fn find(scope: &Scope<'_>, only: Option<&BTreeSet<TableName>>) -> Result<Vec<TableJob>> {
    let Scope {
        resolved,
        sources,
        target,
        options,
    } = *scope;
    let asked = |name: &TableName| only.is_none_or(|only| only.contains(name));
    let mut groups: BTreeMap<TableName, Vec<Member>> = BTreeMap::new();
    let mut gone: BTreeMap<TableName, (usize, String)> = BTreeMap::new();
    for (index, (resolved, source)) in resolved.iter().zip(sources).enumerate() {
        let members = members(resolved, source, index, asked).await?;
        let known: BTreeSet<TableName> = members
            .iter()
            .map(|member| member.def.name.clone())
            .collect();
        for member in members {
            groups
                .entry(route(resolved, &member.def.name)?)
                .or_default()
                .push(member);
        }
        for plan in source.plan.iter().flat_map(|plan| &plan.tables) {
            let name = TableName::new(&plan.db, &plan.table);
            if !known.contains(&name) && resolved.filter.includes(&plan.db, &plan.table) {
                let label = format!("{}: {}.{}", source.id, name.schema, name.table);
                let routed = route(resolved, &name)?;
                if asked(&routed) {
                    gone.insert(routed, (index, label));
                }
            }
        }
    }
    let mut conn = target.conn().await?;
    let mut jobs = Vec::new();
    for (name, members) in groups {
        gone.remove(&name);
        let def = read_table(&mut conn, target.info(), &name).await?;
        jobs.push(table_job(name, members, sources, def, target, options).await?);
    }
    for (name, (source, label)) in gone {
        if read_table(&mut conn, target.info(), &name).await?.is_some() {
            let mut job = TableJob::named(source, name, vec![label]);
            job.findings.push(Finding::TableGone);
            jobs.push(job);
        }
    }
    Ok(jobs)
}

fn route(source: &ResolvedSource, name: &TableName) -> Result<TableName> {
    let (schema, table) = source
        .router
        .route(&name.schema, &name.table)
        .map_err(|error| Error::Route {
            source_id: source.id.clone(),
            message: error.to_string(),
        })?;
    Ok(TableName { schema, table })
}

async fn members(
    resolved: &ResolvedSource,
    source: &Source,
    index: usize,
    asked: impl Fn(&TableName) -> bool,
) -> Result<Vec<Member>> {
    let mut conn = source.server.conn().await?;
    let mut members = Vec::new();
    for listing in list(&mut conn).await? {
        let name = &listing.name;
        let is_table = matches!(listing.kind, Kind::BaseTable | Kind::SystemVersioned);
        if !is_table || !resolved.filter.includes(&name.schema, &name.table) {
            continue;
        }
        if !asked(&route(resolved, name)?) {
            continue;
        }
        let Some(def) = read_table(&mut conn, source.server.info(), name).await? else {
            continue;
        };
        let plan = source
            .plan
            .as_ref()
            .and_then(|plan| plan.table(&name.schema, &name.table));
        members.push(Member {
            source: index,
            def,
            plan: plan.cloned(),
            rows: listing.estimated_rows,
            bytes: listing.data_bytes,
        });
    }
    Ok(members)
}

impl TableJob {
    /// A table of which nothing is known but its name.
    pub(crate) fn named(source: usize, target: TableName, sources: Vec<String>) -> Self {
        Self {
            source,
            source_indexes: vec![source],
            target,
            sources,
            findings: Vec::new(),
            notes: Vec::new(),
            sides: None,
            ranges: Vec::new(),
            estimated_rows: 0,
            estimated_bytes: 0,
        }
    }

    /// How many tables of sources meet in it.
    pub(crate) fn members(&self) -> usize {
        self.sides.as_ref().map_or(0, |sides| sides.sources.len())
    }

    /// Whether its rows are told apart by a key.
    pub(crate) fn is_keyed(&self) -> bool {
        self.sides
            .as_ref()
            .is_some_and(|sides| sides.target.columns.key.is_some())
    }
}

async fn table_job(
    name: TableName,
    members: Vec<Member>,
    sources: &[Source],
    target_def: Option<TableDef>,
    target: &Server,
    options: Options,
) -> Result<TableJob> {
    let first = members
        .iter()
        .map(|member| member.source)
        .min()
        .unwrap_or_default();
    let labels = members
        .iter()
        .map(|member| {
            let name = &member.def.name;
            format!(
                "{}: {}.{}",
                sources[member.source].id, name.schema, name.table
            )
        })
        .collect();
    let mut job = TableJob::named(first, name, labels);
    let all: BTreeSet<usize> = members.iter().map(|member| member.source).collect();
    job.source_indexes = all.into_iter().collect();
    let Some(target_def) = target_def else {
        job.findings.push(Finding::TableMissing);
        return Ok(job);
    };
    if members
        .iter()
        .any(|member| member.plan.as_ref().is_some_and(|plan| plan.no_data))
    {
        job.notes
            .push("dumped without data (--no-data): rows are not compared".to_owned());
        return Ok(job);
    }
    let tables: Vec<Table<'_>> = members
        .iter()
        .map(|member| Table {
            def: &member.def,
            flavor: sources[member.source].server.info().flavor,
        })
        .collect();
    let columns = Arc::new(Columns::of(
        &tables,
        Table {
            def: &target_def,
            flavor: target.info().flavor,
        },
    ));
    for column in &columns.missing {
        job.findings.push(Finding::ColumnMissing {
            column: column.clone(),
        });
    }
    for column in &columns.partial {
        let lacking = column.lacking.iter().filter_map(|i| job.sources.get(*i));
        let lacking = lacking.cloned().collect();
        job.findings.push(Finding::ColumnNotCompared {
            column: column.name.clone(),
            lacking,
        });
    }
    for column in &columns.missing_generated {
        job.notes
            .push(format!("generated column {column} is not on the target"));
    }
    for column in &columns.only_target {
        job.notes.push(format!(
            "column {column} is on the target only and was not compared"
        ));
    }
    if columns.shared.is_empty() && !job.findings.is_empty() {
        return Ok(job);
    }
    job.estimated_rows = members.iter().map(|member| member.rows).sum();
    job.estimated_bytes = members.iter().map(|member| member.bytes).sum();
    job.ranges = ranges_of(&members, sources, &target_def, target, options).await?;
    let mut sides = Vec::with_capacity(members.len());
    for member in members {
        let source = &sources[member.source];
        let filter = member.plan.and_then(|plan| plan.where_clause);
        if filter.is_some() {
            job.notes.push(format!(
                "only rows of {} for which the dump's --where holds were compared",
                member.def.name
            ));
        }
        sides.push(SideTable::new(
            source.server.clone(),
            format!("source {}", source.id),
            member.def,
            Arc::clone(&columns),
            filter,
        ));
    }
    let target = SideTable::new(
        target.clone(),
        "target".to_owned(),
        target_def,
        columns,
        None,
    );
    job.sides = Some(Sides {
        sources: sides,
        target,
    });
    Ok(job)
}

/// The ranges in which a table is compared: those of the first member that has some, since ranges of
/// a key are ranges in every table that has it.
async fn ranges_of(
    members: &[Member],
    sources: &[Source],
    target_def: &TableDef,
    target: &Server,
    options: Options,
) -> Result<Vec<Range>> {
    let whole = || vec![Range::default()];
    let Some(member) = members.first() else {
        return Ok(whole());
    };
    let defs: Vec<&TableDef> = members.iter().map(|member| &member.def).collect();
    let server = &sources[member.source].server;
    let mut found = match &member.plan {
        Some(plan) => ranges::of_plan(plan, &member.def)?,
        None => None,
    };
    // Each process that walks would find bounds of its own while somebody writes, and rows would lie
    // in nobody's range, or in two: only what all processes find alike is shared.
    if found.is_none() && options.one_process {
        let usable = member.def.chunk_key().is_some_and(|key| {
            let key: Vec<String> = key.iter().map(|column| column.name.clone()).collect();
            columns::sorts_alike(&key, &defs, target_def)
        });
        if usable {
            let mut conn = server.conn().await?;
            let walked = {
                let size = ranges::Size {
                    rows: member.rows,
                    bytes: member.bytes,
                    per_range: options.range_rows,
                };
                ranges::walk(server, &mut conn, &member.def, size).await?
            };
            found = Some(walked);
        }
    }
    let ranges = found.unwrap_or_else(whole);
    let key = ranges
        .first()
        .map(|range| range.key.clone())
        .unwrap_or_default();
    // Two flavours may sort the same collation differently in its corners (characters that came
    // with a later Unicode). In one process rows that lie in different ranges for the two cancel
    // out when the ranges' results are joined; several processes do not see each other's.
    let text = key.iter().any(|name| {
        member.def.column(name).is_some_and(|column| {
            column.ty.is_text()
                && !column
                    .collation
                    .as_deref()
                    .is_some_and(|name| name.ends_with("_bin"))
        })
    });
    let same_flavor = server.info().flavor == target.info().flavor;
    if !columns::sorts_alike(&key, &defs, target_def)
        || (text && !same_flavor && !options.one_process)
    {
        return Ok(whole());
    }
    Ok(ranges)
}
