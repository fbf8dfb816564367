//! Looking for statements: DDL among events of which all else is passed over.
//!
//! Each is told with where its transaction stands, as marks compare it ([`crate::mark`]).

use super::error::Result;
use super::frame::{Event, Format};
use super::gtid_event::Begin;
use super::header::{Header, Kind};
use super::query::Query;
use crate::ddl::{Context, SqlMode, Statement};
use crate::gtid::Gtid;
use crate::info::{Flavor, Version};
use crate::mark::Spot;
use crate::position::BinlogPosition;

/// Finds statements.
#[derive(Debug)]
pub struct Statements {
    flavor: Flavor,
    server_uuid: String,
    position: Option<BinlogPosition>,
    begin: Option<Spot>,
}

impl Statements {
    /// Of a source of this flavour.
    #[must_use]
    pub fn new(flavor: Flavor) -> Self {
        Self {
            flavor,
            server_uuid: String::new(),
            position: None,
            begin: None,
        }
    }

    /// What comes now was written by the server of this UUID, from `position` on.
    pub fn begin(&mut self, server_uuid: &str, position: Option<BinlogPosition>) {
        server_uuid.clone_into(&mut self.server_uuid);
        self.position = position;
    }

    /// Whether [`Statements::read`] must see events of this kind; of others it is enough to know that
    /// they were there ([`Statements::pass`]).
    #[must_use]
    pub fn wants(kind: Kind) -> bool {
        kind.begins_transaction() || matches!(kind, Kind::QUERY | Kind::QUERY_COMPRESSED)
    }

    /// Reads an event; the statement that it is, but for the words of plain transactions. No compressed
    /// statement may be larger than `limit` bytes.
    ///
    /// # Errors
    /// The event is damaged.
    pub fn read(
        &mut self,
        event: &Event,
        format: &Format,
        limit: u32,
    ) -> Result<Option<(Statement, Spot)>> {
        let mut found = None;
        match event.header.kind {
            kind if kind.begins_transaction() => {
                let begin = Begin::parse(event)?;
                self.begin = Some(self.here(begin.gtid));
            }
            Kind::QUERY | Kind::QUERY_COMPRESSED => {
                let query = Query::parse(event, limit)?;
                if !matches!(query.text.as_ref(), b"BEGIN" | b"COMMIT") {
                    let spot = self.begin.clone().unwrap_or_else(|| self.here(None));
                    found = Some((self.statement(&query, format), spot));
                }
            }
            _ => {}
        }
        self.pass(&event.header);
        Ok(found)
    }

    /// Passes over an event.
    pub fn pass(&mut self, header: &Header) {
        if let Some(position) = &mut self.position
            && header.next != 0
        {
            // Enough for what lies in the first 4 GiB of a file; beyond, the position of a segment governs,
            // which each one brings anew.
            let high = position.pos & !0xffff_ffff;
            position.pos = position.pos.max(high | u64::from(header.next));
        }
    }

    fn statement(&self, query: &Query<'_>, format: &Format) -> Statement {
        let version = Version::parse(&format.server_version).unwrap_or(Version::new(8, 0, 0));
        let mut context = Context::new(self.flavor, version);
        context.sql_mode = SqlMode(query.status.sql_mode.unwrap_or(0));
        context.default_schema = Some(query.schema.clone()).filter(|s| !s.is_empty());
        Statement::parse(&String::from_utf8_lossy(&query.text), &context)
    }

    fn here(&self, gtid: Option<Gtid>) -> Spot {
        Spot {
            server_uuid: self.server_uuid.clone(),
            begin: self.position.clone(),
            gtid,
        }
    }
}
