//! Passwords as configuration files give them.
//!
//! | written | meaning |
//! | --- | --- |
//! | `${NAME}` | the environment variable `NAME`; an error when it is not set |
//! | `file:/run/secrets/db` or `file:./db` | the file's content without its last line break |
//! | a DM ciphertext | base64 of `iv (16 bytes) "@" AES-256-CFB(password)`, made by `dmctl encrypt` |
//! | anything else | the password itself |
//!
//! What a variable or file holds may be a ciphertext again. A ciphertext is recognised by its
//! form: base64, at least 17 bytes, `@` as the seventeenth, and printable UTF-8 once decrypted.
//! The cipher carries no checksum, so a text of that form which the key does not turn into
//! printable text is taken as the password itself, as DM does, with a warning. The key is the one
//! fixed in DM up to 7.5, or that of a key file (64 hex digits, DM's `secret-key-path`).

use std::path::PathBuf;

use aes::Aes256;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cfb_mode::Decryptor;
use cfb_mode::cipher::KeyIvInit as _;
use secrecy::{ExposeSecret as _, SecretString};

/// The key in DM up to 7.5. It is public, so such a ciphertext hides nothing from anyone who
/// looks; it is here because people's files hold such ciphertexts.
const FIXED_KEY: &str = "a529b7665997f043a30ac8fadcb51d6aa032c226ab5b7750530b12b8c1a16a48";

const IV: usize = 16;

/// What is wrong with a password's form. Holds no part of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// `${NAME}` of a variable that is not set.
    #[error("the environment variable `{0}` is not set")]
    NotSet(String),
    /// `file:…` that cannot be read.
    #[error("the password file {path} cannot be read: {reason}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The key file is not 64 hex digits, or cannot be read.
    #[error("the key file {path} {reason}")]
    KeyFile {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

/// Where passwords and their keys come from. The default reads the process's environment and
/// knows DM's fixed key only.
#[derive(Clone, Default)]
pub struct Keys {
    /// A key that is tried before the fixed one.
    own: Option<[u8; 32]>,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keys")
            .field("own", &self.own.is_some())
            .finish()
    }
}

impl Keys {
    /// Keys with that of a key file.
    pub fn with_file(path: &std::path::Path) -> Result<Self, PasswordError> {
        let error = |reason: String| PasswordError::KeyFile {
            path: path.to_path_buf(),
            reason,
        };
        let text =
            std::fs::read_to_string(path).map_err(|e| error(format!("cannot be read: {e}")))?;
        let mut key = [0; 32];
        hex::decode_to_slice(text.trim(), &mut key)
            .map_err(|_| error("does not hold 64 hex digits".to_owned()))?;
        Ok(Self { own: Some(key) })
    }
}

/// A password that can be used, and whether it looked like a ciphertext that no key fits.
#[derive(Debug)]
pub struct Decoded {
    /// The password.
    pub password: SecretString,
    /// It has a ciphertext's form, but no key makes text of it: probably the wrong key.
    pub odd_ciphertext: bool,
}

/// Reads a password in any of the forms above.
pub fn decode(written: &SecretString, keys: &Keys) -> Result<Decoded, PasswordError> {
    let written = written.expose_secret();
    if let Some(name) = written
        .strip_prefix("${")
        .and_then(|rest| rest.strip_suffix('}'))
    {
        let value = std::env::var(name).map_err(|_| PasswordError::NotSet(name.to_owned()))?;
        return Ok(decrypt(&value, keys));
    }
    if let Some(path) = written.strip_prefix("file:")
        && path.starts_with(['/', '.'])
    {
        let text = std::fs::read_to_string(path).map_err(|e| PasswordError::File {
            path: path.into(),
            reason: e.to_string(),
        })?;
        let text = text.strip_suffix('\n').unwrap_or(&text);
        return Ok(decrypt(text.strip_suffix('\r').unwrap_or(text), keys));
    }
    Ok(decrypt(written, keys))
}

