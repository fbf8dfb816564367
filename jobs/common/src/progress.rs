//! Progress of one source in one process: counters that feed a bar, the log, the heartbeat in
//! staging and the metrics.
//!
//! A heartbeat is overwritten in place and nothing depends on it but what people see; a lost or late
//! one is harmless.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use indicatif::{ProgressBar, ProgressStyle};
use tideway_staging::heartbeat::{CatchUp, Heartbeat, SyncState};
use tideway_staging::{Path, Staging};
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::error::JobError;
use crate::job::Job;
use crate::logging;

/// How often the heartbeat is written.
const HEARTBEAT: Duration = Duration::from_secs(2);
/// The state in every heartbeat but the last one.
const RUNNING: &str = "running";
/// How often a log line tells the progress where no bar does.
const LOG: Duration = Duration::from_secs(10);

/// Counts what is done. Cheap to clone; the last clone that is dropped ends the reporting.
#[derive(Clone)]
pub struct Progress {
    shared: Arc<Shared>,
    _reporter: Arc<DropGuard>,
}

struct Shared {
    identity: Identity,
    counts: Counts,
    text: Mutex<Text>,
    sync: Mutex<Option<(SyncState, CatchUp)>>,
    paused: watch::Receiver<bool>,
    bar: ProgressBar,
    staging: Staging,
    key: Path,
    /// Whether the last heartbeat was written. Held while one is: of two on their way at once, the store
    /// would keep either, and a job that is done would be told as running for ever.
    beaten: tokio::sync::Mutex<bool>,
    metrics: Metrics,
}

struct Identity {
    job: &'static str,
    source: String,
    worker: u32,
    run_id: String,
    attempt: u32,
    started_at: DateTime<Utc>,
}

#[derive(Default)]
struct Counts {
    rows: AtomicU64,
    bytes: AtomicU64,
    units: AtomicU64,
    total_rows: AtomicU64,
    total_bytes: AtomicU64,
    total_units: AtomicU64,
}

#[derive(Default)]
struct Text {
    stage: String,
    message: String,
}

struct Metrics {
    rows: metrics::Counter,
    bytes: metrics::Counter,
    units: metrics::Counter,
    expected: metrics::Gauge,
    behind: metrics::Gauge,
}

impl Progress {
    /// Starts the bar and the heartbeat of `source`.
    pub(crate) fn start(job: &Job, source: &str) -> Self {
        let bar = if logging::shows_bars(job.args.log_format) {
            logging::BARS.add(ProgressBar::new(0).with_style(style()))
        } else {
            ProgressBar::hidden()
        };
        bar.set_prefix(format!("{} {source}", job.name));
        let labels = [("job", job.name.to_owned()), ("source", source.to_owned())];
        let shared = Arc::new(Shared {
            identity: Identity {
                job: job.name,
                source: source.to_owned(),
                worker: job.worker.index,
                run_id: job.args.run_id.clone().unwrap_or_default(),
                attempt: attempt(),
                started_at: Utc::now(),
            },
            counts: Counts::default(),
            text: Mutex::default(),
            sync: Mutex::default(),
            paused: job.control.paused(),
            bar,
            staging: job.staging.clone(),
            key: job.keys.status(job.name, source, job.worker.index),
            beaten: tokio::sync::Mutex::new(false),
            metrics: Metrics {
                rows: metrics::counter!("tideway_rows_total", &labels),
                bytes: metrics::counter!("tideway_bytes_total", &labels),
                units: metrics::counter!("tideway_units_total", &labels),
                expected: metrics::gauge!("tideway_rows_expected", &labels),
                behind: metrics::gauge!("tideway_seconds_behind", &labels),
            },
        });
        let ended = CancellationToken::new();
        tokio::spawn(report(Arc::clone(&shared), ended.clone()));
        Self {
            shared,
            _reporter: Arc::new(ended.drop_guard()),
        }
    }

    /// What there is to do: rows and bytes are estimates, units (chunks) are exact.
    pub fn total(&self, rows: u64, bytes: u64, units: u64) {
        let counts = &self.shared.counts;
        counts.total_rows.store(rows, Ordering::Relaxed);
        counts.total_bytes.store(bytes, Ordering::Relaxed);
        counts.total_units.store(units, Ordering::Relaxed);
        self.shared.bar.set_length(bytes.max(1));
        // Exact up to 2^53 rows, and an estimate anyway.
        #[allow(clippy::cast_precision_loss)]
        self.shared.metrics.expected.set(rows as f64);
    }

    /// Counts rows that were read, loaded or compared.
    pub fn add_rows(&self, rows: u64) {
        self.shared.counts.rows.fetch_add(rows, Ordering::Relaxed);
        self.shared.metrics.rows.increment(rows);
    }

    /// Counts bytes of data before compression.
    pub fn add_bytes(&self, bytes: u64) {
        self.shared.counts.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.shared.metrics.bytes.increment(bytes);
        self.shared.bar.inc(bytes);
    }

    /// Counts one finished unit (a chunk).
    pub fn unit_done(&self) {
        self.shared.counts.units.fetch_add(1, Ordering::Relaxed);
        self.shared.metrics.units.increment(1);
    }

