//! The log on standard error: text for a person, JSON lines for machines.
//!
//! Progress bars draw on the same terminal; each log line is written while they are suspended.

use std::io::{IsTerminal, Write};
use std::sync::LazyLock;

use indicatif::MultiProgress;
use tracing_subscriber::EnvFilter;

use crate::args::LogFormat;

/// The bars of this process. Draws on standard error, and nothing when that is no terminal.
pub static BARS: LazyLock<MultiProgress> = LazyLock::new(MultiProgress::new);

/// Whether bars are seen: standard error is a terminal and the log is text.
#[must_use]
pub fn shows_bars(format: LogFormat) -> bool {
    format != LogFormat::Json && std::io::stderr().is_terminal()
}

/// Starts the log. `RUST_LOG` selects what is written; default is `info` of Tideway's own crates.
pub fn start(format: LogFormat) {
    let filter = EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| EnvFilter::new("warn,tideway=info,mysql_async=off"));
    let terminal = std::io::stderr().is_terminal();
    let json = match format {
        LogFormat::Json => true,
        LogFormat::Text => false,
        LogFormat::Auto => !terminal,
    };
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(|| Suspending);
    let result = if json {
        let subscriber = builder
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .with_span_list(false)
            .finish();
        tracing::subscriber::set_global_default(subscriber)
    } else {
        let subscriber = builder.with_ansi(terminal).with_target(false).finish();
        tracing::subscriber::set_global_default(subscriber)
    };
    // A second start (tests in one process) keeps the first log.
    drop(result);
}

/// Standard error, with the bars lifted while a line is written.
struct Suspending;

impl Write for Suspending {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        BARS.suspend(|| std::io::stderr().lock().write_all(bytes))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        std::io::stderr().flush()
    }
}
