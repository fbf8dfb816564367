//! What a person, or the runner of a workflow, wants of a run: pause, resume, stop, finish.
//!
//! Nobody can signal a process on another machine, so a wish is an object: `<task>/control/<n>.json`,
//! numbered from 1, made by create-if-absent and never overwritten. Whoever posts takes the next free
//! number; of two at once the store lets one have it, and the other takes the one behind. So all
//! readers see the same wishes in the same order, by asking for the next number by its name: one
//! request, no listing.
//!
//! **What counts is the last word.** [`Standing`] folds the wishes in their order; `resume` takes back
//! all that was wanted before it. So a run that is continued begins with a `resume` and does not meet
//! the `stop` that ended it, while a job that is started again after a crash still finds the `finish`
//! that was meant for it.
//!
//! **Killed at any point:** a poster has posted or it has not. A job that is killed before it obeys
//! reads the wish again when it is started again. Nothing that must be right hangs on any of them: a
//! job commits what is in hand before it obeys, and one that never hears of a wish only goes on
//! working.

use chrono::{DateTime, Utc};
use futures::TryStreamExt;
use serde::{Deserialize, Serialize};

use crate::document::VERSION;
use crate::layout::{TaskKeys, parse_number};
use crate::{Create, Error, Result, Staging};

/// How often the next number is tried when others post at the same time.
const ROUNDS: u32 = 100;

/// What is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum What {
    /// Commit what is in hand and wait.
    Pause,
    /// Go on; takes back all that was wanted before.
    Resume,
    /// Commit what is in hand and leave; work remains.
    Stop,
    /// Do what there is to do up to now, and leave.
    Finish,
}

impl What {
    /// As it is written.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Stop => "stop",
            Self::Finish => "finish",
        }
    }
}

/// Whom a wish is meant for: the processes of one run, all of them or some.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scope {
    /// The run; empty: jobs that were started by hand, without a run.
    pub run_id: String,
    /// Only this job (`dump`, `capture`, `apply`, …).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
    /// Only the processes of this source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Only this stage of the workflow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<String>,
}

impl Scope {
    /// A whole run.
    #[must_use]
    pub fn run(run_id: &str) -> Self {
        Self {
            run_id: run_id.to_owned(),
            ..Self::default()
        }
    }

    /// Whether it is meant for the run as a whole.
    #[must_use]
    pub fn is_whole_run(&self) -> bool {
        self.job.is_none() && self.source.is_none() && self.stage.is_none()
    }
}

/// A wish, as it lies in staging.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wish {
    /// Version of this document.
    pub version: u32,
    /// Its number, from 1.
    pub number: u64,
    /// What is wanted.
    pub what: What,
    /// Of whom.
    #[serde(flatten)]
    pub scope: Scope,
    /// Who wants it.
    pub by: String,
    /// Since when.
    pub at: DateTime<Utc>,
}

/// A process that wishes may be meant for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listener {
    /// Its run; empty without one.
    pub run_id: String,
    /// Its job.
    pub job: String,
    /// The sources it works on.
    pub sources: Vec<String>,
    /// Its stage; empty where nobody told it.
    pub stage: String,
}

impl Listener {
    /// Whether this process is to obey.
    ///
    /// A `finish` of a whole run is the runner's to obey: it tells the stages one after the other, what
    /// produces before what consumes. A job alone, without a run, has nobody who would tell it. A wish
    /// for one source reaches a process that works on several only when it is the only one: the others
    /// are not to stop with it.
    #[must_use]
    pub fn obeys(&self, wish: &Wish) -> bool {
        let scope = &wish.scope;
        let is = |wanted: &Option<String>, own: &str| wanted.as_deref().is_none_or(|w| w == own);
        if wish.what == What::Finish && scope.is_whole_run() && !self.run_id.is_empty() {
            return false;
        }
        scope.run_id == self.run_id
            && is(&scope.job, &self.job)
            && is(&scope.stage, &self.stage)
            && scope
                .source
                .as_ref()
                .is_none_or(|source| self.sources.iter().all(|own| own == source))
    }
}

/// What is wanted of a process after all wishes so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// It is to wait.
    pub paused: bool,
    /// It is to leave.
    pub stop: bool,
    /// It is to do what there is up to now, and leave.
    pub finish: bool,
}

