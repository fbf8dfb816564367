//! Whether the server that answers is the one that was captured, or may take its place.
//!
//! Asked on every connection, for a name may lead to another machine after a fail-over:
//!
//! - **The same server** must still have what was captured from it: all our GTIDs; without GTIDs, when
//!   a process begins, the last captured event at its place. A server that lost its end in a crash, or
//!   whose binlogs were reset, is found here and not by rows that do not fit.
//! - **Another server** must have executed all our GTIDs and hold in its binlogs all that follow them.
//!   Without GTIDs it can only be a physical copy (Aurora's writers share one volume): the last
//!   captured event reads back byte for byte at its place.
//! - In the middle of a transaction that is committed to segments in part, another server cannot go
//!   on: its events of the same transaction are cut differently, and its half cannot be told.

use std::time::Duration;

use mysql_async::prelude::Queryable;
use tideway_config::ResolvedSource;
use tideway_mysql::binlog::header::{FLAG_ARTIFICIAL, HEADER, Header, Kind};
use tideway_mysql::connect::{Server, within};
use tideway_mysql::gtid::GtidSet;
use tideway_mysql::info::Flavor;

use super::error::{Error, Result};
use super::place::Place;
use super::stream::{self, By};

/// How long the server may take to send the first event.
const FIRST_EVENT: Duration = Duration::from_secs(30);

/// What was captured, for comparison.
#[derive(Clone, Debug)]
pub struct Captured<'a> {
    /// Behind its last event.
    pub place: &'a Place,
    /// UUID of the server that it came from.
    pub uuid: &'a str,
    /// Whether a transaction goes on behind it.
    pub continues: bool,
    /// The last event and its log file; `None` when there is none, or when it was compared before.
    pub last_event: Option<(String, Vec<u8>)>,
}

/// Whether this is the same server (`true`), or one that may take its place (`false`).
///
/// # Errors
/// [`Error::Backwards`], [`Error::OtherServer`]; when the server does not answer.
pub async fn admit(
    server: &Server,
    config: &ResolvedSource,
    captured: &Captured<'_>,
    id: u32,
) -> Result<bool> {
    let info = server.info();
    let known = captured.place.gtids.as_ref().filter(|set| !set.is_empty());
    let is_mysql = matches!(info.flavor, Flavor::MySql | Flavor::Aurora);
    let known = known.filter(|_| info.gtid);
    if info.uuid == captured.uuid {
        if let Some(ours) = known {
            let missing = ours.subtract(&executed(server, is_mysql).await?);
            if !missing.is_empty() {
                return Err(Error::Backwards {
                    source_id: config.id.clone(),
                    what: format!("it has not executed {missing}"),
                });
            }
        } else if let Some((file, event)) = &captured.last_event {
            read_back(server, captured.place, file, event, id)
                .await?
                .map_err(|what| Error::Backwards {
                    source_id: config.id.clone(),
                    what,
                })?;
        }
        return Ok(true);
    }
    let refuse = |what: String| {
        Err(Error::OtherServer {
            source_id: config.id.clone(),
            own: format!("{} {} (UUID {})", info.flavor, info.version_text, info.uuid),
            captured: captured.uuid.to_owned(),
            what,
        })
    };
    if captured.continues {
        return refuse(
            "the last segment ends within a transaction, and its rest cannot be taken from another \
             server. Bring the former server back for it"
                .to_owned(),
        );
    }
    if let Some(ours) = known {
        let missing = ours.subtract(&executed(server, is_mysql).await?);
        if !missing.is_empty() {
            return refuse(format!("it has not executed {missing}, which was captured"));
        }
        if is_mysql {
            let purged = variable(server, "@@global.gtid_purged").await?;
            let gap = purged.subtract(ours);
            if !gap.is_empty() {
                return refuse(format!(
                    "it has purged {gap} from its binlogs, which was not captured yet"
                ));
            }
        }
        return Ok(false);
    }
    let Some((file, event)) = &captured.last_event else {
        return refuse(
            "there are no GTIDs to compare the two by, and no captured event either".to_owned(),
        );
    };
    match read_back(server, captured.place, file, event, id).await? {
        Ok(()) => Ok(false),
        Err(what) => refuse(format!(
            "there are no GTIDs to compare the two by, and {what}"
        )),
    }
}

/// All transactions of the server's binlogs, those that were purged too.
async fn executed(server: &Server, is_mysql: bool) -> Result<GtidSet> {
    let name = if is_mysql {
        "@@global.gtid_executed"
    } else {
        "@@global.gtid_binlog_pos"
    };
    variable(server, name).await
}

async fn variable(server: &Server, name: &str) -> Result<GtidSet> {
    let mut conn = server.conn().await?;
    let text: Option<Option<String>> = conn
        .query_first(format!("SELECT {name}"))
        .await
        .map_err(|error| server.error(format!("read {name}"), error))?;
    GtidSet::parse(&text.flatten().unwrap_or_default()).map_err(Error::Gtid)
}

/// Whether the server has this event at its place; what it has instead.
async fn read_back(
    server: &Server,
    place: &Place,
    file: &str,
    event: &[u8],
    id: u32,
) -> Result<Result<(), String>> {
    let header = event.first_chunk::<HEADER>().map(Header::parse);
    let size = event.len() as u64;
    // The last event of a file is the one that names the next: the place lies there then.
    let end = match header {
        Some(header) if header.kind == Kind::ROTATE || place.file != file => u64::from(header.next),
        _ => place.pos,
    };
    let Some(pos) = end
        .checked_sub(size)
        .filter(|pos| u32::try_from(*pos).is_ok())
    else {
        return Ok(Err(format!(
            "the last captured event ends at {file}:{end}, too far behind to be asked for"
        )));
    };
    let at = Place {
        file: file.to_owned(),
        pos,
        gtids: None,
    };
    let (mut stream, _) = stream::open(server, &at, By::Position, true, id).await?;
    let what = "read the last captured event again";
    let first = within(&server.endpoint().label(), FIRST_EVENT, what, async {
        loop {
            let mut bytes = Vec::new();
            let more = stream.next_raw(&mut bytes).await;
            match more.map_err(|error| server.error(what, error))? {
                true if is_real(&bytes) => return Ok(Some(bytes)),
                true => {}
                false => return Ok(None),
            }
        }
    })
    .await;
    Ok(match first {
        Ok(Some(found)) if found == event => Ok(()),
        Ok(_) => Err(format!(
            "at {file}:{pos} it has another event than the one that was captured there"
        )),
        Err(error) if error.code() == Some(super::refused::FATAL) => Err(format!(
            "it has nothing at {file}:{pos}, where an event was captured ({error})"
        )),
        Err(error) => return Err(error.into()),
    })
}

fn is_real(bytes: &[u8]) -> bool {
    let Some(header) = bytes.first_chunk::<HEADER>().map(Header::parse) else {
        return false;
    };
    header.next != 0
        && header.flags & FLAG_ARTIFICIAL == 0
        && !matches!(header.kind, Kind::HEARTBEAT | Kind::HEARTBEAT_V2)
}
