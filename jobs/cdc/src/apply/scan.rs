//! Looking ahead for DDL: which of it the dump's definitions have already.
//!
//! Rows of a table before a DDL that its definition has (see [`super::catalog`]) have another shape than the
//! definition, and are left out. When the rows come, that DDL has not come yet; so before apply
//! begins, what was captured up to the dump's last mark is read once for its DDL. That is as much as was
//! written while the dump read definitions.

use tideway_config::ResolvedSource;
use tideway_mysql::binlog::gtid_event::Begin as BeginEvent;
use tideway_mysql::binlog::query::Query;
use tideway_mysql::binlog::{Kind, frame::Format};
use tideway_mysql::ddl::{self, Context, SqlMode, Statement};
use tideway_mysql::gtid::Gtid;
use tideway_mysql::info::{Flavor, Version};
use tideway_mysql::position::BinlogPosition;
use tideway_mysql::schema::TableName;
use tideway_staging::segment::SegmentMarker;

use super::error::{Error, Result};
use super::feed::{Feed, Item};
use super::place::Place;
use tideway_mysql::mark::Spot;

/// A DDL that was found.
#[derive(Debug)]
pub struct Found {
    /// The transaction that it stands in.
    pub place: Place,
    /// The same as marks see it.
    pub spot: Spot,
    /// Tables that it changes.
    pub tables: Vec<TableName>,
    /// It makes its table.
    pub creates: bool,
}

/// Reads DDL from a feed until `enough` says so of a segment that ends, or, `to_the_end` only, nothing
/// more was captured.
///
/// # Errors
/// Staging fails, or a segment is damaged.
pub async fn ddl(
    source: &ResolvedSource,
    flavor: Flavor,
    feed: &mut Feed,
    mut enough: impl FnMut(&SegmentMarker) -> bool,
    to_the_end: bool,
    mut found: impl FnMut(Found),
) -> Result<()> {
    let mut scan = Scan {
        source,
        flavor,
        segment: 0,
        server_uuid: String::new(),
        position: None,
        begin: None,
    };
    let mut marker = None;
    loop {
        match feed.next().await? {
            Item::Segment(begun) => {
                scan.segment = begun.number;
                begun.server_uuid.clone_into(&mut scan.server_uuid);
                scan.position = serde_json::from_value(begun.from.clone()).ok();
                marker = Some(begun);
            }
            Item::Events(events, format) => {
                for event in &events {
                    if let Some(ddl) = scan.event(event, &format)? {
                        found(ddl);
                    }
                }
            }
            Item::End(_) => {
                if marker.as_deref().is_some_and(&mut enough) {
                    return Ok(());
                }
            }
            Item::Idle if to_the_end => return Ok(()),
            Item::Idle => {}
        }
    }
}

struct Scan<'a> {
    source: &'a ResolvedSource,
    flavor: Flavor,
    segment: u64,
    server_uuid: String,
    position: Option<BinlogPosition>,
    begin: Option<(Place, Spot)>,
}

impl Scan<'_> {
    fn event(
        &mut self,
        event: &tideway_mysql::binlog::Event,
        format: &Format,
    ) -> Result<Option<Found>> {
        let place = Place {
            segment: self.segment,
            offset: event.offset,
        };
        let failed = |source| Error::Binlog {
            source_id: self.source.id.clone(),
            segment: self.segment,
            source,
        };
        let mut found = None;
        match event.header.kind {
            Kind::GTID | Kind::ANONYMOUS_GTID | Kind::GTID_TAGGED | Kind::MARIADB_GTID => {
                let begin = BeginEvent::parse(event).map_err(failed)?;
                self.begin = Some((place, self.spot(begin.gtid)));
            }
            Kind::QUERY | Kind::QUERY_COMPRESSED => {
                let query = Query::parse(event, u32::MAX).map_err(failed)?;
                if !matches!(query.text.as_ref(), b"BEGIN" | b"COMMIT") {
                    let mut context = Context::new(
                        self.flavor,
                        Version::parse(&format.server_version).unwrap_or(Version::new(8, 0, 0)),
                    );
                    context.sql_mode = SqlMode(query.status.sql_mode.unwrap_or(0));
                    context.default_schema = Some(query.schema.clone()).filter(|s| !s.is_empty());
                    let text = String::from_utf8_lossy(&query.text);
                    let statement = Statement::parse(&text, &context);
                    let tables = statement.touched();
                    let (place, spot) = match &self.begin {
                        Some((place, spot)) => (*place, spot.clone()),
                        None => (place, self.spot(None)),
                    };
                    found = (!tables.is_empty()).then_some(Found {
                        place,
                        spot,
                        tables,
                        creates: matches!(statement.kind, ddl::Kind::CreateTable(_)),
                    });
                }
            }
            _ => {}
        }
        if let Some(position) = &mut self.position
            && event.header.next != 0
        {
            // Enough for what lies in the first 4 GiB of a file; beyond, the marker's own position
            // governs, which each segment brings anew.
            let high = position.pos & !0xffff_ffff;
            position.pos = position.pos.max(high | u64::from(event.header.next));
        }
        Ok(found)
    }

    fn spot(&self, gtid: Option<Gtid>) -> Spot {
        Spot {
            server_uuid: self.server_uuid.clone(),
            begin: self.position.clone(),
            gtid,
        }
    }
}
