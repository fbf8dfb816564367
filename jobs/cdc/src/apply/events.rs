//! What each kind of event does.

use tideway_mysql::binlog::frame::Format;
use tideway_mysql::binlog::gtid_event::Begin;
use tideway_mysql::binlog::header::{FLAG_ARTIFICIAL, FLAG_IGNORABLE};
use tideway_mysql::binlog::payload::Payload;
use tideway_mysql::binlog::query::Query;
use tideway_mysql::binlog::transaction::{Incident, XaPrepare};
use tideway_mysql::binlog::{Event, Kind};
use tideway_mysql::ddl::{self, Statement, TransactionWord};
use tideway_mysql::gtid::Gtid;
use tideway_mysql::info::Version;

use super::applier::Applier;
use super::checkpoint::Prepared;
use super::error::{Error, Result};
use super::place::Place;

impl Applier<'_> {
    /// Applies an event of the segment.
    ///
    /// # Errors
    /// The event is damaged or cannot be replayed; a worker failed; the target refused a DDL.
    pub async fn event(&mut self, event: &Event, format: &Format) -> Result<()> {
        let at = Place {
            segment: self.segment,
            offset: event.offset,
        };
        let end = Place {
            segment: self.segment,
            offset: event.offset + u64::from(event.header.size),
        };
        self.totals().events += 1;
        if event.header.kind == Kind::TRANSACTION_PAYLOAD {
            let limit = self.set.event_limit;
            let payload = Payload::parse(event).map_err(|error| self.damaged(error))?;
            let mut inner = payload.events(limit).map_err(|error| self.damaged(error))?;
            // What is in it has no place of its own: the transaction ends where the payload does.
            self.move_position(event);
            while let Some(event) = inner.next().map_err(|error| self.damaged(error))? {
                self.plain(&event, format, at, end).await?;
            }
            return Ok(());
        }
        // A transaction begins in front of its first event.
        if event.header.kind.begins_transaction() {
            self.begin(event, at)?;
            self.move_position(event);
            return Ok(());
        }
        self.move_position(event);
        self.plain(event, format, at, end).await
    }

    async fn plain(&mut self, event: &Event, format: &Format, at: Place, end: Place) -> Result<()> {
        match event.header.kind {
            Kind::FORMAT_DESCRIPTION => {
                if let Some(version) = Version::parse(&format.server_version) {
                    self.version = version;
                }
                Ok(())
            }
            Kind::QUERY | Kind::QUERY_COMPRESSED => {
                let limit = self.set.event_limit;
                let query = Query::parse(event, limit).map_err(|error| self.damaged(error))?;
                Box::pin(self.query(&query, event, at, end)).await
            }
            Kind::XID => self.close(end).await,
            Kind::XA_PREPARE => {
                let prepare = XaPrepare::parse(event).map_err(|error| self.damaged(error))?;
                self.prepare(&prepare, end).await
            }
            Kind::INCIDENT => {
                let incident = Incident::parse(event).map_err(|error| self.damaged(error))?;
                Err(self.unsupported(format!(
                    "the source noted an incident ({}): changes are missing from its binlog. Dump it \
                     again (`tideway cleanup` first)",
                    incident.message
                )))
            }
            kind if self.is_of_rows(kind) => self.rows_event(event, format).await,
            kind if passes_over(kind) || event.header.flags & FLAG_IGNORABLE != 0 => Ok(()),
            kind => Err(self.unsupported(format!(
                "an event of kind {kind:?} is not known to this version: use a newer one"
            ))),
        }
    }

    /// Applies an event of a prepared transaction again: only its rows count.
    pub(super) async fn replayed(&mut self, event: &Event, format: &Format) -> Result<()> {
        if event.header.kind == Kind::TRANSACTION_PAYLOAD {
            let limit = self.set.event_limit;
            let payload = Payload::parse(event).map_err(|error| self.damaged(error))?;
            let mut inner = payload.events(limit).map_err(|error| self.damaged(error))?;
            while let Some(event) = inner.next().map_err(|error| self.damaged(error))? {
                if self.is_of_rows(event.header.kind) {
                    self.rows_event(&event, format).await?;
                }
            }
            return Ok(());
        }
        if self.is_of_rows(event.header.kind) {
            self.rows_event(event, format).await?;
        }
        Ok(())
    }

    fn begin(&mut self, event: &Event, at: Place) -> Result<()> {
        let begin = Begin::parse(event).map_err(|error| self.damaged(error))?;
        let time = begin
            .immediate_commit
            .or(begin.original_commit)
            .unwrap_or_else(|| u64::from(event.header.timestamp) * 1_000_000);
        // One that never ended, as the last of a server that died, was rolled back by it.
        self.transaction = None;
        let gtid: Option<Gtid> = begin.gtid;
        let opened = self.open(at, gtid, time);
        if let Some(mariadb) = begin.mariadb {
            opened.explicit = !mariadb.standalone;
            opened.xa = mariadb.prepared.map(|name| name.to_string());
        }
        Ok(())
    }

    async fn query(
        &mut self,
        query: &Query<'_>,
        event: &Event,
        at: Place,
        end: Place,
    ) -> Result<()> {
        if self.transaction.is_none() {
            // Of servers that write no event for the beginning.
            let time = u64::from(event.header.timestamp) * 1_000_000;
            self.open(at, None, time);
        }
        match query.text.as_ref() {
            b"BEGIN" => return self.word(&TransactionWord::Begin, at, end).await,
            b"COMMIT" => return self.close(end).await,
            _ => {}
        }
        let (text, context) = self.statement_context(query)?;
        let statement = Statement::parse(&text, &context);
        if let ddl::Kind::Transaction(word) = &statement.kind {
            return self.word(word, at, end).await;
        }
        let outcome = self.statement(&statement, query, at).await?;
        // A statement by itself is a transaction; one within a transaction is not, nor is a CREATE TABLE
        // that rows follow.
        if outcome.goes_on {
            if let Some(transaction) = &mut self.transaction {
                transaction.explicit = true;
            }
        } else {
            self.finish(end)?;
        }
        match outcome.done {
            // The checkpoint must not move over a DDL without its definitions.
            Some((pending, definitions)) => {
                self.ddl_done(outcome.goes_on, pending, &definitions).await
            }
            None if outcome.goes_on => Ok(()),
            None => self.mark_sometimes().await,
        }
    }

    async fn word(&mut self, word: &TransactionWord, at: Place, end: Place) -> Result<()> {
        match word {
            TransactionWord::Begin => {
                if let Some(transaction) = &mut self.transaction {
                    transaction.explicit = true;
                }
                Ok(())
            }
            TransactionWord::Commit => self.close(end).await,
            TransactionWord::Rollback => {
                if self.transaction.as_ref().is_some_and(|t| t.sent > 0) {
                    return Err(self.unsupported(
                        "a transaction ends with ROLLBACK in the binlog: the source rolled back what \
                         its engine could and kept the rest (tables of an engine without transactions \
                         were in it), and the binlog does not tell which. Compare the tables by \
                         `tideway-validate`, or dump the source again (`tideway cleanup` first)"
                            .to_owned(),
                    ));
                }
                self.close(end).await
            }
            TransactionWord::RollbackTo(name) => {
                if self.transaction.as_ref().is_some_and(|t| t.sent > 0) {
                    return Err(self.unsupported(format!(
                        "ROLLBACK TO `{name}` in the binlog: the source rolled back a part of a \
                         transaction that also wrote to tables of an engine without transactions. \
                         Compare the tables by `tideway-validate`, or dump the source again (`tideway \
                         cleanup` first)"
                    )));
                }
                Ok(())
            }
            TransactionWord::Savepoint(_) | TransactionWord::Release(_) => Ok(()),
            TransactionWord::XaStart(xid) => {
                if let Some(transaction) = &mut self.transaction {
                    transaction.explicit = true;
                    transaction.xa = Some(xid.clone());
                }
                Ok(())
            }
            TransactionWord::XaEnd(_) => Ok(()),
            // MariaDB before 10.5 and MySQL write an event of its own.
            TransactionWord::XaPrepare(xid) => {
                let begin = self.transaction.as_ref().map_or(at, |t| t.begin);
                let range = Prepared {
                    from: begin,
                    to: end,
                };
                self.prepared().insert(xid.clone(), range);
                self.close(end).await
            }
            TransactionWord::XaCommit { xid, one_phase } => {
                if *one_phase {
                    return self.close(end).await;
                }
                self.xa_commit(xid).await?;
                self.close(end).await
            }
            TransactionWord::XaRollback(xid) => {
                self.prepared().remove(xid);
                self.close(end).await
            }
        }
    }

    async fn prepare(&mut self, prepare: &XaPrepare, end: Place) -> Result<()> {
        let xid = prepare.name.to_string();
        let Some(transaction) = &self.transaction else {
            return Err(self.unsupported(format!("XA PREPARE {xid} without its beginning")));
        };
        let range = Prepared {
            from: transaction.begin,
            to: end,
        };
        if prepare.one_phase {
            self.xa_replay(&xid, range).await?;
        } else {
            self.prepared().insert(xid, range);
        }
        self.close(end).await
    }

    /// Moves the position behind an event of the source's own file.
    fn move_position(&mut self, event: &Event) {
        let header = &event.header;
        if header.next == 0 || header.flags & FLAG_ARTIFICIAL != 0 {
            return;
        }
        // The header has the lower half only; files grow beyond.
        let next = (self.position.pos & !0xffff_ffff) | u64::from(header.next);
        // A little before: a capture that began by a GTID set, with transactions that were in the file
        // before the offset that belonged to it.
        let back = self.position.pos.saturating_sub(next);
        self.position.pos = if back > 1 << 31 {
            next + (1 << 32)
        } else {
            next
        };
    }

    pub(super) fn damaged(&self, source: tideway_mysql::binlog::Error) -> Error {
        Error::Binlog {
            source_id: self.id().to_owned(),
            segment: self.segment,
            source,
        }
    }

    pub(super) fn unsupported(&self, what: String) -> Error {
        Error::Unsupported {
            source_id: self.id().to_owned(),
            at: Box::new(self.position.clone()),
            what,
        }
    }
}

/// Events that change nothing: what a file begins and ends with, and what only replicas of statements
/// or members of a group need.
fn passes_over(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::STOP
            | Kind::ROTATE
            | Kind::INTVAR
            | Kind::RAND
            | Kind::USER_VAR
            | Kind::HEARTBEAT
            | Kind::HEARTBEAT_V2
            | Kind::IGNORABLE
            | Kind::ROWS_QUERY
            | Kind::PREVIOUS_GTIDS
            | Kind::TRANSACTION_CONTEXT
            | Kind::VIEW_CHANGE
            | Kind::ANNOTATE_ROWS
            | Kind::BINLOG_CHECKPOINT
            | Kind::MARIADB_GTID_LIST
            | Kind::START_ENCRYPTION
    )
}
