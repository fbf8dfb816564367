//! Apply: the segments of a source into the target.
//!
//! ```text
//! feed ──► applier ──► dispatcher ──► workers ──► target
//!          │ events     │ causality    │ batches
//!          └ checkpoint └ bounds       └ one transaction each
//! ```
//!
//! What holds when it is killed at any instant stands with each part: [`applier`] (checkpoint and safe
//! mode), [`worker`] (batches), [`ddl`], [`xa`], [`catalog`] (what the dump has already). One process
//! applies a source at a time: the lease saves work, the fence at the target decides.

pub mod applier;
pub mod batch;
pub mod begin;
pub mod catalog;
pub mod change;
pub mod checkpoint;
pub mod ddl;
pub mod dispatch;
pub mod error;
mod events;
pub mod feed;
pub mod filters;
mod follow;
pub mod incremental;
pub mod keys;
pub mod place;
pub mod rates;
mod rows;
pub mod scan;
pub mod session;
pub mod shared;
pub mod source_def;
pub mod steps;
pub mod table;
pub mod until;
pub mod worker;
pub mod xa;

use std::sync::Arc;

use mysql_async::Conn;
use tideway_config::{ResolvedSource, TaskMode};
use tideway_job::{Job, JobError, Progress};
use tideway_mysql::connect::Server;
use tideway_mysql::fence::{Fence, OwnerTable};
use tideway_mysql::info::Flavor;
use tideway_mysql::position::BinlogPosition;
use tideway_mysql::retry::{RetryPolicy, with_retry};
use tideway_staging::layout::SourceKeys;
use tideway_staging::lease::{Acquired, Lease};
use tideway_staging::segment::{Chain, SegmentMarker, read_marker};
use tokio::sync::mpsc;

use self::applier::{Applier, Setting};
use self::batch::Style;
use self::begin::{Begin, Reader};
use self::checkpoint::Checkpoint;
use self::dispatch::Dispatcher;
use self::error::{Error, Result};
use self::feed::Feed;
use self::filters::EventFilters;
use self::follow::{Ends, follow};
use self::shared::Shared;
use self::until::Until;
use self::worker::Worker;
use crate::options::Args;
use tideway_mysql::mark::Mark;

/// The smallest limit of an event.
const EVENT: usize = 32 << 20;

/// Applies one source until it is told to end, or `--until` is reached.
///
/// # Errors
/// [`JobError`], whose variants are the exit codes.
pub async fn apply(
    job: &Job,
    args: &Args,
    source: &ResolvedSource,
    progress: &Progress,
) -> Result<(), JobError> {
    progress.stage("waiting");
    let name = format!("apply/{}", source.id);
    let acquired = crate::lease::acquire(job, &name, "apply", args.wait, progress).await?;
    let lease = match acquired {
        Acquired::Held(lease) => lease,
        Acquired::Busy { .. } if job.stop.is_cancelled() => return Err(Error::Stopped.into()),
        Acquired::Busy { owner, until } => {
            return Err(JobError::failed(format!(
                "source {}: another process applies it ({owner}, until {} unless renewed). Stop that \
                 one, or wait for it with --wait 1m",
                source.id,
                until.format("%H:%M:%S UTC")
            )));
        }
    };
    let result = Box::pin(with_lease(job, args, source, progress, &lease)).await;
    if let Err(Error::Ddl { at, statement, .. }) = &result {
        // `tideway binlog` finds the place there.
        progress.held_up(&at.file, at.pos, statement);
    }
    if let Err(error) = lease.release().await {
        tracing::debug!("{error}");
    }
    Ok(result?)
}

async fn with_lease(
    job: &Job,
    args: &Args,
    source: &ResolvedSource,
    progress: &Progress,
    lease: &Lease,
) -> Result<()> {
    let workers = usize::try_from(source.sync.worker_count).unwrap_or(16);
    let workers = job.args.workers.unwrap_or(workers).clamp(1, 256);
    let endpoint = tideway_job::endpoint::endpoint(&job.task.target, "target".to_owned());
    let server =
        Server::connect(&endpoint, tideway_mysql::connect::Role::Target, workers + 2).await?;
    let result = Box::pin(with_target(
        job, args, source, progress, lease, &server, workers,
    ))
    .await;
    server.close().await;
    result
}

