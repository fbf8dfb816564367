//! The validate job: does the target hold what the sources hold?
//!
//! It reads the two servers and, in staging, the dump's plan and manifest; it writes its reports under
//! `<task>/<source>/validate/` and nothing else, so it can run at any time, any number of times, beside
//! everything else. Killed at any point it leaves at most reports of which the JSON, written last, is
//! still the former run's; the next run writes them all again.
//!
//! 1. Tables are found by filter and route ([`tables`]); what is missing on the target is a finding.
//! 2. Each table is cut into ranges of its key ([`ranges`]); workers compare ranges side by side: sums of
//!    row hashes that both servers compute ([`tideway_mysql::checksum`]), narrowed to rows where they
//!    differ ([`mod@unit`]).
//! 3. Rows that differ are read again, told apart and named with their columns ([`details`],
//!    [`keyless`]); the SQL that would repair them is written ([`repair`]).
//! 4. The reports are written ([`report`], [`html`]), the table is printed ([`text`]).
//!
//! With live writers ([`live`]) a row that differs may only be on its way. Before step 3 such rows are
//! compared in rounds, each after apply's checkpoint passed what the source held: rows of tables with
//! a key by that, others range by range. A table whose definition changed meanwhile is compared anew.

pub mod columns;
mod definitions;
pub mod details;
pub mod error;
pub mod html;
pub mod keyless;
mod keys;
pub mod literal;
pub mod live;
pub mod options;
pub mod ranges;
pub mod repair;
pub mod report;
mod rounds;
mod run;
pub mod side;
pub mod tables;
pub mod text;
pub mod unit;
mod workers;

pub use error::{Error, Result};
pub use options::Args;
pub use run::run;

use tokio_util::sync::CancellationToken;

/// `Err(Stopped)` once a stop was asked for.
pub(crate) fn check(stop: &CancellationToken) -> Result<()> {
    if stop.is_cancelled() {
        Err(Error::Stopped)
    } else {
        Ok(())
    }
}
