//! The connection over which a server sends its binlog.

use std::time::Duration;

use mysql_async::prelude::Queryable;
use mysql_async::{BinlogStream, BinlogStreamRequest, Conn, Sid};
use tideway_config::ResolvedSource;
use tideway_mysql::connect::{CONNECT_LIMIT, Server, within};
use tideway_mysql::gtid::GtidSet;
use tideway_mysql::info::Flavor;

use super::error::{Error, Result};
use super::place::Place;
use super::track::From;

/// How often the server shows that it lives when there is nothing to send.
pub const HEARTBEAT: Duration = Duration::from_secs(2);
/// Offsets that a request by position can hold.
const LARGEST_OFFSET: u64 = u32::MAX as u64;
/// Ids of replicas that nobody gives a server.
const FIRST_SERVER_ID: u32 = 0xff00_0000;

/// How the place is named to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// By file and offset.
    Position,
    /// By the transactions before it.
    Gtid,
}

/// The id by which the server knows this capture: from the source file, or one that follows from task
/// and source. A second stream with the same id ends the first, so a capture that was taken for dead
/// is thrown out by its successor.
#[must_use]
pub fn server_id(config: &ResolvedSource, task: &str) -> u32 {
    config.server_id.filter(|id| *id != 0).unwrap_or_else(|| {
        let name = format!("{task}\0{}", config.id);
        FIRST_SERVER_ID | (crc32fast::hash(name.as_bytes()) >> 8)
    })
}

/// Asks for the binlog behind a place. Says from where on events are to be taken: the server may begin
/// earlier.
///
/// # Errors
/// When no connection is made, or the server refuses. What it says of the place itself comes with the
/// first event.
pub async fn open(
    server: &Server,
    place: &Place,
    by: By,
    same_server: bool,
    id: u32,
) -> Result<(BinlogStream, From)> {
    let label = server.endpoint().label();
    let what = "ask for the binlog";
    let sids = match (by, &place.gtids) {
        (By::Gtid, Some(set @ GtidSet::MySql(_))) => sids(set)?,
        _ => Vec::new(),
    };
    let is_mariadb = server.info().flavor == Flavor::MariaDb;
    let from = match by {
        By::Gtid if same_server && !place.file.is_empty() => From::Behind,
        By::Gtid => From::FirstTransaction,
        By::Position if place.pos > LARGEST_OFFSET => From::Behind,
        By::Position => From::Here,
    };
    let stream = within(&label, CONNECT_LIMIT, what, async {
        let failed = |error| server.error(what, error);
        let mut conn = Conn::new(server.opts().clone()).await.map_err(failed)?;
        conn.query_drop(settings(is_mariadb, by, place))
            .await
            .map_err(failed)?;
        let mut request = BinlogStreamRequest::new(id);
        request = match by {
            By::Gtid if is_mariadb => request,
            By::Gtid => request.with_gtid().with_gtid_set(sids),
            By::Position => {
                let pos = if place.pos > LARGEST_OFFSET {
                    4
                } else {
                    place.pos
                };
                request.with_filename(place.file.as_bytes()).with_pos(pos)
            }
        };
        conn.get_binlog_stream(request).await.map_err(failed)
    })
    .await?;
    Ok((stream, from))
}

/// What the server looks at before it sends: all in user variables, those of MariaDB and of old and
/// new MySQL, which the others ignore.
fn settings(is_mariadb: bool, by: By, place: &Place) -> String {
    let nanos = HEARTBEAT.as_nanos();
    let mut text =
        format!("SET @master_heartbeat_period = {nanos}, @source_heartbeat_period = {nanos}");
    if is_mariadb {
        // 4: GTID events as they are, instead of statements made for old replicas.
        text.push_str(", @mariadb_slave_capability = 4");
        if let (By::Gtid, Some(set)) = (by, &place.gtids) {
            // Digits, dashes and commas only.
            text.push_str(&format!(
                ", @slave_connect_state = '{set}', @slave_gtid_strict_mode = 0, \
                 @slave_gtid_ignore_duplicates = 0"
            ));
        }
    }
    text
}

/// A set for the request: one entry for each server and tag.
fn sids(set: &GtidSet) -> Result<Vec<Sid<'static>>> {
    let text = set.to_string();
    let mut entries: Vec<String> = Vec::new();
    for group in text.split(',').filter(|group| !group.is_empty()) {
        let mut parts = group.split(':');
        let uuid = parts.next().unwrap_or_default();
        let mut entry = String::new();
        for part in parts {
            let is_tag = !part.starts_with(|c: char| c.is_ascii_digit());
            if entry.is_empty() || is_tag {
                if !entry.is_empty() {
                    entries.push(std::mem::take(&mut entry));
                }
                entry.push_str(uuid);
            }
            entry.push(':');
            entry.push_str(part);
        }
        entries.push(entry);
    }
    let parse = |entry: &String| {
        entry.parse::<Sid<'static>>().map_err(|error| Error::Usage {
            flag: "GTID set".to_owned(),
            what: format!("`{entry}`: {error}"),
        })
    };
    entries.iter().map(parse).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_tag_is_an_entry_of_its_own() {
        let uuid = "ea2c5f47-e8d3-11f1-a3da-02fc00000001";
        let other = "ea36728f-e8d3-11f1-b038-02fc00000001";
        let text = format!("{uuid}:1-9:12:blue:1-3:7:red:5,{other}:4");
        let sids = sids(&GtidSet::parse(&text).unwrap()).unwrap();
        let found: Vec<(Option<&str>, usize)> = sids
            .iter()
            .map(|sid| (sid.tag().map(|tag| &**tag), sid.intervals().len()))
            .collect();
        assert_eq!(
            found,
            [(None, 2), (Some("blue"), 2), (Some("red"), 1), (None, 1)]
        );
        assert_eq!(
            (sids[0].intervals()[0].start(), sids[0].intervals()[0].end()),
            (1, 10)
        );
        assert_ne!(sids[0].uuid(), sids[3].uuid());
    }

    #[test]
    fn settings_name_the_gtids_of_mariadb() {
        let place = Place {
            file: String::new(),
            pos: 4,
            gtids: Some(GtidSet::parse("0-1-5,1-2-7").unwrap()),
        };
        let text = settings(true, By::Gtid, &place);
        assert!(
            text.contains("@slave_connect_state = '0-1-5,1-2-7'"),
            "{text}"
        );
        assert!(
            text.contains("@master_heartbeat_period = 2000000000,"),
            "{text}"
        );
        assert!(!settings(true, By::Position, &place).contains("connect_state"));
        assert!(!settings(false, By::Gtid, &place).contains("mariadb"));
    }
}
