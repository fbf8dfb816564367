//! Comparing while applications write to the sources and apply follows.
//!
//! Then source and target differ at any instant, by what is under way. What proves a difference is an
//! order of reads: the source first, then the source's position P, and the target only when apply's
//! checkpoint has passed P. Everything that the first read saw is at the target then, so a row that
//! still differs was changed meanwhile, or is wrong. Which of the two is told by reading again: see
//! `rounds`.
//!
//! Nothing is followed when the task's mode does not follow the binlog, or apply has no checkpoint of
//! the source yet: then rows are compared as they are.

use std::time::Duration;

use tideway_job::Job;
use tideway_mysql::connect::Server;
use tideway_mysql::position::{self, BinlogPosition};
use tideway_mysql::retry::{RetryPolicy, with_retry};
use tideway_mysql::syncer::{Syncer, reached};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::error::{Error, Result};
use crate::tables::Source;

/// How often the checkpoint is looked at.
const POLL: Duration = Duration::from_millis(250);
/// After which time a person wants to know what is waited for.
const TELL: Duration = Duration::from_secs(10);

/// What a server answers when a statement meets a table or column that is no longer there: no such
/// database, no such table, no such column.
const DEFINITION_CODES: &[u16] = &[1049, 1054, 1146];

/// Positions of sources, by the index of the source.
pub type Positions = Vec<(usize, BinlogPosition)>;

/// The sources that apply follows.
pub struct Live {
    followed: Vec<Option<Followed>>,
    target: Server,
    patience: Duration,
    stop: CancellationToken,
}

struct Followed {
    id: String,
    server: Server,
    checkpoint: Syncer,
}

impl Live {
    /// Finds out which sources are followed. `patience`: for how long a checkpoint may stand still
    /// while it is waited for.
    ///
    /// # Errors
    /// Those of the servers.
    pub async fn open(
        job: &Job,
        sources: &[Source],
        target: &Server,
        patience: Duration,
    ) -> Result<Self> {
        let mut followed = Vec::with_capacity(sources.len());
        for source in sources {
            let mut found = None;
            if job.task.mode.follows_binlog() {
                let checkpoint = Syncer::new(&job.task.meta_schema, &job.task.name, &source.id);
                let applied = checkpoint.read(&mut target.conn().await?).await?;
                let mut conn = source.server.conn().await?;
                let written = position::current(&mut conn, source.server.info()).await?;
                if applied.is_some() && written.is_some() {
                    found = Some(Followed {
                        id: source.id.clone(),
                        server: source.server.clone(),
                        checkpoint,
                    });
                } else {
                    tracing::info!(
                        "source {}: nothing is applied yet; it is compared as it is",
                        source.id
                    );
                }
            }
            followed.push(found);
        }
        Ok(Self {
            followed,
            target: target.clone(),
            patience,
            stop: job.stop.clone(),
        })
    }

    /// Whether any source is followed.
    #[must_use]
    pub fn any(&self) -> bool {
        self.followed.iter().any(Option::is_some)
    }

    /// Whether one of these sources is followed.
    #[must_use]
    pub fn follows(&self, sources: &[usize]) -> bool {
        sources.iter().any(|source| self.get(*source).is_some())
    }

    /// The indexes of all sources.
    #[must_use]
    pub fn all(&self) -> Vec<usize> {
        (0..self.followed.len()).collect()
    }

    fn get(&self, source: usize) -> Option<&Followed> {
        self.followed.get(source)?.as_ref()
    }

    /// Where those of the sources that are followed stand now.
    ///
    /// # Errors
    /// Those of the sources.
    pub async fn positions(&self, sources: &[usize]) -> Result<Positions> {
        let mut positions = Vec::new();
        for &source in sources {
            let Some(followed) = self.get(source) else {
                continue;
            };
            let what = format!("read the position of source {}", followed.id);
            let found = with_retry(&RetryPolicy::DEFAULT, &what, || async {
                let mut conn = followed.server.conn().await?;
                position::current(&mut conn, followed.server.info()).await
            })
            .await?;
            let Some(found) = found else {
                return Err(Error::Answer {
                    at: format!("source {}", followed.id),
                    what: "read the position of the binary log".to_owned(),
                    message: "it writes none any more: switch log_bin on".to_owned(),
                });
            };
            positions.push((source, found));
        }
        Ok(positions)
    }

    /// Waits until the target holds everything up to these positions.
    ///
    /// # Errors
    /// [`Error::Stalled`] when a checkpoint does not move, a stop, or those of the target.
    pub async fn applied(&self, wanted: &Positions) -> Result<()> {
        for (source, wanted) in wanted {
            if let Some(followed) = self.get(*source) {
                self.passed(followed, wanted).await?;
            }
        }
        Ok(())
    }

    async fn passed(&self, followed: &Followed, wanted: &BinlogPosition) -> Result<()> {
        let mut last = None;
        let mut moved = Instant::now();
        let mut told = Instant::now();
        let what = format!("read {}", followed.checkpoint.name());
        loop {
            let applied = with_retry(&RetryPolicy::DEFAULT, &what, || async {
                followed
                    .checkpoint
                    .read(&mut self.target.conn().await?)
                    .await
            })
            .await?;
            if let Some(applied) = &applied
                && reached(applied, wanted)
            {
                return Ok(());
            }
            if applied != last {
                last = applied;
                moved = Instant::now();
            } else if moved.elapsed() >= self.patience {
                return Err(Error::Stalled {
                    source_id: followed.id.clone(),
                    checkpoint: followed.checkpoint.name().to_owned(),
                    seconds: self.patience.as_secs(),
                    applied: last
                        .map_or_else(|| "nothing at all".to_owned(), |place| place.to_string()),
                    wanted: wanted.to_string(),
                });
            }
            if told.elapsed() >= TELL {
                told = Instant::now();
                tracing::info!(
                    "source {}: waiting until {wanted} is applied before rows are compared again",
                    followed.id
                );
            }
            tokio::select! {
                () = tokio::time::sleep(POLL) => {}
                () = self.stop.cancelled() => return Err(Error::Stopped),
            }
        }
    }
}

/// Whether an error says that a table is not what it was when its definition was read.
#[must_use]
pub fn is_changed_definition(error: &Error) -> bool {
    matches!(error, Error::Server(error)
        if error.code().is_some_and(|code| DEFINITION_CODES.contains(&code)))
}
