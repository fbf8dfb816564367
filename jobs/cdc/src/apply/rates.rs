//! Rates, for people.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::checkpoint::Totals;

/// What counts as recent.
const RECENT: Duration = Duration::from_secs(10);

/// Counts at moments.
#[derive(Debug)]
pub struct Rates {
    begun: (Instant, Totals),
    readings: VecDeque<(Instant, Totals)>,
}

impl Rates {
    /// From `totals` on.
    #[must_use]
    pub fn new(totals: Totals) -> Self {
        let begun = (Instant::now(), totals);
        Self {
            begun,
            readings: VecDeque::from([begun]),
        }
    }

    /// Notes the counts of now.
    pub fn note(&mut self, totals: Totals) {
        let now = Instant::now();
        self.readings.push_back((now, totals));
        while self.readings.len() > 2
            && (self.readings.len() > 100
                || self
                    .readings
                    .get(1)
                    .is_some_and(|(at, _)| now - *at > RECENT))
        {
            self.readings.pop_front();
        }
    }

    /// A second, over the last moments.
    #[must_use]
    pub fn recent(&self, now: u64, of: impl Fn(&Totals) -> u64) -> u64 {
        let first = self.readings.front().unwrap_or(&self.begun);
        rate(now.saturating_sub(of(&first.1)), first.0.elapsed())
    }

    /// A second, since this began.
    #[must_use]
    pub fn total(&self, now: u64, of: impl Fn(&Totals) -> u64) -> u64 {
        rate(
            now.saturating_sub(of(&self.begun.1)),
            self.begun.0.elapsed(),
        )
    }
}

fn rate(count: u64, time: Duration) -> u64 {
    let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX).max(1);
    count.saturating_mul(1000) / millis
}
