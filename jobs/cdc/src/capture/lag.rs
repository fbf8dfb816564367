//! How far the server is: looked at every few seconds, beside the stream.

use std::time::Duration;

use mysql_async::prelude::Queryable;
use tideway_config::ResolvedSource;
use tideway_mysql::connect::Server;
use tideway_mysql::position::BinlogPosition;
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::start;

/// How often.
const POLL: Duration = Duration::from_secs(3);

/// Where the server was.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Its clock, seconds since 1970, read before the position.
    pub time: u64,
    /// Its position.
    pub position: BinlogPosition,
}

/// Looks until the guard is dropped. What cannot be read is not told: only people and `--until
/// <time>` wait for it.
#[must_use]
pub fn watch(
    server: &Server,
    config: &ResolvedSource,
) -> (watch::Receiver<Option<Seen>>, DropGuard) {
    let (sender, receiver) = watch::channel(None);
    let end = CancellationToken::new();
    let guard = end.clone().drop_guard();
    let (server, config) = (server.clone(), config.clone());
    tokio::spawn(async move {
        loop {
            tokio::select! {
                () = end.cancelled() => return,
                seen = look(&server, &config) => {
                    if let Some(seen) = seen {
                        sender.send_replace(Some(seen));
                    }
                }
            }
            tokio::select! {
                () = end.cancelled() => return,
                () = tokio::time::sleep(POLL) => {}
            }
        }
    });
    (receiver, guard)
}

async fn look(server: &Server, config: &ResolvedSource) -> Option<Seen> {
    let mut conn = server.conn().await.ok()?;
    let time: u64 = conn.query_first("SELECT UNIX_TIMESTAMP()").await.ok()??;
    drop(conn);
    let position = start::own(server, config).await.ok()?;
    Some(Seen { time, position })
}
