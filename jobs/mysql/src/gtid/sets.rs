//! The two kinds of GTID sets: reading, printing, and the operations of sets.

use std::collections::BTreeMap;
use std::fmt;

use super::{MariaDbGtids, MySqlGtids};

impl MySqlGtids {
    /// Whether the last of each server and tag in `other` lies at or before the last one here.
    pub(super) fn reaches(&self, other: &Self) -> bool {
        let last = |ranges: &[(u64, u64)]| ranges.last().map(|(_, last)| *last);
        other
            .ranges
            .iter()
            .all(|(key, ranges)| self.ranges.get(key).and_then(|own| last(own)) >= last(ranges))
    }

    /// A set from the ranges of each server and tag, both ends included, in any order.
    pub(crate) fn from_ranges(
        all: impl IntoIterator<Item = ((String, String), Vec<(u64, u64)>)>,
    ) -> Self {
        let mut set = Self::default();
        for (key, ranges) in all {
            if !ranges.is_empty() {
                set.ranges.entry(key).or_default().extend(ranges);
            }
        }
        for ranges in set.ranges.values_mut() {
            *ranges = joined(std::mem::take(ranges));
        }
        set
    }

    pub(super) fn has(&self, uuid: &str, tag: &str, number: u64) -> bool {
        let ranges = self.ranges.get(&(uuid.to_owned(), tag.to_owned()));
        let ranges = ranges.map(Vec::as_slice).unwrap_or_default();
        let behind = ranges.partition_point(|(from, _)| *from <= number);
        let before = behind.checked_sub(1).and_then(|at| ranges.get(at));
        before.is_some_and(|(_, to)| number <= *to)
    }

    pub(super) fn add(&mut self, uuid: &str, tag: &str, number: u64) {
        let key = (uuid.to_owned(), tag.to_owned());
        let ranges = self.ranges.entry(key).or_default();
        // Nearly always the one behind the last.
        match ranges.last_mut() {
            Some((from, to)) if *from <= number => {
                if number > *to && number - *to == 1 {
                    *to = number;
                } else if number > *to {
                    ranges.push((number, number));
                }
            }
            _ => {
                ranges.push((number, number));
                *ranges = joined(std::mem::take(ranges));
            }
        }
    }

    pub(super) fn read(text: &str) -> Result<Self, String> {
        let mut set = Self::default();
        for group in text.split(',').filter(|group| !group.is_empty()) {
            let mut parts = group.split(':');
            let uuid = uuid(parts.next().unwrap_or_default())?;
            let mut tag = String::new();
            let mut seen = false;
            for part in parts {
                if part.starts_with(|c: char| c.is_ascii_digit()) {
                    let range = range(part)?;
                    set.ranges
                        .entry((uuid.clone(), tag.clone()))
                        .or_default()
                        .push(range);
                    seen = true;
                } else {
                    tag = self::tag(part)?;
                }
            }
            if !seen {
                return Err(format!("`{group}` names no transaction"));
            }
        }
        for ranges in set.ranges.values_mut() {
            *ranges = joined(std::mem::take(ranges));
        }
        Ok(set)
    }

    pub(super) fn union(&self, other: &Self) -> Self {
        let mut ranges = self.ranges.clone();
        for (key, more) in &other.ranges {
            let all = ranges.entry(key.clone()).or_default();
            all.extend(more);
            *all = joined(std::mem::take(all));
        }
        Self { ranges }
    }

    pub(super) fn subtract(&self, other: &Self) -> Self {
        let mut left = BTreeMap::new();
        for (key, ranges) in &self.ranges {
            let taken = other.ranges.get(key).map(Vec::as_slice).unwrap_or_default();
            let ranges = without(ranges, taken);
            if !ranges.is_empty() {
                left.insert(key.clone(), ranges);
            }
        }
        Self { ranges: left }
    }
}

/// `uuid:1-5:7:tag:1-3`, servers parted by commas.
impl fmt::Display for MySqlGtids {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut former: Option<&str> = None;
        for ((uuid, tag), ranges) in &self.ranges {
            if former != Some(uuid) {
                if former.is_some() {
                    f.write_str(",")?;
                }
                f.write_str(uuid)?;
                former = Some(uuid);
            }
            if !tag.is_empty() {
                write!(f, ":{tag}")?;
            }
            for (from, to) in ranges {
                if from == to {
                    write!(f, ":{from}")?;
                } else {
                    write!(f, ":{from}-{to}")?;
                }
            }
        }
        Ok(())
    }
}

