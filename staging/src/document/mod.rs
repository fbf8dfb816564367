//! The documents in staging. Every one has a `version`, [`VERSION`] today.
//!
//! What the jobs alone understand (positions, table definitions, bounds of keys) is [`Json`] here:
//! staging knows nothing of MySQL.

mod manifest;
mod marker;
mod plan;
mod task;

pub use manifest::{Manifest, ManifestTable, read_manifest};
pub use marker::{Block, ChunkMarker, DataFile, read_marker, require_marker};
pub use plan::{
    DatabasePlan, EffectivePlan, Plan, TablePlan, ViewPlan, read_plan, read_plan_generations,
};
pub use task::{Start, TaskDoc};

/// Written by the jobs, opaque here.
pub type Json = serde_json::Value;

/// The version of every document that this Tideway writes, and the newest that it reads.
pub const VERSION: u32 = 1;
