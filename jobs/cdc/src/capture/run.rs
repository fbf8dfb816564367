//! Following one source.

mod wanted;

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::FutureExt;
use mysql_async::BinlogStream;
use tideway_config::ResolvedSource;
use tideway_job::{Job, JobError, Progress};
use tideway_mysql::connect::Server;
use tideway_mysql::info::Flavor;
use tideway_staging::lease::Lease;
use tokio::sync::watch;

use super::admit::{Captured, admit};
use super::error::{Error, Result};
use super::lag::{self, Seen};
use super::place::{Goal, Where};
use super::segments::{Committed, Segments};
use super::stream::{self, By};
use super::track::{Place, Taken, Tracker};
use super::{refused, replay, start};
use crate::options::Args;

/// A position that moved without data is committed after this time, as an empty segment.
const EMPTY: Duration = Duration::from_secs(8);
/// A server that sends nothing for so long, not even heartbeats, is gone.
const SILENCE: Duration = Duration::from_secs(30);
/// How long the end of an open transaction is waited for when a stop was asked for.
const STOPPING: Duration = Duration::from_secs(5);
/// The first and the longest pause before a new connection.
const PAUSES: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(10));
/// Without anything received for so long, another process may try.
const GIVE_UP: Duration = Duration::from_secs(30 * 60);
/// How often people are told how far it is.
const TELL: Duration = Duration::from_secs(10);
/// How often a goal that is a time is looked at.
const LOOK: Duration = Duration::from_millis(500);

/// What capturing one source needs.
pub struct Capture {
    job: Arc<Job>,
    args: Args,
    config: ResolvedSource,
    progress: Progress,
    lease: Arc<Lease>,
    segments: Segments,
    tracker: Tracker,
    goal: Goal,
    /// Where it ends because it was told to finish.
    last_goal: Option<Goal>,
    /// UUID of the server that the place is of.
    uuid: String,
    server_id: u32,
    limit: u32,
    last_time: u64,
    /// When the place moved with no segment open.
    moved: Option<Instant>,
    told: Instant,
    /// When the heartbeat was told last.
    synced: Option<Instant>,
}

impl Capture {
    /// Reads the end of the chain, or begins it.
    ///
    /// # Errors
    /// When source or staging fail, or the source cannot be captured.
    pub async fn open(
        job: &Arc<Job>,
        args: &Args,
        config: &ResolvedSource,
        progress: &Progress,
        lease: Arc<Lease>,
        server: &Server,
    ) -> Result<Self> {
        if server.info().flavor == Flavor::TiDb {
            return Err(Error::Source {
                source_id: config.id.clone(),
                what: "it is TiDB, which sends no binlog: use task-mode: full, or TiCDC".to_owned(),
            });
        }
        let keys = job.keys.source(&config.id);
        let committed = match Committed::read(&job.staging, &keys).await? {
            Some(committed) => {
                if args.from.is_some() {
                    tracing::warn!(
                        source = config.id,
                        "--from is left out: this source is captured up to {} already",
                        committed.to
                    );
                }
                committed
            }
            None => {
                start::create(job, config, args.from.as_deref(), server).await?;
                let begun = Committed::read(&job.staging, &keys).await?;
                begun.ok_or_else(|| Error::Document {
                    key: keys.start().to_string(),
                    what: "it was written and is gone".to_owned(),
                })?
            }
        };
        let limit = u32::try_from(job.memory.total()).unwrap_or(u32::MAX);
        let goal = goal(args, config, server).await?;
        let place = Place::read(&committed.to).map_err(Error::Gtid)?;
        let open = match &committed.last {
            Some(last) => replay::open_behind(&job.staging, &keys, last, limit).await?,
            None => None,
        };
        progress.message(match committed.number() {
            0 => format!("no segment yet, capturing from {}", committed.to),
            last => format!(
                "segment {last} is the last one, capturing from {}",
                committed.to
            ),
        });
        Ok(Self {
            job: Arc::clone(job),
            args: args.clone(),
            config: config.clone(),
            progress: progress.clone(),
            uuid: committed.server_uuid.clone(),
            server_id: stream::server_id(config, &job.task.name),
            segments: Segments::new(
                &job.staging,
                &keys,
                &config.id,
                args.segment_zstd,
                lease.epoch(),
                committed,
            ),
            lease,
            tracker: Tracker::new(place, open, limit),
            goal,
            last_goal: None,
            limit,
            last_time: 0,
            moved: None,
            told: Instant::now(),
            synced: None,
        })
    }

