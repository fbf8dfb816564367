//! Following one source.

use std::sync::Arc;
use std::time::{Duration, Instant};

use mysql_async::BinlogStream;
use tideway_config::ResolvedSource;
use tideway_job::{Job, JobError, Progress};
use tideway_mysql::connect::Server;
use tideway_mysql::info::Flavor;
use tideway_staging::lease::Lease;

use super::admit::{Captured, admit};
use super::error::{Error, Result};
use super::place::{Goal, Place, Where};
use super::segments::{Committed, Segments};
use super::stream::{self, By};
use super::track::Tracker;
use super::{replay, start};
use crate::options::Args;

/// The first and the longest pause before a new connection.
const PAUSES: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(10));
/// How long connections that are given up may take to close.
const CLOSING: Duration = Duration::from_secs(10);
/// Without anything received for so long, another process may try.
const GIVE_UP: Duration = Duration::from_secs(30 * 60);

/// What capturing one source needs.
pub struct Capture {
    pub(super) job: Arc<Job>,
    pub(super) args: Args,
    pub(super) config: ResolvedSource,
    pub(super) progress: Progress,
    pub(super) lease: Arc<Lease>,
    pub(super) segments: Segments,
    pub(super) tracker: Tracker,
    pub(super) goal: Goal,
    /// Where the source was when this run was asked to finish.
    pub(super) finishing: Option<Goal>,
    /// UUID of the server that the place is of.
    pub(super) uuid: String,
    server_id: u32,
    limit: u32,
    pub(super) last_time: u64,
    /// When the place moved with no segment open.
    pub(super) moved: Option<Instant>,
    pub(super) told: Instant,
    /// When the heartbeat was told last.
    pub(super) synced: Option<Instant>,
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
            finishing: None,
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
        if let Err(error) = self.settle().await {
            return (Err(error), false);
        }
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
        // Not waited for: the pool waits for a connection that a question was dropped on, which may be
        // for ever.
        tokio::spawn(tokio::time::timeout(CLOSING, server.close()));
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
        // From the start on, by its set, all is taken that the server sends, also from before its offset.
        let behind = same && self.segments.committed().number() > 0;
        let (stream, from) = stream::open(server, place, by, behind, id).await?;
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
        // The start was read from the server, whose offset counts transactions that its set does not have
        // yet: they are in the file before the offset, and a dump may not see them. Begun by the set,
        // they are captured; from the first segment on, offset and set agree.
        let first = mysql && self.segments.committed().number() == 0;
        // Another server without GTIDs was found to be a copy, with the same files.
        let wanted = place.file.is_empty() || !same || first || self.config.enable_gtid;
        Ok(if wanted && possible {
            By::Gtid
        } else {
            By::Position
        })
    }
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

/// Where this run ends.
async fn goal(args: &Args, config: &ResolvedSource, server: &Server) -> Result<Goal> {
    let Some(text) = &args.until else {
        return Ok(Goal::default());
    };
    let uuid = server.info().uuid.clone();
    Ok(match Where::parse("--until", text)? {
        Where::Now => Goal::at(start::own(server, config).await?, uuid)?,
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
