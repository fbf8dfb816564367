//! Which task a command means that needs its name and its staging only: a workflow file, a task file,
//! or the task's name.

use std::path::Path;

use tideway_job::{JobError, files};

use crate::cli::TaskRef;
use crate::configuration;
use crate::task_files::{self, DEFAULT_STAGING};

/// A task by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// Its name.
    pub task: String,
    /// Its staging.
    pub staging: String,
    /// The workflow that was named, if one was.
    pub workflow: Option<String>,
}

/// Finds the task that is meant.
///
/// # Errors
/// What is wrong in the file that is named.
pub async fn find(of: &TaskRef) -> Result<Named, JobError> {
    if !is_file(&of.task) {
        return Ok(Named {
            task: of.task.clone(),
            staging: of
                .staging
                .clone()
                .unwrap_or_else(|| DEFAULT_STAGING.to_owned()),
            workflow: None,
        });
    }
    let text = files::read(&of.task).await?;
    let is_workflow = text.lines().any(|line| line.starts_with("stages:"));
    let (workflow, task) = if is_workflow {
        (Some(of.task.as_str()), None)
    } else {
        (None, Some(of.task.as_str()))
    };
    let files = task_files::find(workflow, task, &[], of.staging.as_deref()).await?;
    Ok(Named {
        task: configuration::task_name(&files.task).await?,
        staging: files.staging,
        workflow: files.workflow.map(|workflow| workflow.name),
    })
}

/// A name of a task may have dots too; a file has one of these endings, or is there.
fn is_file(text: &str) -> bool {
    let yaml = Path::new(text).extension().is_some_and(|ending| {
        ending.eq_ignore_ascii_case("yaml") || ending.eq_ignore_ascii_case("yml")
    });
    yaml || text.contains("://") || Path::new(text).is_file()
}
