//! Where the runner speaks to a person: standard error, above the bars when there are any.

use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

use chrono::{SecondsFormat, Utc};
use tideway_job::LogFormat;
use tideway_job::logging;

use super::log_line::Level;

/// How much of a job's standard output is shown.
const SHOWN: usize = 64 << 10;

/// Standard error and standard output, shared by all stages.
#[derive(Clone, Copy, Debug)]
pub struct Screen {
    /// Bars are drawn.
    pub bars: bool,
    /// Each line of the jobs is shown, also where bars tell the progress.
    pub verbose: bool,
    /// What the jobs print is not repeated on standard output, which belongs to a JSON document.
    pub json: bool,
}

impl Screen {
    /// Looks at where standard error goes.
    #[must_use]
    pub fn new(verbose: bool, json: bool) -> Self {
        Self {
            bars: logging::shows_bars(LogFormat::Text),
            verbose,
            json,
        }
    }

    /// Whether lines of this level are shown.
    #[must_use]
    pub fn shows(&self, level: Level) -> bool {
        let least = if self.bars && !self.verbose {
            Level::Warn
        } else {
            Level::Info
        };
        level >= least
    }

    /// Says something; `who` is a stage, or the runner itself.
    pub fn say(&self, level: Level, who: &str, text: &str) {
        let time = Utc::now().to_rfc3339_opts(SecondsFormat::Secs, true);
        let line = format!("{time} {} {who}: {text}", level.label());
        // A terminal that went away must not end the migration.
        logging::BARS.suspend(|| {
            let _ = writeln!(std::io::stderr().lock(), "{line}");
        });
    }

    /// What the runner itself says, at level info: shown in any case.
    pub fn note(&self, text: &str) {
        self.say(Level::Info, "tideway", text);
    }

    /// Repeats what a job printed on its standard output.
    pub fn show_output(&self, file: &Path, from: u64) {
        if self.json {
            return;
        }
        let Ok(new) = read_from(file, from) else {
            return;
        };
        if new.is_empty() {
            return;
        }
        let cut = new.len() > SHOWN;
        let shown = String::from_utf8_lossy(&new[..new.len().min(SHOWN)]);
        logging::BARS.suspend(|| {
            let mut out = std::io::stdout().lock();
            let _ = writeln!(out, "{}", shown.trim_end());
            if cut {
                let _ = writeln!(out, "… (all of it in {})", file.display());
            }
            let _ = out.flush();
        });
    }
}

/// What stands in a file from there on, and no more than is shown (and one byte, to tell).
fn read_from(file: &Path, from: u64) -> std::io::Result<Vec<u8>> {
    let mut file = std::fs::File::open(file)?;
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    file.take(SHOWN as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}