impl Standing {
    /// After one more wish.
    #[must_use]
    pub fn after(self, what: What) -> Self {
        match what {
            What::Resume => Self::default(),
            What::Pause => Self {
                paused: true,
                ..self
            },
            What::Stop => Self { stop: true, ..self },
            // Who waits cannot finish.
            What::Finish => Self {
                finish: true,
                paused: false,
                ..self
            },
        }
    }

    /// Whether nothing is wanted but to work.
    #[must_use]
    pub fn is_clear(self) -> bool {
        self == Self::default()
    }
}

/// Posts a wish under the next free number.
///
/// # Errors
/// When the store fails. Whether the wish was posted is then open; posting it again does no harm.
pub async fn post(
    staging: &Staging,
    keys: &TaskKeys,
    what: What,
    scope: Scope,
    by: &str,
) -> Result<Wish> {
    let mut wish = Wish {
        version: VERSION,
        number: last(staging, keys).await? + 1,
        what,
        scope,
        by: by.to_owned(),
        at: Utc::now(),
    };
    for _ in 0..ROUNDS {
        match staging.create_json(&keys.control(wish.number), &wish).await {
            Ok(Create::Won) => return Ok(wish),
            // A damaged one has its number all the same.
            Ok(Create::Exists(_)) | Err(Error::Damaged { .. }) => wish.number += 1,
            Err(error) => return Err(error),
        }
    }
    Err(Error::Conflict {
        url: staging.url().to_owned(),
        key: keys.control(wish.number).to_string(),
        what: format!("{ROUNDS} others posted at the same time; try again"),
    })
}

/// The wish with the number behind `number`; `None` while there is none.
///
/// # Errors
/// When the store fails; [`Error::Damaged`] when what lies there is no wish: pass it over.
pub async fn read_after(staging: &Staging, keys: &TaskKeys, number: u64) -> Result<Option<Wish>> {
    staging.get_json(&keys.control(number + 1)).await
}

/// The highest number so far; 0 when nothing was ever wanted.
///
/// # Errors
/// When the store fails.
pub async fn last(staging: &Staging, keys: &TaskKeys) -> Result<u64> {
    let folder = keys.control_dir();
    let mut objects = staging.list(&folder);
    let mut last = 0;
    while let Some(object) = objects.try_next().await? {
        last = last.max(parse_number(&object.location).unwrap_or(0));
    }
    Ok(last)
}

