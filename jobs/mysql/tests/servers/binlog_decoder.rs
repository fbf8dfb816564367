//! Decodes whatever an event holds, for tests that look for panics and for files that do not decode.

use std::collections::HashMap;

use tideway_mysql::binlog::compressed::unpack_rows;
use tideway_mysql::binlog::error::Result;
use tideway_mysql::binlog::frame::Format;
use tideway_mysql::binlog::gtid_event::{Begin, previous};
use tideway_mysql::binlog::metadata::Metadata;
use tideway_mysql::binlog::payload::Payload;
use tideway_mysql::binlog::query::Query;
use tideway_mysql::binlog::rows::{Row, RowsEvent, has_rows};
use tideway_mysql::binlog::table_map::TableMap;
use tideway_mysql::binlog::transaction::{Incident, Rotate, XaPrepare, statement_of_rows, xid};
use tideway_mysql::binlog::{Event, Kind};

use crate::binlog::LIMIT;

/// What was found so far.
#[derive(Default)]
pub struct Decoder {
    maps: HashMap<u64, TableMap>,
    pub rows: u64,
    pub begins: Vec<Begin>,
    /// Statements and the databases that they ran in.
    pub statements: Vec<(String, String)>,
    pub prepared: Vec<XaPrepare>,
    /// Kinds of the events within payloads.
    pub within: Vec<Kind>,
}

impl Decoder {
    pub fn decode(&mut self, event: &Event, format: &Format) -> Result<()> {
        match event.header.kind {
            Kind::QUERY | Kind::QUERY_COMPRESSED => {
                let query = Query::parse(event, LIMIT)?;
                let text = String::from_utf8_lossy(&query.text).into_owned();
                self.statements.push((query.schema, text));
            }
            Kind::GTID | Kind::ANONYMOUS_GTID | Kind::GTID_TAGGED | Kind::MARIADB_GTID => {
                self.begins.push(Begin::parse(event)?);
            }
            Kind::PREVIOUS_GTIDS | Kind::MARIADB_GTID_LIST => drop(previous(event)?),
            Kind::XID => drop(xid(event)?),
            Kind::XA_PREPARE => self.prepared.push(XaPrepare::parse(event)?),
            Kind::ROTATE => drop(Rotate::parse(event)?),
            Kind::INCIDENT => drop(Incident::parse(event)?),
            Kind::ROWS_QUERY | Kind::ANNOTATE_ROWS => drop(statement_of_rows(event)?),
            Kind::TRANSACTION_PAYLOAD => {
                let mut events = Payload::parse(event)?.events(LIMIT)?;
                while let Some(inner) = events.next()? {
                    self.within.push(inner.header.kind);
                    self.decode(&inner, format)?;
                }
            }
            Kind::TABLE_MAP => {
                let map = TableMap::parse(event, format)?;
                Metadata::parse(&map, event, format)?;
                self.maps.insert(map.id, map);
            }
            kind if has_rows(kind) => self.rows(event, format)?,
            _ => {
                if let Some(unpacked) = unpack_rows(event, format, LIMIT)? {
                    self.rows(&unpacked, format)?;
                }
            }
        }
        Ok(())
    }

    fn rows(&mut self, event: &Event, format: &Format) -> Result<()> {
        let mut rows = RowsEvent::parse(event, format)?;
        let mut row = Row::default();
        if let Some(map) = self.maps.get(&rows.table_id) {
            while rows.next(map, &mut row)? {
                self.rows += 1;
            }
        }
        Ok(())
    }
}
