//! `tideway staging ls`: a tree with sizes.

use futures::TryStreamExt;
use tideway_job::JobError;
use tideway_staging::Staging;

use super::tree::Node;
use crate::cli::LsArgs;

/// Prints the tree.
///
/// # Errors
/// When staging cannot be listed.
pub async fn run(args: &LsArgs) -> Result<(), JobError> {
    let staging = Staging::open(&args.at.staging).await?;
    let prefix = super::key(&args.prefix)?;
    let mut tree = Node::default();
    let mut objects = staging.list(&prefix);
    while let Some(object) = objects.try_next().await? {
        tree.add(&object.location, object.size, args.files);
    }
    if tree.objects == 0 {
        println!("nothing lies in {} {prefix}", staging.url());
        return Ok(());
    }
    println!("{:>11} {:>9}", "bytes", "objects");
    println!("{}", tree.text(staging.url()));
    Ok(())
}
