//! Looking ahead for DDL: which of it the dump's definitions have already.
//!
//! Rows of a table before a DDL that its definition has (see [`super::catalog`]) have another shape than the
//! definition, and are left out. When the rows come, that DDL has not come yet; so before apply
//! begins, what was captured up to the dump's last mark is read once for its DDL. That is as much as was
//! written while the dump read definitions.

use tideway_config::ResolvedSource;
use tideway_mysql::binlog::statements::Statements;
use tideway_mysql::ddl;
use tideway_mysql::info::Flavor;
use tideway_mysql::mark::Spot;
use tideway_mysql::schema::TableName;
use tideway_staging::segment::SegmentMarker;

use super::error::{Error, Result};
use super::feed::{Feed, Item};
use super::place::Place;

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
    let mut statements = Statements::new(flavor);
    // Of servers that write an event for it.
    let mut begin = None;
    let mut marker: Option<Box<SegmentMarker>> = None;
    loop {
        match feed.next().await? {
            Item::Segment(begun) => {
                let from = serde_json::from_value(begun.from.clone()).ok();
                statements.begin(&begun.server_uuid, from);
                marker = Some(begun);
            }
            Item::Events(events, format) => {
                let segment = marker.as_ref().map_or(0, |marker| marker.number);
                for event in &events {
                    let place = Place {
                        segment,
                        offset: event.offset,
                    };
                    if event.header.kind.begins_transaction() {
                        begin = Some(place);
                    }
                    let read = statements.read(event, &format, u32::MAX);
                    let read = read.map_err(|error| Error::Binlog {
                        source_id: source.id.clone(),
                        segment,
                        source: error,
                    })?;
                    let Some((statement, spot)) = read else {
                        continue;
                    };
                    let tables = statement.touched();
                    if !tables.is_empty() {
                        found(Found {
                            place: begin.unwrap_or(place),
                            spot,
                            tables,
                            creates: matches!(statement.kind, ddl::Kind::CreateTable(_)),
                        });
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
