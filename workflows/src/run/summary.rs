//! What a run moved: the table at the end of `tideway run`, and the same as JSON.
//!
//! Read from what the jobs left in staging (manifests, reports), not counted by the runner: so it tells
//! the same after a run that was continued five times.

use std::fmt::Write;

use chrono::TimeDelta;
use futures::TryStreamExt;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tideway_config::ResolvedTask;
use tideway_staging::document::Manifest;
use tideway_staging::layout::{SourceKeys, TaskKeys};
use tideway_staging::{Error, Staging};

use super::state::{RunDoc, State};
use crate::human::{self, Align};
use crate::workflow::JobKind;

/// What was moved.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Summary {
    /// All tables of all dumps that are complete.
    pub tables: Vec<MovedTable>,
    /// What the validation found, by its reports.
    pub validation: Vec<Validation>,
    /// What could not be read.
    pub unread: Vec<String>,
}

/// One table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MovedTable {
    /// Its source.
    pub source: String,
    /// Its name there.
    pub table: String,
    /// Its name at the target.
    pub target: String,
    /// Rows in staging.
    pub rows: u64,
    /// Bytes before compression.
    pub bytes: u64,
    /// Bytes in staging.
    pub stored: u64,
}

/// Reads what the jobs left of a run.
pub async fn collect(
    staging: &Staging,
    keys: &TaskKeys,
    run: &RunDoc,
    task: &ResolvedTask,
) -> Summary {
    let mut summary = Summary::default();
    for source in &task.sources {
        let source_keys = keys.source(&source.id);
        let read: Result<Option<Manifest>, Error> = staging.get_json(&source_keys.manifest()).await;
        match read {
            Ok(Some(manifest)) => {
                for table in &manifest.tables {
                    let (schema, name) = source
                        .router
                        .route(&table.db, &table.table)
                        .unwrap_or_else(|_| (table.db.clone(), table.table.clone()));
                    summary.tables.push(MovedTable {
                        source: source.id.clone(),
                        table: format!("{}.{}", table.db, table.table),
                        target: format!("{schema}.{name}"),
                        rows: table.rows,
                        bytes: table.raw_bytes,
                        stored: table.stored_bytes,
                    });
                }
            }
            Ok(None) => {}
            Err(error) => summary.unread.push(error.to_string()),
        }
        match reports(staging, &source_keys, run).await {
            Ok(reports) => summary.validation.extend(reports),
            Err(error) => summary.unread.push(error.to_string()),
        }
    }
    summary
}

/// The reports of a source that the validation of this run wrote: one for each worker. Those of former
/// runs lie beside them.
async fn reports(
    staging: &Staging,
    keys: &SourceKeys,
    run: &RunDoc,
) -> Result<Vec<Validation>, Error> {
    let Some(since) = run
        .stages
        .iter()
        .filter(|stage| stage.definition.job == JobKind::Validate)
        .find_map(|stage| stage.started_at)
    else {
        return Ok(Vec::new());
    };
    let mut found = Vec::new();
    let folder = keys.validate_dir();
    let mut objects = staging.list(&folder);
    while let Some(object) = objects.try_next().await? {
        let name = object.location.filename().unwrap_or_default();
        let is_report = name.starts_with("report") && name.ends_with(".json");
        if !is_report || object.last_modified < since - CLOCKS {
            continue;
        }
        if let Some(report) = staging.get_json::<Report>(&object.location).await? {
            found.push(Validation {
                source: report.source,
                report: object.location.to_string(),
                equal: report.equal,
                differences: report.differences,
                repair: report.repair,
            });
        }
    }
    Ok(found)
}

/// How far the store's clock may be behind ours.
const CLOCKS: TimeDelta = TimeDelta::seconds(5);

/// What of a report of `tideway-validate` is told here.
#[derive(Debug, Deserialize)]
struct Report {
    source: String,
    equal: bool,
    differences: u64,
    #[serde(default)]
    repair: Vec<String>,
}

/// What the validation found in a source, or in a worker's share of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Validation {
    /// The source.
    pub source: String,
    /// Key of the report.
    pub report: String,
    /// Whether all is equal.
    pub equal: bool,
    /// How much differs.
    pub differences: u64,
    /// Keys of the SQL that would repair the target.
    pub repair: Vec<String>,
}

