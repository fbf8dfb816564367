//! Which consistency a dump gets: what the task file asks for, the source can give, and several
//! worker processes can share.

use tideway_config::Consistency;
use tideway_mysql::info::Flavor;

use crate::error::{Error, Result};

/// How this dump's rows are made consistent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// One snapshot on many connections, opened under `FLUSH TABLES WITH READ LOCK`; where that is
    /// denied and `or_lock`, under `LOCK TABLES`.
    Flush {
        /// Whether LOCK TABLES may take its place (`auto`).
        or_lock: bool,
    },
    /// One snapshot on many connections, opened under `LOCK TABLES … READ`.
    Lock,
    /// TiDB's past snapshot, which all connections of all processes can read.
    Snapshot,
    /// Each chunk sees its own state.
    None,
}

impl Wanted {
    /// Decides from the task file, the source's flavour, whether cdc follows (`task-mode: all`) and
    /// how many processes share the dump.
    ///
    /// # Errors
    /// [`Error::Consistency`] for one that this source does not have.
    pub fn decide(
        asked: Consistency,
        flavor: Flavor,
        followed_by_cdc: bool,
        processes: u32,
    ) -> Result<Self> {
        let tidb = flavor == Flavor::TiDb;
        Ok(match asked {
            Consistency::None => Self::None,
            Consistency::Snapshot if tidb => Self::Snapshot,
            Consistency::Snapshot => {
                return Err(Error::Consistency {
                    wanted: "snapshot",
                    problem:
                        "only TiDB can read a past snapshot; this source is none. Use `auto`, \
                              `flush`, `lock` or `none`"
                            .to_owned(),
                });
            }
            Consistency::Auto if tidb => Self::Snapshot,
            Consistency::Flush | Consistency::Lock if tidb => {
                return Err(Error::Consistency {
                    wanted: if asked == Consistency::Flush {
                        "flush"
                    } else {
                        "lock"
                    },
                    problem: "TiDB has no such lock. Use `auto` or `snapshot`".to_owned(),
                });
            }
            // A snapshot cannot be shared between processes, and cdc makes the dump exact anyway.
            Consistency::Auto if followed_by_cdc && processes > 1 => Self::None,
            Consistency::Auto => Self::Flush { or_lock: true },
            Consistency::Flush => Self::Flush { or_lock: false },
            Consistency::Lock => Self::Lock,
        })
    }

    /// Whether one process must read all chunks: its snapshot cannot be shared.
    #[must_use]
    pub fn one_process(self) -> bool {
        matches!(self, Self::Flush { .. } | Self::Lock)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auto_by_source_mode_and_processes() {
        let decide = |flavor, all, n| Wanted::decide(Consistency::Auto, flavor, all, n).unwrap();
        assert_eq!(
            decide(Flavor::Aurora, false, 1),
            Wanted::Flush { or_lock: true }
        );
        assert_eq!(
            decide(Flavor::MySql, true, 1),
            Wanted::Flush { or_lock: true }
        );
        // Several processes: worker 0 does it all in `full`, each its own state in `all`.
        assert_eq!(
            decide(Flavor::MySql, false, 4),
            Wanted::Flush { or_lock: true }
        );
        assert_eq!(decide(Flavor::MySql, true, 4), Wanted::None);
        assert_eq!(decide(Flavor::TiDb, false, 4), Wanted::Snapshot);
    }

    #[test]
    fn what_a_source_lacks_is_refused() {
        assert!(Wanted::decide(Consistency::Snapshot, Flavor::MySql, false, 1).is_err());
        assert!(Wanted::decide(Consistency::Flush, Flavor::TiDb, false, 1).is_err());
        assert!(Wanted::decide(Consistency::Lock, Flavor::TiDb, false, 1).is_err());
    }
}
