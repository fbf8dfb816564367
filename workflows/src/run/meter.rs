//! Rates and time left, from counters that are read now and then.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use tideway_staging::heartbeat::Heartbeat;

use crate::human;

/// Over how long the rate is taken.
const WINDOW: Duration = Duration::from_secs(15);

/// Counters of all workers of a stage on a source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Rows done.
    pub rows: u64,
    /// Bytes done.
    pub bytes: u64,
    /// Chunks done.
    pub units: u64,
    /// Rows to do; an estimate.
    pub total_rows: u64,
    /// Bytes to do; an estimate.
    pub total_bytes: u64,
    /// Chunks to do.
    pub total_units: u64,
}

impl Totals {
    /// The sum over the workers, each of which tells its share.
    #[must_use]
    pub fn of<'a>(beats: impl Iterator<Item = &'a Heartbeat>) -> Self {
        beats.fold(Self::default(), |sum, beat| Self {
            rows: sum.rows + beat.rows,
            bytes: sum.bytes + beat.bytes,
            units: sum.units + beat.done_units,
            total_rows: sum.total_rows + beat.total_rows,
            total_bytes: sum.total_bytes + beat.total_bytes,
            total_units: sum.total_units + beat.total_units,
        })
    }
}

/// Turns counters into rates.
#[derive(Debug, Default)]
pub struct Meter {
    samples: VecDeque<(Instant, Totals)>,
}

impl Meter {
    /// Takes a reading.
    pub fn sample(&mut self, totals: Totals) {
        self.sample_at(Instant::now(), totals);
    }

    fn sample_at(&mut self, now: Instant, totals: Totals) {
        // A process that was started again counts from zero.
        if self
            .samples
            .back()
            .is_some_and(|(_, last)| totals.rows < last.rows || totals.bytes < last.bytes)
        {
            self.samples.clear();
        }
        self.samples.push_back((now, totals));
        while self.samples.len() > 2
            && self
                .samples
                .front()
                .is_some_and(|(time, _)| now.duration_since(*time) > WINDOW)
        {
            self.samples.pop_front();
        }
    }

    fn last(&self) -> Totals {
        self.samples
            .back()
            .map_or_else(Totals::default, |last| last.1)
    }

    /// How much is done, from 0 to 1, where anything is known of it. Bytes and rows to do are
    /// estimates, so below the whole until every chunk is done.
    #[must_use]
    pub fn fraction(&self) -> Option<f64> {
        let last = self.last();
        if last.total_units > 0 && last.units >= last.total_units {
            return Some(1.0);
        }
        let part = |done: u64, total: u64| (total > 0).then(|| ratio(done, total).min(0.99));
        part(last.bytes, last.total_bytes)
            .or_else(|| part(last.rows, last.total_rows))
            .or_else(|| part(last.units, last.total_units))
    }

    /// Rows and bytes a second over the window.
    #[must_use]
    pub fn rates(&self) -> Option<(f64, f64)> {
        let (first, last) = (self.samples.front()?, self.samples.back()?);
        let seconds = last.0.duration_since(first.0).as_secs_f64();
        if seconds <= 0.0 {
            return None;
        }
        let rate = |last: u64, first: u64| ratio(last.saturating_sub(first), 1) / seconds;
        Some((
            rate(last.1.rows, first.1.rows),
            rate(last.1.bytes, first.1.bytes),
        ))
    }

    /// Seconds left at the present rate.
    #[must_use]
    pub fn seconds_left(&self) -> Option<f64> {
        let last = self.last();
        let (rows, bytes) = self.rates()?;
        let left = |done: u64, total: u64, rate: f64| {
            (total > done && rate > 0.0).then(|| ratio(total - done, 1) / rate)
        };
        left(last.bytes, last.total_bytes, bytes).or_else(|| left(last.rows, last.total_rows, rows))
    }

