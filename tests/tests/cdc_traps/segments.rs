//! Segments that are lost, doubled or damaged.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tideway_tests::cdc::Running;
use tideway_tests::servers::Server;
use tideway_tests::trap::Trap;

/// Three captures of a row each, then something happens to the segment with the second row: apply says
/// which, and nothing from row `first` on reaches the target.
async fn spoiled(what: &str, first: u32, spoil: impl Fn(&[PathBuf])) {
    let mut trap = Trap::new(what, Server::MySql1, Server::TiDb).await;
    trap.source(&["CREATE TABLE t (id INT PRIMARY KEY, v INT)"])
        .await;
    trap.sync();
    let folder = trap.scenario.source_staging(1).join("binlog");
    let mut behind = Vec::new();
    for id in 1..=3 {
        trap.source(&[&format!("INSERT INTO t VALUES ({id}, {id})")])
            .await;
        trap.capture();
        behind.push(segments(&folder));
    }
    // The files that the second capture added.
    let second: Vec<PathBuf> = behind[1]
        .iter()
        .filter(|file| !behind[0].contains(file))
        .cloned()
        .collect();
    spoil(&second);
    let apply = trap.scenario.cdc("apply", &["--until", "now"]);
    let ended = Running::start(&trap.scenario, "apply", apply)
        .ended(Duration::from_secs(60))
        .await;
    assert!(matches!(ended.code, Some(1 | 2)), "{what}: {ended:?}");
    let number = second[0].file_name().unwrap().to_string_lossy()[..12].to_owned();
    let number = number.trim_start_matches('0');
    let ended = ended.says(&["replica-01", number]);
    println!(
        "{what}: {}",
        ended.stderr.lines().last().unwrap_or_default()
    );
    let found = trap
        .find(&format!(
            "SELECT CONCAT(id) FROM `DB`.t WHERE id >= {first}"
        ))
        .await;
    assert!(found.is_empty(), "{what}: {found:?} is behind it");
    trap.clean().await;
}

fn segments(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    files
}

fn data(files: &[PathBuf]) -> &PathBuf {
    files
        .iter()
        .find(|file| file.to_string_lossy().contains(".binlog"))
        .unwrap()
}

fn markers(files: &[PathBuf]) -> impl Iterator<Item = &PathBuf> {
    files
        .iter()
        .filter(|file| file.extension().is_some_and(|end| end == "json"))
}

#[tokio::test]
async fn a_segment_that_is_lost_is_found() {
    spoiled("lost", 2, |files| {
        for file in files {
            std::fs::remove_file(file).unwrap();
        }
    })
    .await;
}

#[tokio::test]
async fn a_segment_without_its_data_is_found() {
    spoiled("nodata", 2, |files| {
        std::fs::remove_file(data(files)).unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_segment_that_is_doubled_is_found() {
    spoiled("doubled", 2, |files| {
        // The one before it stands in its place.
        for marker in markers(files) {
            let name = marker.file_stem().unwrap().to_string_lossy();
            let number: u64 = name.parse().unwrap();
            std::fs::copy(
                marker.with_file_name(format!("{:012}.json", number - 1)),
                marker,
            )
            .unwrap();
        }
    })
    .await;
}

#[tokio::test]
async fn a_segment_that_is_damaged_is_found() {
    spoiled("flipped", 2, |files| {
        let mut bytes = std::fs::read(data(files)).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 4;
        std::fs::write(data(files), bytes).unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_segment_that_is_cut_is_found() {
    spoiled("cut", 2, |files| {
        let bytes = std::fs::read(data(files)).unwrap();
        std::fs::write(data(files), &bytes[..bytes.len() - 9]).unwrap();
    })
    .await;
}

/// The next marker has its hash, so it is what cannot follow.
#[tokio::test]
async fn a_marker_that_was_changed_is_found() {
    spoiled("marker", 3, |files| {
        let marker = markers(files).next().unwrap();
        let text = std::fs::read_to_string(marker).unwrap();
        std::fs::write(
            marker,
            text.replacen("\"transactions\": 1", "\"transactions\": 2", 1),
        )
        .unwrap();
    })
    .await;
}
