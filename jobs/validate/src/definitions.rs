//! Definitions beside live writers: DDL is on its way too.
//!
//! A table or column that the target lacks may come with the next transactions that are applied, and one
//! that the source dropped may still be there. So findings count only when they are found again after
//! apply has passed where the sources stood; and a table that differs counts only when its definition on
//! both sides still is the one that it was compared by.

use std::collections::{BTreeMap, BTreeSet};

use tideway_mysql::schema::{TableDef, TableName, read_table};

use crate::error::Result;
use crate::live::Live;
use crate::report::Finding;
use crate::side::SideTable;
use crate::tables::{self, Scope, TableJob};
use crate::unit::UnitResult;

/// So many times findings may change before they are reported as they are.
const ROUNDS: u32 = 4;

/// Finds the tables that have findings again, until they stay the same.
///
/// # Errors
/// Those of the servers, a stop, or that apply does not go on.
pub async fn settle(
    scope: &Scope<'_>,
    live: &Live,
    mut jobs: Vec<TableJob>,
) -> Result<Vec<TableJob>> {
    for _ in 0..ROUNDS {
        let suspect =
            |job: &TableJob| !job.findings.is_empty() && live.follows(&job.source_indexes);
        let before: BTreeMap<TableName, Vec<Finding>> = jobs
            .iter()
            .filter(|job| suspect(job))
            .map(|job| (job.target.clone(), job.findings.clone()))
            .collect();
        if before.is_empty() {
            break;
        }
        let at = live.positions(&live.all()).await?;
        live.applied(&at).await?;
        let names: BTreeSet<TableName> = before.keys().cloned().collect();
        let again = tables::find(scope, Some(&names)).await?;
        let same = again
            .iter()
            .filter(|job| !job.findings.is_empty())
            .all(|job| before.get(&job.target) == Some(&job.findings));
        jobs.retain(|job| !names.contains(&job.target));
        jobs.extend(again);
        if same {
            break;
        }
    }
    Ok(jobs)
}

/// Whether a table must be compared anew: it differs, and its definition on some side is no longer the
/// one that it was compared by.
///
/// # Errors
/// Those of the servers.
pub async fn is_outdated(live: &Live, job: &TableJob, result: Option<&UnitResult>) -> Result<bool> {
    let Some(result) = result.filter(|_| live.follows(&job.source_indexes)) else {
        return Ok(false);
    };
    if result.outdated {
        return Ok(true);
    }
    let Some(sides) = job.sides.as_ref().filter(|_| result.differs()) else {
        return Ok(false);
    };
    for side in sides.sources.iter().chain([&sides.target]) {
        if !still_is(side).await? {
            return Ok(true);
        }
    }
    Ok(false)
}

async fn still_is(side: &SideTable) -> Result<bool> {
    let mut conn = side.server.conn().await?;
    let now: Option<TableDef> = read_table(&mut conn, side.server.info(), &side.def.name).await?;
    Ok(now.is_some_and(|now| now.columns == side.def.columns && now.keys == side.def.keys))
}
