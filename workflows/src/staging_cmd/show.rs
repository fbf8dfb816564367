//! `tideway staging show`: one object, as a person reads it.
//!
//! A chunk is read through its marker, as every job reads it: block by block against the checksums. An
//! object that no marker names does not exist for the jobs, and is said to be so.

use arrow::array::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use futures::TryStreamExt;
use tideway_job::JobError;
use tideway_staging::chunk::ChunkReader;
use tideway_staging::document::{ChunkMarker, DataFile};
use tideway_staging::layout::{ChunkFile, parse_chunk_marker};
use tideway_staging::{Path, Staging};

use crate::cli::ShowArgs;
use crate::human::{self, Align};

/// The largest document that is printed.
const LARGEST: u64 = 16 << 20;
/// How much of a chunk is decoded at once.
const BATCH: usize = 4 << 20;
/// The longest value that is printed whole.
const LONGEST: usize = 60;

/// Prints the object.
///
/// # Errors
/// When it is absent, damaged, or cannot be read.
pub async fn run(args: &ShowArgs) -> Result<(), JobError> {
    let staging = Staging::open(&args.at.staging).await?;
    let key = super::key(&args.key)?;
    match ChunkFile::parse(&key) {
        Some(file) => chunk(&staging, &key, &file, args.rows).await,
        None => document(&staging, &key).await,
    }
}

async fn document(staging: &Staging, key: &Path) -> Result<(), JobError> {
    let size = staging.head(key).await?.map_or(0, |object| object.size);
    if size > LARGEST {
        return Err(JobError::config(format!(
            "{key} is too large to be printed ({})",
            human::bytes(size)
        )));
    }
    let Some(bytes) = staging.get_bytes(key).await? else {
        return Err(JobError::config(format!(
            "there is no {key} in {}: `tideway staging ls --files` shows what there is",
            staging.url()
        )));
    };
    if let Ok(json) = serde_json::from_slice::<serde_json::Value>(&bytes) {
        println!("{json:#}");
        return Ok(());
    }
    match std::str::from_utf8(&bytes) {
        Ok(text) => println!("{}", text.trim_end()),
        Err(_) => println!("{} that are no text", human::bytes(bytes.len() as u64)),
    }
    Ok(())
}

async fn chunk(
    staging: &Staging,
    key: &Path,
    file: &ChunkFile,
    rows: usize,
) -> Result<(), JobError> {
    let Some((marker, data)) = find_marker(staging, key, file).await? else {
        return Err(JobError::failed(format!(
            "no marker names {key}: it comes from an attempt that was killed or lost a race, and no \
             job reads it; `tideway staging gc` removes it"
        )));
    };
    println!(
        "chunk {} of {}.{}: {} rows, {} ({} in staging), {} row groups",
        marker.chunk,
        marker.db,
        marker.table,
        human::count(data.rows),
        human::bytes(data.raw_bytes),
        human::bytes(data.size),
        data.row_groups.len()
    );
    let mut reader = ChunkReader::open(staging, &data).await?;
    let schema = reader.schema();
    let columns: Vec<Vec<String>> = schema
        .fields()
        .iter()
        .map(|field| {
            vec![
                field.name().clone(),
                field.data_type().to_string(),
                if field.is_nullable() { "yes" } else { "no" }.to_owned(),
            ]
        })
        .collect();
    println!();
    let header = [
        ("column", Align::Left),
        ("type", Align::Left),
        ("null", Align::Left),
    ];
    print!("{}", human::table(&header, &columns));
    let mut shown = Vec::new();
    while shown.len() < rows {
        let Some(batch) = reader.next_batch(BATCH).await? else {
            break;
        };
        let wanted = batch.num_rows().min(rows - shown.len());
        for row in 0..wanted {
            shown.push(values(&batch, row)?);
        }
    }
    if !shown.is_empty() {
        println!();
        let header: Vec<(&str, Align)> = schema
            .fields()
            .iter()
            .map(|field| (field.name().as_str(), Align::Left))
            .collect();
        print!("{}", human::table(&header, &shown));
    }
    Ok(())
}

/// The marker that names a data object.
async fn find_marker(
    staging: &Staging,
    key: &Path,
    file: &ChunkFile,
) -> Result<Option<(ChunkMarker, DataFile)>, JobError> {
    let folder = key
        .as_ref()
        .rsplit_once('/')
        .map_or("", |(folder, _)| folder);
    let markers = super::key(&format!("{folder}/_tideway/chunks"))?;
    let mut objects = staging.list(&markers);
    while let Some(object) = objects.try_next().await? {
        let named = parse_chunk_marker(&object.location);
        if named != Some((file.stem.clone(), file.number)) {
            continue;
        }
        let marker: Option<ChunkMarker> = staging.get_json(&object.location).await?;
        if let Some(marker) = marker
            && let Some(data) = marker.files.iter().find(|data| data.key == key.as_ref())
        {
            let data = data.clone();
            return Ok(Some((marker, data)));
        }
    }
    Ok(None)
}

/// One row, long values cut.
fn values(batch: &RecordBatch, row: usize) -> Result<Vec<String>, JobError> {
    let options = FormatOptions::default().with_null("NULL");
    batch
        .columns()
        .iter()
        .map(|column| {
            let formatter = ArrayFormatter::try_new(column.as_ref(), &options)
                .map_err(|error| JobError::failed(format!("a value cannot be shown: {error}")))?;
            Ok(cut(&formatter.value(row).to_string()))
        })
        .collect()
}

fn cut(value: &str) -> String {
    let plain: String = value
        .chars()
        .map(|c| if c.is_control() { '·' } else { c })
        .take(LONGEST + 1)
        .collect();
    if plain.chars().count() > LONGEST {
        format!("{}…", plain.chars().take(LONGEST).collect::<String>())
    } else {
        plain
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_and_strange_values_are_cut() {
        assert_eq!(cut("a\nb"), "a·b");
        assert_eq!(cut(&"é".repeat(60)), "é".repeat(60));
        assert_eq!(cut(&"é".repeat(61)), format!("{}…", "é".repeat(60)));
    }
}
