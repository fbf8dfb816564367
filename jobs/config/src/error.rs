//! What can be wrong with a configuration, said so that a person can mend it.
//!
//! Every [`Error`] of this crate means *wrong configuration*: running the job again cannot help,
//! so its exit code is always 2 and it is never retryable. An error names the file and the place
//! when there is one, what is wrong, and the way out. No error carries a password: see
//! [`crate::yaml`] for how lines of the file are quoted.

use std::fmt;

/// The exit code of every error of this crate: wrong configuration or usage.
pub const EXIT_CODE: u8 = 2;

/// Result with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A place in a configuration file. Line and column count from one; zero means unknown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct At {
    /// Line, from one.
    pub line: u32,
    /// Column in characters, from one.
    pub column: u32,
}

impl At {
    /// Whether the place is known.
    pub fn is_known(self) -> bool {
        self.line > 0
    }
}

/// A file with a place in it, as compilers print it: `task.yaml:12:3`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The file, as the user named it.
    pub file: String,
    /// Where in it.
    pub at: At,
}

impl Place {
    /// A place in `file`.
    pub fn new(file: &str, at: At) -> Self {
        Self {
            file: file.to_owned(),
            at,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.at.is_known() {
            write!(f, "{}:{}:{}", self.file, self.at.line, self.at.column)
        } else {
            f.write_str(&self.file)
        }
    }
}

/// Something in the configuration is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file is not YAML, or a value does not have the type that its key asks for.
    #[error("{place}: {message}{}", quoted(excerpt))]
    Yaml {
        /// Where.
        place: Place,
        /// What the reader found.
        message: String,
        /// The line with a caret below, or nothing where it might show a secret.
        excerpt: String,
    },
    /// A key that DM does not know.
    #[error("{place}: unknown key `{key}` in {section}; {hint}{}", quoted(excerpt))]
    UnknownKey {
        /// Where the key stands.
        place: Place,
        /// The key as written.
        key: String,
        /// The part of the file it stands in.
        section: &'static str,
        /// The known key that is nearest, or all that are known.
        hint: String,
        /// The line with a caret below.
        excerpt: String,
    },
    /// A value that parses, but that nothing can be done with.
    #[error("{place}: {what}; {way_out}")]
    Invalid {
        /// Where.
        place: Place,
        /// What is wrong, with the key's name.
        what: String,
        /// What to do.
        way_out: String,
    },
    /// Something that DM can do and Tideway cannot yet.
    #[error("{place}: {what} is not supported yet; {way_out}")]
    NotYet {
        /// Where.
        place: Place,
        /// The key or feature.
        what: String,
        /// What to do instead.
        way_out: String,
    },
    /// One table that two rules send to different places.
    #[error(transparent)]
    Route(#[from] crate::route::RouteError),
}

impl Error {
    /// A wrong configuration never mends itself.
    pub fn retryable(&self) -> bool {
        false
    }

    /// The exit code of a job that ends with this error.
    pub fn exit_code(&self) -> u8 {
        EXIT_CODE
    }

    pub(crate) fn invalid(
        place: Place,
        what: impl Into<String>,
        way_out: impl Into<String>,
    ) -> Self {
        Self::Invalid {
            place,
            what: what.into(),
            way_out: way_out.into(),
        }
    }
}

fn quoted(excerpt: &str) -> String {
    if excerpt.is_empty() {
        String::new()
    } else {
        format!("\n{excerpt}")
    }
}

/// Something that works but that the user should know: a key that is accepted without effect, a
/// source file that no instance uses.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Warning {
    /// Where.
    pub place: Place,
    /// What, with the key's name.
    pub message: String,
}

impl Warning {
    pub(crate) fn new(place: Place, message: impl Into<String>) -> Self {
        Self {
            place,
            message: message.into(),
        }
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)
    }
}
