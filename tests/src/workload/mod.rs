//! Applications that go on writing: random statements from a seed, on several connections.
//!
//! A [`Workload`] makes its tables ([`schema`]), then writes to them ([`writer`]) and changes their
//! definitions ([`definitions`]) until it is stopped. Each connection draws its statements from a random
//! generator of its own, made from the seed: the same seed gives the same statements on each connection,
//! only how they interleave is the server's. Statements may fail, as an application's do (a key that
//! exists, a column that was dropped, a deadlock): what failed is counted by error number, and goes on.

pub mod definitions;
pub mod schema;
mod values;
pub mod writer;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::task::JoinHandle;

use crate::servers::Server;

/// Where and how a workload writes.
#[derive(Clone, Debug)]
pub struct Options {
    /// The server.
    pub server: Server,
    /// The database of its tables; `<database>_other` is written beside it, and is in no scope.
    pub database: String,
    /// First part of the tables' names, so that two sources can meet in one target database.
    pub prefix: String,
    /// The seed of all statements.
    pub seed: u64,
    /// Connections that write rows.
    pub writers: u64,
    /// Pause between two transactions of a connection; zero is full speed.
    pub pause: Duration,
    /// Longest pause between two changes of definitions; `None` for no such changes.
    pub ddl: Option<Duration>,
}

impl Options {
    /// Four connections at full speed, a change of a definition every 200 ms or so.
    #[must_use]
    pub fn new(server: Server, database: &str, prefix: &str, seed: u64) -> Self {
        Self {
            server,
            database: database.to_owned(),
            prefix: prefix.to_owned(),
            seed,
            writers: 4,
            pause: Duration::ZERO,
            ddl: Some(Duration::from_millis(400)),
        }
    }
}

/// What was done.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Statements that succeeded.
    pub done: u64,
    /// Of these, changes of definitions.
    pub definitions: u64,
    /// How many failed, by the server's error number.
    pub failed: BTreeMap<u16, u64>,
}

impl Tally {
    fn add(&mut self, other: &Self) {
        self.done += other.done;
        self.definitions += other.definitions;
        for (code, count) in &other.failed {
            *self.failed.entry(*code).or_default() += count;
        }
    }
}

/// Connections that write until they are stopped.
#[derive(Debug)]
pub struct Workload {
    stop: Arc<AtomicBool>,
    tasks: Vec<JoinHandle<Tally>>,
}

impl Workload {
    /// Makes the tables, fills them, and starts to write.
    pub async fn start(options: &Options) -> Self {
        println!("workload: {options:?}");
        schema::create(options).await;
        Self::resume(options)
    }

    /// Starts to write to tables that are there.
    #[must_use]
    pub fn resume(options: &Options) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let mut tasks = Vec::new();
        for number in 0..options.writers {
            let (options, stop) = (options.clone(), Arc::clone(&stop));
            tasks.push(tokio::spawn(
                async move { write(&options, number, &stop).await },
            ));
        }
        if let Some(pause) = options.ddl {
            let (options, stop) = (options.clone(), Arc::clone(&stop));
            tasks.push(tokio::spawn(
                async move { define(&options, pause, &stop).await },
            ));
        }
        Self { stop, tasks }
    }

    /// Ends the writing; what was begun is committed or rolled back.
    pub async fn stop(self) -> Tally {
        self.stop.store(true, Ordering::SeqCst);
        let mut tally = Tally::default();
        for task in self.tasks {
            tally.add(&task.await.expect("writer"));
        }
        println!("workload: {tally:?}");
        tally
    }
}

/// The random generator of a connection.
fn random(seed: u64, connection: u64) -> StdRng {
    StdRng::seed_from_u64(seed.wrapping_mul(1_000_003).wrapping_add(connection))
}

async fn write(options: &Options, number: u64, stop: &AtomicBool) -> Tally {
    let mut writer = writer::Writer::new(random(options.seed, number), options, number);
    let session = writer.session();
    let mut connection = Connection::new(options, session, stop).await;
    while !stop.load(Ordering::SeqCst) {
        connection.transaction(&writer.transaction()).await;
        if !options.pause.is_zero() {
            tokio::time::sleep(options.pause).await;
        }
    }
    connection.end().await
}

async fn define(options: &Options, pause: Duration, stop: &AtomicBool) -> Tally {
    let mut random = random(options.seed, u64::MAX);
    let mut connection = Connection::new(options, Vec::new(), stop).await;
    let longest = u64::try_from(pause.as_millis()).unwrap_or(400).max(1);
    while !stop.load(Ordering::SeqCst) {
        for statement in definitions::next(&mut random, options) {
            let before = connection.tally.done;
            connection.statement(&statement).await;
            connection.tally.definitions += connection.tally.done - before;
        }
        let wait = random.random_range(0..=longest);
        tokio::time::sleep(Duration::from_millis(wait)).await;
    }
    connection.end().await
}

/// A connection that is opened again when the server was away.
struct Connection<'a> {
    options: &'a Options,
    session: Vec<String>,
    conn: Option<Conn>,
    stop: &'a AtomicBool,
    tally: Tally,
}

impl<'a> Connection<'a> {
    async fn new(options: &'a Options, session: Vec<String>, stop: &'a AtomicBool) -> Self {
        let mut connection = Self {
            options,
            session,
            conn: None,
            stop,
            tally: Tally::default(),
        };
        connection.open().await;
        connection
    }

    /// Opens it; waits for the server until the end of the workload.
    async fn open(&mut self) {
        while self.conn.is_none() {
            match self.try_open().await {
                Ok(conn) => self.conn = Some(conn),
                Err(mysql_async::Error::Server(error)) => {
                    panic!("{:?}: {error}", self.options.server)
                }
                Err(_) if self.stop.load(Ordering::SeqCst) => return,
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    }

    async fn try_open(&self) -> mysql_async::Result<Conn> {
        let mut conn = self.options.server.try_connect().await?;
        let database = &self.options.database;
        conn.query_drop(format!("USE `{database}`")).await?;
        conn.query_drop("SET SESSION lock_wait_timeout = 5, SESSION innodb_lock_wait_timeout = 2")
            .await?;
        for statement in &self.session {
            conn.query_drop(statement).await?;
        }
        Ok(conn)
    }

    /// Runs a statement; whether the transaction that it stands in goes on.
    async fn statement(&mut self, statement: &str) -> bool {
        let Some(conn) = &mut self.conn else {
            self.open().await;
            return false;
        };
        match conn.query_drop(statement).await {
            Ok(()) => {
                self.tally.done += 1;
                true
            }
            Err(mysql_async::Error::Server(error)) => {
                if std::env::var_os("TIDEWAY_WORKLOAD_VERBOSE").is_some() {
                    println!("workload: {statement:.200}: {error}");
                }
                *self.tally.failed.entry(error.code).or_default() += 1;
                // 1213, 1205: the transaction is gone, or waits too long for another.
                // 1053, 1317: the server goes down.
                !matches!(error.code, 1205 | 1213 | 1053 | 1317)
            }
            Err(_) => {
                // The server was killed.
                self.conn = None;
                self.open().await;
                false
            }
        }
    }

    async fn transaction(&mut self, statements: &[String]) {
        for statement in statements {
            if !self.statement(statement).await {
                if statements.len() > 1 {
                    self.statement("ROLLBACK").await;
                }
                return;
            }
        }
    }

    async fn end(mut self) -> Tally {
        if let Some(conn) = self.conn.take() {
            // A server that is away has nothing to be said to.
            let _ = conn.disconnect().await;
        }
        self.tally
    }
}
