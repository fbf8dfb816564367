//! What a server means that refuses to send its binlog: error 1236, which has many texts.

use mysql_async::prelude::Queryable;
use tideway_config::ResolvedSource;
use tideway_mysql::connect::Server;
use tideway_mysql::position::BinlogPosition;

use super::error::Error;

/// `ER_SOURCE_FATAL_ERROR_READING_BINLOG`.
pub const FATAL: u16 = 1236;
/// MariaDB's errors about GTIDs that it does not have: unknown state, too new, diverged.
const MARIADB_GTID: [u16; 3] = [1945, 1955, 1950];

/// What an error of the stream means; `message` is the server's.
pub async fn meaning(
    server: &Server,
    config: &ResolvedSource,
    place: &BinlogPosition,
    error: mysql_async::Error,
) -> Error {
    let mysql_async::Error::Server(refusal) = &error else {
        return server.error("read the binlog", error).into();
    };
    let message = refusal.message.trim().to_owned();
    if refusal.code != FATAL && !MARIADB_GTID.contains(&refusal.code) {
        return server.error("read the binlog", error).into();
    }
    let text = message.to_ascii_lowercase();
    let source_id = config.id.clone();
    let says = |parts: &[&str]| parts.iter().any(|part| text.contains(part));
    if says(&["same server_uuid", "same server_id", "same server-id"]) {
        // Passes: either the other one is thrown out by us, or our lease is lost.
        return Error::Mysql(tideway_mysql::Error::Unreachable {
            at: server.endpoint().label(),
            source: std::io::Error::new(
                std::io::ErrorKind::ConnectionReset,
                format!(
                    "{message}. Give the source another `server-id` in its file if that is a replica \
                     of your own"
                ),
            ),
        });
    }
    let files = files(server).await;
    if says(&["purged"]) {
        return Error::Purged {
            source_id,
            place: place.to_string(),
            oldest: oldest(&files),
            message,
        };
    }
    if says(&["could not find first log file"]) {
        let number = |file: &str| {
            file.rsplit_once('.')
                .and_then(|(_, n)| n.parse::<u64>().ok())
        };
        let ahead = match (place.file_number(), files.last()) {
            (Some(own), Some(last)) => number(last).is_some_and(|last| own > last),
            _ => false,
        };
        if !ahead {
            return Error::Purged {
                source_id,
                place: place.to_string(),
                oldest: oldest(&files),
                message,
            };
        }
        return Error::Backwards {
            source_id,
            what: format!(
                "it has no file {}, its last one is {}",
                place.file,
                files.last().map_or("none", String::as_str)
            ),
        };
    }
    if says(&[
        "> file size",
        "more gtids than",
        "not in the master's binlog",
        "not in the master",
        "impossible position",
    ]) {
        return Error::Backwards {
            source_id,
            what: format!("{place}: {message}"),
        };
    }
    let way_out = if says(&["middle of event", "bogus data", "corrupted", "truncated"]) {
        "If this place was given by hand (--from, meta), it is no event's beginning: take one from \
         SHOW BINLOG EVENTS and begin anew after `tideway cleanup`. Otherwise the server's binlog is damaged there: look at it with \
         mysqlbinlog on the server"
    } else if says(&["max_allowed_packet"]) {
        "An event is larger than the server's max_allowed_packet: raise it there (SET GLOBAL \
         max_allowed_packet = 1073741824)"
    } else {
        "Look at the server's error log"
    };
    Error::Refused {
        source_id,
        place: place.to_string(),
        message,
        way_out,
    }
}

/// The server's binlog files, oldest first; empty when it does not tell.
async fn files(server: &Server) -> Vec<String> {
    let Ok(mut conn) = server.conn().await else {
        return Vec::new();
    };
    let rows: Vec<mysql_async::Row> = conn.query("SHOW BINARY LOGS").await.unwrap_or_default();
    rows.iter()
        .filter_map(|row| row.get::<String, _>(0))
        .collect()
}

fn oldest(files: &[String]) -> String {
    match files.first() {
        Some(file) => format!("({file}, 4)"),
        None => "a place that it does not tell (SHOW BINARY LOGS is denied)".to_owned(),
    }
}
