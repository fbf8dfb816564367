//! Named places where a test may kill the process, one after each step that makes something durable.
//!
//! `TIDEWAY_FAILPOINT=dump.chunk.data` kills the process (SIGKILL, nothing is unwound or flushed)
//! at the first time it comes by; `dump.chunk.data:3` at the third. Compiled in with debug
//! assertions only (profile `tested`): a released binary ignores the variable.

/// All failpoints. A test walks through this list, so a name that is missing here cannot be hit.
pub const ALL: &[&str] = &[
    "capture.start",
    "capture.segment.data",
    "capture.segment.marker",
    "dump.start",
    "dump.schema",
    "dump.plan",
    "dump.chunk.data",
    "dump.chunk.marker",
    "dump.finish.deleted",
    "dump.manifest",
    "load.prepared",
    "load.created",
    "load.rows.sent",
    "load.rows.committed",
    "load.chunk.done",
    "load.report",
    "apply.begun",
    "apply.batch.sent",
    "apply.batch.committed",
    "apply.checkpoint",
    "apply.ddl.pending",
    "apply.ddl.run",
    "apply.ddl.stored",
    "validate.report",
];

/// The environment variable that arms a failpoint.
pub const VARIABLE: &str = "TIDEWAY_FAILPOINT";

/// Kills this process if `name` is armed and its count is reached; otherwise does nothing.
#[cfg(debug_assertions)]
pub fn hit(name: &'static str) {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU32, Ordering};

    static ARMED: OnceLock<Option<(String, AtomicU32)>> = OnceLock::new();

    debug_assert!(ALL.contains(&name), "failpoint {name} is not in the list");
    let armed = ARMED.get_or_init(|| {
        let text = std::env::var(VARIABLE).ok().filter(|t| !t.is_empty())?;
        let (name, count) = match text.split_once(':') {
            Some((name, count)) => (name.to_owned(), count.parse().ok()),
            None => (text.clone(), Some(1)),
        };
        match count {
            Some(count @ 1..) if ALL.contains(&name.as_str()) => {
                Some((name, AtomicU32::new(count)))
            }
            _ => {
                tracing::error!("{VARIABLE}={text}: no such failpoint or count");
                std::process::exit(2)
            }
        }
    });
    if let Some((armed, left)) = armed
        && armed == name
        && left.fetch_sub(1, Ordering::SeqCst) == 1
    {
        tracing::warn!("failpoint {name}: killing this process");
        if let Err(error) =
            rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL)
        {
            tracing::error!("failpoint {name}: {error}");
        }
        // SIGKILL is on its way; nothing after this line may run.
        std::process::abort();
    }
}

/// Does nothing: this binary was built without debug assertions.
#[cfg(not(debug_assertions))]
pub fn hit(_name: &'static str) {}