    /// Follows the source until the goal is reached; connects again whenever the connection is lost.
    ///
    /// # Errors
    /// [`Error::Stopped`]; what does not pass by itself.
    pub async fn follow(&mut self, first: Server) -> Result<()> {
        let mut next = Some(first);
        let mut pause = PAUSES.0;
        let mut last_received = Instant::now();
        let mut compare = true;
        loop {
            let before = Instant::now();
            let (ended, received) = self.connection(next.take(), &mut compare).await;
            let error = match ended {
                Ok(()) => return Ok(()),
                Err(error) if error.passes() => error,
                Err(error) => return Err(error),
            };
            if received {
                last_received = Instant::now();
                pause = PAUSES.0;
            }
            if last_received.elapsed() >= GIVE_UP {
                return Err(Error::Away {
                    source_id: self.config.id.clone(),
                    minutes: last_received.elapsed().as_secs() / 60,
                    last: error.to_string(),
                    segment: self.segments.committed().number(),
                });
            }
            self.progress.message(format!(
                "connecting again in {:.1} s, from {}: {error}",
                pause.as_secs_f32(),
                self.tracker.place.position()
            ));
            tokio::select! {
                () = tokio::time::sleep(pause.saturating_sub(before.elapsed())) => {}
                () = self.job.stop.cancelled() => {}
            }
            pause = (pause * 2).min(PAUSES.1);
            if self.job.stop.is_cancelled() {
                self.commit_in_hand().await?;
                return Err(Error::Stopped);
            }
            self.lease.check()?;
        }
    }

    /// One connection, from making it to its end; and whether anything came by it.
    async fn connection(
        &mut self,
        server: Option<Server>,
        compare: &mut bool,
    ) -> (Result<()>, bool) {
        let stop = self.job.stop.clone();
        let opened = async {
            let server = match server {
                Some(server) => server,
                None => connect(&self.job, &self.config).await?,
            };
            let (stream, by) = self.begin(&server, compare).await?;
            Ok((server, stream, by))
        };
        let opened = Box::pin(opened);
        let opened = tokio::select! {
            opened = opened => opened,
            () = stop.cancelled() => Err(Error::Stopped),
        };
        let (server, stream, by) = match opened {
            Ok(opened) => opened,
            Err(error) => return (Err(error), false),
        };
        tracing::debug!(source = self.config.id, "streaming by {by:?}");
        let mut received = false;
        let ended = Box::pin(self.stream(&server, stream, &mut received)).await;
        server.close().await;
        (ended, received)
    }

    /// Checks the server and asks it for what follows.
    async fn begin(&mut self, server: &Server, compare: &mut bool) -> Result<(BinlogStream, By)> {
        self.progress.stage("connecting");
        let other = server.info().uuid != self.uuid;
        if other {
            // What came from the former server and is not committed is asked for again: offsets are
            // the new server's from here on, and a transaction may have come in part.
            self.segments.discard();
            let place = Place::read(&self.segments.committed().to).map_err(Error::Gtid)?;
            self.tracker = Tracker::new(place, None, self.limit);
        }
        let keys = self.job.keys.source(&self.config.id);
        let last_event = match &self.segments.committed().last {
            Some(last) if other || *compare => {
                replay::last_event(&self.job.staging, &keys, last, self.limit).await?
            }
            _ => None,
        };
        let committed = self.segments.committed();
        let captured = Captured {
            place: &self.tracker.place,
            uuid: &committed.server_uuid,
            continues: committed.continues(),
            last_event,
        };
        let same = admit(server, &self.config, &captured, self.server_id).await?;
        *compare = false;
        if !same {
            self.progress.message(format!(
                "source `{}` is another server now (UUID {}, before {}): it has all that was \
                 captured, so the capture goes on with it",
                self.config.id,
                server.info().uuid,
                committed.server_uuid
            ));
        }
        let place = &self.tracker.place;
        let by = self.by(server, same)?;
        let id = self.server_id;
        let (stream, from) = stream::open(server, place, by, same, id).await?;
        self.tracker.begin(from);
        self.uuid.clone_from(&server.info().uuid);
        self.progress.stage("capturing");
        Ok((stream, by))
    }

    fn by(&self, server: &Server, same: bool) -> Result<By> {
        let place = &self.tracker.place;
        let mysql = matches!(server.info().flavor, Flavor::MySql | Flavor::Aurora);
        let known = place
            .gtids
            .as_ref()
            .is_some_and(|set| mysql || !set.is_empty());
        let possible = known && server.info().gtid && !self.tracker.in_transaction();
        if place.file.is_empty() && !possible {
            return Err(Error::Usage {
                flag: "--from".to_owned(),
                what: format!(
                    "source `{}` has no GTIDs (gtid_mode is off): give <file>:<offset>",
                    self.config.id
                ),
            });
        }
        // Another server without GTIDs was found to be a copy, with the same files.
        let wanted = place.file.is_empty() || !same || self.config.enable_gtid;
        Ok(if wanted && possible {
            By::Gtid
        } else {
            By::Position
        })
    }