/// What is wanted of a process that starts now, and the number up to which it is told.
///
/// A process of a run hears all that was wanted of the run. One that a person starts by hand hears
/// nothing of the past: to start it is the newest wish.
///
/// # Errors
/// When the store fails.
pub async fn standing(
    staging: &Staging,
    keys: &TaskKeys,
    listener: &Listener,
) -> Result<(Standing, u64)> {
    let last = last(staging, keys).await?;
    let mut standing = Standing::default();
    if listener.run_id.is_empty() {
        return Ok((standing, last));
    }
    for number in 0..last {
        match read_after(staging, keys, number).await {
            Ok(Some(wish)) if listener.obeys(&wish) => standing = standing.after(wish.what),
            Ok(_) => {}
            Err(error @ Error::Damaged { .. }) => tracing::warn!("passed over: {error}"),
            Err(error) => return Err(error),
        }
    }
    Ok((standing, last))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listener(run: &str, job: &str, sources: &[&str]) -> Listener {
        Listener {
            run_id: run.to_owned(),
            job: job.to_owned(),
            sources: sources.iter().map(|&s| s.to_owned()).collect(),
            stage: job.to_owned(),
        }
    }

    fn wish(what: What, scope: Scope) -> Wish {
        Wish {
            version: 1,
            number: 1,
            what,
            scope,
            by: "test".to_owned(),
            at: Utc::now(),
        }
    }

    #[test]
    fn a_process_obeys_what_is_meant_for_it() {
        let stop = |scope| wish(What::Stop, scope);
        let me = listener("r1", "apply", &["a"]);
        assert!(me.obeys(&stop(Scope::run("r1"))));
        assert!(!me.obeys(&stop(Scope::run("r2"))));
        assert!(!me.obeys(&stop(Scope::run(""))));
        assert!(listener("", "apply", &["a"]).obeys(&stop(Scope::run(""))));
        assert!(!listener("", "apply", &["a"]).obeys(&stop(Scope::run("r1"))));
        let of = |job: Option<&str>, source: Option<&str>, stage: Option<&str>| Scope {
            run_id: "r1".to_owned(),
            job: job.map(str::to_owned),
            source: source.map(str::to_owned),
            stage: stage.map(str::to_owned),
        };
        assert!(me.obeys(&stop(of(Some("apply"), Some("a"), Some("apply")))));
        assert!(!me.obeys(&stop(of(Some("capture"), None, None))));
        assert!(!me.obeys(&stop(of(None, Some("b"), None))));
        assert!(!me.obeys(&stop(of(None, None, Some("capture")))));
        let both = listener("r1", "apply", &["a", "b"]);
        assert!(!both.obeys(&stop(of(None, Some("a"), None))));
    }

    #[test]
    fn to_finish_a_whole_run_is_the_runners_business() {
        let finish = |scope| wish(What::Finish, scope);
        let me = listener("r1", "apply", &["a"]);
        assert!(!me.obeys(&finish(Scope::run("r1"))));
        let stage = Scope {
            stage: Some("apply".to_owned()),
            ..Scope::run("r1")
        };
        assert!(me.obeys(&finish(stage)));
        assert!(listener("", "apply", &["a"]).obeys(&finish(Scope::run(""))));
    }

    #[test]
    fn the_last_word_counts() {
        let fold = |words: &[What]| {
            words
                .iter()
                .fold(Standing::default(), |standing, &what| standing.after(what))
        };
        assert!(fold(&[What::Stop, What::Resume]).is_clear());
        assert!(fold(&[What::Pause, What::Resume]).is_clear());
        assert!(fold(&[What::Pause]).paused);
        let finish = fold(&[What::Pause, What::Finish]);
        assert!(finish.finish && !finish.paused);
        assert!(fold(&[What::Resume, What::Stop]).stop);
    }

    #[tokio::test]
    async fn wishes_are_numbered_and_read_in_order() {
        let staging = Staging::open("memory:///control-order").await.unwrap();
        let keys = TaskKeys::new("t");
        assert_eq!(last(&staging, &keys).await.unwrap(), 0);
        assert_eq!(read_after(&staging, &keys, 0).await.unwrap(), None);
        let posts = (0..8).map(|n| {
            let by = format!("poster {n}");
            let (staging, keys) = (&staging, &keys);
            async move {
                post(staging, keys, What::Pause, Scope::run("r"), &by)
                    .await
                    .unwrap()
                    .number
            }
        });
        let mut numbers = futures::future::join_all(posts).await;
        numbers.sort_unstable();
        assert_eq!(numbers, (1..=8).collect::<Vec<_>>());
        for number in 0..8 {
            let found = read_after(&staging, &keys, number).await.unwrap().unwrap();
            assert_eq!(found.number, number + 1);
        }
        assert_eq!(read_after(&staging, &keys, 8).await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_process_that_starts_hears_what_its_run_was_told() {
        let staging = Staging::open("memory:///control-standing").await.unwrap();
        let keys = TaskKeys::new("t");
        let me = listener("r1", "capture", &["a"]);
        for what in [What::Stop, What::Resume] {
            post(&staging, &keys, what, Scope::run("r1"), "x")
                .await
                .unwrap();
        }
        // What is no wish takes no other with it.
        staging.put_bytes(&keys.control(3), "{").await.unwrap();
        let finish = Scope {
            job: Some("capture".to_owned()),
            ..Scope::run("r1")
        };
        let posted = post(&staging, &keys, What::Finish, finish, "x")
            .await
            .unwrap();
        assert_eq!(posted.number, 4);
        let (found, last) = standing(&staging, &keys, &me).await.unwrap();
        assert!(found.finish && !found.stop, "{found:?}");
        assert_eq!(last, 4);
        let other = listener("r2", "capture", &["a"]);
        assert!(
            standing(&staging, &keys, &other)
                .await
                .unwrap()
                .0
                .is_clear()
        );
        let by_hand = listener("", "capture", &["a"]);
        post(&staging, &keys, What::Stop, Scope::run(""), "x")
            .await
            .unwrap();
        let (found, last) = standing(&staging, &keys, &by_hand).await.unwrap();
        assert!(found.is_clear(), "to start it is the newest wish");
        assert_eq!(last, 5);
    }
}
