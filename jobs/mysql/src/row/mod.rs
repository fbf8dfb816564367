//! Values of row events as SQL, and as what keys are compared by.
//!
//! A row event holds values as the source's storage has them: text in the character set of its
//! column, members of ENUM by number, TIMESTAMP as seconds. [`write_literal`] makes of each the literal
//! by which the target stores what a dump and a load of that row would have stored. The definition of
//! the column is the one at the event's position.
//!
//! Literals suppose the session of [`Role::Target`](crate::Role::Target): utf8mb4, `time_zone` +00:00,
//! and a `sql_mode` without `NO_BACKSLASH_ESCAPES`.

use crate::charset::Invalid;

mod equals;
mod key;
mod literal;
mod number;
mod text;
mod time;
mod uuid;

pub use equals::write_equals;
pub use key::{KeyColumn, write_key};
pub use literal::{is_invalid_member, write_literal};
pub(crate) use number::write_decimal;
pub(crate) use time::{write_date, write_datetime, write_time};

/// Why a value of a row event cannot be written. The same row gives the same error again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    /// The source leaves columns out of its row events.
    #[error(
        "column `{column}` is missing from a row event: set binlog_row_image=FULL on the source; rows \
         that were written without it can only be dumped anew"
    )]
    Absent {
        /// The column.
        column: String,
    },
    /// A difference of JSON documents, by itself.
    #[error("column `{column}`: a difference of JSON documents without the document before it")]
    Difference {
        /// The column.
        column: String,
    },
    /// The event's value is of another type than the definition's.
    #[error(
        "column `{column}` is {ty} by the table's definition, and the row event holds {found}: the \
         definition is not the one at the event's position"
    )]
    Type {
        /// The column.
        column: String,
        /// Its type, as the server writes it.
        ty: String,
        /// What kind of value was found.
        found: &'static str,
    },
    /// The definition names no character set, or one that nobody knows.
    #[error(
        "column `{column}`: its character set {charset} is not known here, so its text cannot be converted"
    )]
    Charset {
        /// The column.
        column: String,
        /// The set.
        charset: String,
    },
    /// Damaged text, which the server itself does not convert.
    #[error(
        "column `{column}`: {source}; repair it on the source (the row's text is no {charset}), then \
         dump the table anew"
    )]
    Text {
        /// The column.
        column: String,
        /// Its set.
        charset: String,
        /// Where.
        source: Invalid,
    },
    /// A member that the definition lacks.
    #[error(
        "column `{column}` has {members} members, and the row event names {found}: the definition is \
         not the one at the event's position"
    )]
    Member {
        /// The column.
        column: String,
        /// Members of the definition.
        members: usize,
        /// The number of the member, or all bits of the set.
        found: u64,
    },
    /// Bytes that are no value of their type.
    #[error("column `{column}`: damaged: {what}")]
    Damaged {
        /// The column.
        column: String,
        /// In words.
        what: String,
    },
}

impl ValueError {
    /// Whether it may go well when tried again: never.
    #[must_use]
    pub fn retryable(&self) -> bool {
        false
    }
}