    /// Receives until the goal, a stop, or an error.
    async fn stream(
        &mut self,
        server: &Server,
        mut stream: BinlogStream,
        received: &mut bool,
    ) -> Result<()> {
        let (seen, _guard) = lag::watch(server, &self.config);
        let lost = self.lease.lost();
        let stop = self.job.stop.clone();
        let mut stopping: Option<Instant> = None;
        let mut heard = Instant::now();
        let mut buffer = Vec::new();
        loop {
            self.heed(server, &mut heard).await?;
            if self.is_there(&seen) {
                self.commit_in_hand().await?;
                return Ok(());
            }
            if stop.is_cancelled() {
                let until = *stopping.get_or_insert_with(|| Instant::now() + STOPPING);
                if !self.tracker.in_transaction() || Instant::now() >= until {
                    self.commit_in_hand().await?;
                    return Err(Error::Stopped);
                }
            }
            if lost.is_cancelled() {
                self.lease.check()?;
            }
            let mut next = stream.next_raw(&mut buffer).now_or_never();
            if next.is_none() {
                let wake = self.wake(heard, stopping);
                let (finish, told) = (self.job.finish.clone(), self.last_goal.is_some());
                let mut paused = self.job.control.paused();
                next = tokio::select! {
                    next = stream.next_raw(&mut buffer) => Some(next),
                    () = tokio::time::sleep_until(wake.into()) => None,
                    () = stop.cancelled(), if stopping.is_none() => None,
                    () = lost.cancelled() => None,
                    () = finish.cancelled(), if !told => None,
                    _ = paused.wait_for(|paused| *paused), if !finish.is_cancelled() && !self.tracker.in_transaction() => None,
                };
            }
            match next {
                Some(Ok(true)) => {
                    heard = Instant::now();
                    *received = true;
                    let bytes = std::mem::take(&mut buffer);
                    let taken = self.tracker.take(bytes)?;
                    self.handle(&taken).await?;
                    buffer = reused(taken.event.bytes);
                }
                Some(Ok(false)) => return Err(self.ended(server)),
                Some(Err(error)) => {
                    let place = self.tracker.place.position();
                    return Err(refused::meaning(server, &self.config, &place, error).await);
                }
                None if heard.elapsed() >= SILENCE => {
                    return Err(Error::Mysql(tideway_mysql::Error::Timeout {
                        at: server.endpoint().label(),
                        what: "read the binlog".to_owned(),
                        limit: SILENCE,
                    }));
                }
                None => {}
            }
            self.commit_if_due().await?;
            self.tell(&seen);
            self.sync(&seen);
        }
    }

    async fn handle(&mut self, taken: &Taken) -> Result<()> {
        if taken.keep {
            self.segments.add(&self.tracker, taken).await?;
            self.last_time = self.last_time.max(taken.event.header.timestamp.into());
            self.progress.add_rows(1);
            self.progress.add_bytes(taken.event.bytes.len() as u64);
        }
        if taken.file_ended && self.segments.opened().is_some() {
            self.commit().await?;
        }
        Ok(())
    }

    /// Commits what is large or old enough.
    async fn commit_if_due(&mut self) -> Result<()> {
        let Some(opened) = self.segments.opened() else {
            if !self.is_behind_committed() {
                self.moved = None;
            } else if self.moved.get_or_insert_with(Instant::now).elapsed() >= EMPTY {
                self.commit().await?;
            }
            return Ok(());
        };
        self.moved = None;
        let size = self.args.segment_size.as_u64();
        let bytes = self.segments.bytes();
        let due = if self.tracker.in_transaction() {
            // Its end may be near.
            bytes >= size + size / 4
        } else {
            bytes >= size || opened.elapsed() >= self.args.segment_interval
        };
        if due {
            self.commit().await?;
        }
        Ok(())
    }

    async fn commit(&mut self) -> Result<()> {
        // Not a guard, but it saves the other one from finding our segment where its own belongs.
        self.lease.check()?;
        self.segments.commit(&self.tracker, &self.uuid).await?;
        self.moved = None;
        self.progress.unit_done();
        Ok(())
    }

    /// Commits all that was received.
    async fn commit_in_hand(&mut self) -> Result<()> {
        if self.segments.opened().is_some() || self.is_behind_committed() {
            self.commit().await?;
        }
        Ok(())
    }

    /// Whether the place lies behind the end of the chain.
    fn is_behind_committed(&self) -> bool {
        let (place, to) = (&self.tracker.place, &self.segments.committed().to);
        place.pos != to.pos || place.file != to.file
    }

