//! Which of DM's units a source is in, and how far that is, by the heartbeats of the jobs.

use chrono::{DateTime, Utc};
use tideway_job::JobError;
use tideway_staging::Staging;
use tideway_staging::document::{Json, Manifest, read_plan};
use tideway_staging::heartbeat::{Heartbeat, SyncState};
use tideway_staging::layout::SourceKeys;

use super::shape::{Check, Dump, Fault, Load, Outcome, Status, Sync};

/// A job that beats every two seconds and was silent for so long is gone, or cut off.
const SILENT: f64 = 30.0;

/// DM's units, in the order in which a task goes through them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The precheck.
    Check,
    /// The dump.
    Dump,
    /// The load.
    Load,
    /// Capture and apply.
    Sync,
}

impl Kind {
    /// As DM writes it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Check => "Check",
            Self::Dump => "Dump",
            Self::Load => "Load",
            Self::Sync => "Sync",
        }
    }

    /// The unit of a job; those that DM does not have are none. Capture runs beside the dump and the
    /// load, so it tells the unit only where nothing else does.
    fn of(job: &str) -> Option<Self> {
        match job {
            "precheck" => Some(Self::Check),
            "dump" => Some(Self::Dump),
            "load" => Some(Self::Load),
            "apply" | "cdc" => Some(Self::Sync),
            _ => None,
        }
    }
}

/// What a unit is in whose processes have done their work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Between {
    /// The next one is about to start.
    GoesOn,
    /// The whole run is done.
    AllDone,
    /// Nobody goes on with what remains.
    Halted,
    /// The load is the last.
    OverWithLoad,
}

/// The unit that a source is in.
#[derive(Debug)]
pub struct Unit<'a> {
    /// Which.
    pub kind: Kind,
    beats: Vec<&'a Heartbeat>,
    now: DateTime<Utc>,
}

