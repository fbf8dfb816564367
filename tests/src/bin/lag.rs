//! From the commit on a source to the row being visible on the target, under a steady load.
//!
//! One connection commits `--batch` rows at a time, `--rate` rows a second; another one asks the target
//! for the largest key every few milliseconds. A commit is visible when its last row is. Prints
//! `p50 p99 max commits` (milliseconds). The table `id BIGINT PRIMARY KEY, v VARCHAR(100)` must be there
//! on both sides, empty. Passwords come from `TIDEWAY_TEST_ROOT_PASSWORD` and `TIDEWAY_TEST_TIDB_PASSWORD`.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Parser;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Opts, OptsBuilder};
use tokio::time::{Instant, MissedTickBehavior, interval};

/// How often the target is asked.
const ASK: Duration = Duration::from_millis(5);
/// How long the last rows are waited for.
const END: Duration = Duration::from_secs(60);

/// Measures how far a target lies behind its source.
#[derive(Parser)]
struct Args {
    /// Port of the source on 127.0.0.1
    #[arg(long)]
    source_port: u16,
    /// Port of the target on 127.0.0.1
    #[arg(long)]
    target_port: u16,
    /// The target is TiDB: its password is another variable
    #[arg(long)]
    tidb: bool,
    /// The table, with its database
    #[arg(long)]
    table: String,
    /// Rows a second
    #[arg(long, default_value_t = 1000)]
    rate: u64,
    /// Rows a transaction
    #[arg(long, default_value_t = 20)]
    batch: u64,
    /// Seconds
    #[arg(long, default_value_t = 60)]
    seconds: u64,
}

fn options(port: u16, variable: &str) -> Result<Opts> {
    let password = std::env::var(variable)
        .with_context(|| format!("{variable} is not set: `. target/servers/env`"))?;
    Ok(OptsBuilder::default()
        .ip_or_hostname("127.0.0.1")
        .tcp_port(port)
        .user(Some("root"))
        .pass(Some(password))
        .prefer_socket(false)
        .into())
}

/// Commits batches; when each was committed.
async fn write(mut conn: Conn, args: &Args) -> Result<Vec<Instant>> {
    let commits = args.rate * args.seconds / args.batch;
    let mut ticks = interval(Duration::from_secs_f64(
        args.batch as f64 / args.rate as f64,
    ));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut at = Vec::with_capacity(commits as usize);
    for commit in 0..commits {
        ticks.tick().await;
        let rows: Vec<String> = (1..=args.batch)
            .map(|row| commit * args.batch + row)
            .map(|id| format!("({id}, '{id:080}')"))
            .collect();
        conn.query_drop(format!(
            "INSERT INTO {} VALUES {}",
            args.table,
            rows.join(", ")
        ))
        .await?;
        at.push(Instant::now());
    }
    conn.disconnect().await?;
    Ok(at)
}

/// When each commit was seen.
async fn watch(mut conn: Conn, args: &Args) -> Result<Vec<Instant>> {
    let commits = (args.rate * args.seconds / args.batch) as usize;
    let sql = format!("SELECT COALESCE(MAX(id), 0) FROM {}", args.table);
    let until = Instant::now() + Duration::from_secs(args.seconds) + END;
    let mut seen = Vec::with_capacity(commits);
    while seen.len() < commits {
        let largest: u64 = conn.query_first(&sql).await?.unwrap_or(0);
        let now = Instant::now();
        seen.resize((largest / args.batch) as usize, now);
        if now > until {
            bail!("{} of {commits} commits arrived", seen.len());
        }
        tokio::time::sleep(ASK).await;
    }
    conn.disconnect().await?;
    Ok(seen)
}

#[tokio::main]
async fn main() -> Result<()> {
    let args = Args::parse();
    let target = match args.tidb {
        true => "TIDEWAY_TEST_TIDB_PASSWORD",
        false => "TIDEWAY_TEST_ROOT_PASSWORD",
    };
    let source = Conn::new(options(args.source_port, "TIDEWAY_TEST_ROOT_PASSWORD")?).await?;
    let target = Conn::new(options(args.target_port, target)?).await?;
    let (written, seen) = tokio::try_join!(write(source, &args), watch(target, &args))?;
    let mut lags: Vec<Duration> = written
        .iter()
        .zip(&seen)
        .map(|(written, seen)| seen.saturating_duration_since(*written))
        .collect();
    lags.sort_unstable();
    let at = |share: f64| lags[((lags.len() - 1) as f64 * share) as usize].as_millis();
    println!("{} {} {} {}", at(0.5), at(0.99), at(1.0), lags.len());
    Ok(())
}
