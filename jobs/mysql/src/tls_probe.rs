//! `cert-allowed-cn`: a connection of our own that looks at the server's certificate.
//!
//! The driver has no hook for the common name. So before it connects, this module connects itself,
//! asks for TLS as MySQL's protocol does (greeting, then an SSL request), lets the same
//! authorities verify chain and name, reads the common name, and hangs up before any log-in. The
//! driver's own connections then verify chain and name again, but not the common name: what this
//! does not catch is a server that turns up later under the same host name with another certificate
//! of the same authority.

use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::connect::within;
use crate::endpoint::Endpoint;
use crate::error::{Error, Result};
use crate::tls::Material;

/// How long looking at the certificate may take.
const LIMIT: Duration = Duration::from_secs(20);

/// A greeting is a few hundred bytes.
const LARGEST_GREETING: usize = 16 * 1024;

const CLIENT_PROTOCOL_41: u32 = 0x0200;
const CLIENT_SSL: u32 = 0x0800;
const CLIENT_SECURE_CONNECTION: u32 = 0x8000;

/// Refuses a server whose certificate carries none of the allowed common names.
pub(crate) async fn check_common_name(endpoint: &Endpoint, material: &Material) -> Result<()> {
    let at = endpoint.label();
    let certificate = within(
        &at,
        LIMIT,
        "look at the server's certificate",
        certificate(endpoint, material),
    )
    .await?;
    let found = common_name(&certificate).unwrap_or_default();
    if material.allowed_cn.contains(&found) {
        return Ok(());
    }
    Err(Error::CommonName {
        at,
        found,
        allowed: material.allowed_cn.clone(),
    })
}

/// The server's certificate, its chain and name verified.
async fn certificate(endpoint: &Endpoint, material: &Material) -> Result<Vec<u8>> {
    let at = || endpoint.label();
    let refused = |message: String| Error::TlsRefused { at: at(), message };
    let unreachable = |source| Error::Unreachable { at: at(), source };
    let mut stream = TcpStream::connect((endpoint.host.as_str(), endpoint.port))
        .await
        .map_err(unreachable)?;
    let greeting = greeting(&mut stream).await.map_err(unreachable)?;
    match offers_tls(&greeting) {
        Some(true) => {}
        Some(false) => return Err(Error::TlsNotOffered { at: at() }),
        None => {
            let message = String::from_utf8_lossy(&greeting);
            let message: String = message
                .chars()
                .filter(|c| !c.is_control())
                .take(200)
                .collect();
            return Err(Error::Unexpected {
                at: at(),
                what: "read the server's greeting".to_owned(),
                message: format!("it is not MySQL's: `{message}`"),
            });
        }
    }
    stream
        .write_all(&ssl_request())
        .await
        .map_err(unreachable)?;
    let name = ServerName::try_from(endpoint.host.clone()).map_err(|e| refused(e.to_string()))?;
    let config = config(material).map_err(|error| refused(error.to_string()))?;
    let session = TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await
        .map_err(|error| refused(error.to_string()))?;
    let certificates = session.get_ref().1.peer_certificates().unwrap_or_default();
    match certificates.first() {
        Some(certificate) => Ok(certificate.as_ref().to_vec()),
        None => Err(refused("the server showed no certificate".to_owned())),
    }
}

/// The verification that the driver does, with the same authorities.
fn config(material: &Material) -> Result<ClientConfig, rustls::Error> {
    let mut roots = RootCertStore::empty();
    match &material.ca {
        Some(pem) => {
            for certificate in CertificateDer::pem_slice_iter(pem) {
                roots.add(certificate.map_err(|e| rustls::Error::General(e.to_string()))?)?;
            }
        }
        None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots);
    match &material.identity {
        None => Ok(builder.with_no_client_auth()),
        Some((cert, key)) => {
            let bad = |e: rustls::pki_types::pem::Error| rustls::Error::General(e.to_string());
            let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(cert)
                .collect::<Result<_, _>>()
                .map_err(bad)?;
            let key = PrivateKeyDer::from_pem_slice(key).map_err(bad)?;
            builder.with_client_auth_cert(chain, key)
        }
    }
}

/// The payload of the server's first packet.
async fn greeting(stream: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut header = [0; 4];
    stream.read_exact(&mut header).await?;
    let len = usize::from(header[0]) | usize::from(header[1]) << 8 | usize::from(header[2]) << 16;
    let mut payload = vec![0; len.min(LARGEST_GREETING)];
    stream.read_exact(&mut payload).await?;
    Ok(payload)
}

