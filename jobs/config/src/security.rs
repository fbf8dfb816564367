//! TLS blocks, with files or with PEM in base64.

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::ExposeSecret as _;

use crate::error::{Error, Place, Result};
use crate::resolved::Security;
use crate::source_file::SecurityConfig;

/// Reads a block; `None` when it gives nothing, as DM's templates have it.
pub(crate) fn resolve(config: &SecurityConfig, file: &str) -> Result<Option<Security>> {
    let place = |key: &str| Place::new(file, config.given.at(key).unwrap_or_default());
    let path = |text: &str| (!text.is_empty()).then(|| PathBuf::from(text));
    let pem = |key: &str, text: &str| -> Result<Option<Vec<u8>>> {
        if text.is_empty() {
            return Ok(None);
        }
        // People wrap base64; the line feeds mean nothing.
        let compact: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        STANDARD.decode(compact).map(Some).map_err(|_| {
            let what = format!("`{key}` is not base64");
            Error::invalid(place(key), what, "encode the PEM file with `base64 -w0`")
        })
    };
    let security = Security {
        ca: path(&config.ssl_ca),
        cert: path(&config.ssl_cert),
        key: path(&config.ssl_key),
        allowed_cn: config.cert_allowed_cn.clone(),
        ca_pem: pem("ssl-ca-base64", &config.ssl_ca_base64)?,
        cert_pem: pem("ssl-cert-base64", &config.ssl_cert_base64)?,
        key_pem: pem("ssl-key-base64", config.ssl_key_base64.0.expose_secret())?,
    };
    for (file_key, base64_key, both) in [
        (
            "ssl-ca",
            "ssl-ca-base64",
            security.ca.is_some() && security.ca_pem.is_some(),
        ),
        (
            "ssl-cert",
            "ssl-cert-base64",
            security.cert.is_some() && security.cert_pem.is_some(),
        ),
        (
            "ssl-key",
            "ssl-key-base64",
            security.key.is_some() && security.key_pem.is_some(),
        ),
    ] {
        if both {
            let what = format!("both `{file_key}` and `{base64_key}` are given");
            return Err(Error::invalid(place(base64_key), what, "keep one of them"));
        }
    }
    let cert = security.cert.is_some() || security.cert_pem.is_some();
    let key = security.key.is_some() || security.key_pem.is_some();
    if cert != key {
        let (given, missing) = if cert {
            ("ssl-cert", "ssl-key")
        } else {
            ("ssl-key", "ssl-cert")
        };
        let what = format!("`{given}` is given without `{missing}`");
        return Err(Error::invalid(
            place(given),
            what,
            "a client certificate needs both",
        ));
    }
    Ok((security != Security::default()).then_some(security))
}
