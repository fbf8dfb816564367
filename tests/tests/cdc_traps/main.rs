//! The traps of replication, each by its name.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod definitions;
mod orders;
mod rows;
mod segments;
mod shards;
mod until;
