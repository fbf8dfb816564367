//! This crate against real servers: MySQL 9.7, MariaDB 10.11 and TiDB 8.4, as
//! `infra/local/servers up` starts them. Without them the tests fail, unless
//! `TIDEWAY_TEST_ALLOW_SKIP=1` says that this is meant.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod binlog;
mod binlog_decoder;
mod binlog_events;
mod connecting;
mod ddl;
mod ddl_corpus;
mod ddl_random;
mod definitions;
mod keys;
mod place;
mod privileges;
mod refusals;
mod row_values;
mod server;
