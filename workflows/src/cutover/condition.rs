//! What must hold of a source before its applications go to the target.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use futures::TryStreamExt;
use mysql_async::prelude::Queryable;
use serde::{Deserialize, Serialize};
use tideway_config::{ResolvedSource, ResolvedTask};
use tideway_job::JobError;
use tideway_mysql::position::{self, BinlogPosition};
use tideway_mysql::{Server, sql, syncer};
use tideway_staging::Staging;
use tideway_staging::layout::SourceKeys;

/// How often it is looked whether the last changes arrived.
const POLL: Duration = Duration::from_secs(1);
/// No such table: nothing was applied yet. No such schema.
const NO_TABLE: [u16; 2] = [1146, 1049];

/// One condition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Condition {
    /// Its name for scripts.
    pub name: &'static str,
    /// Whether it holds.
    pub holds: bool,
    /// What was found, and where it does not hold, what to do.
    pub text: String,
}

impl Condition {
    fn new(name: &'static str, holds: bool, text: impl Into<String>) -> Self {
        Self {
            name,
            holds,
            text: text.into(),
        }
    }
}

/// A source that is looked at.
pub struct Source<'a> {
    /// Its task.
    pub task: &'a ResolvedTask,
    /// Its configuration.
    pub config: &'a ResolvedSource,
    /// Its server.
    pub server: &'a Server,
    /// The target.
    pub target: &'a Server,
    /// Its keys in staging.
    pub keys: SourceKeys,
}

/// Apply's checkpoint of a source at the target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Everything before this is committed.
    pub place: BinlogPosition,
    /// When the last applied change was committed at the source; absent when none was, or it is not
    /// known.
    pub last_change: Option<DateTime<Utc>>,
    /// A statement that the target refused.
    pub held_up: Option<String>,
}

impl Source<'_> {
    /// Looks at all conditions, waiting for at most `wait` until the last changes have arrived.
    ///
    /// # Errors
    /// A server or staging that cannot be read.
    pub async fn conditions(
        &self,
        staging: &Staging,
        assume_stopped: bool,
        wait: Duration,
    ) -> Result<Vec<Condition>, JobError> {
        let mut conditions = vec![self.refuses_writes(assume_stopped)];
        let Some(before) = self.position().await? else {
            conditions.push(Condition::new(
                "position",
                false,
                "the source writes no binary log, so it is not known whether all of it arrived",
            ));
            return Ok(conditions);
        };
        let begun = Instant::now();
        let checkpoint = loop {
            let checkpoint = self.checkpoint().await?;
            let there = checkpoint
                .as_ref()
                .is_some_and(|checkpoint| covers(&checkpoint.place, &before));
            if there || begun.elapsed() >= wait {
                break checkpoint;
            }
            tokio::time::sleep(POLL).await;
        };
        conditions.extend(applied(checkpoint.as_ref(), &before));
        let reports = reports(staging, &self.keys).await?;
        let last_change = checkpoint.and_then(|checkpoint| checkpoint.last_change);
        conditions.push(validated(&reports, last_change));
        let after = self.position().await?;
        conditions.push(if after.as_ref() == Some(&before) {
            Condition::new(
                "still",
                true,
                format!("nothing was written meanwhile: {before}"),
            )
        } else {
            let now = after.map_or_else(|| "no binary log".to_owned(), |after| after.to_string());
            Condition::new(
                "still",
                false,
                format!("something was written meanwhile: {before}, then {now}. Stop what writes"),
            )
        });
        Ok(conditions)
    }

    fn refuses_writes(&self, assume_stopped: bool) -> Condition {
        match (self.server.info().read_only, assume_stopped) {
            (true, _) => Condition::new("read_only", true, "it refuses writes (read_only)"),
            (false, true) => Condition::new(
                "read_only",
                true,
                "it takes writes; that nobody makes any is assumed (--assume-stopped)",
            ),
            (false, false) => Condition::new(
                "read_only",
                false,
                "it takes writes: stop the applications and SET GLOBAL read_only = ON; where that \
                 cannot be set, say --assume-stopped",
            ),
        }
    }

    async fn position(&self) -> Result<Option<BinlogPosition>, JobError> {
        let mut conn = self.server.conn().await?;
        Ok(position::current(&mut conn, self.server.info()).await?)
    }

    async fn checkpoint(&self) -> Result<Option<Checkpoint>, JobError> {
        type Row = (String, u64, Option<String>, Option<i64>, Option<String>);
        let table = syncer::qualified(&self.task.meta_schema, &self.task.name);
        let query = format!(
            "SELECT binlog_name, binlog_pos, binlog_gtid, event_time, pending_ddl FROM {table} \
             WHERE source = {} AND db = '' AND tbl = ''",
            sql::literal(&self.config.id)
        );
        let mut conn = self.target.conn().await?;
        let row: Option<Row> = match conn.query_first(query).await {
            Ok(row) => row,
            Err(mysql_async::Error::Server(error)) if NO_TABLE.contains(&error.code) => None,
            Err(error) => return Err(self.target.error("read apply's checkpoint", error).into()),
        };
        Ok(row.map(|(file, pos, gtids, time, held_up)| Checkpoint {
            place: BinlogPosition {
                file,
                pos,
                gtid_set: gtids.filter(|set| !set.is_empty()),
            },
            last_change: time
                .filter(|micros| *micros > 0)
                .and_then(DateTime::from_timestamp_micros),
            held_up: held_up.filter(|text| !text.is_empty()),
        }))
    }
}

