//! A definition that the model could not tell, read from the source.
//!
//! The source tells the definition of now, at a position S behind the place where apply is. It is the one
//! that is needed if no DDL on the table lies between: so what was captured up to S is read for DDL
//! first (capture is at most moments behind S, and waited for). Otherwise nobody can tell the definition in
//! between, and that is an error.

use std::time::{Duration, Instant};

use chrono::Utc;
use tideway_mysql::ddl::Statement;
use tideway_mysql::position::BinlogPosition;
use tideway_mysql::schema::{TableDef, TableName};
use tideway_staging::layout::capture_lease;
use tideway_staging::lease;
use tideway_staging::segment::{Chain, read_marker};

use super::applier::Applier;
use super::begin::{self, Reader};
use super::error::{Error, Result};
use super::feed::Feed;
use super::place::Place;
use super::scan;
use tideway_mysql::mark::Mark;

impl Applier<'_> {
    /// The definition of a table behind a statement that the model does not understand.
    pub(super) async fn definition_at_source(
        &mut self,
        statement: &Statement,
        table: &TableName,
        what: &str,
    ) -> Result<Option<TableDef>> {
        tracing::warn!(
            source = self.id(),
            "{what}; the definition of {table} is read from the source"
        );
        let job = self.set.job;
        let reader = Reader {
            job,
            source: self.set.source,
            keys: &self.set.keys,
            wait: Duration::ZERO,
        };
        let server = reader.job_source().await?;
        let mut conn = server.conn().await?;
        let read = begin::define(&mut conn, server.info(), table).await;
        let uuid = server.info().uuid.clone();
        drop(conn);
        server.close().await;
        let Some((def, position)) = read? else {
            return Err(self.ddl_error(
                statement,
                format!("{what}, and the source has no table {table} any more to look at"),
            ));
        };
        let Some(position) = position else {
            return Err(self.ddl_error(
                statement,
                format!("{what}, and the source writes no binlog"),
            ));
        };
        let mark = Mark::new(&uuid, position);
        let here = self
            .transaction
            .as_ref()
            .map_or(self.saved.place, |t| t.begin);
        let Some((marker, _)) = read_marker(&job.staging, &self.set.keys, here.segment).await?
        else {
            return Err(Error::Stopped);
        };
        let chain = Chain::after(here.segment - 1, marker.previous.clone());
        let from = Place::start_of(here.segment);
        let limit = self.set.event_limit;
        let mut feed = Feed::start(self.id(), &job.staging, &self.set.keys, chain, from, limit);
        let mut later = false;
        tokio::select! {
            () = job.stop.cancelled() => return Err(Error::Stopped),
            error = self.no_capture() => return Err(error),
            scanned = scan::ddl(
                self.set.source,
                self.set.flavor,
                &mut feed,
                |marker| {
                    let to: Option<BinlogPosition> =
                        serde_json::from_value(marker.to.clone()).ok();
                    to.is_some_and(|to| mark.passed(&marker.server_uuid, &to))
                },
                false,
                |found| later |= found.place > here && found.tables.contains(table),
            ) => scanned?,
        }
        if later {
            return Err(self.ddl_error(
                statement,
                format!(
                    "{what}, and the source cannot tell the definition of {table} any more: another DDL \
                     changed it since. Dump the source again (`tideway cleanup` first)"
                ),
            ));
        }
        Ok(Some(def))
    }

    /// Ends when nobody captures this source for some time.
    async fn no_capture(&self) -> Error {
        let (job, name) = (self.set.job, capture_lease(self.id()));
        let mut since = Instant::now();
        loop {
            tokio::time::sleep(Duration::from_secs(1)).await;
            match lease::current(&job.staging, &job.keys, &name).await {
                Ok(Some((_, record))) if record.is_live(Utc::now()) => since = Instant::now(),
                Ok(_) if since.elapsed() >= Duration::from_secs(5) => {
                    return Error::NotReady {
                        source_id: self.id().to_owned(),
                        what:
                            "a definition was read from the source, and what it wrote before that \
                               must be captured first, but no process captures this source"
                                .to_owned(),
                        way_out: "Start `tideway-cdc capture`".to_owned(),
                    };
                }
                Ok(_) => {}
                Err(error) => return error.into(),
            }
        }
    }
}
