//! Precheck: looks at sources, target and staging before anything moves.
//!
//! It reads, and writes nothing but a probe object in staging (removed again) and its report
//! there, so it may be killed and run again at any moment. One process looks at all sources, for
//! some faults only show when they are seen together: two tables that meet in one target table, or
//! more connections to the target than it allows.
//!
//! First facts are gathered ([`facts`], [`survey`]), then each check judges them ([`checks`]) and
//! gives a result under DM's name ([`report`]). A server that cannot be reached, or refuses the
//! log-in, ends the job at once with the error that names it; everything else is a finding, so
//! that a user sees all of them in one run.

pub mod checks;
pub mod facts;
pub mod options;
pub mod report;
pub mod rows;
pub mod survey;

use std::collections::BTreeSet;

use futures::future::try_join_all;
use tideway_config::{ResolvedSource, TaskMode};
use tideway_job::{Job, JobError, Output};
use tideway_mysql::schema::TableName;

use checks::cascades::Cascades;
use checks::estimate::Estimate;
use checks::shards::Shards;
use facts::{Context, ServerFacts, SourceFacts};
pub use options::Args;
use report::{Check, CheckResult, Report};
use rows::RowLimits;
use survey::{PARALLEL, Scope, ScopeNotes, Survey, TargetState};

/// Runs the job: checks, prints the report, stores it in staging.
///
/// # Errors
/// [`JobError::Precheck`] when a check failed; otherwise what kept it from checking.
pub async fn run(args: Args) -> Result<(), JobError> {
    let job = Job::open("precheck", &args.common).await?;
    let report = Box::pin(check(&job, &args)).await?;
    match args.common.output {
        Output::Text => print!("{}", report.text()),
        Output::Json => {
            let json = serde_json::to_string_pretty(&report).map_err(JobError::failed)?;
            println!("{json}");
        }
    }
    // The report in staging is for those who look later; without it the result stands all the same.
    if let Err(error) = job
        .staging
        .put_json(&job.keys.precheck_report(), &report)
        .await
    {
        tracing::warn!("the report could not be stored: {error}");
    }
    if report.summary.passed {
        return Ok(());
    }
    let failed: Vec<&str> = report
        .results
        .iter()
        .filter(|result| result.state == report::State::Fail)
        .map(|result| result.name.as_str())
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect();
    Err(JobError::Precheck(failed.join(", ")))
}

/// Gathers facts and judges them.
///
/// # Errors
/// What kept it from checking: an unreachable server, a stop.
pub async fn check(job: &Job, args: &Args) -> Result<Report, JobError> {
    let context = Context {
        mode: job.task.mode,
        allow_inexact: args.allow_inexact,
        into_existing: args.into_existing,
    };
    let sources = job.sources();
    let mut results = Results::new(&job.task.ignore_checking_items);
    results.add(staging(job).await);

    let target_server = job.target_server(PARALLEL * sources.len()).await?;
    let target = ServerFacts::read(&target_server).await?;
    let servers = try_join_all(
        sources
            .iter()
            .map(|source| job.source_server(source, PARALLEL)),
    )
    .await?;
    let scopes = sources
        .iter()
        .zip(&servers)
        .map(|(source, server)| Scope::read(source, server));
    let scopes = try_join_all(scopes).await?;
    let facts = sources
        .iter()
        .zip(&servers)
        .zip(&scopes)
        .map(|((source, server), scope)| SourceFacts::read(source, server, &scope.schemas));
    let facts: Vec<SourceFacts<'_>> = try_join_all(facts).await?;

    let target_schemas: BTreeSet<String> = scopes.iter().flat_map(Scope::target_schemas).collect();
    let checkpoint = TableName::new(
        &job.task.meta_schema,
        format!("{}_loader_checkpoint", job.task.name),
    );
    let limits = RowLimits::of(&target, &job.task.target, args.scan_limit.as_u64());
    let lacking = checks::cascades::lacking(&target);
    let state = TargetState::read(
        &target_server,
        &target_schemas,
        &checkpoint,
        limits,
        lacking,
    )
    .await?;

    let mut shards = Shards::of(
        scopes
            .iter()
            .flat_map(|scope| &scope.tables)
            .map(|(_, table)| survey::folded(&target.info, &table.target)),
    );
    let mut estimates = Vec::new();
    let mut tables = Vec::new();
    for ((facts, server), scope) in facts.iter().zip(&servers).zip(scopes) {
        job.check_stop()?;
        let (schemas, notes, survey) =
            Box::pin(look_at(job, facts, server, scope, &state, &mut shards)).await?;
        let estimate = Estimate::new(facts.id(), &survey.tables);
        source_checks(&mut results, facts, &schemas, &survey, context, args);
        if context.mode == TaskMode::Incremental {
            let logs = checks::position::logs(server).await?;
            let meta = facts.source.meta.as_ref();
            results.add(checks::position::check(facts, meta, &logs));
        }
        results.add(survey::table_structure(
            facts.id(),
            &survey,
            &notes,
            target.info.flavor,
        ));
        let flavor = target.info.flavor;
        results.add(checks::charset::check(
            &survey.uses,
            &state.text,
            flavor,
            facts.id(),
        ));
        if context.mode.loads() {
            let begun = state.begun;
            results.add(checks::target::existing(
                &survey.existing,
                begun,
                context,
                facts.id(),
            ));
        }
        results.add(checks::binlog::retention(facts, estimate.time(), context));
        estimates.push(estimate);
        tables.push(survey.tables);
    }

    results.add(nothing_in_scope(&tables));
    results.extend(checks::role::twice(&facts));
    if context.mode.loads() || context.mode.follows_binlog() {
        target_checks(&mut results, job, &target, &target_schemas, &sources, args);
        let by_source: Vec<_> = sources
            .iter()
            .zip(&tables)
            .map(|(s, t)| (s.id.as_str(), t.as_slice()))
            .collect();
        let fold_case = target.info.lower_case_table_names != 0;
        results.add(checks::target::conflicts(
            &by_source,
            fold_case,
            job.task.shard_mode,
        ));
        results.extend(shards.finish());
    }
    for server in servers {
        server.close().await;
    }
    target_server.close().await;
    Ok(Report::new(&job.task.name, results.kept, estimates))
}