impl Summary {
    /// For scripts: the run's document, what was moved, the exit code.
    #[must_use]
    pub fn json(&self, run: &RunDoc, code: u8) -> Value {
        json!({ "run": run, "moved": self, "exit_code": code })
    }

    /// For a person.
    #[must_use]
    pub fn text(&self, run: &RunDoc, errors: &[String]) -> String {
        let mut out = String::new();
        let mut line = |text: &str| {
            // Writing to a string cannot fail.
            let _ = writeln!(out, "{text}");
        };
        line("");
        line(stages_text(run).trim_end());
        if !self.tables.is_empty() {
            line("");
            line(self.tables_text().trim_end());
        }
        for unread in &self.unread {
            line(&format!("not read: {unread}"));
        }
        line("");
        if let Some(text) = validation_text(run) {
            line(&format!("validation: {text}"));
            for found in self.validation.iter().filter(|found| !found.equal) {
                line(&format!(
                    "  {}: {} differences; report {}, repair SQL {}",
                    found.source,
                    human::count(found.differences),
                    found.report,
                    found.repair.join(", ")
                ));
            }
        }
        let took = (run.finished_at.unwrap_or(run.updated_at) - run.started_at).as_seconds_f64();
        line(&format!(
            "run {} of {} (task {}): {}, {} since its start",
            run.run_id,
            run.workflow,
            run.task,
            ending(run),
            human::seconds(took)
        ));
        for error in errors {
            line(&format!("  {error}"));
        }
        if !run.logs.is_empty() {
            line(&format!("logs: {}", run.logs));
        }
        out
    }

    fn tables_text(&self) -> String {
        let mut rows: Vec<Vec<String>> = self
            .tables
            .iter()
            .map(|table| {
                vec![
                    table.source.clone(),
                    table.table.clone(),
                    table.target.clone(),
                    human::count(table.rows),
                    human::bytes(table.bytes),
                    human::bytes(table.stored),
                ]
            })
            .collect();
        let sum = |of: fn(&MovedTable) -> u64| self.tables.iter().map(of).sum::<u64>();
        rows.push(vec![
            "total".to_owned(),
            format!("{} tables", self.tables.len()),
            String::new(),
            human::count(sum(|table| table.rows)),
            human::bytes(sum(|table| table.bytes)),
            human::bytes(sum(|table| table.stored)),
        ]);
        human::table(
            &[
                ("source", Align::Left),
                ("table", Align::Left),
                ("target", Align::Left),
                ("rows", Align::Right),
                ("bytes", Align::Right),
                ("in staging", Align::Right),
            ],
            &rows,
        )
    }
}

/// The stages of a run as a table.
#[must_use]
pub fn stages_text(run: &RunDoc) -> String {
    let rows: Vec<Vec<String>> = run
        .stages
        .iter()
        .map(|stage| {
            let retries = match stage.retries() {
                0 => String::new(),
                retries => retries.to_string(),
            };
            vec![
                stage.name.clone(),
                stage.definition.job.name().to_owned(),
                stage.state.name().to_owned(),
                stage.seconds().map(human::seconds).unwrap_or_default(),
                stage.units.len().to_string(),
                retries,
            ]
        })
        .collect();
    human::table(
        &[
            ("stage", Align::Left),
            ("job", Align::Left),
            ("state", Align::Left),
            ("time", Align::Right),
            ("processes", Align::Right),
            ("retries", Align::Right),
        ],
        &rows,
    )
}

fn ending(run: &RunDoc) -> &'static str {
    match run.state {
        State::Done => "done",
        State::Failed => "failed; run it again to go on from what is committed",
        State::Stopped => "stopped; run it again to go on",
        State::Running | State::Pending => "running",
    }
}

/// What came of the validation; nothing when the workflow has none.
fn validation_text(run: &RunDoc) -> Option<&'static str> {
    let mut found = None;
    for stage in &run.stages {
        if stage.definition.job != JobKind::Validate {
            continue;
        }
        let text = match (stage.state, stage.exit_code) {
            (State::Failed, Some(tideway_job::error::EXIT_DIFFERENCES)) => {
                return Some("differences found");
            }
            (State::Failed, _) => "not finished: it failed",
            (State::Done, _) => "no differences",
            _ => "not done",
        };
        found = match (found, text) {
            (Some(worse), "no differences") => Some(worse),
            (_, text) => Some(text),
        };
    }
    found
}