async fn with_target(
    job: &Job,
    args: &Args,
    source: &ResolvedSource,
    progress: &Progress,
    lease: &Lease,
    server: &Server,
    workers: usize,
) -> Result<()> {
    let keys = job.keys.source(&source.id);
    let mut conn = server.conn().await?;
    let owners = OwnerTable::new(&job.task.meta_schema, &job.task.name, server.info().flavor);
    owners.create(&mut conn).await?;
    let checkpoint = Checkpoint::new(&job.task.meta_schema, &job.task.name, &source.id);
    checkpoint.create(&mut conn).await?;
    let reader = Reader {
        job,
        source,
        keys: &keys,
        wait: args.wait,
    };
    // What must be there first is waited for before a former owner is shut out; how far that one came is
    // read behind it.
    let (start, begin) = reader.first(&checkpoint, &mut conn).await?;
    let fences = raise(&owners, server, &source.id, workers + 1).await?;
    let mut begin = reader.resume(begin, &start, &checkpoint, &mut conn).await?;
    let mut fences = fences.into_iter();
    let Some(fence) = fences.next() else {
        return Err(Error::Stopped);
    };
    fence.record_connection(&mut conn).await?;
    let flavor = flavor_of(&start.flavor);
    let event_limit = u32::try_from((job.memory.total() / 2).max(EVENT)).unwrap_or(u32::MAX);
    if begin.fresh && job.task.mode == TaskMode::Incremental {
        let chain = Chain::start(&job.staging, &keys).await?;
        let place = begin.saved.place;
        let mut feed = Feed::start(&source.id, &job.staging, &keys, chain, place, event_limit);
        let info = server.info();
        tokio::select! {
            () = job.stop.cancelled() => return Err(Error::Stopped),
            taken = incremental::take_back(source, flavor, &mut begin, &mut feed, &mut conn, info) => taken?,
        }
    }
    let chain = first_chain(job, &keys, &mut begin, &checkpoint, &fence, &mut conn).await?;
    mark_old_rows(job, source, &keys, flavor, &mut begin, event_limit).await?;
    let keyless = checkpoint.keyless(&mut conn).await?;
    let until = Until::of(args.until.as_deref(), &job.staging, &keys, &source.id).await?;

    let shared = Arc::new(Shared::new(workers));
    let (queues, tasks) = spawn_workers(job, source, server, &checkpoint, &shared, fences);
    let dispatcher = Dispatcher::new(
        queues,
        Arc::clone(&shared),
        job.memory.total() / 3,
        source.sync.batch,
        !source.sync.disable_detect,
    );
    let filters =
        EventFilters::new(&source.event_filters, job.task.case_sensitive).map_err(|what| {
            Error::Mismatch {
                source_id: source.id.clone(),
                what,
            }
        })?;
    let setting = Setting {
        job,
        source,
        keys: keys.clone(),
        target: server.clone(),
        flavor,
        checkpoint,
        fence,
        event_limit,
    };
    let place = begin.saved.place;
    let mut feed = Feed::start(&source.id, &job.staging, &keys, chain, place, event_limit);
    let mut applier = Applier::new(
        setting,
        progress.clone(),
        begin.catalog,
        begin.dump,
        filters,
        dispatcher,
        Arc::clone(&shared),
        begin.saved,
        keyless,
        conn,
    );
    progress.stage("applying");
    let mut ends = Ends::new(job, source, lease, until).await?;
    let result = Box::pin(follow(&mut applier, &mut feed, &mut ends)).await;
    ends.close().await;
    // The queues close with it, and the workers leave.
    drop(applier);
    for task in tasks {
        let _ = task.await;
    }
    match result {
        // A worker's own error says more than that it left.
        Err(Error::Stopped) if !job.stop.is_cancelled() => {
            Err(shared.take_failure().unwrap_or(Error::Stopped))
        }
        result => result,
    }
}

/// Takes over the rows of the owners' table; waits for a former owner's transactions.
async fn raise(
    owners: &OwnerTable,
    server: &Server,
    source: &str,
    connections: usize,
) -> Result<Vec<Fence>> {
    let what = format!("take over the applying of source {source}");
    let raised = with_retry(&RetryPolicy::DEFAULT, &what, || async {
        let mut conn = server.conn().await?;
        owners.raise(&mut conn, source, "apply", connections).await
    });
    Ok(Box::pin(raised).await?)
}

