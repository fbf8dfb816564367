//! Values with a notation of their own: Go's durations, sizes, and a value that is not looked at.

use std::time::Duration;

use serde::de::{Deserialize, Deserializer, Error as _};

/// A duration as Go writes it: `60s`, `1m30s`, `1.5h`, `500ms`, `0`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct GoDuration(pub Duration);

impl GoDuration {
    /// A duration of whole seconds.
    pub const fn seconds(n: u64) -> Self {
        Self(Duration::from_secs(n))
    }

    /// Reads Go's notation.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no duration; write it like 60s, 1m30s or 500ms");
        if text == "0" {
            return Ok(Self::default());
        }
        let mut rest = text.strip_prefix('+').unwrap_or(text);
        let mut seconds = 0.0;
        if rest.is_empty() {
            return Err(wrong());
        }
        while !rest.is_empty() {
            let digits = rest
                .find(|c: char| !(c.is_ascii_digit() || c == '.'))
                .ok_or_else(wrong)?;
            let value: f64 = rest[..digits].parse().map_err(|_| wrong())?;
            rest = &rest[digits..];
            let unit = rest
                .find(|c: char| c.is_ascii_digit())
                .unwrap_or(rest.len());
            seconds += value
                * match &rest[..unit] {
                    "h" => 3600.0,
                    "m" => 60.0,
                    "s" => 1.0,
                    "ms" => 1e-3,
                    "us" | "µs" | "μs" => 1e-6,
                    "ns" => 1e-9,
                    _ => return Err(wrong()),
                };
            rest = &rest[unit..];
        }
        Duration::try_from_secs_f64(seconds)
            .map(Self)
            .map_err(|_| wrong())
    }
}

impl<'de> Deserialize<'de> for GoDuration {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(d)?).map_err(D::Error::custom)
    }
}

/// A value that is read and left alone.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Anything {
    /// Whether anything stood there.
    pub present: bool,
}

impl<'de> Deserialize<'de> for Anything {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        serde::de::IgnoredAny::deserialize(d)?;
        Ok(Self { present: true })
    }
}

/// Reads a size as Dumpling does: a bare number counts MiB, and units are powers of 1024 whether
/// written `MB`, `MiB` or `m`.
pub fn parse_file_size(text: &str) -> Result<u64, String> {
    let wrong = || format!("`{text}` is no size; write it like 64 (MiB), 64MiB or 1GiB");
    let trimmed = text.trim();
    let cut = trimmed
        .find(|c: char| !(c.is_ascii_digit() || c == '.'))
        .unwrap_or(trimmed.len());
    let number: f64 = trimmed[..cut].parse().map_err(|_| wrong())?;
    let power = match trimmed[cut..].trim().to_ascii_lowercase().as_str() {
        "" | "m" | "mb" | "mib" => 2,
        "b" => 0,
        "k" | "kb" | "kib" => 1,
        "g" | "gb" | "gib" => 3,
        "t" | "tb" | "tib" => 4,
        "p" | "pb" | "pib" => 5,
        _ => return Err(wrong()),
    };
    let bytes = number * 1024f64.powi(power);
    // Above 2^53 a float no longer counts bytes; no chunk is that large.
    if (1.0..9e15).contains(&bytes) {
        Ok(bytes as u64)
    } else {
        Err(wrong())
    }
}

/// An enumeration of words. The first word of a variant is the current one, the others old.
macro_rules! words {
    (
        $(#[$meta:meta])*
        $name:ident { $( $(#[$variant_meta:meta])* $variant:ident = $word:literal $(| $old:literal)* ),* $(,)? }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name { $( $(#[$variant_meta])* $variant, )* }

        impl $name {
            /// The words that may be written.
            pub const WORDS: &'static [&'static str] = &[$( $word, $( $old, )* )*];

            /// The word in the file.
            pub fn as_str(self) -> &'static str {
                match self { $( Self::$variant => $word, )* }
            }

            /// Reads a word.
            pub fn parse(word: &str) -> Option<Self> {
                match word { $( $word $(| $old)* => Some(Self::$variant), )* _ => None }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl $crate::yaml::Notes for $name {}

        impl std::str::FromStr for $name {
            type Err = String;

            fn from_str(word: &str) -> Result<Self, String> {
                Self::parse(word)
                    .ok_or_else(|| format!("`{word}` is none of {}", Self::WORDS.join(", ")))
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                let word = String::deserialize(d)?;
                Self::parse(&word)
                    .ok_or_else(|| serde::de::Error::unknown_variant(&word, Self::WORDS))
            }
        }
    };
}
pub(crate) use words;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_as_go_writes_them() {
        let secs = |text| GoDuration::parse(text).unwrap().0.as_secs_f64();
        assert!((secs("60s") - 60.0).abs() < 1e-9);
        assert!((secs("1m30s") - 90.0).abs() < 1e-9);
        assert!((secs("1.5h") - 5400.0).abs() < 1e-9);
        assert!((secs("500ms") - 0.5).abs() < 1e-9);
        assert!(secs("0").abs() < 1e-9);
        for wrong in ["", "60", "s", "1x", "-5s", "1..2s"] {
            assert!(GoDuration::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn sizes_as_dumpling_reads_them() {
        assert_eq!(parse_file_size("64").unwrap(), 64 << 20);
        assert_eq!(parse_file_size("64MiB").unwrap(), 64 << 20);
        assert_eq!(parse_file_size("1GB").unwrap(), 1 << 30);
        assert_eq!(parse_file_size("512k").unwrap(), 512 << 10);
        assert_eq!(parse_file_size("1.5g").unwrap(), 3 << 29);
        for wrong in ["", "x", "64XB", "0", "-1"] {
            assert!(parse_file_size(wrong).is_err(), "{wrong}");
        }
    }
}
