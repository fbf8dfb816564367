//! `tideway cleanup`: ends a task; and what `tideway run --remove-meta` does before it runs.
//!
//! It removes the task's prefix in staging and the tables that Tideway keeps for it in the target's
//! meta schema, after it has shown them and was told to go on. It holds the lease `run` while it does
//! so, so that no `tideway run` works on the task, and first stops jobs on this machine that outlived
//! their runner: they would write what was just removed. The lease lies under the prefix itself and goes
//! last. Killed in between, it is run again and removes the rest; a task that runs again after half a
//! cleanup begins from what is left: without staging there is no manifest, and the checkpoint at the
//! target belongs to the former manifest's hash.

use std::io::{IsTerminal, Write};

use mysql_async::prelude::Queryable;
use tideway_config::ResolvedTask;
use tideway_job::{JobError, endpoint::endpoint};
use tideway_mysql::{Role, Server, sql};
use tideway_staging::Staging;
use tideway_staging::gc::{Removed, remove_prefix};
use tideway_staging::layout::{TaskKeys, stored_key};

use crate::cli::CleanupArgs;
use crate::run::screen::Screen;
use crate::run::{lock, orphans, state};
use crate::{human, task_files};

/// Ends of the names of the tables that Tideway keeps in the meta schema; the task's name stands
/// before them. They are named whole: `<task>%` would meet the tables of a task `<task>_2`, and those
/// that DM keeps for a task of the same name.
const META_TABLES: [&str; 3] = ["_owner", "_loader_checkpoint", "_syncer_checkpoint"];

/// What there is to remove.
#[derive(Debug, Default)]
struct Found {
    staged: Removed,
    tables: Vec<String>,
}

/// Shows, asks, removes.
///
/// # Errors
/// Wrong files, a target or staging that cannot be reached, a run that is under way, no consent.
pub async fn run(args: &CleanupArgs) -> Result<(), JobError> {
    let (task, staging) = task_files::open(&args.of).await?;
    let keys = TaskKeys::new(&task.name);
    let target = endpoint(&task.target, "target".to_owned());
    let server = Server::connect(&target, Role::Target, 1).await?;
    let found = find(&staging, &keys, &server, &task).await?;
    if found.staged.objects == 0 && found.tables.is_empty() {
        println!(
            "nothing is left of task {} in {} and in schema {} of the target",
            task.name,
            staging.url(),
            task.meta_schema
        );
        server.close().await;
        return Ok(());
    }
    println!("task {}:", task.name);
    for line in found.lines(&staging, &keys, &server) {
        println!("  {line}");
    }
    println!("The migrated tables stay as they are.");
    if args.dry_run {
        server.close().await;
        return Ok(());
    }
    if !args.yes && !consent()? {
        server.close().await;
        return Err(JobError::config("nothing was removed"));
    }
    let screen = Screen::new(false, false);
    let lock = lock::acquire(&staging, &keys, &screen).await?;
    stop_orphans(&staging, &keys, &screen).await?;
    remove(&staging, &keys, &server, &found).await?;
    server.close().await;
    lock.release().await;
    remove_prefix(&staging, &keys.root(), false).await?;
    println!("removed");
    Ok(())
}

/// Ends what still works for the task on this machine after its runner was killed. The caller holds
/// the lease `run`.
///
/// # Errors
/// Staging that cannot be listed; a process that does not end.
pub(crate) async fn stop_orphans(
    staging: &Staging,
    keys: &TaskKeys,
    screen: &Screen,
) -> Result<(), JobError> {
    let ids = state::run_ids(staging, keys).await?;
    orphans::stop(&ids.into_iter().collect(), screen)
        .await
        .map_err(JobError::failed)
}

/// Forgets what was done of a task before it runs anew, and says what it removes; asks nobody. The
/// caller holds the lease `run`, which stays.
///
/// # Errors
/// A target or staging that cannot be reached.
pub(crate) async fn forget(
    staging: &Staging,
    keys: &TaskKeys,
    task: &ResolvedTask,
    screen: &Screen,
) -> Result<(), JobError> {
    let target = endpoint(&task.target, "target".to_owned());
    let server = Server::connect(&target, Role::Target, 1).await?;
    let found = find(staging, keys, &server, task).await?;
    screen.note(&format!("--remove-meta: removing, of task {}:", task.name));
    for line in found.lines(staging, keys, &server) {
        screen.note(&format!("  {line}"));
    }
    remove(staging, keys, &server, &found).await?;
    server.close().await;
    Ok(())
}

impl Found {
    /// What there is, for a person.
    fn lines(&self, staging: &Staging, keys: &TaskKeys, server: &Server) -> Vec<String> {
        let endpoint = server.endpoint();
        let mut lines = vec![format!(
            "{} objects ({}) under {}/{}",
            human::count(self.staged.objects),
            human::bytes(self.staged.bytes),
            staging.url().trim_end_matches('/'),
            keys.root()
        )];
        lines.extend(self.tables.iter().map(|table| {
            format!(
                "table {table} at the target {}:{}",
                endpoint.host, endpoint.port
            )
        }));
        lines
    }
}

/// Removes all but the leases.
async fn remove(
    staging: &Staging,
    keys: &TaskKeys,
    server: &Server,
    found: &Found,
) -> Result<(), JobError> {
    drop_tables(server, &found.tables).await?;
    for folder in staging.list_dirs(&keys.root()).await? {
        let folder = stored_key(&format!("{}/{folder}", keys.root()));
        if folder != keys.leases_dir() {
            remove_prefix(staging, &folder, false).await?;
        }
    }
    staging.delete(&keys.task()).await?;
    Ok(())
}

async fn find(
    staging: &Staging,
    keys: &TaskKeys,
    server: &Server,
    task: &ResolvedTask,
) -> Result<Found, JobError> {
    let mut found = Found {
        staged: remove_prefix(staging, &keys.root(), true).await?,
        tables: Vec::new(),
    };
    let mut conn = server.conn().await?;
    for end in META_TABLES {
        let name = format!("{}{end}", task.name);
        let query = format!(
            "SELECT 1 FROM information_schema.TABLES WHERE TABLE_SCHEMA = {} AND TABLE_NAME = {}",
            sql::literal(&task.meta_schema),
            sql::literal(&name)
        );
        let there: Option<u8> = conn
            .query_first(query)
            .await
            .map_err(|error| server.error("look for the meta tables", error))?;
        if there.is_some() {
            found.tables.push(format!(
                "{}.{}",
                sql::ident(&task.meta_schema),
                sql::ident(&name)
            ));
        }
    }
    Ok(found)
}

fn consent() -> Result<bool, JobError> {
    if !std::io::stdin().is_terminal() {
        return Err(JobError::config(
            "nothing was removed: give --yes where nobody can be asked",
        ));
    }
    print!("Remove this? [y/N] ");
    let _ = std::io::stdout().flush();
    let mut answer = String::new();
    std::io::stdin()
        .read_line(&mut answer)
        .map_err(|error| JobError::failed(format!("reading the answer: {error}")))?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

async fn drop_tables(server: &Server, tables: &[String]) -> Result<(), JobError> {
    let mut conn = server.conn().await?;
    for table in tables {
        conn.query_drop(format!("DROP TABLE IF EXISTS {table}"))
            .await
            .map_err(|error| server.error(format!("drop {table}"), error))?;
    }
    Ok(())
}
