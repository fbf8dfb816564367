//! The bench on which the whole of Tideway is tried: real servers, real binaries, real staging.
//!
//! The tests drive the binaries as a person does, by files and flags, and judge the result by
//! reading source and target themselves ([`oracle`]), never by what Tideway says of itself.
//! Servers are those of `infra/local/servers up`; without them a test fails and says so.
#![allow(clippy::unwrap_used, clippy::expect_used)]

pub mod cdc;
pub mod command;
pub mod oracle;
pub mod scenario;
pub mod servers;
pub mod tables;
pub mod trap;
pub mod workload;
