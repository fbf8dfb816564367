//! Where the binlog begins for the task: `start.json`.
//!
//! Created once, if absent; whoever comes later takes what is there. Transactions that are prepared
//! (XA) at that place and committed later would lie half before it: their changes stand before, their
//! `XA COMMIT` behind. So there must be none when the place is the server's own present; a moment is
//! waited for those that are on their way.

use std::time::Duration;

use mysql_async::prelude::Queryable;
use serde::Serialize;
use serde_json::Value;
use tideway_config::{ResolvedSource, TaskMode};
use tideway_job::{Job, failpoint};
use tideway_mysql::connect::Server;
use tideway_mysql::info::Flavor;
use tideway_mysql::position::{self as server_position, BinlogPosition};
use tideway_mysql::sql;
use tideway_staging::Path;
use tideway_staging::document::Start;
use tideway_staging::layout::SourceKeys;
use tokio::time::Instant;

use super::error::{Error, Result};
use super::place::Where;
use super::segments::now;

/// How long transactions that are prepared may take to end.
const XA_PATIENCE: Duration = Duration::from_secs(10);
/// How often they are looked at.
const XA_POLL: Duration = Duration::from_millis(250);
/// Denied, or not known to the server.
const NO_XA_RECOVER: &[u16] = &[1227, 1401, 1064];

/// Creates `start.json`, unless somebody else just did.
///
/// # Errors
/// When source or staging fail, `--from` is no place to begin at, or XA transactions are prepared.
pub async fn create(
    job: &Job,
    config: &ResolvedSource,
    from: Option<&str>,
    server: &Server,
) -> Result<()> {
    let key = job.keys.source(&config.id).start();
    let position = match given(job, config, from)? {
        Some((flag, place)) => from_place(server, config, &flag, place).await?,
        None => present(job, config, server).await?,
    };
    tracing::info!(
        source = config.id,
        "the binlog of this task begins at {position}"
    );
    let info = server.info();
    let start = Start {
        version: 1,
        server_uuid: info.uuid.clone(),
        position: to_json(&position, &key)?,
        flavor: format!("{:?}", info.flavor).to_lowercase(),
        at: now(),
        by: "capture".to_owned(),
    };
    // Whoever was quicker is right: it is read back.
    job.staging.create_json(&key, &start).await?;
    failpoint::hit("capture.start");
    Ok(())
}

/// The place that a person gives: by the flag, or for an incremental task in the task file.
fn given(
    job: &Job,
    config: &ResolvedSource,
    from: Option<&str>,
) -> Result<Option<(String, Where)>> {
    if let Some(text) = from {
        return Ok(Some(("--from".to_owned(), Where::parse("--from", text)?)));
    }
    let Some(meta) = &config.meta else {
        return Ok(None);
    };
    if job.task.mode != TaskMode::Incremental {
        return Ok(None);
    }
    let flag = format!("meta of source `{}`", config.id);
    let gtids = meta.binlog_gtid.as_deref().filter(|text| !text.is_empty());
    let file = meta.binlog_name.as_deref().filter(|name| !name.is_empty());
    Ok(match (config.enable_gtid, gtids, file) {
        (true, Some(text), _) | (false, Some(text), None) => {
            let place = Where::parse(&flag, text)?;
            Some((flag, place))
        }
        (_, _, Some(file)) => Some((
            flag,
            Where::Position {
                file: file.to_owned(),
                pos: meta.binlog_pos.max(4),
            },
        )),
        (_, None, None) => None,
    })
}

async fn from_place(
    server: &Server,
    config: &ResolvedSource,
    flag: &str,
    place: Where,
) -> Result<BinlogPosition> {
    match place {
        Where::Now => own(server, config).await,
        Where::Gtids(set) => Ok(BinlogPosition {
            file: String::new(),
            pos: 4,
            gtid_set: Some(set.to_string()),
        }),
        Where::Position { file, pos } => {
            let gtid_set = match server.info().flavor {
                Flavor::MariaDb => mariadb_gtids(server, &file, pos).await?,
                Flavor::MySql | Flavor::Aurora | Flavor::TiDb => None,
            };
            Ok(BinlogPosition {
                file,
                pos: pos.max(4),
                gtid_set,
            })
        }
        Where::Time(_) => Err(Error::Usage {
            flag: flag.to_owned(),
            what: "a capture cannot begin at a time: give <file>:<offset> or a GTID set".to_owned(),
        }),
    }
}