/// Looks at the tables of one source.
async fn look_at(
    job: &Job,
    facts: &SourceFacts<'_>,
    server: &tideway_mysql::connect::Server,
    mut scope: Scope,
    state: &TargetState<'_>,
    shards: &mut Shards,
) -> Result<(BTreeSet<String>, ScopeNotes, Survey), JobError> {
    let progress = job.progress(facts.id());
    progress.stage("tables");
    progress.total(0, 0, scope.tables.len() as u64);
    let notes = ScopeNotes {
        views: scope.views,
        leave_views: facts.source.dump.no_views,
        others: scope.others,
        route_errors: std::mem::take(&mut scope.route_errors),
        programs: facts.programs,
    };
    let schemas = std::mem::take(&mut scope.schemas);
    let follows = job.task.mode.follows_binlog();
    let cascades = Cascades::of(&facts.server, &facts.source.filter, follows);
    let shards = (facts.id(), shards);
    let survey = survey::survey(server, scope, state, shards, cascades, &progress).await;
    let (survey, ended) = match survey {
        Ok(survey) => (Some(survey), Ok(())),
        Err(error) => (None, Err(error)),
    };
    progress.finish(&ended).await;
    ended.map(|()| (schemas, notes, survey.unwrap_or_default()))
}

/// The checks of one source that need no look at its tables, or only at their keys.
fn source_checks(
    results: &mut Results<'_>,
    facts: &SourceFacts<'_>,
    schemas: &BTreeSet<String>,
    survey: &Survey,
    context: Context,
    args: &Args,
) {
    results.add(checks::version::source(
        &facts.server,
        facts.id(),
        context.mode,
    ));
    results.add(checks::role::source(facts, context));
    results.extend(checks::binlog::all(facts, schemas, context));
    if context.mode.dumps() {
        results.add(checks::privileges::dump(
            facts,
            &survey.tables,
            schemas,
            context,
        ));
        results.add(checks::connections::dump(facts, args.processes()));
    }
    if args.require_primary_key {
        let without = &survey.without_primary;
        results.add(checks::structure::primary_key(facts.id(), without));
    }
    results.add(checks::privileges::replication(facts, context));
}

/// The checks of the target alone.
fn target_checks(
    results: &mut Results<'_>,
    job: &Job,
    target: &ServerFacts,
    schemas: &BTreeSet<String>,
    sources: &[&ResolvedSource],
    args: &Args,
) {
    results.add(checks::version::target(target));
    let privileges = &target.privileges;
    results.add(checks::privileges::target(
        privileges,
        schemas,
        &job.task.meta_schema,
    ));
    let pools: Vec<usize> = sources.iter().map(|source| source.load.pool_size).collect();
    results.add(checks::connections::load(target, &pools, args.processes()));
}

/// Whether staging takes what the commit protocol needs.
async fn staging(job: &Job) -> CheckResult {
    let desc = "check whether staging can be written, listed, and creates an object only once";
    let mut check = Check::new("staging", "staging probe", desc, "");
    check.note(job.staging.url());
    if let Err(error) = job.staging.probe().await {
        check.fail(
            error.to_string(),
            "mend the store or its permissions, or name another --staging",
        );
    }
    check.finish()
}

/// A task that moves nothing was not meant that way.
fn nothing_in_scope(tables: &[Vec<survey::Table>]) -> CheckResult {
    let desc = "check whether any table is in scope";
    let mut check = Check::new("table_schema", "migration scope check", desc, "");
    let count: usize = tables.iter().map(Vec::len).sum();
    check.note(format!("{count} tables"));
    if count == 0 {
        check.fail(
            "no table of any source is in scope",
            "look at block-allow-list, and at what the users of the source files may see",
        );
    }
    check.finish()
}

/// Results but for those of ignored checks.
struct Results<'a> {
    ignored: &'a [String],
    kept: Vec<CheckResult>,
}

impl<'a> Results<'a> {
    fn new(ignored: &'a [String]) -> Self {
        Self {
            ignored,
            kept: Vec::new(),
        }
    }

    fn add(&mut self, result: CheckResult) {
        let ignored = self
            .ignored
            .iter()
            .any(|item| item == "all" || *item == result.item);
        if !ignored {
            self.kept.push(result);
        }
    }

    fn extend(&mut self, results: impl IntoIterator<Item = CheckResult>) {
        results.into_iter().for_each(|result| self.add(result));
    }
}
