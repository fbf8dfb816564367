//! Planning a table anew while the dump runs, because its definition is no longer the planned one.
//!
//! A table that is gone may have been renamed: its rows then live on under a name that no plan has.
//! So the source is listed again, and what the task wants and no plan names is planned in the same
//! generation, each with its own S_t, behind which cdc goes on with it.

use tideway_mysql::schema::TableName;
use tideway_staging::document::{
    DatabasePlan, EffectivePlan, Plan, TablePlan, read_manifest, read_plan,
};

use crate::definitions::{self, Defined};
use crate::error::Result;
use crate::plan::{commit, cut_one, empty_generation, first_chunks};
use crate::source::Source;

/// Plans one table anew, because its definition is no longer the one that was planned.
///
/// Reads the plan again first: another worker may have planned the table meanwhile, and then its
/// hash there is another than `planned_hash`; or the dump may be finished by now, and nothing of it
/// is missing.
///
/// # Errors
/// When source or staging fail.
pub async fn replan_table(source: &Source, name: &TableName, planned_hash: &str) -> Result<()> {
    let (staging, keys) = (&source.job.staging, &source.keys);
    if read_manifest(staging, keys).await?.is_some() {
        return Ok(());
    }
    let Some(plan) = read_plan(staging, keys).await? else {
        return Ok(());
    };
    let Some(former) = plan.table(&name.schema, &name.table) else {
        return Ok(());
    };
    if former.no_data || former.definition_hash != planned_hash {
        return Ok(());
    }
    let first_chunk = former.first_chunk + former.chunk_count();
    let mut conn = source.server.conn().await?;
    let (def, position) = definitions::define_one(source, &mut conn, name).await?;
    let (mut tables, mut databases) = (Vec::new(), Vec::new());
    match def {
        Some(def) => {
            source.progress.message(format!(
                "{name} was altered while the dump ran: planning it anew, its former chunks are void"
            ));
            let defined = Defined {
                def,
                position,
                estimated_rows: former.estimated_rows,
                estimated_bytes: former.estimated_bytes,
            };
            tables.push(cut_one(source, &mut conn, &defined, first_chunk).await?);
        }
        None => {
            source.progress.message(format!(
                "{name} was dropped or renamed while the dump ran: its definition goes over, \
                 without rows"
            ));
            tables.push(TablePlan {
                first_chunk,
                bounds: Vec::new(),
                no_data: true,
                ..former.clone()
            });
            drop(conn);
            let (more, of) = newcomers(source, &plan).await?;
            tables.extend(more);
            databases.extend(of);
        }
    }
    let next = Plan {
        tables,
        databases,
        ..empty_generation(source, &plan)
    };
    commit(source, next).await.map(drop)
}

/// Tables of the source that the task wants and no plan names, and their databases if those are new
/// too.
async fn newcomers(
    source: &Source,
    plan: &EffectivePlan,
) -> Result<(Vec<TablePlan>, Vec<DatabasePlan>)> {
    let mut selection = definitions::select(source).await?;
    selection.tables.retain(|listing| {
        plan.table(&listing.name.schema, &listing.name.table)
            .is_none()
    });
    if selection.tables.is_empty() {
        return Ok((Vec::new(), Vec::new()));
    }
    let firsts = first_chunks(source, Some(plan)).await?;
    let mut conn = source.server.conn().await?;
    let mut tables = Vec::new();
    for listing in &selection.tables {
        let name = &listing.name;
        let (def, position) = definitions::define_one(source, &mut conn, name).await?;
        let Some(def) = def else { continue };
        let defined = Defined {
            def,
            position,
            estimated_rows: listing.estimated_rows,
            estimated_bytes: listing.data_bytes,
        };
        source.progress.message(format!(
            "{name} came while the dump ran (renamed or created): planning it too"
        ));
        // Never 0: by that processes tell what was planned after others had ended.
        let first = firsts.get(name).copied().unwrap_or(0).max(1);
        tables.push(cut_one(source, &mut conn, &defined, first).await?);
    }
    drop(conn);
    let mut names = selection.databases;
    names.retain(|name| plan.databases.iter().all(|database| &database.db != name));
    let databases = definitions::databases(source, &names).await?;
    Ok((tables, databases))
}
