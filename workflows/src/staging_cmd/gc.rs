//! `tideway staging gc`: removes what no marker names.

use tideway_job::JobError;
use tideway_staging::Staging;
use tideway_staging::gc::{GcOptions, gc};

use crate::cli::GcArgs;
use crate::human;

/// Removes, or shows what it would remove.
///
/// # Errors
/// When a job holds a lease of the task; when staging cannot be read or written.
pub async fn run(args: &GcArgs) -> Result<(), JobError> {
    let staging = Staging::open(&args.at.staging).await?;
    let options = GcOptions {
        dry_run: args.dry_run,
        min_age: args.min_age,
        own_lease: None,
    };
    let (mut objects, mut bytes) = (0, 0);
    for task in super::tasks(&staging, args.task.as_deref()).await? {
        for (_, keys) in super::sources(&staging, &task).await? {
            let report = gc(&staging, &task.keys, &keys, &options).await?;
            for key in &report.removed {
                println!("{key}");
            }
            for key in &report.kept {
                println!("{key} (younger than --min-age, kept)");
            }
            objects += report.removed.len() as u64 + report.temporary_files;
            bytes += report.bytes;
        }
    }
    let verb = if args.dry_run {
        "would be removed"
    } else {
        "removed"
    };
    println!(
        "{} objects, {} {verb}",
        human::count(objects),
        human::bytes(bytes)
    );
    Ok(())
}
