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

/// Without a `security` block TLS is used when the server offers it, unverified.
fn tls(security: Option<&Security>) -> Tls {
    let Some(security) = security else {
        return Tls::Preferred;
    };
    Tls::Verified {
        ca: security.ca.clone(),
        cert: security.cert.clone(),
        key: security.key.clone(),
        allowed_cn: security.allowed_cn.clone(),
        ca_pem: security.ca_pem.clone(),
        cert_pem: security.cert_pem.clone(),
        key_pem: security.key_pem.clone(),
    }
}
