//! The live view: one bar per stage and source, fed from the heartbeats that the jobs leave in
//! staging. Off a terminal the same words come as a log line every ten seconds.
//!
//! Heartbeats are for people only: one that is late, lost or unreadable changes what is shown and
//! nothing else.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use futures::{StreamExt, stream};
use indicatif::{ProgressBar, ProgressStyle};
use tideway_job::logging;
use tideway_staging::heartbeat::Heartbeat;
use tideway_staging::layout::TaskKeys;
use tideway_staging::{Path, Staging};
use tokio_util::sync::CancellationToken;

use super::log_line::Level;
use super::meter::{Meter, Totals};
use super::plan::Unit;
use super::screen::Screen;
use super::state::State;
use crate::human;
use crate::workflow::{JobKind, Stage};

/// How often the heartbeats are read.
const POLL: Duration = Duration::from_secs(1);
/// How long reading one may take; then the former one stays on the screen.
const PATIENCE: Duration = Duration::from_secs(5);
/// How many are read at once.
const AT_ONCE: usize = 8;
/// The widest label; a longer one is cut.
const WIDEST: usize = 40;
/// How often a line is written where there are no bars.
const LOG: Duration = Duration::from_secs(10);

/// What is shown of a run.
pub struct Live {
    staging: Staging,
    keys: TaskKeys,
    run: Seen,
    screen: Screen,
    rows: Mutex<BTreeMap<RowKey, Row>>,
}

/// Which run is shown.
pub struct Seen {
    /// Its name: heartbeats of other runs are not its own.
    pub run_id: String,
    /// Its sources: a process that works on all of them has a bar for each.
    pub sources: Vec<String>,
    /// Width of the longest `<stage> <source>`.
    pub width: usize,
}

/// A stage on one source.
type RowKey = (String, String);

struct Row {
    job: JobKind,
    /// Under which name its processes leave their heartbeats.
    beats_as: String,
    label: String,
    workers: BTreeMap<u32, Worker>,
    meter: Meter,
    bar: ProgressBar,
    started: Instant,
    logged: Instant,
    ended: bool,
}

struct Worker {
    /// Heartbeats from before belong to a former process.
    since: DateTime<Utc>,
    last: Option<Heartbeat>,
}

impl Live {
    /// A view on which nothing is seen yet.
    #[must_use]
    pub fn new(staging: Staging, keys: TaskKeys, run: Seen, screen: Screen) -> Self {
        Self {
            staging,
            keys,
            run,
            screen,
            rows: Mutex::default(),
        }
    }

    fn rows(&self) -> MutexGuard<'_, BTreeMap<RowKey, Row>> {
        // What is shown may be half updated after a panic; nothing depends on it.
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The rows of a process: one for its source, or for each when it works on all.
    fn keys(&self, stage: &Stage, source: Option<&str>) -> Vec<RowKey> {
        let key = |source: &str| (stage.name.clone(), source.to_owned());
        match source {
            Some(source) => vec![key(source)],
            None => self.run.sources.iter().map(|source| key(source)).collect(),
        }
    }

    /// A process starts: from now on its heartbeats count.
    pub fn unit_started(&self, stage: &Stage, unit: &Unit) {
        let mut rows = self.rows();
        for key in self.keys(stage, unit.source.as_deref()) {
            let label = format!("{} {}", key.0, key.1);
            let row = rows.entry(key).or_insert_with(|| {
                let bar = if self.screen.bars {
                    logging::BARS.add(ProgressBar::new(1000).with_style(self.style()))
                } else {
                    ProgressBar::hidden()
                };
                Row::new(stage, label, bar)
            });
            row.workers.insert(
                unit.worker,
                Worker {
                    since: Utc::now(),
                    last: None,
                },
            );
        }
    }

    fn style(&self) -> ProgressStyle {
        let width = self.run.width.min(WIDEST);
        let template = format!("{{prefix:{width}!}} {{bar:12}} {{percent:>3}}% {{wide_msg}}");
        ProgressStyle::with_template(&template).unwrap_or_else(|_| ProgressStyle::default_bar())
    }

    /// All processes of a stage on a source have ended: shows their last words.
    pub async fn lane_ended(&self, stage: &Stage, source: Option<&str>, state: State) {
        let keys = self.keys(stage, source);
        let mut wanted = self.wanted();
        wanted.retain(|(lane, ..)| keys.contains(lane));
        self.update(self.read_all(wanted).await);
        let mut rows = self.rows();
        for key in keys {
            if let Some(row) = rows.get_mut(&key) {
                row.end(state);
            }
        }
    }

