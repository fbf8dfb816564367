//! The job from beginning to end.

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use tideway_job::{Job, JobError, Output, Progress, failpoint};
use tideway_mysql::connect::Server;
use tideway_mysql::schema::TableName;

use crate::error::{Error, Result};
use crate::live::Live;
use crate::options::Args;
use crate::repair::Repair;
use crate::report::{Counts, Finding, Report, Servers, TABLE_CHANGING, TableReport, conclusion};
use crate::tables::{self, Source, TableJob};
use crate::unit::{Limits, UnitResult};
use crate::{definitions, details, html, keyless, text, workers};

/// Connections of each server that compare at the same time, unless `--workers` says otherwise.
const CONNECTIONS: usize = 4;

/// A limit that is never reached: connections are opened as they are needed, and fewer than this
/// tables meet in one.
const POOL: usize = 1024;

/// What a row that is looked at again takes of a range's memory, in bytes: a key may be long.
const RECHECK_BYTES: usize = 4096;

/// So many times a table is compared whose definition changes meanwhile.
const PASSES: u32 = 5;

/// Runs the job.
///
/// # Errors
/// [`JobError::Differences`] when source and target differ; otherwise what kept it from comparing.
pub async fn run(args: Args) -> Result<(), JobError> {
    let job = Job::open("validate", &args.common).await?;
    let resolved = job.sources();
    let progress: Vec<Progress> = resolved
        .iter()
        .map(|source| job.progress(&source.id))
        .collect();
    let result = compare(&job, &args, &progress).await;
    for progress in &progress {
        progress.finish(&outcome(&result)).await;
    }
    let reports = result?;
    match args.common.output {
        Output::Text => print!("{}", text::render(&reports)),
        Output::Json => {
            let all = serde_json::to_string_pretty(&reports).map_err(JobError::failed)?;
            println!("{all}");
        }
    }
    let (differences, text) = conclusion(&reports);
    if differences == 0 {
        return Ok(());
    }
    Err(JobError::Differences(format!(
        "{text}; reports and repair SQL are in {}, under {}",
        job.staging.url(),
        resolved
            .iter()
            .map(|source| job.keys.source(&source.id).validate_dir().to_string())
            .collect::<Vec<_>>()
            .join(", ")
    )))
}

/// What the heartbeat says: differences are a result, told by the report.
fn outcome(result: &Result<Vec<Report>, JobError>) -> Result<(), JobError> {
    match result {
        Ok(_) => Ok(()),
        Err(JobError::Stopped) => Err(JobError::Stopped),
        Err(error) => Err(JobError::failed(error)),
    }
}

async fn compare(job: &Job, args: &Args, progress: &[Progress]) -> Result<Vec<Report>, JobError> {
    let started_at = Utc::now();
    let connections = args.common.workers.unwrap_or(CONNECTIONS);
    let resolved = job.sources();
    let mut sources = Vec::with_capacity(resolved.len());
    for (source, progress) in resolved.iter().zip(progress) {
        progress.stage("finding tables");
        let server = job.source_server(source, POOL).await?;
        sources.push(tables::open_source(job, source, server).await?);
    }
    let target = job.target_server(connections + 3).await?;
    let options = tables::Options {
        one_process: job.worker.count == 1,
        range_rows: args.range_rows,
    };
    let scope = tables::Scope {
        resolved: &resolved,
        sources: &sources,
        target: &target,
        options,
    };
    let live = Arc::new(Live::open(job, &sources, &target, args.wait).await?);
    let list = args.max_differences as usize;
    let (tables, results) = passes(job, &scope, &live, connections, list, progress).await?;
    let compared = Compared {
        job,
        sources: &sources,
        target: &target,
        tables: &tables,
        live: &live,
        started_at,
    };
    let mut reports = Vec::with_capacity(sources.len());
    for (index, progress) in progress.iter().enumerate() {
        progress.stage("reporting");
        reports.push(compared.report(index, &results, list).await?);
    }
    Ok(reports)
}

