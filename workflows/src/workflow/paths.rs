//! Relative paths in a workflow file start at the file's folder, so that the file means the same
//! wherever the command runs. A workflow file in an object store names its neighbours likewise.

/// Resolves what the workflow file `file` calls `path`.
#[must_use]
pub fn resolve(file: &str, path: &str) -> String {
    if path.contains("://") || path.starts_with('/') {
        return path.to_owned();
    }
    // The query of a URL (`?endpoint=…`) belongs to the store and stays at the end.
    let (address, query) = match file.split_once('?') {
        Some((address, query)) if file.contains("://") => (address, Some(query)),
        _ => (file, None),
    };
    let path = path.strip_prefix("./").unwrap_or(path);
    let resolved = match address.rsplit_once('/') {
        Some((folder, _)) => format!("{folder}/{path}"),
        None => path.to_owned(),
    };
    match query {
        Some(query) => format!("{resolved}?{query}"),
        None => resolved,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relative_paths_start_at_the_files_folder() {
        assert_eq!(
            resolve("workflows/full.yaml", "task.yaml"),
            "workflows/task.yaml"
        );
        assert_eq!(resolve("/a/full.yaml", "./x/task.yaml"), "/a/x/task.yaml");
        assert_eq!(resolve("full.yaml", "../task.yaml"), "../task.yaml");
        assert_eq!(resolve("a/full.yaml", "../task.yaml"), "a/../task.yaml");
    }

    #[test]
    fn what_is_whole_stays_as_it_is() {
        assert_eq!(resolve("a/full.yaml", "/task.yaml"), "/task.yaml");
        assert_eq!(resolve("a/full.yaml", "s3://b/t.yaml"), "s3://b/t.yaml");
    }

    #[test]
    fn neighbours_in_an_object_store() {
        assert_eq!(
            resolve("s3://b/w/full.yaml", "task.yaml"),
            "s3://b/w/task.yaml"
        );
        assert_eq!(
            resolve("s3://b/w/full.yaml?region=x", "task.yaml"),
            "s3://b/w/task.yaml?region=x"
        );
    }
}
