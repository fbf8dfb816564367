//! The checks, a file for each group. Each is a function of facts; see [`crate::facts`].

pub mod binlog;
pub mod cascades;
pub mod charset;
pub mod connections;
pub mod estimate;
pub mod position;
pub mod privileges;
pub mod role;
pub mod shards;
pub mod structure;
pub mod target;
pub mod version;