/// Compares all tables. Those whose definition changed meanwhile are found and compared anew when apply
/// has passed where the sources stand then; one that is gone from its source by then is no difference.
async fn passes(
    job: &Job,
    scope: &tables::Scope<'_>,
    live: &Arc<Live>,
    connections: usize,
    list: usize,
    progress: &[Progress],
) -> Result<(Vec<TableJob>, Vec<Option<UnitResult>>)> {
    let mut done: Vec<(TableJob, Option<UnitResult>)> = Vec::new();
    let mut only: Option<BTreeSet<TableName>> = None;
    let mut progress = progress;
    for pass in 1.. {
        let found = tables::find(scope, only.as_ref()).await?;
        let found = Arc::new(definitions::settle(scope, live, found).await?);
        let plan = plan(job, live, &found, connections, list);
        let results = workers::run(&found, &plan, progress, &job.stop).await?;
        let found = Arc::into_inner(found)
            .ok_or_else(|| Error::Worker("the tables are still in use".to_owned()))?;
        let mut again = BTreeSet::new();
        for (table, result) in found.into_iter().zip(results) {
            if !definitions::is_outdated(live, &table, result.as_ref()).await? {
                done.push((table, result));
            } else if pass < PASSES {
                again.insert(table.target);
            } else {
                return Err(Error::Changing {
                    table: table.target.to_string(),
                });
            }
        }
        if again.is_empty() {
            break;
        }
        live.applied(&live.positions(&live.all()).await?).await?;
        only = Some(again);
        // What is done again was counted.
        progress = &[];
    }
    done.sort_by(|(a, _), (b, _)| a.target.cmp(&b.target));
    Ok(done.into_iter().unzip())
}

fn plan(
    job: &Job,
    live: &Arc<Live>,
    tables: &[TableJob],
    connections: usize,
    list: usize,
) -> workers::Plan {
    // Tables that meet in one target table are read on a connection each: with many of them
    // fewer ranges are compared at once.
    let meeting = tables
        .iter()
        .map(TableJob::members)
        .max()
        .unwrap_or(1)
        .max(1);
    let connections = connections.min(connections * 4 / meeting).max(1);
    let memory = job.memory.share(connections * 2);
    workers::Plan {
        share: job.worker,
        connections,
        limits: Limits { memory, list },
        followed: Limits {
            memory,
            list: list.max(memory / RECHECK_BYTES),
        },
        pending: job.memory.share(4),
        live: Arc::clone(live),
    }
}

struct Compared<'a> {
    job: &'a Job,
    sources: &'a [Source],
    target: &'a Server,
    tables: &'a [TableJob],
    live: &'a Live,
    started_at: DateTime<Utc>,
}

