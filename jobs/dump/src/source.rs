//! One source of the task, opened: what all steps of its dump share.

use std::sync::{Arc, OnceLock};

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tideway_config::{ResolvedSource, TaskMode};
use tideway_job::{Job, JobError, Progress};
use tideway_mysql::connect::Server;
use tideway_mysql::info::Flavor;
use tideway_mysql::position::{self, BinlogPosition};
use tideway_staging::document::{EffectivePlan, Start};
use tideway_staging::layout::SourceKeys;
use tokio::time::Instant;

use crate::consistency::Wanted;
use crate::error::{Error, Result};
use crate::memory::{self, LargeValues};
use crate::options::Args;
use crate::start;
use crate::throttle::{Gate, Limiter};

/// What all steps of one source's dump share.
pub struct Source {
    /// The job.
    pub job: Arc<Job>,
    /// The flags.
    pub args: Args,
    /// The source as the task sees it.
    pub config: ResolvedSource,
    /// Its keys in staging.
    pub keys: SourceKeys,
    /// The server.
    pub server: Server,
    /// Counters.
    pub progress: Progress,
    /// How the rows are made consistent.
    pub wanted: Wanted,
    /// Connections that read chunks.
    pub workers: usize,
    /// The rate limit.
    pub limiter: Limiter,
    /// The ceiling of running threads.
    pub gate: Gate,
    /// Turns of readers that meet values larger than their share of the memory.
    pub large: LargeValues,
    /// When this process first saw `start.json`.
    pub start_seen: OnceLock<Instant>,
    /// Set once it was said that another server took the source's place.
    took_over: OnceLock<()>,
}

impl Source {
    /// Connects to the source.
    ///
    /// # Errors
    /// No connection, or a consistency that this source cannot give.
    pub async fn open(
        job: &Arc<Job>,
        args: &Args,
        config: &ResolvedSource,
        progress: Progress,
    ) -> Result<Self, JobError> {
        let asked = job.args.workers.unwrap_or(config.dump.threads).max(1);
        let workers = memory::readers(asked, job.memory.total());
        if workers < asked {
            progress.message(format!(
                "--memory {} bears {workers} connections, not the {asked} that were asked for",
                bytesize::ByteSize::b(job.memory.total() as u64)
            ));
        }
        // Beside the readers: two that hold locks, one for positions, one for the gate and KILL.
        let server = job.source_server(config, workers + 4).await?;
        let wanted = Wanted::decide(
            config.dump.consistency,
            server.info().flavor,
            all_mode(job),
            job.worker.count,
        )?;
        let gate = Gate::watch(&server, args.max_threads_running, &config.id);
        Ok(Self {
            job: Arc::clone(job),
            args: args.clone(),
            config: config.clone(),
            keys: job.keys.source(&config.id),
            progress,
            wanted,
            workers,
            large: LargeValues::new(job.memory.share(workers), job.memory.total()),
            start_seen: OnceLock::new(),
            took_over: OnceLock::new(),
            limiter: Limiter::new(args.rate),
            gate,
            server,
        })
    }

    /// Whether cdc follows this dump, so that it may be inexact and must know its positions.
    #[must_use]
    pub fn followed_by_cdc(&self) -> bool {
        all_mode(&self.job)
    }

    /// For `map_err`: an error of the server with what was being done.
    pub fn doing<'s>(&'s self, doing: &'s str) -> impl FnOnce(mysql_async::Error) -> Error + 's {
        move |error| self.server.error(doing, error).into()
    }

    /// Where this source's dump lies, for messages.
    #[must_use]
    pub fn place(&self) -> String {
        format!("{}/{}", self.job.staging.url(), self.keys.dump_dir())
    }

