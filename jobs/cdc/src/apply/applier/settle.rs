//! What was sent becomes what is stored: tokens behind the workers, and the checkpoint.

use std::sync::Arc;
use std::time::{Duration, Instant};

use mysql_async::Conn;
use tideway_mysql::gtid::GtidSet;
use tideway_mysql::position::BinlogPosition;
use tideway_mysql::retry::{RetryPolicy, Retryable};
use tideway_mysql::schema::{TableDef, TableName};
use tideway_staging::heartbeat::SyncState;

use super::super::checkpoint::Saved;
use super::super::error::{Error, Result};
use super::super::place::Place;
use super::{Applier, Point};

/// How often the checkpoint is stored while it moves.
const STORE: Duration = Duration::from_millis(500);

impl Applier<'_> {
    /// Sends a token behind what was sent, and stores what is committed.
    ///
    /// # Errors
    /// A worker failed; the checkpoint cannot be stored.
    pub async fn mark(&mut self) -> Result<()> {
        let behind = self
            .tokens
            .back()
            .map_or(self.saved.place, |(_, p)| p.place);
        if self.point.place > behind {
            let token = self.dispatcher.token().await?;
            self.tokens.push_back((token, self.point.clone()));
        }
        self.last_token = Instant::now();
        self.settle(false).await
    }

    /// Holds still while a person wants that, with everything committed.
    ///
    /// # Errors
    /// A worker failed; the checkpoint cannot be stored; a stop was asked for.
    pub async fn pause(&mut self) -> Result<()> {
        if !*self.set.job.control.paused().borrow() {
            return Ok(());
        }
        self.drain().await?;
        match self.set.job.safe_point().await {
            Ok(()) => Ok(()),
            Err(_) => Err(Error::Stopped),
        }
    }

    /// Nothing more was captured yet.
    ///
    /// # Errors
    /// A worker failed; the checkpoint cannot be stored.
    pub async fn rest(&mut self) -> Result<()> {
        self.idle = true;
        self.mark().await
    }

    /// Stores the checkpoint up to where the workers are, if it is time to, or `now`.
    ///
    /// # Errors
    /// A worker failed; the checkpoint cannot be stored.
    pub async fn settle(&mut self, now: bool) -> Result<()> {
        if self.shared.failed.is_cancelled() {
            return Err(self.shared.take_failure().unwrap_or(Error::Stopped));
        }
        if !now && self.last_store.elapsed() < STORE {
            return Ok(());
        }
        let passed = self.shared.passed();
        let mut reached = None;
        while let Some((token, _)) = self.tokens.front()
            && *token <= passed
        {
            reached = self.tokens.pop_front().map(|(_, point)| point);
        }
        if let Some(point) = reached {
            let saved = self.saved_at(&point);
            self.store(saved, &[]).await?;
            self.last_store = Instant::now();
        }
        self.rates.note(self.saved.state.totals);
        self.report();
        Ok(())
    }

    pub(super) fn saved_at(&self, point: &Point) -> Saved {
        let mut saved = self.saved.clone();
        saved.place = point.place;
        saved.position = point.position.clone();
        saved.position.gtid_set = point.gtids.as_ref().map(ToString::to_string);
        saved.event_time = point.time;
        saved.state.totals = point.totals;
        saved.state.prepared.clone_from(&point.prepared);
        saved.state.previous.clone_from(&point.previous);
        saved.state.pending = saved
            .state
            .pending
            .take()
            .filter(|pending| pending.place >= point.place);
        saved
    }

    /// Waits until everything sent is committed, and stores the checkpoint there.
    ///
    /// # Errors
    /// A worker failed; the checkpoint cannot be stored.
    pub async fn drain(&mut self) -> Result<()> {
        self.dispatcher.drain().await?;
        self.tokens.clear();
        let saved = self.saved_here();
        if saved != self.saved {
            self.store(saved, &[]).await?;
        }
        self.rates.note(self.saved.state.totals);
        self.report();
        Ok(())
    }

    /// Stores the global row, again and again while that may help.
    pub(in crate::apply) async fn store(
        &mut self,
        saved: Saved,
        definitions: &[(TableName, Option<Arc<TableDef>>)],
    ) -> Result<()> {
        let changed: Vec<_> = definitions
            .iter()
            .map(|(name, def)| (name, def.as_deref()))
            .collect();
        let policy = RetryPolicy::DEFAULT;
        let begun = Instant::now();
        loop {
            let error = match self.control().await {
                Ok(()) => {
                    let Some(conn) = self.conn.as_mut() else {
                        continue;
                    };
                    let (checkpoint, fence) = (&self.set.checkpoint, &self.set.fence);
                    match checkpoint.save(conn, fence, &saved, &changed).await {
                        Ok(()) => break,
                        Err(error) => error,
                    }
                }
                Err(error) => error,
            };
            self.conn = None;
            if !error.retryable() || begun.elapsed() > policy.give_up {
                return Err(error);
            }
            tracing::warn!(
                source = self.id(),
                "{error}; the checkpoint is stored again"
            );
            tokio::time::sleep(policy.first).await;
        }
        self.saved = saved;
        tideway_job::failpoint::hit("apply.checkpoint");
        Ok(())
    }

    /// Makes sure that there is a connection for the checkpoint and for DDL.
    async fn control(&mut self) -> Result<()> {
        if self.conn.is_none() {
            let mut conn = self.set.target.conn().await?;
            self.set.fence.record_connection(&mut conn).await?;
            self.conn = Some(conn);
        }
        Ok(())
    }

    /// The connection for the checkpoint and for DDL.
    pub(in crate::apply) async fn control_conn(&mut self) -> Result<&mut Conn> {
        self.control().await?;
        self.conn.as_mut().ok_or(Error::Stopped)
    }

    /// The connection for the checkpoint is of no use any more.
    pub(in crate::apply) fn drop_control(&mut self) {
        self.conn = None;
    }

    /// Whether everything up to the last finished transaction is stored.
    #[must_use]
    pub fn settled(&self) -> bool {
        self.tokens.is_empty() && self.saved.place >= self.point.place
    }

    /// The last finished transaction's end.
    #[must_use]
    pub fn reached(&self) -> (Place, &BinlogPosition, Option<&GtidSet>) {
        let point = &self.point;
        (point.place, &point.position, point.gtids.as_ref())
    }

    /// Tells people and the metrics how far it is.
    fn report(&self) {
        let (saved, totals) = (&self.saved, &self.saved.state.totals);
        let now = u64::try_from(chrono::Utc::now().timestamp_micros()).unwrap_or(0);
        let synced = self.settled() && self.idle;
        let behind = match saved.event_time {
            0 => None,
            _ if synced => Some(0),
            time => Some(now.saturating_sub(time) / 1000),
        };
        let master = self.captured.as_ref().unwrap_or(&saved.position);
        let gtids = |position: &BinlogPosition| position.gtid_set.clone().unwrap_or_default();
        self.progress.sync(SyncState {
            master_binlog: master.place(),
            master_gtid: gtids(master),
            syncer_binlog: saved.position.place(),
            syncer_gtid: gtids(&saved.position),
            total_events: totals.events,
            total_rows: totals.rows,
            recent_rps: self.rates.recent(totals.rows, |t| t.rows),
            total_rps: self.rates.total(totals.rows, |t| t.rows),
            recent_tps: self.rates.recent(totals.transactions, |t| t.transactions),
            total_tps: self.rates.total(totals.transactions, |t| t.transactions),
            behind_ms: behind,
            synced,
            safe_mode: self.transaction.as_ref().is_some_and(|t| t.safe),
            ..SyncState::default()
        });
    }
}
