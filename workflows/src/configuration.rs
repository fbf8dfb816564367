//! The task and source files as the control commands read them.

use std::collections::BTreeSet;

use tideway_config::ResolvedTask;
use tideway_job::{JobError, files};

/// A resolved task with what there was to warn of.
pub struct Configuration {
    /// The task with its sources.
    pub task: ResolvedTask,
    /// Warnings, each once.
    pub warnings: Vec<String>,
}

/// Reads and resolves a task file and its source files (paths or URLs). `mode` replaces the task
/// file's `task-mode`.
///
/// # Errors
/// What is wrong in the files, with file and line.
pub async fn read(
    task: &str,
    sources: &[String],
    mode: Option<&str>,
) -> Result<Configuration, JobError> {
    let (mut parsed, warnings) = tideway_config::parse_task(&files::read(task).await?, task)?;
    let mut said: BTreeSet<String> = BTreeSet::new();
    let mut all: Vec<String> = warnings.iter().map(ToString::to_string).collect();
    let mut files = Vec::new();
    for name in sources {
        let (source, warnings) = tideway_config::parse_source(&files::read(name).await?, name)?;
        files.push(source);
        all.extend(warnings.iter().map(ToString::to_string));
    }
    all.retain(|warning| said.insert(warning.clone()));
    if let Some(mode) = mode {
        parsed.task_mode = mode.parse().map_err(JobError::config)?;
    }
    Ok(Configuration {
        task: ResolvedTask::resolve(parsed, files)?,
        warnings: all,
    })
}

/// The name of the task in a task file.
///
/// # Errors
/// What is wrong in the file.
pub async fn task_name(task: &str) -> Result<String, JobError> {
    let (parsed, _) = tideway_config::parse_task(&files::read(task).await?, task)?;
    Ok(parsed.name)
}
