//! Whether a store does what the protocols stand on.

use std::time::{Duration, Instant};

use futures::TryStreamExt;
use object_store::path::Path;
use serde::{Deserialize, Serialize};

use crate::{Create, Error, Result, Staging};

/// What [`Staging::probe`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// The store.
    pub url: String,
    /// The steps that were gone through, all with success.
    pub steps: Vec<&'static str>,
    /// Time that one small write took.
    pub write: Duration,
    /// Time that one small read took.
    pub read: Duration,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct ProbeDoc {
    version: u32,
    token: String,
}

impl Staging {
    /// Tries everything that the protocols need, on an object of its own that is deleted again.
    ///
    /// # Errors
    /// The store's own error, or [`Error::Probe`] naming the step that gave another answer than it
    /// must.
    pub async fn probe(&self) -> Result<Probe> {
        let token = format!("{:016x}", rand::random::<u64>());
        let folder = Path::from("_tideway-probe");
        let key = folder.clone().join(format!("{token}.json"));
        let result = self.probe_at(&folder, &key, &token).await;
        if result.is_err() {
            // The first error is the one to tell; what may be left is a few bytes.
            let _ = self.delete(&key).await;
        }
        let _ = self.remove_empty_folders(&folder).await;
        result
    }

    async fn probe_at(&self, folder: &Path, key: &Path, token: &str) -> Result<Probe> {
        let ours = ProbeDoc {
            version: 1,
            token: token.to_owned(),
        };
        let theirs = ProbeDoc {
            version: 1,
            token: "another".to_owned(),
        };
        let mut steps = Vec::new();

        let began = Instant::now();
        if self.create_json(key, &ours).await? != Create::Won {
            return Err(self.failed("create", "an object was at a key that nobody uses"));
        }
        let write = began.elapsed();
        steps.push("create");

        let began = Instant::now();
        if self.get_json::<ProbeDoc>(key).await?.as_ref() != Some(&ours) {
            return Err(self.failed("read", "what was read is not what was written"));
        }
        let read = began.elapsed();
        steps.push("read");

        match self.create_json(key, &theirs).await? {
            Create::Exists(found) if found == ours => {}
            Create::Exists(_) | Create::Won => {
                return Err(self.failed(
                    "create-if-absent",
                    "a second create replaced the object: conditional writes (If-None-Match) are \
                     not supported, and two workers could both believe to have won",
                ));
            }
        }
        steps.push("create-if-absent");

        let listed: Vec<_> = self.list(folder).try_collect().await?;
        if !listed.iter().any(|meta| &meta.location == key) {
            return Err(self.failed("list", "the object that was just written is not listed"));
        }
        steps.push("list");

        self.delete(key).await?;
        if self.get_bytes(key).await?.is_some() {
            return Err(self.failed("delete", "the object is still there"));
        }
        self.delete(key).await?;
        steps.push("delete");

        Ok(Probe {
            url: self.url().to_owned(),
            steps,
            write,
            read,
        })
    }

    fn failed(&self, step: &'static str, what: &str) -> Error {
        Error::Probe {
            url: self.url().to_owned(),
            step,
            what: what.to_owned(),
        }
    }
}
