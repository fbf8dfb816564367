//! What a folder store leaves behind and object_store hides.
//!
//! A folder's put writes `name#<digits>` beside the object and links or renames it when complete. A
//! process that is killed in between leaves that file; `list` never shows it. Such a file is nobody's
//! once its writer is dead, and a writer that is alive touches it all the time, so age tells them
//! apart. Were a live one taken after all, its put would fail and be made again: nothing is lost.

use std::io;
use std::path::{Path as FsPath, PathBuf};
use std::time::{Duration, SystemTime};

use object_store::path::Path;

use crate::{Error, Result, Staging};

/// Temporary files of killed writers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Leftovers {
    /// How many.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl Staging {
    /// The folder in which the keys under `prefix` lie, when this store is a folder.
    pub(crate) fn folder_of(&self, prefix: &Path) -> Option<PathBuf> {
        let mut folder = self.folder()?.clone();
        folder.extend(prefix.parts().map(|part| part.as_ref().to_owned()));
        Some(folder)
    }

    /// Removes (or only counts) temporary files under `prefix` that were not touched for `min_age`.
    pub(crate) async fn clean_leftovers(
        &self,
        prefix: &Path,
        min_age: Duration,
        dry_run: bool,
    ) -> Result<Leftovers> {
        self.in_folder(prefix, move |folder| {
            let mut found = Leftovers::default();
            clean(&folder, min_age, dry_run, &mut found)?;
            Ok(found)
        })
        .await
    }

    /// Removes the folders under `prefix`, and its own, that hold nothing.
    pub(crate) async fn remove_empty_folders(&self, prefix: &Path) -> Result<()> {
        self.in_folder(prefix, |folder| remove_empty(&folder)).await
    }

    async fn in_folder<T: Default + Send + 'static>(
        &self,
        prefix: &Path,
        work: impl FnOnce(PathBuf) -> io::Result<T> + Send + 'static,
    ) -> Result<T> {
        let Some(folder) = self.folder_of(prefix) else {
            return Ok(T::default());
        };
        let done = tokio::task::spawn_blocking(move || work(folder))
            .await
            .unwrap_or_else(|error| Err(io::Error::other(error)));
        done.map_err(|error| {
            let error = object_store::Error::Generic {
                store: "LocalFileSystem",
                source: Box::new(error),
            };
            Error::from_store(self.url(), prefix.as_ref(), error)
        })
    }
}

/// Whether object_store made this name for an unfinished write.
fn is_leftover(name: &str) -> bool {
    name.split_once('#')
        .is_some_and(|(_, digits)| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()))
}

fn clean(
    folder: &FsPath,
    min_age: Duration,
    dry_run: bool,
    found: &mut Leftovers,
) -> io::Result<()> {
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            clean(&entry.path(), min_age, dry_run, found)?;
            continue;
        }
        if !kind.is_file() || !entry.file_name().to_str().is_some_and(is_leftover) {
            continue;
        }
        let meta = match entry.metadata() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            meta => meta?,
        };
        let age = SystemTime::now()
            .duration_since(meta.modified()?)
            .unwrap_or_default();
        if age < min_age {
            continue;
        }
        if !dry_run {
            match std::fs::remove_file(entry.path()) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                removed => removed?,
            }
        }
        found.files += 1;
        found.bytes += meta.len();
    }
    Ok(())
}

/// A folder that gets a file meanwhile refuses to be removed, which is right.
fn remove_empty(folder: &FsPath) -> io::Result<()> {
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_empty(&entry.path())?;
        }
    }
    match std::fs::remove_dir(folder) {
        Err(error)
            if !matches!(
                error.kind(),
                io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::NotFound
            ) =>
        {
            Err(error)
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_the_store_makes_are_leftovers() {
        for (name, leftover) in [
            ("x.parquet#1", true),
            ("x.json#42", true),
            ("x.parquet", false),
            ("x#", false),
            ("x#1a", false),
            ("x#1#2", false),
        ] {
            assert_eq!(is_leftover(name), leftover, "{name}");
        }
    }
}
