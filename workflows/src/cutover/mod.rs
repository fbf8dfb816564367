//! `tideway cutover`: tells whether it is safe to switch the applications to the target, and prepares
//! the target for their first INSERT.
//!
//! It is safe when, for every source,
//!
//! 1. nobody writes to it: it refuses writes (`read_only`), or a person says that the applications are
//!    stopped; and its position did not move while this looked;
//! 2. everything up to that position is applied: apply's own checkpoint at the target says so, which is
//!    committed with what it stands for;
//! 3. no DDL statement is held up;
//! 4. a validation that began after the last change of the source found no differences.
//!
//! The order matters: positions and checkpoint are read first and the position once more at the end, so
//! a write in between is seen. Only when all holds, AUTO_INCREMENT at the target is raised beyond the
//! sources': rows that were loaded and applied with their own numbers do not move it everywhere (TiDB
//! hands out numbers from cached ranges, MySQL forgets those of deleted rows). It is only ever raised,
//! so doing it again, or half of it, is harmless.

mod condition;
mod numbers;

use serde::Serialize;
use tideway_config::ResolvedTask;
use tideway_job::endpoint::endpoint;
use tideway_job::error::EXIT_FAILED;
use tideway_job::{JobError, Output};
use tideway_mysql::{Role, Server};
use tideway_staging::Staging;
use tideway_staging::layout::TaskKeys;

use crate::cli::CutoverArgs;
use crate::task_files;
use condition::{Condition, Source};
use numbers::Raised;

/// The whole answer.
#[derive(Debug, Serialize)]
struct Answer {
    /// The task.
    task: String,
    /// Whether all conditions hold.
    safe: bool,
    /// Each source with its conditions.
    sources: Vec<SourceAnswer>,
    /// Tables whose AUTO_INCREMENT was looked at; none while it is not safe.
    auto_increment: Vec<Raised>,
}

#[derive(Debug, Serialize)]
struct SourceAnswer {
    source: String,
    conditions: Vec<Condition>,
}

/// Looks, prints each condition, and prepares the target when all hold. The exit code says whether it
/// is safe.
///
/// # Errors
/// Wrong files; a server or staging that cannot be reached.
pub async fn run(args: &CutoverArgs) -> Result<u8, JobError> {
    let (task, staging) = task_files::open(&args.of).await?;
    let target = Server::connect(
        &endpoint(&task.target, "target".to_owned()),
        Role::Target,
        1,
    )
    .await?;
    let answer = Box::pin(look(args, &task, &staging, &target)).await?;
    target.close().await;
    match args.output {
        Output::Json => {
            let text = serde_json::to_string_pretty(&answer)
                .map_err(|error| JobError::failed(format!("writing JSON: {error}")))?;
            println!("{text}");
        }
        Output::Text => print!("{}", answer.text()),
    }
    Ok(if answer.safe { 0 } else { EXIT_FAILED })
}

async fn look(
    args: &CutoverArgs,
    task: &ResolvedTask,
    staging: &Staging,
    target: &Server,
) -> Result<Answer, JobError> {
    let keys = TaskKeys::new(&task.name);
    let mut servers = Vec::new();
    for config in &task.sources {
        let at = endpoint(&config.from, format!("source {}", config.id));
        servers.push(Server::connect(&at, Role::Source, 1).await?);
    }
    let mut sources = Vec::new();
    for (config, server) in task.sources.iter().zip(&servers) {
        let source = Source {
            task,
            config,
            server,
            target,
            keys: keys.source(&config.id),
        };
        sources.push(SourceAnswer {
            source: config.id.clone(),
            conditions: source
                .conditions(staging, args.assume_stopped, args.wait)
                .await?,
        });
    }
    let safe = sources
        .iter()
        .flat_map(|source| &source.conditions)
        .all(|condition| condition.holds);
    let auto_increment = if safe && !args.dry_run {
        numbers::raise(task, &servers, target).await?
    } else {
        Vec::new()
    };
    for server in servers {
        server.close().await;
    }
    Ok(Answer {
        task: task.name.clone(),
        safe,
        sources,
        auto_increment,
    })
}

impl Answer {
    fn text(&self) -> String {
        let mut out = format!("cutover of task {}\n", self.task);
        for source in &self.sources {
            out.push_str(&format!("  source {}\n", source.source));
            for condition in &source.conditions {
                let mark = if condition.holds { "ok" } else { "NO" };
                out.push_str(&format!("    {mark}  {}\n", condition.text));
            }
        }
        for raised in &self.auto_increment {
            out.push_str(&format!(
                "  AUTO_INCREMENT of {} is {}\n",
                raised.table, raised.next
            ));
        }
        out.push_str(if self.safe {
            "safe: point the applications at the target\n"
        } else {
            "not safe yet\n"
        });
        out
    }
}