    /// Rows and bytes done; empty while there are none.
    #[must_use]
    pub fn totals_text(&self) -> String {
        let last = self.last();
        if last.rows == 0 && last.bytes == 0 {
            return String::new();
        }
        format!(
            "{} rows  {}",
            human::count(last.rows),
            human::bytes(last.bytes)
        )
    }

    /// All that is known, for a bar or a log line, the most wanted first because a narrow terminal
    /// cuts the end; empty while nothing is known. `unit` is what the job counts: chunks, tables.
    #[must_use]
    pub fn text(&self, unit: &str) -> String {
        let last = self.last();
        let totals = self.totals_text();
        let mut parts = Vec::new();
        let rates = self.rates().filter(|(rows, bytes)| rows + bytes > 0.0);
        if !totals.is_empty() {
            parts.push(totals);
            if let Some((_, bytes)) = rates {
                parts.push(format!("{}/s", human::bytes(whole(bytes))));
            }
        }
        if let Some(left) = self.seconds_left() {
            parts.push(format!("{} left", human::seconds(left)));
        }
        if last.total_units > 0 {
            parts.push(format!("{}/{} {unit}", last.units, last.total_units));
        }
        if let Some((rows, _)) = rates {
            parts.push(format!("{} rows/s", human::count(whole(rows))));
        }
        parts.join("  ")
    }
}

/// For people: exact up to 2^53.
#[allow(clippy::cast_precision_loss)]
fn ratio(part: u64, whole: u64) -> f64 {
    part as f64 / whole as f64
}

/// For people: rates are far below 2^63 and not negative.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn whole(number: f64) -> u64 {
    number.round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn totals(rows: u64, bytes: u64, units: u64) -> Totals {
        Totals {
            rows,
            bytes,
            units,
            total_rows: 1000,
            total_bytes: 100_000,
            total_units: 10,
        }
    }

    #[test]
    fn rate_and_time_left() {
        let start = Instant::now();
        let mut meter = Meter::default();
        assert_eq!(meter.text("chunks"), "");
        meter.sample_at(start, totals(0, 0, 0));
        meter.sample_at(start + Duration::from_secs(10), totals(200, 20_000, 2));
        assert_eq!(meter.rates(), Some((20.0, 2000.0)));
        assert_eq!(meter.seconds_left(), Some(40.0));
        assert_eq!(meter.fraction(), Some(0.2));
        let text = meter.text("chunks");
        assert!(text.contains("20 rows/s"), "{text}");
        assert!(text.contains("2/10 chunks"), "{text}");
        assert!(text.contains("40s left"), "{text}");
    }

    #[test]
    fn only_all_chunks_are_the_whole() {
        let start = Instant::now();
        let mut meter = Meter::default();
        // More bytes than estimated.
        meter.sample_at(start, totals(2000, 300_000, 9));
        assert_eq!(meter.fraction(), Some(0.99));
        meter.sample_at(start, totals(2000, 300_000, 10));
        assert_eq!(meter.fraction(), Some(1.0));
    }

    #[test]
    fn a_process_that_starts_again_does_not_count_backwards() {
        let start = Instant::now();
        let mut meter = Meter::default();
        meter.sample_at(start, totals(500, 50_000, 5));
        meter.sample_at(start + Duration::from_secs(1), totals(0, 0, 0));
        meter.sample_at(start + Duration::from_secs(2), totals(10, 1000, 0));
        assert_eq!(meter.rates(), Some((10.0, 1000.0)));
    }

    #[test]
    fn old_readings_leave_the_window() {
        let start = Instant::now();
        let mut meter = Meter::default();
        for second in 0..100_u64 {
            let rows = second.saturating_sub(50) * 10;
            meter.sample_at(start + Duration::from_secs(second), totals(rows, rows, 0));
        }
        assert_eq!(meter.rates(), Some((10.0, 10.0)));
        assert!(meter.samples.len() < 20);
    }
}