/// Stores the first checkpoint where there is none, and finds the chain that its place stands in.
async fn first_chain(
    job: &Job,
    keys: &SourceKeys,
    begin: &mut Begin,
    checkpoint: &Checkpoint,
    fence: &Fence,
    conn: &mut Conn,
) -> Result<Chain> {
    if !begin.fresh {
        let saved = &begin.saved;
        return Ok(Chain::after(
            saved.place.segment - 1,
            saved.state.previous.clone(),
        ));
    }
    let chain = Chain::start(&job.staging, keys).await?;
    chain.previous().clone_into(&mut begin.saved.state.previous);
    let definitions: Vec<_> = begin
        .catalog
        .iter()
        .map(|known| (&known.def.name, Some(&*known.def)))
        .collect();
    checkpoint
        .save(conn, fence, &begin.saved, &definitions)
        .await?;
    tideway_job::failpoint::hit("apply.begun");
    Ok(chain)
}

/// Notes for each table up to where its rows have another shape than the dump's definition.
async fn mark_old_rows(
    job: &Job,
    source: &ResolvedSource,
    keys: &SourceKeys,
    flavor: Flavor,
    begin: &mut Begin,
    event_limit: u32,
) -> Result<()> {
    let marks: Vec<Mark> = begin
        .catalog
        .iter()
        .filter_map(|known| known.defined.clone())
        .collect();
    let place = begin.saved.place;
    let passed = |marker: &SegmentMarker, position: &serde_json::Value| {
        let position: Option<BinlogPosition> = serde_json::from_value(position.clone()).ok();
        position.is_some_and(|position| {
            marks
                .iter()
                .all(|mark| mark.passed(&marker.server_uuid, &position))
        })
    };
    if marks.is_empty() {
        return Ok(());
    }
    match read_marker(&job.staging, keys, place.segment).await? {
        Some((marker, _)) if passed(&marker, &marker.from) => return Ok(()),
        // Nothing behind the checkpoint yet: it is behind the dump, or capture has only begun.
        None if !begin.fresh => return Ok(()),
        _ => {}
    }
    let chain = Chain::after(place.segment - 1, begin.saved.state.previous.clone());
    let mut feed = Feed::start(&source.id, &job.staging, keys, chain, place, event_limit);
    let catalog = &begin.catalog;
    let mut last = Vec::new();
    tokio::select! {
        () = job.stop.cancelled() => return Err(Error::Stopped),
        scanned = scan::ddl(
            source,
            flavor,
            &mut feed,
            |marker| passed(marker, &marker.to),
            false,
            |found| {
                let has = found.tables.into_iter();
                let has = has.filter(|table| catalog.has_ddl(table, &found.spot));
                last.extend(has.map(|table| (table, found.place)));
            },
        ) => scanned?,
    }
    for (table, place) in last {
        if let Some(known) = begin.catalog.get_mut(&table) {
            known.ignore = Some(place);
        }
    }
    Ok(())
}

type Spawned = (
    Vec<mpsc::Sender<dispatch::Message>>,
    Vec<tokio::task::JoinHandle<()>>,
);

fn spawn_workers(
    job: &Job,
    source: &ResolvedSource,
    server: &Server,
    checkpoint: &Checkpoint,
    shared: &Arc<Shared>,
    fences: impl Iterator<Item = Fence>,
) -> Spawned {
    let batch = usize::try_from(source.sync.batch).unwrap_or(100).max(1);
    let queue = usize::try_from(source.sync.queue_size)
        .unwrap_or(1024)
        .max(1);
    let mut spawned = (Vec::new(), Vec::new());
    for (index, fence) in fences.enumerate() {
        let (sender, receiver) = mpsc::channel(queue);
        let worker = Worker {
            index,
            source_id: source.id.clone(),
            server: server.clone(),
            fence,
            checkpoint: checkpoint.clone(),
            batch,
            style: Style {
                multiple_rows: source.sync.groups_rows(),
                compact: source.sync.compact,
                safe: false,
            },
            shared: Arc::clone(shared),
        };
        spawned.0.push(sender);
        spawned.1.push(tokio::spawn(worker.run(receiver)));
    }
    tracing::debug!(
        source = source.id,
        task = job.task.name,
        "{} workers",
        spawned.1.len()
    );
    spawned
}

/// The flavour that `start.json` names.
pub(crate) fn flavor_of(name: &str) -> Flavor {
    match name {
        "mariadb" => Flavor::MariaDb,
        "aurora" => Flavor::Aurora,
        "tidb" => Flavor::TiDb,
        _ => Flavor::MySql,
    }
}

/// The beginning of a text, at most so many characters, for a message.
fn shortened(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((at, _)) => format!("{}…", text.get(..at).unwrap_or_default()),
        None => text.to_owned(),
    }
}
