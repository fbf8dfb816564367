//! What every Tideway job is made of: common flags, configuration files, logging, progress,
//! heartbeats, control, the memory budget, failpoints, stop signals and exit codes.
//!
//! Nothing else settles here. A job's `main` calls [`entry::main`], which parses the flags, sets up
//! logging and turns the job's [`JobError`] into the exit code; the job opens itself with
//! [`Job::open`], which reads the task and source files, opens staging and writes or compares
//! `task.json`.
//!
//! A job holds no state that outlives it: what the next run needs is in staging or in the target's
//! `meta-schema`, so killing a job between any two lines of this crate loses nothing.

pub mod allocator;
pub mod args;
pub mod budget;
pub mod control;
pub mod endpoint;
pub mod entry;
pub mod error;
pub mod failpoint;
pub mod files;
pub mod job;
pub mod logging;
pub mod metrics;
pub mod progress;
pub mod stop;

pub use args::{CommonArgs, JobArgs, LogFormat, Output, Worker};
pub use budget::Budget;
pub use control::Control;
pub use entry::main;
pub use error::JobError;
pub use job::Job;
pub use progress::Progress;
