//! The wish to stop: SIGTERM (a Spot interruption, `docker stop`, the local runner) and Ctrl-C.
//!
//! The first signal cancels the token: jobs finish what is in hand, commit it and leave with exit
//! code 5. The second ends the process at once, which loses nothing that was committed.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// A token that the first SIGTERM or SIGINT cancels.
///
/// # Errors
/// When the signal handlers cannot be installed.
pub fn on_signals() -> std::io::Result<CancellationToken> {
    let token = CancellationToken::new();
    let mut term = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let stop = token.clone();
    tokio::spawn(async move {
        let mut asked = false;
        loop {
            let name = tokio::select! {
                _ = term.recv() => "SIGTERM",
                _ = interrupt.recv() => "SIGINT",
            };
            if asked {
                tracing::warn!("{name} again: leaving at once");
                std::process::exit(crate::error::EXIT_STOPPED.into());
            }
            asked = true;
            tracing::info!("{name}: finishing what is in hand; again to leave at once");
            stop.cancel();
        }
    });
    Ok(token)
}
