//! One memory budget per process, shared out before the work begins.
//!
//! Jobs do not measure what they use: they divide [`Budget::total`] by the number of parts that can
//! be alive at once and give each part a limit. A single value may exceed its part (it counts
//! twice: once as received, once as encoded); one that exceeds the whole budget is refused by name.

/// Bytes that the readers, encoders and loaders of this process share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    total: usize,
}

/// The least that a job can work with.
pub const MINIMUM: usize = 32 << 20;

impl Budget {
    /// A budget of `total` bytes.
    ///
    /// # Errors
    /// Below [`MINIMUM`].
    pub fn new(total: u64) -> Result<Self, String> {
        match usize::try_from(total) {
            Ok(total) if total >= MINIMUM => Ok(Self { total }),
            _ => Err(format!(
                "--memory {} is not enough: give at least {}",
                bytesize::ByteSize::b(total),
                bytesize::ByteSize::b(MINIMUM as u64)
            )),
        }
    }

    /// All of it, in bytes.
    #[must_use]
    pub fn total(&self) -> usize {
        self.total
    }

    /// What each of `parts` equal parts may hold, in bytes; never 0.
    #[must_use]
    pub fn share(&self, parts: usize) -> usize {
        (self.total / parts.max(1)).max(1)
    }

    /// Whether one value of `bytes` fits: it is held twice while it is encoded.
    #[must_use]
    pub fn holds_value(&self, bytes: usize) -> bool {
        bytes.saturating_mul(2) <= self.total
    }
}