async fn mariadb_gtids(server: &Server, file: &str, pos: u64) -> Result<Option<String>> {
    let mut conn = server.conn().await?;
    let sql = format!("SELECT BINLOG_GTID_POS({}, {pos})", sql::quoted(file));
    let found: Option<Option<String>> = conn
        .query_first(sql)
        .await
        .map_err(|error| server.error("read the GTIDs of a position", error))?;
    Ok(found.flatten())
}

/// The server's present, with no transaction prepared.
async fn present(job: &Job, config: &ResolvedSource, server: &Server) -> Result<BinlogPosition> {
    let begun = Instant::now();
    loop {
        let before = prepared(server).await?;
        let position = own(server, config).await?;
        let after = prepared(server).await?;
        let (Some(before), Some(after)) = (before, after) else {
            tracing::warn!(
                source = config.id,
                "whether XA transactions are prepared is not known (XA RECOVER is denied; on MySQL 8 \
                 it needs XA_RECOVER_ADMIN): one that is prepared now would be missing"
            );
            return Ok(position);
        };
        if before.is_empty() && after.is_empty() {
            return Ok(position);
        }
        if begun.elapsed() >= XA_PATIENCE {
            let xids = if after.is_empty() { before } else { after };
            return Err(Error::Prepared {
                source_id: config.id.clone(),
                xids: xids.join(", "),
            });
        }
        tokio::select! {
            () = tokio::time::sleep(XA_POLL) => {}
            () = job.stop.cancelled() => return Err(Error::Stopped),
        }
    }
}

/// Names of the transactions that are prepared; `None` when the server does not tell.
async fn prepared(server: &Server) -> Result<Option<Vec<String>>> {
    let mut conn = server.conn().await?;
    let rows: Vec<(i64, usize, usize, Vec<u8>)> = match conn.query("XA RECOVER").await {
        Ok(rows) => rows,
        Err(mysql_async::Error::Server(error)) if NO_XA_RECOVER.contains(&error.code) => {
            return Ok(None);
        }
        Err(error) => return Err(server.error("XA RECOVER", error).into()),
    };
    let name = |(format, global, branch, data): (i64, usize, usize, Vec<u8>)| {
        let part = |from: usize, to: usize| {
            let bytes = data.get(from..to.min(data.len())).unwrap_or_default();
            format!("X'{}'", hex::encode(bytes))
        };
        let (global, branch) = (part(0, global), part(global, global + branch));
        format!(
            "{} ({global},{branch},{format})",
            String::from_utf8_lossy(&data)
        )
    };
    Ok(Some(rows.into_iter().map(name).collect()))
}

/// The server's present. A GTID set that is known to be empty is told from one that is not known.
pub async fn own(server: &Server, config: &ResolvedSource) -> Result<BinlogPosition> {
    let mut conn = server.conn().await?;
    let info = server.info();
    let Some(mut position) = server_position::current(&mut conn, info).await? else {
        return Err(Error::Source {
            source_id: config.id.clone(),
            what: "the server writes no binlog, so there is nothing to capture. Switch log_bin on (on \
                   Aurora: binlog_format in the cluster parameter group), or use task-mode: full"
                .to_owned(),
        });
    };
    if info.gtid && matches!(info.flavor, Flavor::MySql | Flavor::Aurora) {
        position.gtid_set.get_or_insert_default();
    }
    Ok(position)
}

/// `start.json` from its bytes.
///
/// # Errors
/// When it is damaged, or of a newer version.
pub fn parse(bytes: &[u8], keys: &SourceKeys) -> Result<Start> {
    let start: Start = serde_json::from_slice(bytes).map_err(|error| Error::Document {
        key: keys.start().to_string(),
        what: error.to_string(),
    })?;
    if start.version > 1 {
        return Err(Error::Document {
            key: keys.start().to_string(),
            what: format!("it has version {}", start.version),
        });
    }
    Ok(start)
}

/// A place from a document's opaque part.
///
/// # Errors
/// When it is not what this version writes.
pub fn position(value: &Value, key: &Path) -> Result<BinlogPosition> {
    serde_json::from_value::<Option<BinlogPosition>>(value.clone())
        .ok()
        .flatten()
        .ok_or_else(|| Error::Document {
            key: key.to_string(),
            what: format!("`{value}` is no place in a binlog"),
        })
}

/// A document's opaque part from a typed value.
///
/// # Errors
/// Never for the types of this crate.
pub fn to_json<T: Serialize>(value: &T, key: &Path) -> Result<Value> {
    serde_json::to_value(value).map_err(|error| Error::Document {
        key: key.to_string(),
        what: error.to_string(),
    })
}