    /// Reads heartbeats and shows them until `end`.
    pub async fn watch(&self, end: CancellationToken) {
        loop {
            tokio::select! {
                () = end.cancelled() => return,
                () = tokio::time::sleep(POLL) => {}
            }
            self.update(self.read_all(self.wanted()).await);
        }
    }

    async fn read_all(
        &self,
        wanted: Vec<(RowKey, u32, Path)>,
    ) -> Vec<(RowKey, u32, Option<Heartbeat>)> {
        stream::iter(wanted)
            .map(|(key, worker, path)| async move { (key, worker, self.read(&path).await) })
            .buffer_unordered(AT_ONCE)
            .collect()
            .await
    }

    /// The heartbeats to be read.
    fn wanted(&self) -> Vec<(RowKey, u32, Path)> {
        let rows = self.rows();
        let live = rows.iter().filter(|(_, row)| !row.ended);
        live.flat_map(|(key, row)| {
            row.workers.keys().map(|&worker| {
                let path = self.keys.status(&row.beats_as, &key.1, worker);
                (key.clone(), worker, path)
            })
        })
        .collect()
    }

    async fn read(&self, path: &Path) -> Option<Heartbeat> {
        let read = self.staging.get_json::<Heartbeat>(path);
        tokio::time::timeout(PATIENCE, read).await.ok()?.ok()?
    }

    fn update(&self, beats: Vec<(RowKey, u32, Option<Heartbeat>)>) {
        let mut rows = self.rows();
        for (key, worker, beat) in beats {
            let Some(worker) = rows
                .get_mut(&key)
                .and_then(|row| row.workers.get_mut(&worker))
            else {
                continue;
            };
            if let Some(beat) = beat
                && beat.run_id == self.run.run_id
                && beat.updated_at >= worker.since
            {
                worker.last = Some(beat);
            }
        }
        for row in rows.values_mut().filter(|row| !row.ended) {
            row.show();
            if !self.screen.bars && row.logged.elapsed() >= LOG {
                row.logged = Instant::now();
                self.screen.say(Level::Info, &row.label, &row.text());
            }
        }
    }
}

impl Row {
    fn new(stage: &Stage, label: String, bar: ProgressBar) -> Self {
        bar.set_prefix(label.clone());
        bar.enable_steady_tick(Duration::from_millis(250));
        Self {
            job: stage.job,
            beats_as: stage.beats_as().to_owned(),
            label,
            workers: BTreeMap::new(),
            meter: Meter::default(),
            bar,
            started: Instant::now(),
            logged: Instant::now(),
            ended: false,
        }
    }

    fn show(&mut self) {
        let beats = self
            .workers
            .values()
            .filter_map(|worker| worker.last.as_ref());
        self.meter.sample(Totals::of(beats));
        // A fraction of a thousand.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let thousandths = (self.meter.fraction().unwrap_or(0.0) * 1000.0) as u64;
        self.bar.set_position(thousandths);
        self.bar.set_message(self.text());
    }

    /// Rows, bytes, rate, chunks, time left, and what the slowest words say.
    fn text(&self) -> String {
        let running = self
            .workers
            .values()
            .filter_map(|worker| worker.last.as_ref())
            .find(|beat| beat.state == "running");
        let stage = match running {
            Some(beat) if beat.paused => "paused",
            Some(beat) => beat.stage.as_str(),
            None => "",
        };
        if let Some(sync) = running.and_then(|beat| beat.sync.as_ref()) {
            let text = human::sync(sync);
            return match stage {
                "" => text,
                stage => format!("{text}  {stage}"),
            };
        }
        let text = self.meter.text(unit_name(self.job));
        match (text.is_empty(), stage) {
            (true, "") => format!(
                "{} elapsed",
                human::seconds(self.started.elapsed().as_secs_f64())
            ),
            (true, stage) => stage.to_owned(),
            (false, "") => text,
            (false, stage) => format!("{text}  {stage}"),
        }
    }

    fn end(&mut self, state: State) {
        self.ended = true;
        let took = human::seconds(self.started.elapsed().as_secs_f64());
        let text = self.meter.totals_text();
        let message = match text.as_str() {
            "" => format!("{} in {took}", state.name()),
            text => format!("{} in {took}  {text}", state.name()),
        };
        if state == State::Done {
            self.bar.set_position(1000);
            self.bar.finish_with_message(message);
        } else {
            self.bar.abandon_with_message(message);
        }
    }
}

/// What a job counts as its units.
fn unit_name(job: JobKind) -> &'static str {
    match job {
        JobKind::Precheck => "tables",
        JobKind::Dump | JobKind::Load | JobKind::Validate => "chunks",
        JobKind::Cdc => "segments",
    }
}