    /// Rows counted so far.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.shared.counts.rows.load(Ordering::Relaxed)
    }

    /// Names what the job is at: `planning`, `reading`, `finishing`.
    pub fn stage(&self, stage: &str) {
        let mut text = self.shared.lock_text();
        stage.clone_into(&mut text.stage);
        self.shared.bar.set_message(stage.to_owned());
    }

    /// Says something that a person who waits wants to know; it is logged too.
    pub fn message(&self, message: impl Into<String>) {
        let message = message.into();
        tracing::info!(source = self.shared.identity.source, "{message}");
        self.shared.lock_text().message = message;
    }

    /// Tells where this process stands in the binary log; the next heartbeat carries it. To be called
    /// every second or so: from what it was called with, the time until it will have caught up is
    /// reckoned.
    pub fn sync(&self, mut state: SyncState) {
        if let Some(behind) = state.behind_ms {
            // Exact up to 2^53 milliseconds.
            #[allow(clippy::cast_precision_loss)]
            self.shared.metrics.behind.set(behind as f64 / 1000.0);
        }
        let mut sync = self.shared.lock_sync();
        let (_, mut catch_up) = sync.take().unwrap_or_default();
        catch_up.read(Instant::now(), &mut state);
        *sync = Some((state, catch_up));
    }

    /// Names a statement that holds up the work, for which an order is awaited, and the place that the
    /// order is to name. The next [`Progress::sync`] takes it back.
    pub fn held_up(&self, file: &str, pos: u64, statement: &str) {
        let mut sync = self.shared.lock_sync();
        let (state, _) = sync.get_or_insert_default();
        state.blocking_ddls = vec![statement.to_owned()];
        file.clone_into(&mut state.blocking_file);
        state.blocking_pos = pos;
    }

    /// Writes the last heartbeat: how this process ended.
    pub async fn finish(&self, result: &Result<(), JobError>) {
        let (state, error) = match result {
            Ok(()) => ("done", None),
            Err(JobError::Stopped) => ("stopped", None),
            Err(error) => ("failed", Some(error.to_string())),
        };
        self.shared.bar.finish_and_clear();
        self.shared.log(state, self.shared.identity.started_at);
        self.shared.beat(state, error).await;
    }
}

impl Shared {
    fn lock_text(&self) -> std::sync::MutexGuard<'_, Text> {
        // A panic between two assignments of strings cannot leave them half written.
        self.text.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_sync(&self) -> std::sync::MutexGuard<'_, Option<(SyncState, CatchUp)>> {
        // It is replaced whole.
        self.sync.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn heartbeat(&self, state: &str, error: Option<String>) -> Heartbeat {
        let text = self.lock_text();
        let counts = &self.counts;
        Heartbeat {
            version: 1,
            job: self.identity.job.to_owned(),
            source: self.identity.source.clone(),
            worker: self.identity.worker,
            run_id: self.identity.run_id.clone(),
            attempt: self.identity.attempt,
            pid: std::process::id(),
            host: host(),
            state: state.to_owned(),
            paused: state == RUNNING && *self.paused.borrow(),
            stage: text.stage.clone(),
            done_units: counts.units.load(Ordering::Relaxed),
            total_units: counts.total_units.load(Ordering::Relaxed),
            rows: counts.rows.load(Ordering::Relaxed),
            bytes: counts.bytes.load(Ordering::Relaxed),
            total_rows: counts.total_rows.load(Ordering::Relaxed),
            total_bytes: counts.total_bytes.load(Ordering::Relaxed),
            message: text.message.clone(),
            error,
            sync: self.lock_sync().as_ref().map(|(state, _)| state.clone()),
            started_at: self.identity.started_at,
            updated_at: Utc::now(),
        }
    }

    /// Writes a heartbeat, unless the last one was written.
    async fn beat(&self, state: &str, error: Option<String>) {
        let mut beaten = self.beaten.lock().await;
        if *beaten {
            return;
        }
        *beaten = state != RUNNING;
        let heartbeat = self.heartbeat(state, error);
        if let Err(error) = self.staging.put_json(&self.key, &heartbeat).await {
            tracing::warn!("heartbeat {}: {error}", self.key);
        }
    }

    fn log(&self, state: &str, started_at: DateTime<Utc>) {
        let rows = self.counts.rows.load(Ordering::Relaxed);
        let bytes = self.counts.bytes.load(Ordering::Relaxed);
        let seconds = (Utc::now() - started_at).as_seconds_f64().max(0.001);
        // Rates are for people.
        #[allow(clippy::cast_precision_loss)]
        let (rows_per_second, mb_per_second) =
            (rows as f64 / seconds, bytes as f64 / seconds / 1e6);
        let stage = self.lock_text().stage.clone();
        tracing::info!(
            job = self.identity.job,
            source = self.identity.source,
            worker = self.identity.worker,
            state,
            stage,
            rows,
            bytes,
            chunks = self.counts.units.load(Ordering::Relaxed),
            chunks_total = self.counts.total_units.load(Ordering::Relaxed),
            "{rows} rows, {}, {rows_per_second:.0} rows/s, {mb_per_second:.1} MB/s",
            bytesize::ByteSize::b(bytes),
        );
    }
}

/// Beats until the last [`Progress`] is dropped.
async fn report(shared: Arc<Shared>, ended: CancellationToken) {
    let mut last_log = Instant::now();
    loop {
        shared.beat(RUNNING, None).await;
        tokio::select! {
            () = ended.cancelled() => return,
            () = tokio::time::sleep(HEARTBEAT) => {}
        }
        if shared.bar.is_hidden() && last_log.elapsed() >= LOG {
            last_log = Instant::now();
            shared.log(RUNNING, shared.identity.started_at);
        }
    }
}

/// Which try of the same work this is: from AWS Batch or from the local runner.
fn attempt() -> u32 {
    ["AWS_BATCH_JOB_ATTEMPT", "TIDEWAY_ATTEMPT"]
        .iter()
        .find_map(|name| std::env::var(name).ok()?.parse().ok())
        .unwrap_or(1)
}

/// Name of this machine.
#[must_use]
pub fn host() -> String {
    rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned()
}

fn style() -> ProgressStyle {
    ProgressStyle::with_template(
        "{prefix:32!} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec} eta {eta} {msg}",
    )
    .unwrap_or_else(|_| ProgressStyle::default_bar())
}
