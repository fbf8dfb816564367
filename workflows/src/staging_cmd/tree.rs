//! A tree of folders with what lies in them. Its size is that of what is shown, not of what is
//! listed: the files of a table are one node.

use std::collections::BTreeMap;

use tideway_staging::Path;
use tideway_staging::layout::ChunkFile;

use crate::human;

/// A folder, a table or an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    /// Objects in it.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
    /// What is in it, by name.
    pub children: BTreeMap<String, Node>,
}

impl Node {
    /// Adds an object. Without `files`, only folders and tables get a node.
    pub fn add(&mut self, key: &Path, bytes: u64, files: bool) {
        let mut node = self;
        node.count(bytes);
        let parts: Vec<_> = key.parts().collect();
        let Some((file, folders)) = parts.split_last() else {
            return;
        };
        for folder in folders {
            node = node.child(format!("{}/", folder.as_ref()));
            node.count(bytes);
        }
        if files {
            node.child(file.as_ref().to_owned()).count(bytes);
        } else if let Some(chunk) = ChunkFile::parse(key) {
            node.child(format!("{}.*.parquet", chunk.stem)).count(bytes);
        }
    }

    fn child(&mut self, name: String) -> &mut Self {
        self.children.entry(name).or_default()
    }

    fn count(&mut self, bytes: u64) {
        self.objects += 1;
        self.bytes += bytes;
    }

    /// The tree as text: size, objects, name.
    #[must_use]
    pub fn text(&self, root: &str) -> String {
        let mut lines = Vec::new();
        self.lines(root, "", &mut lines);
        lines.join("\n")
    }

    fn lines(&self, name: &str, indent: &str, lines: &mut Vec<String>) {
        lines.push(format!(
            "{:>11} {:>9}  {name}",
            human::bytes(self.bytes),
            human::count(self.objects)
        ));
        let last = self.children.len().saturating_sub(1);
        for (index, (name, child)) in self.children.iter().enumerate() {
            let (branch, below) = if index == last {
                ("└── ", "    ")
            } else {
                ("├── ", "│   ")
            };
            child.lines(
                &format!("{indent}{branch}{name}"),
                &format!("{indent}{below}"),
                lines,
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_a_table_are_one_node() {
        let mut tree = Node::default();
        for (key, bytes) in [
            ("t/s/dump/a.b.000000000123456.parquet", 1024),
            ("t/s/dump/a.b.000000001123456.parquet", 1024),
            ("t/s/dump/a.c.000000000000001.parquet", 1024),
            ("t/s/dump/_tideway/plan.json", 100),
            ("t/task.json", 24),
        ] {
            tree.add(&Path::parse(key).unwrap(), bytes, false);
        }
        let names: Vec<String> = tree
            .text("./staging")
            .lines()
            .map(|line| line[23..].to_owned())
            .collect();
        assert_eq!(
            names,
            [
                "./staging",
                "└── t/",
                "    └── s/",
                "        └── dump/",
                "            ├── _tideway/",
                "            ├── a.b.*.parquet",
                "            └── a.c.*.parquet",
            ]
        );
        assert_eq!((tree.objects, tree.bytes), (5, 3 * 1024 + 124));
    }

    #[test]
    fn every_object_on_request() {
        let mut tree = Node::default();
        tree.add(&Path::parse("t/task.json").unwrap(), 24, true);
        assert!(tree.text("x").ends_with("    └── task.json"));
    }
}