    fn is_there(&self, seen: &watch::Receiver<Option<Seen>>) -> bool {
        if self.tracker.in_transaction() {
            return false;
        }
        let place = &self.tracker.place;
        let reached = |goal: &Goal| goal.reached(place, &self.uuid, self.last_time);
        if reached(&self.goal) || self.last_goal.as_ref().is_some_and(reached) {
            return true;
        }
        // Nothing more comes that is older.
        let Some(time) = self.goal.time else {
            return false;
        };
        let seen = seen.borrow();
        seen.as_ref().is_some_and(|seen| {
            seen.time > time && place.reached(&seen.position.file, seen.position.pos)
        })
    }

    /// When something is to be done though nothing comes.
    fn wake(&self, heard: Instant, stopping: Option<Instant>) -> Instant {
        let mut wake = (heard + SILENCE).min(self.told + TELL);
        wake = wake.min(
            self.synced
                .map_or_else(Instant::now, |at| at + wanted::SYNC),
        );
        if let (Some(opened), false) = (self.segments.opened(), self.tracker.in_transaction()) {
            wake = wake.min(opened + self.args.segment_interval);
        }
        if let Some(moved) = self.moved {
            wake = wake.min(moved + EMPTY);
        }
        if let Some(until) = stopping {
            wake = wake.min(until);
        }
        if self.goal.time.is_some() {
            wake = wake.min(Instant::now() + LOOK);
        }
        wake
    }

    fn tell(&mut self, seen: &watch::Receiver<Option<Seen>>) {
        if self.told.elapsed() < TELL {
            return;
        }
        self.told = Instant::now();
        let place = &self.tracker.place;
        let behind = match seen.borrow().as_ref() {
            Some(seen) if place.reached(&seen.position.file, seen.position.pos) => {
                "all that the server has".to_owned()
            }
            Some(seen) if place.file == seen.position.file => format!(
                "{} behind the server",
                bytesize::ByteSize::b(seen.position.pos.saturating_sub(place.pos))
            ),
            Some(seen) => format!("the server is at {}", seen.position),
            None => "where the server is is not known yet".to_owned(),
        };
        let to = &self.segments.committed().to;
        self.progress.message(format!(
            "captured up to ({}, {}), {behind}",
            to.file, to.pos
        ));
    }

    fn ended(&self, server: &Server) -> Error {
        Error::Mysql(tideway_mysql::Error::Unreachable {
            at: server.endpoint().label(),
            source: std::io::Error::new(
                std::io::ErrorKind::UnexpectedEof,
                "the server ended the stream",
            ),
        })
    }
}

/// The room of an event for the next one, unless it is large.
fn reused(mut bytes: Vec<u8>) -> Vec<u8> {
    const LARGE: usize = 1 << 20;
    if bytes.capacity() > LARGE {
        return Vec::new();
    }
    bytes.clear();
    bytes
}

/// Connects to the source: one connection for the stream, made apart, and the pool's for questions.
///
/// # Errors
/// As [`Job::source_server`].
pub async fn connect(job: &Job, config: &ResolvedSource) -> Result<Server> {
    job.source_server(config, 3)
        .await
        .map_err(|error| match error {
            JobError::Failed(error) | JobError::Config(error) => {
                match error.downcast::<tideway_mysql::Error>() {
                    Ok(error) => Error::Mysql(error),
                    Err(error) => Error::Source {
                        source_id: config.id.clone(),
                        what: format!("{error:#}"),
                    },
                }
            }
            JobError::Stopped => Error::Stopped,
            error => Error::Source {
                source_id: config.id.clone(),
                what: error.to_string(),
            },
        })
}

/// The goal of all that the server has now.
async fn now(config: &ResolvedSource, server: &Server) -> Result<Goal> {
    let now = start::own(server, config).await?;
    let place = Place::read(&now).map_err(Error::Gtid)?;
    Ok(Goal {
        gtids: place.gtids.filter(|set| !set.is_empty()),
        position: Some((now, server.info().uuid.clone())),
        time: None,
    })
}

/// Where this run ends.
async fn goal(args: &Args, config: &ResolvedSource, server: &Server) -> Result<Goal> {
    let Some(text) = &args.until else {
        return Ok(Goal::default());
    };
    let uuid = server.info().uuid.clone();
    Ok(match Where::parse("--until", text)? {
        Where::Now => now(config, server).await?,
        Where::Position { file, pos } => {
            let place = Place {
                file,
                pos,
                gtids: None,
            };
            Goal {
                position: Some((place.position(), uuid)),
                ..Goal::default()
            }
        }
        Where::Gtids(set) => Goal {
            gtids: Some(set),
            ..Goal::default()
        },
        Where::Time(time) => Goal {
            time: Some(u64::try_from(time.timestamp()).unwrap_or(0)),
            ..Goal::default()
        },
    })
}