/// Whether everything up to `wanted` is at or before `place`: by GTID sets where both have them, since
/// after a fail-over files mean nothing; else by file and offset.
fn covers(place: &BinlogPosition, wanted: &BinlogPosition) -> bool {
    match (place.some_gtids(), wanted.some_gtids()) {
        (Some(place), Some(wanted)) => place.contains(&wanted),
        _ => place.reached(wanted),
    }
}

fn applied(checkpoint: Option<&Checkpoint>, source: &BinlogPosition) -> Vec<Condition> {
    let Some(checkpoint) = checkpoint else {
        return vec![Condition::new(
            "applied",
            false,
            "no changes were applied yet: the target has no checkpoint of this source",
        )];
    };
    let place = &checkpoint.place;
    let all = covers(place, source);
    let mut found = vec![Condition::new(
        "applied",
        all,
        if all {
            format!("all of its binary log is applied, up to {source}")
        } else {
            format!(
                "it stands at {source}, applied is what lies before {place}: wait, or see that capture \
                 and apply run (`tideway status`)"
            )
        },
    )];
    if let Some(statement) = &checkpoint.held_up {
        found.push(Condition::new(
            "ddl",
            false,
            format!("the target refused a statement: {statement}. See `tideway binlog`"),
        ));
    }
    found
}

/// What of a report of `tideway-validate` matters here.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
struct Report {
    worker: u32,
    workers: u32,
    equal: bool,
    differences: u64,
    started_at: DateTime<Utc>,
}

async fn reports(staging: &Staging, keys: &SourceKeys) -> Result<Vec<Report>, JobError> {
    let folder = keys.validate_dir();
    let mut objects = staging.list(&folder);
    let mut found = Vec::new();
    while let Some(object) = objects.try_next().await? {
        let name = object.location.filename().unwrap_or_default();
        if name.starts_with("report") && name.ends_with(".json") {
            found.extend(staging.get_json::<Report>(&object.location).await?);
        }
    }
    Ok(found)
}

