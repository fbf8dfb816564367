//! What a writer and a reader hold at most, counted by the allocator.
//!
//! One test in this file, for the count is of the whole process.
#![allow(clippy::unwrap_used, clippy::expect_used, unsafe_code)]

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use tideway_staging::Staging;
use tideway_staging::chunk::{ChunkReader, ChunkWriter, ChunkWriterOptions};
use tideway_staging::layout::TaskKeys;

struct Counting;

static NOW: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

fn add(bytes: usize) {
    let now = NOW.fetch_add(bytes, Ordering::Relaxed) + bytes;
    PEAK.fetch_max(now, Ordering::Relaxed);
}

// SAFETY: hands everything to the system's allocator and only counts.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        add(layout.size());
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Ordering::Relaxed);
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // In the worst case both are there for a moment, but the system moves pages for large ones.
        NOW.fetch_sub(layout.size(), Ordering::Relaxed);
        add(size);
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const MIB: usize = 1 << 20;

/// The most that was held since, above what was held before.
struct Peak(usize);

impl Peak {
    fn begin() -> Self {
        let now = NOW.load(Ordering::Relaxed);
        PEAK.store(now, Ordering::Relaxed);
        Self(now)
    }

    fn mib(&self) -> usize {
        (PEAK.load(Ordering::Relaxed) - self.0) / MIB
    }
}

#[tokio::test]
async fn writer_and_reader_stay_within_their_row_group() {
    let folder = tempfile::tempdir().unwrap();
    let staging = Staging::open(folder.path().to_str().unwrap())
        .await
        .unwrap();
    let keys = TaskKeys::new("t").source("s");
    // Row group, size of a value, rows of a batch, batches: half a GiB that does not compress.
    for (n, (group, value, rows, batches)) in
        [(32 * MIB, 8 * MIB, 1, 60), (16 * MIB, 300, 10_000, 100)]
            .into_iter()
            .enumerate()
    {
        let key = keys.chunk_data("d", "t", n as u32, 0);
        let options = ChunkWriterOptions {
            row_group_bytes: group,
            ..ChunkWriterOptions::default()
        };
        let peak = Peak::begin();
        let mut writer = ChunkWriter::create(&staging, key, common::schema(), options)
            .await
            .unwrap();
        for first in 0..batches {
            let first = first * rows as i64;
            writer
                .write(&common::batch(first, rows, value))
                .await
                .unwrap();
        }
        let file = writer.finish().await.unwrap();
        let written = peak.mib();

        let peak = Peak::begin();
        let mut reader = ChunkReader::open(&staging, &file).await.unwrap();
        let mut read = 0;
        while let Some(batch) = reader.next_batch(4 * MIB).await.unwrap() {
            read += batch.num_rows();
        }
        let read_peak = peak.mib();
        assert_eq!(read as i64, batches * rows as i64);

        // The test's own batch counts, twice while it is made; so does the value in the encoder.
        let batch = (value * rows).div_ceil(MIB) * 2;
        let value = value.div_ceil(MIB);
        let group = group / MIB;
        eprintln!(
            "row group {group} MiB, values of {value} MiB: writer {written}, reader {read_peak}"
        );
        // Two parts of 6 MiB on their way, one that is being filled, and the encoder's pages.
        let most = group + batch + 2 * value + 3 * 6 + 6;
        assert!(written <= most, "writer: {written} MiB, at most {most}");
        let most = group + 4 * value + 16;
        assert!(read_peak <= most, "reader: {read_peak} MiB, at most {most}");
    }
}
