//! `tideway staging`: what lies in staging, for people.
//!
//! Reading only, but for `gc`, which removes what nothing names.

mod gc;
mod ls;
mod show;
mod tree;
mod verify;

use tideway_job::JobError;
use tideway_staging::document::TaskDoc;
use tideway_staging::layout::{SourceKeys, TaskKeys};
use tideway_staging::{Path, Staging};

use crate::cli::StagingCommand;

/// Runs one of the commands.
///
/// # Errors
/// What the command says.
pub async fn run(command: &StagingCommand) -> Result<(), JobError> {
    match command {
        StagingCommand::Ls(args) => ls::run(args).await,
        StagingCommand::Show(args) => show::run(args).await,
        StagingCommand::Verify(args) => verify::run(args).await,
        StagingCommand::Gc(args) => gc::run(args).await,
    }
}

/// A key as a person writes it: with or without slashes at the ends.
fn key(text: &str) -> Result<Path, JobError> {
    Path::parse(text.trim_matches('/')).map_err(|error| {
        JobError::config(format!(
            "`{text}` is no key: {error}; `tideway staging ls --files` shows them"
        ))
    })
}

/// A task that has something in staging.
pub(crate) struct Task {
    /// Its name.
    pub(crate) name: String,
    keys: TaskKeys,
}

/// The task of that name, or all that are in staging.
pub(crate) async fn tasks(staging: &Staging, name: Option<&str>) -> Result<Vec<Task>, JobError> {
    let folders = staging.list_dirs(&Path::default()).await?;
    let mut tasks = Vec::new();
    for folder in &folders {
        if let Some(task) = task(staging, folder).await? {
            tasks.push(task);
        }
    }
    let Some(name) = name else {
        return Ok(tasks);
    };
    let known: Vec<String> = tasks.iter().map(|task| task.name.clone()).collect();
    tasks.retain(|task| task.name == name);
    if tasks.is_empty() {
        let known = if known.is_empty() {
            "it is empty".to_owned()
        } else {
            format!("it has {}", known.join(", "))
        };
        return Err(JobError::config(format!(
            "there is no task `{name}` in {}: {known}",
            staging.url()
        )));
    }
    Ok(tasks)
}

/// The task whose folder this is. A long name is cut in the folder's name; `task.json` has it whole.
async fn task(staging: &Staging, folder: &str) -> Result<Option<Task>, JobError> {
    let named = |name: String| {
        let keys = TaskKeys::new(&name);
        (keys.root().as_ref() == folder).then_some(Task { name, keys })
    };
    if let Some(task) = named(decode_name(folder)) {
        return Ok(Some(task));
    }
    let key = key(&format!("{folder}/task.json"))?;
    let document: Option<TaskDoc> = staging.get_json(&key).await?;
    Ok(document.and_then(|document| named(document.name)))
}

/// The sources of a task that have a folder.
async fn sources(staging: &Staging, task: &Task) -> Result<Vec<(String, SourceKeys)>, JobError> {
    let folders = staging.list_dirs(&task.keys.root()).await?;
    Ok(folders
        .iter()
        .filter_map(|folder| {
            let id = decode_name(folder);
            let id = id.strip_prefix('/').unwrap_or(&id).to_owned();
            let keys = task.keys.source(&id);
            let is_its = keys.root().filename() == Some(folder.as_str());
            is_its.then_some((id, keys))
        })
        .collect())
}

/// The name that [`tideway_staging::layout::encode_name`] made this of, unless it was cut.
fn decode_name(encoded: &str) -> String {
    let mut bytes = Vec::with_capacity(encoded.len());
    let mut rest = encoded.as_bytes();
    while let [first, after @ ..] = rest {
        let escaped = (*first == b'%')
            .then(|| after.get(..2))
            .flatten()
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match escaped {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use tideway_staging::layout::encode_name;

    use super::*;

    #[test]
    fn names_of_folders_are_read_back() {
        for name in ["test", "a.b", "100%", "x/y", "ünï-schema", "%2F"] {
            assert_eq!(decode_name(&encode_name(name)), name);
        }
    }
}
