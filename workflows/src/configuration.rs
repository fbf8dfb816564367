//! The task and source files as the control commands read them.

use std::collections::BTreeSet;

use tideway_config::{Options, ResolvedTask, TaskFile};
use tideway_job::{JobError, files};

/// A resolved task with what there was to warn of.
pub struct Configuration {
    /// The task file as written.
    pub file: TaskFile,
    /// The task with its sources, defaults filled in.
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
    let (file, mut warnings) = tideway_config::parse_task(&files::read(task).await?, task)?;
    let mut source_files = Vec::new();
    for name in sources {
        let (source, more) = tideway_config::parse_source(&files::read(name).await?, name)?;
        source_files.push(source);
        warnings.extend(more);
    }
    let mut options = Options::from_env();
    if let Some(mode) = mode {
        options.mode = Some(mode.parse().map_err(JobError::config)?);
    }
    let (task, more) = tideway_config::resolve(&file, &source_files, &options)?;
    warnings.extend(more);
    let mut said = BTreeSet::new();
    let warnings = warnings
        .iter()
        .map(ToString::to_string)
        .filter(|warning| said.insert(warning.clone()))
        .collect();
    Ok(Configuration {
        file,
        task,
        warnings,
    })
}

/// The name of the task in a task file.
///
/// # Errors
/// What is wrong in the file.
pub async fn task_name(task: &str) -> Result<String, JobError> {
    let (file, _) = tideway_config::parse_task(&files::read(task).await?, task)?;
    if file.name.trim().is_empty() {
        return Err(JobError::config(format!("{task}: `name` is missing")));
    }
    Ok(file.name)
}
