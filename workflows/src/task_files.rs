//! Which task, files and staging a command means: by a workflow file, by flags, or by flags that take
//! the place of what the workflow file says.

use tideway_config::ResolvedTask;
use tideway_job::{JobError, files};
use tideway_staging::Staging;

use crate::cli::ServersOf;
use crate::configuration;
use crate::workflow::{self, Workflow};

/// Where staging is when nothing says so.
pub const DEFAULT_STAGING: &str = "./tideway-staging";

/// Files and staging of a task.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskFiles {
    /// The workflow file, if one was named.
    pub workflow: Option<Workflow>,
    /// DM task file.
    pub task: String,
    /// DM source files; none where only the task matters.
    pub sources: Vec<String>,
    /// Staging.
    pub staging: String,
}

/// Reads the workflow file, if one is named, and lets the flags take the place of what it says.
///
/// # Errors
/// What is wrong in the workflow file, or that nothing names a task.
pub async fn find(
    workflow: Option<&str>,
    task: Option<&str>,
    sources: &[String],
    staging: Option<&str>,
) -> Result<TaskFiles, JobError> {
    let workflow = match workflow {
        Some(file) => Some(read_workflow(file).await?),
        None => None,
    };
    let of_workflow = workflow.as_ref();
    let task = task
        .or(of_workflow.map(|workflow| workflow.task.as_str()))
        .ok_or_else(|| JobError::config("name a workflow file, or a task file with --task"))?
        .to_owned();
    let staging = staging
        .or(of_workflow.and_then(|workflow| workflow.staging.as_deref()))
        .unwrap_or(DEFAULT_STAGING)
        .to_owned();
    let sources = match (sources, of_workflow) {
        ([], Some(workflow)) => workflow.sources.clone(),
        (sources, _) => sources.to_vec(),
    };
    Ok(TaskFiles {
        workflow,
        task,
        sources,
        staging,
    })
}

/// Reads the task with its sources, and opens its staging.
///
/// # Errors
/// Wrong files, or none for the sources; a staging that cannot be opened.
pub async fn open(of: &ServersOf) -> Result<(ResolvedTask, Staging), JobError> {
    let files = find(
        of.workflow.as_deref(),
        of.task.as_deref(),
        &of.source,
        of.staging.as_deref(),
    )
    .await?;
    if files.sources.is_empty() {
        return Err(JobError::config(
            "name the task's source files with --source, once for each",
        ));
    }
    let task = configuration::read(&files.task, &files.sources, None)
        .await?
        .task;
    Ok((task, Staging::open(&files.staging).await?))
}

/// Reads a workflow file from a path or URL.
///
/// # Errors
/// That it cannot be read, or everything that is wrong in it.
pub async fn read_workflow(file: &str) -> Result<Workflow, JobError> {
    let text = files::read(file).await?;
    workflow::parse(&text, file).map_err(JobError::config)
}
