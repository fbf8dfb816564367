//! How fast rows of a binlog are decoded on one core: rows of 12 columns, in events as large as servers
//! make them, without reading, checksums or anything that is done with the rows.

use std::hint::black_box;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Parser;
use tideway_mysql::binlog::rows::{Row, RowsEvent, has_rows};
use tideway_mysql::binlog::table_map::TableMap;
use tideway_mysql::binlog::{Event, Frames, Kind};

/// `binlog_row_event_max_size` of servers.
const EVENT_BYTES: usize = 8192;
/// No event here is larger.
const LIMIT: u32 = 1 << 20;

/// Decodes rows of a binlog for some seconds and prints how many in one.
#[derive(Parser)]
struct Args {
    /// Rows of the binlog, which is decoded again and again
    #[arg(long, default_value_t = 100_000)]
    rows: u32,
    /// How many seconds
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// Rows that are updated instead of inserted: each counts once, and has two images
    #[arg(long)]
    updates: bool,
}

/// An event without a checksum.
fn event(kind: Kind, body: &[u8], out: &mut Vec<u8>) -> Result<()> {
    let size = u32::try_from(19 + body.len())?;
    out.extend_from_slice(&[0, 0, 0, 0, kind.0, 1, 0, 0, 0]);
    out.extend_from_slice(&size.to_le_bytes());
    out.extend_from_slice(&[0; 6]);
    out.extend_from_slice(body);
    Ok(())
}

/// The table of the events: its number, flags, name, types, and how they lie in the rows.
fn table() -> Vec<u8> {
    let mut body = vec![7, 0, 0, 0, 0, 0, 1, 0, 1, b'a', 0, 1, b'b', 0];
    // BIGINT, INT, TINYINT, DECIMAL(12,2), DOUBLE, DATETIME(6), TIMESTAMP, DATE, ENUM, VARCHAR(40),
    // VARCHAR(200), TEXT.
    body.push(12);
    body.extend_from_slice(&[8, 3, 1, 246, 5, 18, 17, 10, 254, 15, 15, 252]);
    let layouts = [12, 2, 8, 6, 0, 247, 1, 160, 0, 32, 3, 2];
    body.push(12);
    body.extend_from_slice(&layouts);
    body.extend_from_slice(&[0xff, 0x0f]);
    body
}

/// An image of row `number`, in which one column in twelve is NULL.
fn image(number: u32, out: &mut Vec<u8>) {
    out.extend_from_slice(if number.is_multiple_of(2) {
        &[0, 0]
    } else {
        &[0, 6]
    });
    let name = &b"a name that varies in length"[..10 + (number % 18) as usize];
    out.extend_from_slice(&u64::from(number).to_le_bytes());
    out.extend_from_slice(&number.wrapping_mul(2_654_435_761).to_le_bytes());
    out.push(number.to_le_bytes()[0]);
    out.extend_from_slice(&[0x80, 0, 0, 0x30, 0x39, 0x22]);
    out.extend_from_slice(&f64::from(number).to_le_bytes());
    out.extend_from_slice(&[0x99, 0xb2, 0xc3, 0x45, 0x67, 0x01, 0x02, 0x03]);
    out.extend_from_slice(&[0x66, 0x55, 0x44, 0x33]);
    out.extend_from_slice(&[0x6f, 0xd0, 0x0f]);
    out.push(1);
    if number.is_multiple_of(2) {
        out.push(name.len().to_le_bytes()[0]);
        out.extend_from_slice(name);
        out.extend_from_slice(&[60, 0]);
        out.extend_from_slice(&[b'n'; 60]);
    }
    out.extend_from_slice(&[80, 0]);
    out.extend_from_slice(&[b't'; 80]);
}

/// A binlog with so many rows.
fn binlog(rows: u32, updates: bool) -> Result<Vec<u8>> {
    let mut file = b"\xfebin".to_vec();
    let mut description = 4_u16.to_le_bytes().to_vec();
    let mut version = [0; 50];
    version[..5].copy_from_slice(b"8.0.1");
    description.extend_from_slice(&version);
    description.extend_from_slice(&[0; 4]);
    description.push(19);
    description.extend_from_slice(&[8; 40]);
    description.extend_from_slice(&[0; 5]);
    event(Kind::FORMAT_DESCRIPTION, &description, &mut file)?;
    event(Kind::TABLE_MAP, &table(), &mut file)?;
    let kind = if updates {
        Kind::UPDATE_ROWS
    } else {
        Kind::WRITE_ROWS
    };
    let mut head = vec![7, 0, 0, 0, 0, 0, 0, 0, 2, 0, 12, 0xff, 0x0f];
    if updates {
        head.extend_from_slice(&[0xff, 0x0f]);
    }
    let mut body = head.clone();
    for number in 0..rows {
        image(number, &mut body);
        if updates {
            image(number + 1, &mut body);
        }
        if body.len() > EVENT_BYTES || number + 1 == rows {
            event(kind, &body, &mut file)?;
            body.clone_from(&head);
        }
    }
    Ok(file)
}

fn main() -> Result<()> {
    let args = Args::parse();
    let file = binlog(args.rows, args.updates)?;
    let mut frames = Frames::open(&file[..], LIMIT)?;
    let mut events: Vec<Event> = Vec::new();
    let mut map = None;
    while let Some(event) = frames.next()? {
        match event.header.kind {
            Kind::TABLE_MAP => map = Some(TableMap::parse(&event, frames.format())?),
            kind if has_rows(kind) => events.push(event),
            _ => {}
        }
    }
    let map = map.context("there is no table map")?;
    let format = frames.format();
    let limit = Duration::from_secs_f64(args.seconds);
    let begun = Instant::now();
    let mut rows = 0_u64;
    let mut row = Row::default();
    while begun.elapsed() < limit {
        let before = rows;
        for event in &events {
            let mut decoder = RowsEvent::parse(event, format)?;
            while decoder.next(&map, &mut row)? {
                black_box(&row);
                rows += 1;
            }
        }
        ensure!(rows - before == u64::from(args.rows), "rows were lost");
    }
    let seconds = begun.elapsed().as_secs_f64();
    let megabytes = file.len() as f64 * (rows as f64 / f64::from(args.rows)) / 1e6;
    println!(
        "{:.0} rows/s ({} of {} columns, {:.0} MB/s)",
        rows as f64 / seconds,
        if args.updates { "updates" } else { "inserts" },
        map.columns.len(),
        megabytes / seconds
    );
    Ok(())
}
