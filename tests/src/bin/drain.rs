//! The lower bound of a dump: reads every row of a database and drops it.
//!
//! As the dump does, it reads ranges of the integer primary key `id` over a few encrypted connections
//! by the binary protocol; what it lacks is all that the dump does with a row. The password comes from
//! `TIDEWAY_TEST_ROOT_PASSWORD`, never from an argument.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use anyhow::{Context, Result};
use clap::Parser;
use futures::TryStreamExt;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Opts, OptsBuilder, Row, SslOpts};

/// How many ranges each connection gets of a table, so that all end at about the same time.
const RANGES_PER_CONNECTION: u64 = 8;

/// Reads every row of a database and drops it.
#[derive(Parser)]
struct Args {
    /// Port on 127.0.0.1
    #[arg(long)]
    port: u16,
    /// User
    #[arg(long, default_value = "root")]
    user: String,
    /// Database whose tables are read
    #[arg(long)]
    database: String,
    /// Connections
    #[arg(long, default_value_t = 4)]
    connections: usize,
}

fn options(args: &Args) -> Result<Opts> {
    let password = std::env::var("TIDEWAY_TEST_ROOT_PASSWORD")
        .context("TIDEWAY_TEST_ROOT_PASSWORD is not set: `. target/servers/env`")?;
    Ok(OptsBuilder::default()
        .ip_or_hostname("127.0.0.1")
        .tcp_port(args.port)
        .user(Some(args.user.clone()))
        .pass(Some(password))
        .db_name(Some(args.database.clone()))
        .prefer_socket(false)
        // As the jobs do when the task names no authority: encrypted, and nobody verified.
        .ssl_opts(
            SslOpts::default()
                .with_danger_accept_invalid_certs(true)
                .with_danger_skip_domain_validation(true),
        )
        .setup(vec!["SET NAMES utf8mb4".to_owned()])
        .into())
}

/// A statement for each range of each table.
async fn ranges(conn: &mut Conn, args: &Args) -> Result<Vec<String>> {
    let tables: Vec<String> = conn.query("SHOW TABLES").await?;
    let mut statements = Vec::new();
    for table in tables {
        let bounds: Option<(Option<u64>, Option<u64>)> = conn
            .query_first(format!("SELECT MIN(id), MAX(id) FROM `{table}`"))
            .await
            .with_context(|| format!("the bounds of {table}"))?;
        let Some((Some(first), Some(last))) = bounds else {
            continue;
        };
        let count = RANGES_PER_CONNECTION * args.connections as u64;
        let step = (last - first) / count + 1;
        for number in 0..count {
            let from = first + number * step;
            if from <= last {
                let to = from + step;
                statements.push(format!(
                    "SELECT * FROM `{table}` WHERE id >= {from} AND id < {to}"
                ));
            }
        }
    }
    Ok(statements)
}

#[tokio::main]
async fn main() -> Result<()> {
    let args = Args::parse();
    let opts = options(&args)?;
    let mut conn = Conn::new(opts.clone()).await.context("connect")?;
    let statements = Arc::new(ranges(&mut conn, &args).await?);
    conn.disconnect().await?;

    let next = Arc::new(AtomicUsize::new(0));
    let rows = Arc::new(AtomicU64::new(0));
    let mut readers = tokio::task::JoinSet::new();
    for _ in 0..args.connections {
        let (opts, statements) = (opts.clone(), Arc::clone(&statements));
        let (next, rows) = (Arc::clone(&next), Arc::clone(&rows));
        readers.spawn(async move {
            let mut conn = Conn::new(opts).await.context("connect")?;
            while let Some(statement) = statements.get(next.fetch_add(1, Ordering::Relaxed)) {
                let mut stream = conn.exec_stream::<Row, _, _>(statement, ()).await?;
                let mut count = 0;
                while let Some(row) = stream.try_next().await? {
                    drop(row);
                    count += 1;
                }
                drop(stream);
                rows.fetch_add(count, Ordering::Relaxed);
            }
            conn.disconnect().await?;
            anyhow::Ok(())
        });
    }
    while let Some(ended) = readers.join_next().await {
        ended??;
    }
    println!("{}", rows.load(Ordering::Relaxed));
    Ok(())
}
