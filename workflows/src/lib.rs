//! `tideway`: the workflow file, the local runner, and the commands with which a person looks at a
//! migration and ends it.
//!
//! A control program: it starts jobs as processes and never links them. What it knows of their work
//! it reads from staging, as anybody can.
//!
//! | module | what |
//! | --- | --- |
//! | [`workflow`] | the workflow file: reading, checking, order |
//! | [`run`] | `tideway run`: plan, processes, retry, stop, live view, summary |
//! | [`status`] | `tideway status` |
//! | [`query_status`] | `tideway query-status`: the same in DM's JSON |
//! | [`wish`] | `tideway pause, resume, stop, finish` |
//! | [`binlog`] | `tideway binlog skip, replace, inject, list, revert` |
//! | [`cutover`] | `tideway cutover` |
//! | [`config_check`] | `tideway config check` |
//! | [`staging_cmd`] | `tideway staging ls, show, verify, gc` |
//! | [`cleanup`] | `tideway cleanup` |

pub mod binlog;
pub mod cleanup;
pub mod cli;
pub mod config_check;
pub mod configuration;
pub mod cutover;
mod human;
pub mod query_status;
pub mod run;
pub mod staging_cmd;
pub mod status;
pub mod task_files;
pub mod task_ref;
pub mod wish;
pub mod workflow;