fn decrypt(text: &str, keys: &Keys) -> Decoded {
    let plain = |odd_ciphertext| Decoded {
        password: text.into(),
        odd_ciphertext,
    };
    let Ok(bytes) = STANDARD.decode(text) else {
        return plain(false);
    };
    // An empty ciphertext is possible in form, but an empty password is not encrypted by anyone.
    if bytes.len() <= IV + 1 || bytes[IV] != b'@' {
        return plain(false);
    }
    let mut fixed = [0; 32];
    let fixed = hex::decode_to_slice(FIXED_KEY, &mut fixed)
        .is_ok()
        .then_some(fixed);
    for key in [keys.own, fixed].into_iter().flatten() {
        let Ok(cipher) = Decryptor::<Aes256>::new_from_slices(&key, &bytes[..IV]) else {
            continue;
        };
        let mut secret = bytes[IV + 1..].to_vec();
        cipher.decrypt(&mut secret);
        if let Ok(secret) = String::from_utf8(secret)
            && !secret.chars().any(char::is_control)
        {
            return Decoded {
                password: secret.into(),
                odd_ciphertext: false,
            };
        }
    }
    plain(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> String {
        decode(&text.into(), &Keys::default())
            .unwrap()
            .password
            .expose_secret()
            .to_owned()
    }

    #[test]
    fn dm_ciphertexts_of_the_fixed_key() {
        assert_eq!(read("/Q7B9DizNLLTTfiZHv9WoEAKamfpIUs="), "123456");
        assert_eq!(read("VjX8cEeTX+qcvZ3bPaO4h0C80pe/1aU="), "123456");
    }

    #[test]
    fn what_is_no_ciphertext_stays() {
        for plain in [
            "12345678",
            "",
            "MTIzNDU2Nzg5MDEyMzQ1Njc4OTA=",
            "a@b",
            "${",
            "file:x",
            "$HOME",
        ] {
            assert_eq!(read(plain), plain);
        }
    }

    #[test]
    fn from_the_environment() {
        // PATH is set wherever tests run, and is no secret.
        assert_eq!(read("${PATH}"), std::env::var("PATH").unwrap());
        let error = decode(&"${TIDEWAY_NOT_SET}".into(), &Keys::default()).unwrap_err();
        assert_eq!(error, PasswordError::NotSet("TIDEWAY_NOT_SET".into()));
    }

    #[test]
    fn from_a_file_and_with_a_key_file() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("password");
        std::fs::write(&file, "it is $ecret\n").unwrap();
        assert_eq!(read(&format!("file:{}", file.display())), "it is $ecret");

        let key_file = dir.path().join("key");
        let key = [7u8; 32];
        std::fs::write(&key_file, format!("{}\n", hex::encode(key))).unwrap();
        let iv = [3u8; IV];
        let mut secret = "gr\u{fc}n".as_bytes().to_vec();
        cfb_mode::Encryptor::<Aes256>::new_from_slices(&key, &iv)
            .unwrap()
            .encrypt(&mut secret);
        let text = STANDARD.encode([&iv[..], b"@", &secret].concat());
        let keys = Keys::with_file(&key_file).unwrap();
        let decoded = decode(&text.as_str().into(), &keys).unwrap();
        assert_eq!(decoded.password.expose_secret(), "gr\u{fc}n");
        // Ciphertexts of the fixed key still read.
        let old = decode(&"VjX8cEeTX+qcvZ3bPaO4h0C80pe/1aU=".into(), &keys).unwrap();
        assert_eq!(old.password.expose_secret(), "123456");

        std::fs::write(&key_file, "abc").unwrap();
        assert!(
            Keys::with_file(&key_file)
                .unwrap_err()
                .to_string()
                .contains("64 hex digits")
        );
    }

    #[test]
    fn no_password_is_printed() {
        let decoded = decode(&"hunter2".into(), &Keys::default()).unwrap();
        assert!(!format!("{decoded:?}").contains("hunter2"));
    }
}
