//! From the first segment on, until a person tells it to end, or `--until` is reached.
//!
//! `--until` a time ends before the first transaction that was committed later. Where none comes, the source
//! tells: its clock, and behind that its position. When that one is applied, all that was committed by
//! the time is.

use std::time::{Duration, Instant};

use chrono::Utc;
use tideway_config::ResolvedSource;
use tideway_job::Job;
use tideway_mysql::connect::Server;
use tideway_mysql::position::BinlogPosition;
use tideway_mysql::syncer;
use tideway_staging::layout::capture_lease;
use tideway_staging::lease::{self, Lease};
use tideway_staging::segment::SegmentMarker;
use tokio::sync::watch;
use tokio_util::sync::DropGuard;

use super::applier::Applier;
use super::error::{Error, Result};
use super::feed::{Feed, Item};
use super::until::Until;
use crate::capture::lag::{self, Seen};

/// How often things are looked at while nothing comes.
const TICK: Duration = Duration::from_millis(200);
/// How long capture may be gone before apply says so and leaves.
const NO_CAPTURE: Duration = Duration::from_secs(30);

/// When to end.
pub(super) struct Ends<'a> {
    job: &'a Job,
    source: &'a ResolvedSource,
    lease: &'a Lease,
    until: Until,
    /// Where `until` is a time: how far the source is, and its position of a later moment.
    clock: Option<Clock>,
}

struct Clock {
    server: Server,
    seen: watch::Receiver<Option<Seen>>,
    _looking: DropGuard,
    later: Option<BinlogPosition>,
}

impl<'a> Ends<'a> {
    /// Looks at the source from now on, where that is needed.
    ///
    /// # Errors
    /// The source cannot be reached.
    pub(super) async fn new(
        job: &'a Job,
        source: &'a ResolvedSource,
        lease: &'a Lease,
        until: Until,
    ) -> Result<Self> {
        let clock = if matches!(until, Until::Time(_)) {
            let endpoint =
                tideway_job::endpoint::endpoint(&source.from, format!("source {}", source.id));
            let server =
                Server::connect(&endpoint, tideway_mysql::connect::Role::Source, 1).await?;
            let (seen, looking) = lag::watch(&server, source);
            Some(Clock {
                server,
                seen,
                _looking: looking,
                later: None,
            })
        } else {
            None
        };
        Ok(Self {
            job,
            source,
            lease,
            until,
            clock,
        })
    }

    /// Whether the end is reached; asked after each event.
    fn reached(&self, applier: &Applier<'_>) -> bool {
        match self.until {
            Until::Time(time) => applier.opened().is_some_and(|opened| opened > time),
            _ => self.until.reached(applier.reached()),
        }
    }

    /// The same between segments, where there may be no event.
    fn reached_between(&mut self, applier: &Applier<'_>) -> bool {
        let (Until::Time(time), Some(clock)) = (&self.until, &mut self.clock) else {
            return self.reached(applier);
        };
        if clock.later.is_none() {
            let seen = clock.seen.borrow();
            let later = seen.as_ref().filter(|seen| seen.time * 1_000_000 > *time);
            clock.later = later.map(|seen| seen.position.clone());
        }
        let (_, position, gtids) = applier.reached();
        let here = BinlogPosition {
            gtid_set: gtids.map(ToString::to_string),
            ..position.clone()
        };
        let later = clock.later.as_ref();
        later.is_some_and(|later| syncer::reached(&here, later))
    }

    /// Leaves the source.
    pub(super) async fn close(self) {
        if let Some(clock) = self.clock {
            clock.server.close().await;
        }
    }
}

/// Applies what comes.
///
/// # Errors
/// Whatever stops the task; [`Error::Stopped`] when it was told to stop.
pub(super) async fn follow(
    applier: &mut Applier<'_>,
    feed: &mut Feed,
    ends: &mut Ends<'_>,
) -> Result<()> {
    let lost = ends.lease.lost();
    let mut marker: Option<Box<SegmentMarker>> = None;
    let mut idle: Option<Instant> = None;
    let mut looked = Instant::now();
    loop {
        let item = tokio::select! {
            biased;
            () = ends.job.stop.cancelled() => {
                applier.drain().await?;
                return Err(Error::Stopped);
            }
            () = lost.cancelled() => {
                ends.lease.check()?;
                return Err(Error::Stopped);
            }
            item = feed.next() => Some(item?),
            () = tokio::time::sleep(TICK) => None,
        };
        match item {
            Some(Item::Segment(begun)) => {
                idle = None;
                applier.begin_segment(&begun).await?;
                marker = Some(begun);
            }
            Some(Item::Events(events, format)) => {
                for event in &events {
                    applier.event(event, &format).await?;
                    if ends.reached(applier) {
                        applier.drain().await?;
                        return Ok(());
                    }
                }
            }
            Some(Item::End(hash)) => {
                if let Some(marker) = marker.take() {
                    applier.end_segment(&marker, hash).await?;
                }
                applier.pause().await?;
                if ends.reached_between(applier) {
                    applier.drain().await?;
                    return Ok(());
                }
            }
            Some(Item::Idle) => {
                idle = Some(Instant::now());
                looked = Instant::now();
                applier.rest().await?;
                if ends.reached_between(applier) {
                    applier.drain().await?;
                    return Ok(());
                }
            }
            None => {
                applier.settle(idle.is_some()).await?;
                if let Some(since) = idle
                    && looked.elapsed() >= Duration::from_secs(1)
                {
                    looked = Instant::now();
                    if ends.reached_between(applier) || captured_all(ends, since).await? {
                        applier.drain().await?;
                        return Ok(());
                    }
                }
            }
        }
    }
}

/// Whether capture is over, and no segment will come; asked while none comes.
async fn captured_all(ends: &Ends<'_>, idle: Instant) -> Result<bool> {
    let (job, id) = (ends.job, &ends.source.id);
    let held = lease::current(&job.staging, &job.keys, &capture_lease(id)).await?;
    if held.is_some_and(|(_, record)| record.is_live(Utc::now())) {
        return Ok(false);
    }
    if ends.job.finish.is_cancelled() {
        // Nobody captures, and the feed would have found what was committed before.
        return Ok(idle.elapsed() >= 3 * TICK);
    }
    if idle.elapsed() < NO_CAPTURE {
        return Ok(false);
    }
    Err(Error::NotReady {
        source_id: id.clone(),
        what: "all that was captured is applied, and no process captures this source any more"
            .to_owned(),
        way_out: "Start `tideway-cdc capture` again, or end here with --until now".to_owned(),
    })
}