impl Compared<'_> {
    /// Names the rows of one source's tables and writes its reports: the repair first, the page,
    /// and the document last.
    async fn report(
        &self,
        index: usize,
        results: &[Option<UnitResult>],
        list: usize,
    ) -> Result<Report> {
        let source = &self.sources[index];
        let keys = self.job.keys.source(&source.id);
        let worker = self.job.worker;
        let stem = |name: &str| {
            if worker.count == 1 {
                name.to_owned()
            } else {
                format!("{name}-worker{}", worker.index)
            }
        };
        let mut repair = Repair::new(&self.job.staging, &keys, stem("repair"), self.target.info());
        let mut tables = Vec::new();
        for (table, result) in self.tables.iter().zip(results) {
            // What concerns a table as a whole is told by one process.
            let tells = worker.owns(workers::unit_number(table, 0));
            if table.source != index || (result.is_none() && !tells) {
                continue;
            }
            let result = result.clone().unwrap_or_default();
            tables.push(self.table(table, result, tells, list, &mut repair).await?);
        }
        let repair = repair.finish().await?;
        let mut report = Report {
            version: 1,
            task: self.job.task.name.clone(),
            source: source.id.clone(),
            worker: worker.index,
            workers: worker.count,
            servers: Servers {
                source: described(&source.server),
                target: described(self.target),
            },
            equal: true,
            differences: 0,
            tables,
            repair,
            started_at: self.started_at,
            finished_at: Utc::now(),
        };
        report.differences = conclusion(std::slice::from_ref(&report)).0;
        report.equal = report.differences == 0;
        let page = html::render(&report);
        let name = stem("report");
        let staging = &self.job.staging;
        staging
            .put_bytes(&keys.validate_file(&format!("{name}.html")), page)
            .await?;
        failpoint::hit("validate.report");
        staging
            .put_json(&keys.validate_file(&format!("{name}.json")), &report)
            .await?;
        Ok(report)
    }

    async fn table(
        &self,
        table: &TableJob,
        result: UnitResult,
        tells: bool,
        list: usize,
        repair: &mut Repair<'_>,
    ) -> Result<TableReport> {
        let mut report = TableReport {
            sources: table.sources.clone(),
            schema: table.target.schema.clone(),
            table: table.target.table.clone(),
            rows_source: result.source_rows,
            rows_target: result.target_rows,
            findings: if tells {
                table.findings.clone()
            } else {
                Vec::new()
            },
            notes: table.notes.clone(),
            rechecked: result.rechecked,
            counts: Counts::default(),
            rows: Vec::new(),
        };
        if report.findings.contains(&Finding::TableMissing) {
            repair.table(&table.target);
            repair.remark("the table is missing on the target: load it, then validate again");
        }
        // Beside live writers the two were counted at different times.
        let followed = self.live.follows(&table.source_indexes);
        if report.rows_source != report.rows_target
            && (!followed || result.missing_rows != result.extra_rows)
        {
            report.findings.push(Finding::RowCount);
        }
        if result.rechecked > 0 {
            report.notes.push(format!(
                "{} rows differed at first and were compared again after apply had passed what the \
                 source held",
                result.rechecked
            ));
        }
        let Some(sides) = &table.sides else {
            return Ok(report);
        };
        if !result.differs() {
            return Ok(report);
        }
        repair.table(&table.target);
        for finding in &table.findings {
            if let Finding::ColumnNotCompared { column, .. } = finding {
                repair.remark(&format!(
                    "column {column} was not compared: a row that is put here takes its default"
                ));
            }
        }
        if followed {
            repair.remark(
                "written while the sources were written: run it when apply is paused, or after \
                 another validation",
            );
        }
        let cut = |entries: &[crate::unit::Entry]| entries.len().min(list);
        let missing = &result.missing[..cut(&result.missing)];
        let extra = &result.extra[..cut(&result.extra)];
        let stop = &self.job.stop;
        let found = if table.is_keyed() {
            let changing = &result.changing;
            details::by_key(sides, missing, extra, list, changing, repair, stop).await?
        } else {
            keyless::by_hash(sides, missing, extra, list, repair, stop).await?
        };
        report.rows = found.rows;
        if result.table_changing {
            for row in &mut report.rows {
                row.note = Some(TABLE_CHANGING.to_owned());
            }
        }
        report.counts = found.counts;
        report.counts.unlisted = unlisted(&result, &found.counts, found.settled);
        if found.settled != (0, 0) {
            report.notes.push(format!(
                "{} rows of the source and {} of the target differed when they were compared and \
                 are equal by now: somebody writes",
                found.settled.0, found.settled.1
            ));
        }
        if report.counts.unlisted > 0 {
            repair.remark(&format!(
                "{} more rows of this table differ: validate again after this repair",
                report.counts.unlisted
            ));
        }
        Ok(report)
    }
}

/// Rows that differ and are not listed. Which of them belong together as "different" is not known, so
/// this is the least number that it can be.
fn unlisted(result: &UnitResult, listed: &Counts, settled: (u64, u64)) -> u64 {
    let missing = result
        .missing_rows
        .saturating_sub(listed.missing + listed.different)
        .saturating_sub(settled.0);
    let extra = result
        .extra_rows
        .saturating_sub(listed.extra + listed.different)
        .saturating_sub(settled.1);
    missing.max(extra)
}

fn described(server: &Server) -> String {
    let info = server.info();
    format!(
        "{} ({} {})",
        server.endpoint(),
        info.flavor,
        info.version_text
    )
}