/// Ranges sorted, with those that overlap or touch made one.
fn joined(mut ranges: Vec<(u64, u64)>) -> Vec<(u64, u64)> {
    ranges.sort_unstable();
    let mut out: Vec<(u64, u64)> = Vec::with_capacity(ranges.len());
    for (from, to) in ranges {
        match out.last_mut() {
            Some(last) if from <= last.1.saturating_add(1) => last.1 = last.1.max(to),
            _ => out.push((from, to)),
        }
    }
    out
}

/// What of `ranges` lies outside `taken`; both are sorted and apart.
fn without(ranges: &[(u64, u64)], taken: &[(u64, u64)]) -> Vec<(u64, u64)> {
    let mut out = Vec::new();
    for &(from, to) in ranges {
        let mut next = Some(from);
        for &(cut_from, cut_to) in taken {
            let Some(start) = next.filter(|start| *start <= to) else {
                break;
            };
            if cut_to < start {
                continue;
            }
            if cut_from > to {
                break;
            }
            if cut_from > start {
                out.push((start, cut_from - 1));
            }
            next = cut_to.checked_add(1);
        }
        if let Some(start) = next.filter(|start| *start <= to) {
            out.push((start, to));
        }
    }
    out
}

fn uuid(text: &str) -> Result<String, String> {
    let digits: String = text
        .chars()
        .filter(|c| *c != '-')
        .collect::<String>()
        .to_lowercase();
    if digits.len() != 32 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(format!("`{text}` is no UUID"));
    }
    let cut = |from: usize, to: usize| &digits[from..to];
    Ok(format!(
        "{}-{}-{}-{}-{}",
        cut(0, 8),
        cut(8, 12),
        cut(12, 16),
        cut(16, 20),
        cut(20, 32)
    ))
}

fn tag(text: &str) -> Result<String, String> {
    let tag = text.to_ascii_lowercase();
    let fits = !tag.is_empty()
        && tag.len() <= 32
        && tag.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        && !tag.starts_with(|c: char| c.is_ascii_digit());
    if fits {
        Ok(tag)
    } else {
        Err(format!("`{text}` is neither a range nor a tag"))
    }
}

fn range(text: &str) -> Result<(u64, u64), String> {
    let number = |part: &str| {
        part.parse::<u64>()
            .ok()
            .filter(|n| *n > 0)
            .ok_or(format!("`{text}` is no range"))
    };
    let (from, to) = match text.split_once('-') {
        Some((from, to)) => (number(from)?, number(to)?),
        None => (number(text)?, number(text)?),
    };
    if from > to {
        Err(format!("`{text}` runs backwards"))
    } else {
        Ok((from, to))
    }
}

impl MariaDbGtids {
    pub(super) fn read(text: &str) -> Result<Self, String> {
        let mut set = Self::default();
        for gtid in text.split(',').filter(|gtid| !gtid.is_empty()) {
            let wrong = || format!("`{gtid}` is not domain-server-number");
            let mut parts = gtid.split('-');
            let mut next = || parts.next().ok_or_else(wrong);
            let domain: u32 = next()?.parse().map_err(|_| wrong())?;
            let server: u32 = next()?.parse().map_err(|_| wrong())?;
            let number: u64 = next()?.parse().map_err(|_| wrong())?;
            if parts.next().is_some() {
                return Err(wrong());
            }
            set.advance(domain, server, number);
        }
        Ok(set)
    }

    /// Moves the last transaction of a domain forward, never back.
    pub(crate) fn advance(&mut self, domain: u32, server: u32, number: u64) {
        let last = self.domains.entry(domain).or_insert((server, number));
        if number > last.1 {
            *last = (server, number);
        }
    }

    pub(super) fn union(&self, other: &Self) -> Self {
        let mut all = self.clone();
        for (&domain, &(server, number)) in &other.domains {
            all.advance(domain, server, number);
        }
        all
    }

    pub(super) fn subtract(&self, other: &Self) -> Self {
        let ahead = |(domain, last): (&u32, &(u32, u64))| {
            let reached = other.domains.get(domain).map_or(0, |there| there.1);
            (last.1 > reached).then_some((*domain, *last))
        };
        Self {
            domains: self.domains.iter().filter_map(ahead).collect(),
        }
    }
}

/// `0-1-5,1-2-7`.
impl fmt::Display for MariaDbGtids {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (domain, (server, number))) in self.domains.iter().enumerate() {
            let comma = if index > 0 { "," } else { "" };
            write!(f, "{comma}{domain}-{server}-{number}")?;
        }
        Ok(())
    }
}
