//! Where a server is and how to log in to it.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use secrecy::SecretString;

/// A server to connect to.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// What errors call it: `source aurora-replica-01`, `target`.
    pub name: String,
    /// Host name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// User to log in as.
    pub user: String,
    /// Their password; never shown.
    pub password: SecretString,
    /// Whether and how the connection is encrypted.
    pub tls: Tls,
    /// Session variables that override ours, as DM's `session` block gives them.
    pub session: BTreeMap<String, String>,
    /// Largest packet that we accept; by default what the server allows.
    pub max_allowed_packet: Option<usize>,
}

impl Endpoint {
    /// `source aurora-replica-01 (user@host:port)`: how errors and logs name it.
    #[must_use]
    pub fn label(&self) -> String {
        format!("{} ({}@{}:{})", self.name, self.user, self.host, self.port)
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.label())
    }
}

/// Whether and how connections are encrypted.
#[derive(Clone, PartialEq, Eq, Default)]
pub enum Tls {
    /// Encrypted when the server offers it, without verifying who it is; one warning says so.
    #[default]
    Preferred,
    /// Never encrypted.
    Disabled,
    /// Encrypted, and the server's certificate verified: its chain against `ca` (the public
    /// authorities when none is given), its name against the host, and its common name against
    /// `allowed_cn` when that is not empty.
    Verified {
        /// File of the certificate authorities, PEM.
        ca: Option<PathBuf>,
        /// File of our certificate, PEM.
        cert: Option<PathBuf>,
        /// File of its key, PEM.
        key: Option<PathBuf>,
        /// Common names that the server's certificate may carry; empty allows any.
        allowed_cn: Vec<String>,
        /// Certificate authorities given inline.
        ca_pem: Option<Vec<u8>>,
        /// Our certificate given inline.
        cert_pem: Option<Vec<u8>>,
        /// Its key given inline.
        key_pem: Option<Vec<u8>>,
    },
}

/// Keys stay out of it.
impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Preferred => f.write_str("Preferred"),
            Self::Disabled => f.write_str("Disabled"),
            Self::Verified {
                ca,
                cert,
                key,
                allowed_cn,
                ca_pem,
                cert_pem,
                key_pem,
            } => f
                .debug_struct("Verified")
                .field("ca", ca)
                .field("cert", cert)
                .field("key", key)
                .field("allowed_cn", allowed_cn)
                .field("ca_pem", &ca_pem.is_some())
                .field("cert_pem", &cert_pem.is_some())
                .field("key_pem", &key_pem.is_some())
                .finish(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_password_nor_key_is_shown() {
        let endpoint = Endpoint {
            name: "target".into(),
            host: "db".into(),
            port: 4000,
            user: "root".into(),
            password: SecretString::from("hunter2"),
            tls: Tls::Verified {
                ca: None,
                cert: None,
                key: None,
                allowed_cn: vec![],
                ca_pem: None,
                cert_pem: None,
                key_pem: Some(b"hunter3".to_vec()),
            },
            session: BTreeMap::new(),
            max_allowed_packet: None,
        };
        let shown = format!("{endpoint:?} {endpoint}");
        assert!(!shown.contains("hunter"), "{shown}");
        assert!(!shown.contains(&format!("{:?}", b"hunter3")), "{shown}");
        assert!(shown.ends_with("target (root@db:4000)"), "{shown}");
    }
}
