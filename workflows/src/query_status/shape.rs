//! The shapes of DM's `query-status`, field by field in DM's order (DM 8: `dmctl query-status`).
//!
//! DM prints protocol buffers as JSON: integers of 64 bits become strings, a field without a value is
//! `null`, and the indent is four spaces.

use serde::{Serialize, Serializer};
use serde_json::ser::PrettyFormatter;
use tideway_job::JobError;

/// The answer without a task: all tasks.
#[derive(Debug, Serialize)]
pub struct List {
    /// Whether the question could be answered.
    pub result: bool,
    /// Why not.
    pub msg: String,
    /// The tasks.
    pub tasks: Vec<TaskLine>,
}

/// One task of the list.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TaskLine {
    /// Its name.
    pub task_name: String,
    /// `Running`, `Paused`, …
    pub task_status: String,
    /// Its sources.
    pub sources: Vec<String>,
}

/// The answer for a task.
#[derive(Debug, Serialize)]
pub struct Detail {
    /// Whether the question could be answered.
    pub result: bool,
    /// Why not.
    pub msg: String,
    /// Its sources.
    pub sources: Vec<SourceAnswer>,
}

/// One source of a task.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SourceAnswer {
    /// Whether it could be looked at.
    pub result: bool,
    /// Why not.
    pub msg: String,
    /// The source itself.
    pub source_status: SourceStatus,
    /// What is done with it: one entry.
    pub sub_task_status: Vec<SubTask>,
}

/// A source.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SourceStatus {
    /// Its id.
    pub source: String,
    /// DM's worker; here the machine on which a job works on it.
    pub worker: String,
    /// Always null.
    pub result: Option<()>,
    /// Always null: there is no relay log.
    pub relay_status: Option<()>,
}

/// The work on one source.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SubTask {
    /// The task.
    pub name: String,
    /// `New`, `Running`, `Paused`, `Stopped`, `Finished`.
    pub stage: &'static str,
    /// `Check`, `Dump`, `Load`, `Sync`.
    pub unit: &'static str,
    /// What went wrong.
    pub result: Option<Outcome>,
    /// Always empty: there are no shard locks.
    #[serde(rename = "unresolvedDDLLockID")]
    pub unresolved_ddl_lock_id: String,
    /// How far the unit is.
    #[serde(flatten)]
    pub status: Status,
    /// Always null: `tideway-validate` is a job of its own.
    pub validation: Option<()>,
}

/// What went wrong.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Outcome {
    /// A person stopped it.
    pub is_canceled: bool,
    /// The errors.
    pub errors: Vec<Fault>,
    /// Always null.
    pub detail: Option<()>,
}

/// An error, as DM dresses it. Tideway has no numbers for its errors.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Fault {
    /// 0.
    pub err_code: i32,
    /// Its class: the unit.
    pub err_class: String,
    /// `internal`.
    pub err_scope: String,
    /// `high`.
    pub err_level: String,
    /// What the job said.
    pub message: String,
    /// Empty.
    pub raw_cause: String,
    /// Empty: the message says what to do.
    pub workaround: String,
}

/// How far a unit is.
#[derive(Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// The precheck.
    Check(Check),
    /// The dump.
    Dump(Dump),
    /// The load.
    Load(Load),
    /// The replication.
    Sync(Sync),
}

/// The precheck.
#[derive(Debug, Serialize)]
pub struct Check {
    /// Whether it passed so far.
    pub passed: bool,
}

/// The dump.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Dump {
    /// Tables in its plan.
    #[serde(serialize_with = "text")]
    pub total_tables: u64,
    /// Tables that are complete; reckoned from the chunks until all are.
    pub completed_tables: u64,
    /// Bytes read.
    pub finished_bytes: u64,
    /// Rows read.
    pub finished_rows: u64,
    /// Rows to read, as the source estimates.
    pub estimate_total_rows: u64,
    /// Bytes a second.
    #[serde(serialize_with = "text")]
    pub bps: u64,
    /// `97.30 %`.
    pub progress: String,
}

/// The load.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Load {
    /// Bytes loaded.
    #[serde(serialize_with = "text")]
    pub finished_bytes: u64,
    /// Bytes to load.
    #[serde(serialize_with = "text")]
    pub total_bytes: u64,
    /// `97.30 %`.
    pub progress: String,
    /// Where the binary log stood when the dump began.
    pub meta_binlog: String,
    /// The GTID set then.
    #[serde(rename = "metaBinlogGTID")]
    pub meta_binlog_gtid: String,
    /// Bytes a second.
    #[serde(serialize_with = "text")]
    pub bps: u64,
}

/// The replication.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Sync {
    /// Events applied.
    #[serde(serialize_with = "text")]
    pub total_events: u64,
    /// Transactions a second since the start.
    #[serde(serialize_with = "text")]
    pub total_tps: u64,
    /// Transactions a second lately.
    #[serde(serialize_with = "text")]
    pub recent_tps: u64,
    /// The source's place.
    pub master_binlog: String,
    /// The source's GTID set.
    pub master_binlog_gtid: String,
    /// Applied up to here.
    pub syncer_binlog: String,
    /// The GTID set up to there.
    pub syncer_binlog_gtid: String,
    /// Statements that the target refused.
    #[serde(rename = "blockingDDLs")]
    pub blocking_ddls: Vec<String>,
    /// Always empty: there are no shard groups.
    pub unresolved_groups: Vec<()>,
    /// All of the source is applied.
    pub synced: bool,
    /// `remote`: the log comes from the source, not from a relay log.
    pub binlog_type: String,
    /// Seconds that the target lies behind.
    #[serde(serialize_with = "text")]
    pub seconds_behind_master: u64,
    /// Always empty.
    #[serde(rename = "blockDDLOwner")]
    pub block_ddl_owner: String,
    /// Always empty.
    pub conflict_msg: String,
    /// Rows applied.
    #[serde(serialize_with = "text")]
    pub total_rows: u64,
    /// Rows a second since the start.
    #[serde(serialize_with = "text")]
    pub total_rps: u64,
    /// Rows a second lately.
    #[serde(serialize_with = "text")]
    pub recent_rps: u64,
}

/// A 64-bit integer, as protocol buffers write it into JSON.
// serde calls it with a reference.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn text<S: Serializer>(number: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(number)
}

/// A document as dmctl prints it.
///
/// # Errors
/// When it cannot be written as JSON.
pub fn print(document: &impl Serialize) -> Result<String, JobError> {
    let failed = |error: &dyn std::fmt::Display| JobError::failed(format!("writing JSON: {error}"));
    let mut bytes = Vec::new();
    let mut serializer =
        serde_json::Serializer::with_formatter(&mut bytes, PrettyFormatter::with_indent(b"    "));
    document
        .serialize(&mut serializer)
        .map_err(|error| failed(&error))?;
    String::from_utf8(bytes).map_err(|error| failed(&error))
}