    /// The position of the source now. Without cdc, a server that does not tell it is no error: the
    /// position is then only a service to who wants to go on by hand.
    ///
    /// # Errors
    /// With cdc, when the position cannot be read or the binlog is off.
    pub async fn position(&self, conn: &mut mysql_async::Conn) -> Result<Option<BinlogPosition>> {
        match position::current(conn, self.server.info()).await {
            Ok(Some(position)) => Ok(Some(position)),
            Ok(None) if self.followed_by_cdc() => Err(Error::Consistency {
                wanted: "task-mode: all",
                problem: format!(
                    "source `{}` writes no binlog, so no change could follow this dump. Switch \
                     log_bin on (on Aurora: binlog_format in the cluster parameter group), or use \
                     task-mode: full",
                    self.config.id
                ),
            }),
            Ok(None) => Ok(None),
            Err(error) if self.followed_by_cdc() || error.retryable() => Err(error.into()),
            Err(error) => {
                tracing::warn!(
                    source = self.config.id,
                    "the position of the source is left out of the dump: {error}"
                );
                Ok(None)
            }
        }
    }

    /// Checks that what lies in staging came from the server that answers now, or, in a dump without
    /// a snapshot, from one whose place it took: a fail-over changes the UUID, not the history.
    ///
    /// # Errors
    /// [`Error::OtherServer`].
    pub async fn check_server(
        &self,
        start: Option<&Start>,
        plan: Option<&EffectivePlan>,
    ) -> Result<()> {
        let own = &self.server.info().uuid;
        let found = [
            start.map(|start| &start.server_uuid),
            plan.map(|plan| &plan.server_uuid),
        ];
        let Some(found) = found.into_iter().flatten().find(|found| *found != own) else {
            return Ok(());
        };
        if self.took_over(start, plan).await? {
            if self.took_over.set(()).is_ok() {
                self.progress.message(format!(
                    "source `{}` is another server now (UUID {own}, before {found}): it holds all \
                     transactions of the start, so the dump goes on with it",
                    self.config.id
                ));
            }
            return Ok(());
        }
        Err(Error::OtherServer {
            place: self.place(),
            source_id: self.config.id.clone(),
            found: found.clone(),
            own: format!("{} (UUID {own})", self.server.info().version_text),
        })
    }

    /// Whether this server, whose UUID is another, took the place of the one that was dumped so far.
    async fn took_over(&self, start: Option<&Start>, plan: Option<&EffectivePlan>) -> Result<bool> {
        if plan.map_or(self.wanted != Wanted::None, |plan| plan.snapshot) {
            return Ok(false);
        }
        let start = match start {
            Some(start) => Some(start.clone()),
            None => start::existing(self).await?,
        };
        let Some(start) = start else {
            return Ok(false);
        };
        let recorded: Option<BinlogPosition> = from_json(&start.position, &self.keys.start())?;
        let mut conn = self.server.conn().await?;
        let now = self.position(&mut conn).await?;
        Ok(position::continues(recorded.as_ref(), now.as_ref()))
    }

    /// Fails when a stop was asked for.
    ///
    /// # Errors
    /// [`Error::Stopped`].
    pub fn check_stop(&self) -> Result<()> {
        if self.job.stop.is_cancelled() {
            return Err(Error::Stopped);
        }
        Ok(())
    }

    /// Whether the source is TiDB.
    #[must_use]
    pub fn is_tidb(&self) -> bool {
        self.server.info().flavor == Flavor::TiDb
    }
}

fn all_mode(job: &Job) -> bool {
    job.task.mode == TaskMode::All
}

/// A document's opaque part from a typed value.
///
/// # Errors
/// Never for the types of this crate; an error of staging otherwise.
pub fn to_json<T: Serialize>(value: &T, key: &impl ToString) -> Result<Value> {
    serde_json::to_value(value).map_err(|error| Error::Document {
        key: key.to_string(),
        what: error.to_string(),
        way_out: "this is a fault of Tideway, please report it",
    })
}

/// A typed value from a document's opaque part.
///
/// # Errors
/// [`Error::Document`] when it is not what this version writes.
pub fn from_json<T: DeserializeOwned>(value: &Value, key: &impl ToString) -> Result<T> {
    serde_json::from_value(value.clone()).map_err(|error| Error::Document {
        key: key.to_string(),
        what: error.to_string(),
        way_out: "dump anew after `tideway cleanup`, or use the version that wrote it",
    })
}

/// Now, to the millisecond: a document read back must equal the one written.
#[must_use]
pub fn now() -> DateTime<Utc> {
    let now = Utc::now();
    DateTime::from_timestamp_millis(now.timestamp_millis()).unwrap_or(now)
}