impl<'a> Unit<'a> {
    /// Of the heartbeats of one source: what runs, the furthest of it; else what was heard last.
    #[must_use]
    pub fn of(beats: &[&'a Heartbeat], now: DateTime<Utc>) -> Self {
        let units = || {
            beats
                .iter()
                .filter_map(|beat| Some((Kind::of(&beat.job)?, *beat)))
        };
        let running = units().filter(|(_, beat)| beat.state == "running" && !silent(beat, now));
        let found = running.max_by_key(|(kind, _)| *kind).or_else(|| {
            // The notes of an earlier unit are written before those of a later one.
            units().max_by_key(|(kind, beat)| (beat.updated_at, *kind))
        });
        let (kind, job) = match found {
            Some((kind, beat)) => (kind, beat.job.as_str()),
            None if beats.iter().any(|beat| beat.job == "capture") => (Kind::Sync, "capture"),
            None => (Kind::Check, ""),
        };
        Self {
            kind,
            beats: beats
                .iter()
                .filter(|beat| beat.job == job)
                .copied()
                .collect(),
            now,
        }
    }

    /// The machines that work on it.
    #[must_use]
    pub fn host(&self) -> String {
        let mut hosts: Vec<&str> = self.beats.iter().map(|beat| beat.host.as_str()).collect();
        hosts.sort_unstable();
        hosts.dedup();
        hosts.join(",")
    }

    /// DM's stage, and what went wrong.
    #[must_use]
    pub fn stage(&self, between: Between) -> (&'static str, Option<Outcome>) {
        let any = |state: &str| self.beats.iter().any(|beat| beat.state == state);
        let mut errors: Vec<Fault> = self
            .beats
            .iter()
            .filter_map(|beat| self.fault(beat))
            .collect();
        let running = |beat: &&&Heartbeat| beat.state == "running" && !silent(beat, self.now);
        let alive: Vec<_> = self.beats.iter().filter(running).collect();
        // A process that failed and was started again beside others runs.
        let stage = if !errors.is_empty() {
            "Paused"
        } else if !alive.is_empty() {
            let paused = alive.iter().all(|beat| beat.paused);
            if paused { "Paused" } else { "Running" }
        } else if self.beats.is_empty() {
            match between {
                Between::GoesOn => "Running",
                _ => "New",
            }
        } else if any("stopped") {
            "Stopped"
        } else {
            match between {
                Between::GoesOn => "Running",
                Between::AllDone => "Finished",
                Between::OverWithLoad if self.kind == Kind::Load => "Finished",
                Between::OverWithLoad | Between::Halted => "Stopped",
            }
        };
        // A process that has ended over it says it in its error.
        for beat in self.beats.iter().filter(|beat| beat.error.is_none()) {
            for ddl in beat.sync.iter().flat_map(|sync| &sync.blocking_ddls) {
                errors.push(self.dress(format!("the target refused: {ddl}")));
            }
        }
        let result = (!errors.is_empty()).then_some(Outcome {
            is_canceled: false,
            errors,
            detail: None,
        });
        (stage, result)
    }

    fn fault(&self, beat: &Heartbeat) -> Option<Fault> {
        if silent(beat, self.now) && beat.state == "running" {
            return Some(self.dress(format!(
                "process {} on {} was not heard of since {}: it is gone, or cut off from staging",
                beat.pid, beat.host, beat.updated_at
            )));
        }
        beat.error.clone().map(|message| self.dress(message))
    }

    fn dress(&self, message: String) -> Fault {
        Fault {
            err_code: 0,
            err_class: format!("{}-unit", self.kind.name().to_lowercase()),
            err_scope: "internal".to_owned(),
            err_level: "high".to_owned(),
            message,
            raw_cause: String::new(),
            workaround: String::new(),
        }
    }

    /// How far it is.
    ///
    /// # Errors
    /// When staging cannot be read.
    pub async fn status(
        &self,
        staging: &Staging,
        keys: &SourceKeys,
        all: &[&Heartbeat],
    ) -> Result<Status, JobError> {
        let manifest = async || staging.get_large_json::<Manifest>(&keys.manifest()).await;
        Ok(match self.kind {
            Kind::Check => Status::Check(Check {
                passed: self.beats.iter().all(|beat| beat.error.is_none()),
            }),
            Kind::Dump => {
                let manifest = manifest().await?;
                let tables = match &manifest {
                    Some(manifest) => manifest.tables.len(),
                    None => read_plan(staging, keys)
                        .await?
                        .map_or(0, |plan| plan.tables.len()),
                };
                self.dump(tables as u64, manifest.is_some())
            }
            Kind::Load => self.load(manifest().await?.map(|manifest| manifest.start)),
            Kind::Sync => Status::Sync(sync(all)),
        })
    }

    fn sum(&self, of: impl Fn(&Heartbeat) -> u64) -> u64 {
        self.beats.iter().map(|beat| of(beat)).sum()
    }

    fn dump(&self, tables: u64, complete: bool) -> Status {
        let (done, total) = (self.sum(|b| b.done_units), self.sum(|b| b.total_units));
        let completed = match (complete, total) {
            (true, _) => tables,
            (false, 0) => 0,
            (false, total) => tables * done.min(total) / total,
        };
        Status::Dump(Dump {
            total_tables: tables,
            completed_tables: completed,
            finished_bytes: self.sum(|b| b.bytes),
            finished_rows: self.sum(|b| b.rows),
            estimate_total_rows: self.sum(|b| b.total_rows),
            bps: self.bytes_a_second(),
            progress: percent(done, total, complete),
        })
    }

    fn load(&self, start: Option<Json>) -> Status {
        let start = start.unwrap_or_default();
        let (done, total) = (self.sum(|b| b.done_units), self.sum(|b| b.total_units));
        let (bytes, total_bytes) = (self.sum(|b| b.bytes), self.sum(|b| b.total_bytes));
        let complete = total > 0 && done == total;
        Status::Load(Load {
            finished_bytes: bytes,
            total_bytes,
            progress: percent(bytes, total_bytes, complete),
            meta_binlog: match start["file"].as_str() {
                Some(file) => format!("({file}, {})", start["pos"]),
                None => String::new(),
            },
            meta_binlog_gtid: start["gtid_set"].as_str().unwrap_or_default().to_owned(),
            bps: self.bytes_a_second(),
        })
    }

    fn bytes_a_second(&self) -> u64 {
        let seconds = |beat: &Heartbeat| (beat.updated_at - beat.started_at).num_seconds();
        self.sum(|beat| {
            u64::try_from(seconds(beat)).map_or(0, |seconds| beat.bytes / seconds.max(1))
        })
    }
}

/// The place of the source is told by whoever asked it last, the rest by apply.
fn sync(beats: &[&Heartbeat]) -> Sync {
    let of = |jobs: &[&str]| {
        beats
            .iter()
            .filter(|beat| jobs.contains(&beat.job.as_str()))
            .filter_map(|beat| Some((beat.updated_at, beat.sync.as_ref()?)))
            .max_by_key(|(at, _)| *at)
            .map(|(_, sync)| sync)
    };
    let nothing = SyncState::default();
    let applied = of(&["apply", "cdc"]).unwrap_or(&nothing);
    let source = beats
        .iter()
        .filter_map(|beat| Some((beat.updated_at, beat.sync.as_ref()?)))
        .filter(|(_, sync)| !sync.master_binlog.is_empty())
        .max_by_key(|(at, _)| *at)
        .map_or(applied, |(_, sync)| sync);
    Sync {
        total_events: applied.total_events,
        total_tps: applied.total_tps,
        recent_tps: applied.recent_tps,
        master_binlog: source.master_binlog.clone(),
        master_binlog_gtid: source.master_gtid.clone(),
        syncer_binlog: applied.syncer_binlog.clone(),
        syncer_binlog_gtid: applied.syncer_gtid.clone(),
        blocking_ddls: applied.blocking_ddls.clone(),
        unresolved_groups: Vec::new(),
        synced: applied.synced,
        binlog_type: "remote".to_owned(),
        seconds_behind_master: applied.behind_ms.unwrap_or(0) / 1000,
        block_ddl_owner: String::new(),
        conflict_msg: String::new(),
        total_rows: applied.total_rows,
        total_rps: applied.total_rps,
        recent_rps: applied.recent_rps,
    }
}

fn silent(beat: &Heartbeat, now: DateTime<Utc>) -> bool {
    (now - beat.updated_at).as_seconds_f64() > SILENT
}

fn percent(done: u64, total: u64, complete: bool) -> String {
    let share = match (complete, total) {
        (true, _) => 1.0,
        (false, 0) => 0.0,
        // Bytes to do are an estimate, so it is not all until it is said to be.
        #[allow(clippy::cast_precision_loss)]
        (false, total) => (done as f64 / total as f64).min(0.9999),
    };
    format!("{:.2} %", share * 100.0)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn beat(job: &str, state: &str, ago: i64, more: &serde_json::Value) -> Heartbeat {
        let at = Utc::now() - chrono::TimeDelta::seconds(ago);
        let mut value = json!({
            "version": 1, "job": job, "source": "s", "worker": 0, "run_id": "", "attempt": 1,
            "pid": 7, "host": "h", "state": state, "stage": "", "done_units": 1, "total_units": 2,
            "rows": 10, "bytes": 1000, "total_rows": 20, "total_bytes": 4000, "message": "",
            "error": null, "started_at": at - chrono::TimeDelta::seconds(10), "updated_at": at
        });
        for (key, field) in more.as_object().unwrap() {
            value[key] = field.clone();
        }
        serde_json::from_value(value).unwrap()
    }

    fn of(beats: &[Heartbeat], between: Between) -> (&'static str, &'static str, bool) {
        let beats: Vec<&Heartbeat> = beats.iter().collect();
        let unit = Unit::of(&beats, Utc::now());
        let (stage, result) = unit.stage(between);
        (unit.kind.name(), stage, result.is_some())
    }

    #[test]
    fn units_and_stages() {
        let none = json!({});
        let dump = beat("dump", "running", 1, &none);
        let capture = beat("capture", "running", 1, &none);
        assert_eq!(of(&[], Between::Halted), ("Check", "New", false));
        assert_eq!(
            of(&[capture.clone(), dump.clone()], Between::GoesOn),
            ("Dump", "Running", false)
        );
        let load = beat("load", "done", 5, &none);
        let all = [beat("dump", "done", 9, &none), load, capture.clone()];
        assert_eq!(of(&all, Between::GoesOn), ("Load", "Running", false));
        assert_eq!(of(&all, Between::AllDone), ("Load", "Finished", false));
        assert_eq!(of(&all, Between::Halted), ("Load", "Stopped", false));
        let paused = beat("apply", "running", 1, &json!({"paused": true}));
        assert_eq!(of(&[paused], Between::GoesOn), ("Sync", "Paused", false));
        let failed = beat("apply", "failed", 1, &json!({"error": "no route to host"}));
        assert_eq!(of(&[failed], Between::GoesOn), ("Sync", "Paused", true));
        let silent = beat("load", "running", 100, &none);
        assert_eq!(of(&[silent], Between::GoesOn), ("Load", "Paused", true));
        let stopped = beat("load", "stopped", 1, &none);
        assert_eq!(of(&[stopped], Between::Halted), ("Load", "Stopped", false));
        assert_eq!(of(&[capture], Between::GoesOn), ("Sync", "Running", false));
    }

    #[test]
    fn the_shape_is_that_of_dm() {
        let apply = beat(
            "apply",
            "running",
            1,
            &json!({"sync": {
                "syncer_binlog": "(mysql-bin.000001, 200)", "total_rows": 5, "behind_ms": 2500,
                "synced": false
            }}),
        );
        let capture = beat(
            "capture",
            "running",
            0,
            &json!({"sync": {"master_binlog": "(mysql-bin.000001, 300)", "master_gtid": "u:1-9"}}),
        );
        let text = super::super::shape::print(&Status::Sync(sync(&[&apply, &capture]))).unwrap();
        assert_eq!(
            text,
            r#"{
    "sync": {
        "totalEvents": "0",
        "totalTps": "0",
        "recentTps": "0",
        "masterBinlog": "(mysql-bin.000001, 300)",
        "masterBinlogGtid": "u:1-9",
        "syncerBinlog": "(mysql-bin.000001, 200)",
        "syncerBinlogGtid": "",
        "blockingDDLs": [],
        "unresolvedGroups": [],
        "synced": false,
        "binlogType": "remote",
        "secondsBehindMaster": "2",
        "blockDDLOwner": "",
        "conflictMsg": "",
        "totalRows": "5",
        "totalRps": "0",
        "recentRps": "0"
    }
}"#
        );
        let dump = beat("dump", "running", 1, &json!({}));
        let dump = [&dump];
        let unit = Unit::of(&dump, Utc::now());
        let text = super::super::shape::print(&unit.dump(4, false)).unwrap();
        assert!(text.contains("\"totalTables\": \"4\""), "{text}");
        assert!(text.contains("\"completedTables\": 2"), "{text}");
        assert!(text.contains("\"bps\": \"100\""), "{text}");
        assert!(text.contains("\"progress\": \"50.00 %\""), "{text}");
        let start = json!({"file": "b.000001", "pos": 4, "gtid_set": null});
        let text = super::super::shape::print(&unit.load(Some(start))).unwrap();
        assert!(text.contains("\"metaBinlog\": \"(b.000001, 4)\""), "{text}");
        assert!(text.contains("\"metaBinlogGTID\": \"\""), "{text}");
        assert!(text.contains("\"progress\": \"25.00 %\""), "{text}");
    }
}