/// Whether a validation that saw the last change found no differences. Reports of former validations
/// by more workers lie beside the newest; those of one validation speak of the same number of workers.
fn validated(reports: &[Report], last_change: Option<DateTime<Utc>>) -> Condition {
    let not = |text: String| {
        let way_out = "run `tideway run FILE --stage validate --rerun`";
        Condition::new("validated", false, format!("{text}: {way_out}"))
    };
    let Some(newest) = reports.iter().max_by_key(|report| report.started_at) else {
        return not("it was never validated".to_owned());
    };
    let latest = reports
        .iter()
        .filter(|report| report.workers == newest.workers && report.worker < report.workers);
    let seen: BTreeSet<u32> = latest.clone().map(|report| report.worker).collect();
    if seen.len() < newest.workers as usize {
        return not(format!(
            "of {} workers of the last validation {} have reported",
            newest.workers,
            seen.len()
        ));
    }
    let differences: u64 = latest.clone().map(|report| report.differences).sum();
    if latest.clone().any(|report| !report.equal) {
        return not(format!(
            "the last validation found {differences} differences; repair the target, then"
        ));
    }
    let begun = latest.map(|report| report.started_at).min();
    match (begun, last_change) {
        (Some(begun), Some(change)) if begun <= change => not(format!(
            "the last validation began at {begun}, and the source was changed at {change}"
        )),
        (Some(begun), _) => Condition::new(
            "validated",
            true,
            format!(
                "a validation that began after the last change, at {begun}, found no differences"
            ),
        ),
        (None, _) => not("it was never validated".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(pos: u64, gtids: Option<&str>) -> BinlogPosition {
        BinlogPosition {
            file: "binlog.000003".to_owned(),
            pos,
            gtid_set: gtids.map(str::to_owned),
        }
    }

    #[test]
    fn gtids_go_before_files() {
        let uuid = "ea2c5f47-e8d3-11f1-a3da-02fc00000001";
        let set = |end: u64| format!("{uuid}:1-{end}");
        assert!(covers(&at(4, Some(&set(9))), &at(900, Some(&set(9)))));
        assert!(!covers(&at(900, Some(&set(8))), &at(4, Some(&set(9)))));
        assert!(covers(&at(900, None), &at(900, Some(&set(9)))));
        assert!(!covers(&at(899, None), &at(900, None)));
    }

    #[test]
    fn what_is_applied_is_told_by_the_checkpoint() {
        let holds = |found: &[Condition]| found.iter().all(|condition| condition.holds);
        let mut checkpoint = Checkpoint {
            place: at(900, None),
            last_change: None,
            held_up: None,
        };
        assert!(!holds(&applied(None, &at(4, None))));
        assert!(holds(&applied(Some(&checkpoint), &at(900, None))));
        assert!(!holds(&applied(Some(&checkpoint), &at(901, None))));
        checkpoint.held_up = Some("ALTER TABLE t ENGINE=x".to_owned());
        let found = applied(Some(&checkpoint), &at(900, None));
        assert!(!holds(&found));
        assert!(found[1].text.contains("ENGINE=x"), "{found:?}");
    }

    #[test]
    fn only_a_validation_after_the_last_change_counts() {
        let time = |minute: u32| -> DateTime<Utc> {
            format!("2026-01-31T12:{minute:02}:00Z").parse().unwrap()
        };
        let report = |worker, workers, differences, minute| Report {
            worker,
            workers,
            equal: differences == 0,
            differences,
            started_at: time(minute),
        };
        let holds =
            |reports: &[Report], change: Option<u32>| validated(reports, change.map(time)).holds;
        assert!(!holds(&[], None));
        assert!(holds(&[report(0, 1, 0, 10)], Some(9)));
        assert!(
            holds(&[report(0, 1, 0, 10)], None),
            "nothing was ever changed"
        );
        assert!(!holds(&[report(0, 1, 0, 10)], Some(10)));
        assert!(!holds(&[report(0, 1, 3, 10)], Some(9)));
        // One of two workers is missing, or is of before the change.
        assert!(!holds(&[report(0, 2, 0, 10)], Some(9)));
        assert!(!holds(&[report(0, 2, 0, 10), report(1, 2, 0, 5)], Some(9)));
        assert!(holds(&[report(0, 2, 0, 10), report(1, 2, 0, 10)], Some(9)));
        // Left over from a validation by three.
        let left = [report(0, 1, 0, 10), report(1, 3, 7, 2), report(2, 3, 0, 2)];
        assert!(holds(&left, Some(9)));
    }
}
