//! TLS: what a file's `security` block means for the driver.
//!
//! The driver verifies a certificate's chain and name, but offers no hook for more, so
//! `cert-allowed-cn` is checked by a connection of our own before ([`crate::tls_probe`]).

use std::path::PathBuf;

use mysql_async::{ClientIdentity, SslOpts};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::endpoint::{Endpoint, Tls};
use crate::error::{Error, Result};
use crate::tls_probe;

/// Encrypted, whoever answers.
pub(crate) fn unverified() -> SslOpts {
    SslOpts::default()
        .with_danger_accept_invalid_certs(true)
        .with_danger_skip_domain_validation(true)
}

/// The PEM blocks of a [`Tls::Verified`], read and checked.
pub(crate) struct Material {
    /// Certificate authorities; none means the public ones.
    pub(crate) ca: Option<Vec<u8>>,
    /// Our certificate and its key.
    pub(crate) identity: Option<(Vec<u8>, Vec<u8>)>,
    /// Common names that the server may carry; empty allows any.
    pub(crate) allowed_cn: Vec<String>,
}

/// Verified as the endpoint asks. With `cert-allowed-cn` this connects, looks at the server's
/// certificate and refuses other names.
pub(crate) async fn verified(endpoint: &Endpoint) -> Result<SslOpts> {
    let Some(material) = material(endpoint).await? else {
        return Ok(unverified());
    };
    if !material.allowed_cn.is_empty() {
        tls_probe::check_common_name(endpoint, &material).await?;
    }
    let mut opts = SslOpts::default();
    if let Some(ca) = material.ca {
        // Only the authorities in the file, not also every public one.
        opts = opts
            .with_disable_built_in_roots(true)
            .with_root_certs(vec![ca.into()]);
    }
    if let Some((cert, key)) = material.identity {
        let identity = ClientIdentity::new(cert.into(), key.into());
        opts = opts.with_client_identity(Some(identity));
    }
    Ok(opts)
}

/// Reads the files; `None` when the endpoint does not ask for verification.
async fn material(endpoint: &Endpoint) -> Result<Option<Material>> {
    let Tls::Verified {
        ca,
        cert,
        key,
        allowed_cn,
        ca_pem,
        cert_pem,
        key_pem,
    } = &endpoint.tls
    else {
        return Ok(None);
    };
    let ca = read(endpoint, "ssl-ca", ca.as_ref(), ca_pem.as_ref()).await?;
    let cert = read(endpoint, "ssl-cert", cert.as_ref(), cert_pem.as_ref()).await?;
    let key = read(endpoint, "ssl-key", key.as_ref(), key_pem.as_ref()).await?;
    for (name, pem) in [("ssl-ca", &ca), ("ssl-cert", &cert)] {
        if let Some(pem) = pem {
            let found = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>();
            match found {
                Ok(certificates) if !certificates.is_empty() => {}
                Ok(_) => return Err(file_error(endpoint, name, "it holds no certificate")),
                Err(error) => return Err(file_error(endpoint, name, &error.to_string())),
            }
        }
    }
    if let Some(pem) = &key
        && let Err(error) = PrivateKeyDer::from_pem_slice(pem)
    {
        return Err(file_error(
            endpoint,
            "ssl-key",
            &format!("it holds no key: {error}"),
        ));
    }
    let identity = match (cert, key) {
        (Some(cert), Some(key)) => Some((cert, key)),
        (None, None) => None,
        (Some(_), None) => return Err(file_error(endpoint, "ssl-cert", "`ssl-key` is missing")),
        (None, Some(_)) => return Err(file_error(endpoint, "ssl-key", "`ssl-cert` is missing")),
    };
    Ok(Some(Material {
        ca,
        identity,
        allowed_cn: allowed_cn.clone(),
    }))
}

async fn read(
    endpoint: &Endpoint,
    key: &str,
    path: Option<&PathBuf>,
    inline: Option<&Vec<u8>>,
) -> Result<Option<Vec<u8>>> {
    match (inline, path) {
        (Some(pem), _) => Ok(Some(pem.clone())),
        (None, Some(path)) => tokio::fs::read(path)
            .await
            .map(Some)
            .map_err(|error| file_error(endpoint, key, &format!("{}: {error}", path.display()))),
        (None, None) => Ok(None),
    }
}

fn file_error(endpoint: &Endpoint, key: &str, message: &str) -> Error {
    Error::TlsFile {
        at: endpoint.label(),
        key: key.to_owned(),
        message: message.to_owned(),
    }
}