/// Whether a greeting offers TLS; `None` when it is no greeting of protocol 10.
fn offers_tls(greeting: &[u8]) -> Option<bool> {
    let (&10, rest) = greeting.split_first()? else {
        return None;
    };
    let version_end = rest.iter().position(|&b| b == 0)?;
    // Thread id (4), first part of the scramble (8), a filler (1), then the lower capabilities.
    let at = version_end + 1 + 4 + 8 + 1;
    let capabilities = u16::from_le_bytes([*rest.get(at)?, *rest.get(at + 1)?]);
    Some(u32::from(capabilities) & CLIENT_SSL != 0)
}

/// The packet that asks for TLS: capabilities, largest packet, character set, 23 zeros.
fn ssl_request() -> Vec<u8> {
    const UTF8MB4_GENERAL_CI: u8 = 45;
    let capabilities = CLIENT_PROTOCOL_41 | CLIENT_SSL | CLIENT_SECURE_CONNECTION;
    // Length 32, number 1.
    let mut packet = vec![32, 0, 0, 1];
    packet.extend_from_slice(&capabilities.to_le_bytes());
    packet.extend_from_slice(&(16_u32 << 20).to_le_bytes());
    packet.push(UTF8MB4_GENERAL_CI);
    packet.resize(4 + 32, 0);
    packet
}

/// The common name among the subject's names of a certificate, the last one when there are several.
/// Chain and encoding were verified before, so what is odd here just has no common name.
fn common_name(certificate: &[u8]) -> Option<String> {
    let (_, certificate, _) = element(certificate)?;
    let (_, mut rest, _) = element(certificate)?;
    // An explicit version comes first, under the tag [0].
    if rest.first() == Some(&0xa0) {
        rest = element(rest)?.2;
    }
    // Serial number, signature algorithm, issuer, validity.
    for _ in 0..4 {
        rest = element(rest)?.2;
    }
    let (_, mut names, _) = element(rest)?;
    let mut found = None;
    while !names.is_empty() {
        let (_, mut set, after) = element(names)?;
        names = after;
        while !set.is_empty() {
            let (_, attribute, after) = element(set)?;
            set = after;
            let (_, kind, value) = element(attribute)?;
            let (tag, value, _) = element(value)?;
            const COMMON_NAME: [u8; 3] = [0x55, 0x04, 0x03];
            // UTF8String, PrintableString, IA5String: all of them read as UTF-8.
            if kind == COMMON_NAME && matches!(tag, 0x0c | 0x13 | 0x16) {
                found = std::str::from_utf8(value).ok().map(str::to_owned);
            }
        }
    }
    found
}

/// Tag, content and what follows of the DER element at the start of `bytes`.
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = bytes.split_first()?;
    let (&first, mut rest) = rest.split_first()?;
    let mut len = usize::from(first);
    if first & 0x80 != 0 {
        let size = usize::from(first & 0x7f);
        if size == 0 || size > 4 || rest.len() < size {
            return None;
        }
        let (digits, after) = rest.split_at(size);
        len = digits
            .iter()
            .fold(0, |len, digit| len << 8 | usize::from(*digit));
        rest = after;
    }
    (rest.len() >= len).then(|| (tag, &rest[..len], &rest[len..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by `openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes
    /// -subj "/O=Example/CN=db.example" -keyout /dev/null -outform DER`.
    const CERTIFICATE: &[u8] = include_bytes!("tls_probe/db.example.der");

    #[test]
    fn the_common_name_is_found() {
        assert_eq!(common_name(CERTIFICATE).as_deref(), Some("db.example"));
    }

    proptest::proptest! {
        #[test]
        fn a_damaged_certificate_never_panics(
            at in 0..CERTIFICATE.len(), byte in 0_u8.., cut in 0..CERTIFICATE.len()
        ) {
            let mut damaged = CERTIFICATE.to_vec();
            damaged[at] = byte;
            let _ = common_name(&damaged);
            let _ = common_name(&damaged[..cut]);
        }

        #[test]
        fn any_greeting_is_read(bytes in proptest::collection::vec(0_u8.., 0..120)) {
            let _ = offers_tls(&bytes);
        }
    }

    #[test]
    fn greetings_with_and_without_tls() {
        let greeting = |capabilities: u16| {
            let mut bytes = b"\x0a8.0.36\0".to_vec();
            bytes.extend_from_slice(&[0; 13]);
            bytes.extend_from_slice(&capabilities.to_le_bytes());
            bytes
        };
        assert_eq!(offers_tls(&greeting(0xffff)), Some(true));
        assert_eq!(offers_tls(&greeting(0xf7ff)), Some(false));
        assert_eq!(offers_tls(b"\xff\x10\x04Too many connections"), None);
        assert_eq!(ssl_request().len(), 36);
    }
}
