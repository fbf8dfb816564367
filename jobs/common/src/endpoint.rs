//! From a database in a DM file to the endpoint that connections are made to.

use tideway_config::{Database, Security};
use tideway_mysql::endpoint::{Endpoint, Tls};

/// The endpoint of `database`; `name` (as in `source aurora-replica-01`) goes into errors.
#[must_use]
pub fn endpoint(database: &Database, name: String) -> Endpoint {
    Endpoint {
        name,
        host: database.host.clone(),
        port: database.port,
        user: database.user.clone(),
        password: database.password.clone(),
        tls: tls(database.security.as_ref()),
        session: database.session.clone(),
        max_allowed_packet: database.max_allowed_packet,
    }
}
