//! Configuration files: from a path or from an object store (`s3://bucket/folder/task.yaml`).

use std::path::Path;

use tideway_staging::Staging;

use crate::error::JobError;

/// The largest configuration file that is read.
const LIMIT: u64 = 4 << 20;

/// Reads a text file named by a path or a URL.
///
/// # Errors
/// When it is absent, unreadable, larger than 4 MiB or not UTF-8; names the file.
pub async fn read(name: &str) -> Result<String, JobError> {
    let bytes = match name.split_once("://") {
        Some(("file", path)) => local(Path::new(path), name)?,
        Some(_) => remote(name).await?,
        None => local(Path::new(name), name)?,
    };
    String::from_utf8(bytes).map_err(|_| JobError::config(format!("{name}: is not UTF-8 text")))
}

fn local(path: &Path, name: &str) -> Result<Vec<u8>, JobError> {
    let size = std::fs::metadata(path)
        .map_err(|error| JobError::config(format!("{name}: {error}")))?
        .len();
    if size > LIMIT {
        return Err(JobError::config(format!(
            "{name}: {size} bytes is too large for a configuration file"
        )));
    }
    std::fs::read(path).map_err(|error| JobError::config(format!("{name}: {error}")))
}

async fn remote(name: &str) -> Result<Vec<u8>, JobError> {
    // The query (`?endpoint=…`) belongs to the store, the last path segment is the file.
    let (address, query) = name.split_once('?').unwrap_or((name, ""));
    let Some((folder, file)) = address.rsplit_once('/') else {
        return Err(JobError::config(format!("{name}: names no file")));
    };
    let url = if query.is_empty() {
        folder.to_owned()
    } else {
        format!("{folder}?{query}")
    };
    let store = Staging::open(&url).await?;
    let key = object_path(file, name)?;
    match store.get_bytes(&key).await? {
        Some(bytes) => Ok(bytes.to_vec()),
        None => Err(JobError::config(format!("{name}: there is no such object"))),
    }
}

fn object_path(file: &str, name: &str) -> Result<tideway_staging::Path, JobError> {
    tideway_staging::Path::parse(file).map_err(|error| JobError::config(format!("{name}: {error}")))
}
