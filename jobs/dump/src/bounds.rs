//! Where to cut a table by an integer column: pure, so that it can be tested without a server.
//!
//! [`Bisection`] asks for the number of rows in intervals of the leading key column and halves those
//! that hold too many; it ends with intervals that lie side by side and cover the column's range
//! without gap or overlap, whatever it is told: estimates decide how even the chunks are, never
//! whether a row is in one. [`merge`] then joins neighbours that are too small.

/// An interval of the leading key column, both ends included, with the rows that it is thought to
/// hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The least value.
    pub low: i128,
    /// The greatest value.
    pub high: i128,
    /// Rows in it, by an estimate.
    pub rows: u64,
}

/// Halves intervals until each holds about the wanted number of rows.
pub struct Bisection {
    /// Not looked at yet, the leftmost on top.
    open: Vec<(i128, i128)>,
    done: Vec<Span>,
    target: u64,
    /// How many questions may still be asked: an estimator that always says "many" would otherwise
    /// have us halve down to single values.
    questions: u64,
}

impl Bisection {
    /// For the values from `min` to `max`, with about `target` rows in each interval and
    /// `expected` rows in all.
    #[must_use]
    pub fn new(min: i128, max: i128, target: u64, expected: u64) -> Self {
        let target = target.max(1);
        Self {
            open: if min <= max {
                vec![(min, max)]
            } else {
                Vec::new()
            },
            done: Vec::new(),
            target,
            questions: 128 + 8 * (expected / target),
        }
    }

    /// The interval whose rows are asked for next, both ends included; `None` when it is done.
    #[must_use]
    pub fn question(&self) -> Option<(i128, i128)> {
        self.open.last().copied()
    }

    /// Tells how many rows that interval holds.
    pub fn answer(&mut self, rows: u64) {
        let Some((low, high)) = self.open.pop() else {
            return;
        };
        self.questions = self.questions.saturating_sub(1);
        let fits = rows <= self.target + self.target / 2;
        if fits || low == high || self.questions == 0 {
            self.done.push(Span { low, high, rows });
            if self.questions == 0 {
                // No more questions: what is open stays as it is, and is one large chunk each.
                while let Some((low, high)) = self.open.pop() {
                    self.done.push(Span {
                        low,
                        high,
                        rows: self.target,
                    });
                }
            }
            return;
        }
        let middle = low + (high - low) / 2;
        self.open.push((middle + 1, high));
        self.open.push((low, middle));
    }

    /// The intervals, in order.
    #[must_use]
    pub fn spans(self) -> Vec<Span> {
        self.done
    }
}

/// Joins neighbours as long as they hold at most `target` rows together.
#[must_use]
pub fn merge(spans: Vec<Span>, target: u64) -> Vec<Span> {
    let mut merged: Vec<Span> = Vec::with_capacity(spans.len());
    for span in spans {
        match merged.last_mut() {
            Some(last) if last.rows.saturating_add(span.rows) <= target => {
                last.high = span.high;
                last.rows += span.rows;
            }
            _ => merged.push(span),
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Bisects with a perfect estimator over `values` (sorted, unique).
    fn bisect(values: &[i128], target: u64) -> Vec<Span> {
        let (Some(&min), Some(&max)) = (values.first(), values.last()) else {
            return Vec::new();
        };
        let mut bisection = Bisection::new(min, max, target, values.len() as u64);
        while let Some((low, high)) = bisection.question() {
            let rows = values.iter().filter(|v| (low..=high).contains(*v)).count();
            bisection.answer(rows as u64);
        }
        merge(bisection.spans(), target)
    }

    fn check_cover(spans: &[Span], min: i128, max: i128) {
        assert_eq!(spans.first().map(|s| s.low), Some(min));
        assert_eq!(spans.last().map(|s| s.high), Some(max));
        for span in spans {
            assert!(span.low <= span.high);
        }
        for pair in spans.windows(2) {
            assert_eq!(pair[0].high + 1, pair[1].low);
        }
    }

    proptest! {
        #[test]
        fn spans_cover_every_value_once(
            values in proptest::collection::btree_set(any::<i64>(), 1..400),
            target in 1_u64..100,
        ) {
            let values: Vec<i128> = values.into_iter().map(i128::from).collect();
            let spans = bisect(&values, target);
            check_cover(&spans, values[0], values[values.len() - 1]);
            let rows: u64 = spans.iter().map(|s| s.rows).sum();
            prop_assert_eq!(rows, values.len() as u64);
        }

        #[test]
        fn spans_cover_whatever_the_estimates_say(
            min in any::<u64>(), width in any::<u32>(), target in 1_u64..1000,
            lies in proptest::collection::vec(any::<u64>(), 1..50),
        ) {
            let (min, max) = (i128::from(min), i128::from(min) + i128::from(width));
            let mut bisection = Bisection::new(min, max, target, 10_000);
            let mut asked = 0;
            while bisection.question().is_some() {
                bisection.answer(lies[asked % lies.len()]);
                asked += 1;
                prop_assert!(asked <= 128 + 8 * 10_000);
            }
            let spans = bisection.spans();
            check_cover(&spans, min, max);
            check_cover(&merge(spans, target), min, max);
        }
    }

    #[test]
    fn dense_keys_make_even_chunks() {
        let values: Vec<i128> = (1..=10_000).collect();
        let spans = bisect(&values, 1000);
        assert!((7..=20).contains(&spans.len()), "{}", spans.len());
        assert!(spans.iter().all(|s| s.rows <= 1500));
    }

    #[test]
    fn two_far_islands_are_two_chunks_not_a_desert() {
        let values: Vec<i128> = (0..500)
            .chain((1_i128 << 62)..(1_i128 << 62) + 500)
            .collect();
        let spans = bisect(&values, 600);
        assert_eq!(spans.len(), 2);
    }

    #[test]
    fn an_empty_range_has_no_spans() {
        assert!(Bisection::new(1, 0, 10, 10).question().is_none());
    }
}
