//! Receiving the events of one connection, and committing them in time.

use std::time::{Duration, Instant};

use futures::FutureExt;
use mysql_async::BinlogStream;
use tideway_mysql::connect::Server;
use tideway_mysql::position::BinlogPosition;
use tokio::sync::watch;

use super::error::{Error, Result};
use super::lag::{self, Seen};
use super::place::Goal;
use super::run::Capture;
use super::standing::SYNC;
use super::track::Taken;
use super::{refused, start};

/// A position that moved without data is committed after this time, as an empty segment.
const EMPTY: Duration = Duration::from_secs(8);
/// A server that sends nothing for so long, not even heartbeats, is gone.
const SILENCE: Duration = Duration::from_secs(30);
/// How long the end of an open transaction is waited for when a stop was asked for.
const STOPPING: Duration = Duration::from_secs(5);
/// How often people are told how far it is.
const TELL: Duration = Duration::from_secs(10);
/// How often a goal that is a time is looked at.
const LOOK: Duration = Duration::from_millis(500);

impl Capture {
    /// Receives until the goal, a stop, or an error.
    pub(super) async fn stream(
        &mut self,
        server: &Server,
        mut stream: BinlogStream,
        received: &mut bool,
    ) -> Result<()> {
        let (seen, _guard) = lag::watch(server, &self.config);
        let lost = self.lease.lost();
        let (stop, finish) = (self.job.stop.clone(), self.job.finish.clone());
        let mut stopping: Option<Instant> = None;
        let mut heard = Instant::now();
        let mut buffer = Vec::new();
        loop {
            if self.is_there(&seen) {
                self.commit_in_hand().await?;
                return Ok(());
            }
            let ending = stop.is_cancelled() || finish.is_cancelled();
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
            if finish.is_cancelled() && self.finishing.is_none() {
                // What is in the source now is to be captured still.
                let now = start::own(server, &self.config).await?;
                self.progress
                    .message(format!("finishing, as asked for: capturing up to {now}"));
                self.finishing = Some(Goal::at(now, self.uuid.clone())?);
                continue;
            }
            if self.job.control.is_paused() && !self.tracker.in_transaction() && !ending {
                self.commit_in_hand().await?;
                self.progress.stage("paused");
                // Told to stop it goes on, and finds it above.
                let _ = self.job.safe_point().await;
                self.progress.stage("capturing");
                heard = Instant::now();
                continue;
            }
            if self.segments.is_stored() {
                self.settle().await?;
            }
            let mut next = stream.next_raw(&mut buffer).now_or_never();
            if next.is_none() {
                let wake = self.wake(heard, stopping);
                let stored = self.segments.stored();
                next = tokio::select! {
                    next = stream.next_raw(&mut buffer) => Some(next),
                    () = tokio::time::sleep_until(wake.into()) => None,
                    () = stop.cancelled(), if stopping.is_none() => None,
                    () = finish.cancelled(), if self.finishing.is_none() => None,
                    () = lost.cancelled() => None,
                    () = stored.notified() => None,
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
            if !self.is_beyond(self.segments.end()) {
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

    /// Closes what is open; its marker comes when its object is stored.
    async fn commit(&mut self) -> Result<()> {
        self.settle().await?;
        self.segments.close(&self.tracker, &self.uuid);
        self.moved = None;
        Ok(())
    }

    /// Commits the closed segment, if there is one.
    pub(super) async fn settle(&mut self) -> Result<()> {
        // Not a guard, but it saves the other one from finding our segment where its own belongs.
        self.lease.check()?;
        if self.segments.settle().await? {
            self.progress.unit_done();
        }
        Ok(())
    }

    /// Commits all that was received.
    pub(super) async fn commit_in_hand(&mut self) -> Result<()> {
        if self.segments.opened().is_some() || self.is_beyond(self.segments.end()) {
            self.commit().await?;
        }
        self.settle().await
    }

    /// Whether the stream is beyond this place.
    pub(super) fn is_beyond(&self, to: &BinlogPosition) -> bool {
        let place = &self.tracker.place;
        place.pos != to.pos || place.file != to.file
    }

    fn is_there(&self, seen: &watch::Receiver<Option<Seen>>) -> bool {
        if self.tracker.in_transaction() {
            return false;
        }
        let place = &self.tracker.place;
        let mut goals = std::iter::once(&self.goal).chain(&self.finishing);
        if goals.any(|goal| goal.reached(place, &self.uuid, self.last_time)) {
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
        wake = wake.min(self.synced.map_or_else(Instant::now, |at| at + SYNC));
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
