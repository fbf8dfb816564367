//! Everything Tideway knows about MySQL-compatible servers: connections and TLS, flavours, schemas,
//! the one table of types (MySQL ⇄ Arrow ⇄ text), positions and GTID sets, keys, privileges,
//! checksums, binlog events, statements and fenced sessions on the target. This crate knows nothing of
//! staging.

mod answer;
pub mod binlog;
pub mod charset;
pub mod checksum;
pub mod connect;
pub mod ddl;
pub mod endpoint;
pub mod error;
pub mod fence;
pub mod grants;
pub mod gtid;
pub mod info;
pub mod key;
pub mod mark;
pub mod position;
pub mod retry;
pub mod row;
pub mod schema;
pub mod session;
pub mod sql;
pub mod syncer;
mod tls;
mod tls_probe;
pub mod translate;
pub mod types;

pub use connect::{Role, Server, within};
pub use endpoint::{Endpoint, Tls};
pub use error::{Error, Result};
pub use info::{Flavor, ServerInfo, Version};
pub use retry::{RetryPolicy, with_retry};
