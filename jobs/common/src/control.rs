//! What is wanted of this process while it works: pause, resume, stop, finish.
//!
//! A task in the background asks staging for the next wish every two seconds, one small request for an
//! object by its name ([`tideway_staging::control`]), and keeps what is wanted now. The job looks at
//! that between two units of work:
//!
//! - **stop** cancels [`crate::Job::stop`], as SIGTERM does: commit what is in hand, leave with 5;
//! - **finish** cancels [`crate::Job::finish`]: do what there is to do up to now, leave with 0. Only
//!   jobs that would go on for ever look at it;
//! - **pause** holds the job at its next [`crate::Job::safe_point`] until **resume**, or until it is to
//!   stop or finish.
//!
//! A stop cannot be taken back once it was heard: the process leaves. What is committed does not depend
//! on any of this, so a wish that is heard late, or never (staging is away), costs time and nothing
//! else.

use std::time::Duration;

use tideway_staging::control::{self, Listener, Standing, What, Wish};
use tideway_staging::layout::TaskKeys;
use tideway_staging::{Error, Staging};
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::error::JobError;

/// How often the next wish is asked for.
const POLL: Duration = Duration::from_millis(if cfg!(test) { 20 } else { 2000 });

/// What is wanted of this process.
#[derive(Debug)]
pub struct Control {
    paused: watch::Receiver<bool>,
    stop: CancellationToken,
    finish: CancellationToken,
    /// Ends the listening with the job.
    _listening: DropGuard,
}

impl Control {
    /// Hears what was wanted so far, and listens from now on.
    ///
    /// # Errors
    /// When staging cannot be read.
    pub(crate) async fn start(
        staging: &Staging,
        keys: &TaskKeys,
        listener: Listener,
        stop: CancellationToken,
        finish: CancellationToken,
    ) -> Result<Self, JobError> {
        let (standing, number) = control::standing(staging, keys, &listener).await?;
        let (pause, paused) = watch::channel(false);
        let ear = Ear {
            standing: Standing::default(),
            pause,
            stop: stop.clone(),
            finish: finish.clone(),
        };
        let ended = CancellationToken::new();
        let listening = listen(
            ear,
            standing,
            staging.clone(),
            keys.clone(),
            listener,
            number,
        );
        tokio::spawn({
            let ended = ended.clone();
            async move {
                tokio::select! {
                    () = ended.cancelled() => {}
                    () = listening => {}
                }
            }
        });
        Ok(Self {
            paused,
            stop,
            finish,
            _listening: ended.drop_guard(),
        })
    }

    /// Whether a pause is wanted now. One that is to finish does not pause any more.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        *self.paused.borrow() && !self.finish.is_cancelled()
    }

    /// Sees each change of [`Control::is_paused`].
    #[must_use]
    pub fn paused(&self) -> watch::Receiver<bool> {
        self.paused.clone()
    }

    /// Waits while a pause is wanted. To be called where all that is in hand is committed; see
    /// [`crate::Job::safe_point`].
    ///
    /// # Errors
    /// [`JobError::Stopped`] when this process is to stop.
    pub async fn point(&self) -> Result<(), JobError> {
        if !self.is_paused() {
            return self.check_stop();
        }
        tracing::info!("paused on request; `tideway resume` goes on");
        let mut paused = self.paused.clone();
        tokio::select! {
            // The other end is gone only when the process ends.
            _ = paused.wait_for(|paused| !paused) => {}
            () = self.stop.cancelled() => {}
            () = self.finish.cancelled() => {}
        }
        self.check_stop()?;
        tracing::info!("going on");
        Ok(())
    }

    fn check_stop(&self) -> Result<(), JobError> {
        if self.stop.is_cancelled() {
            return Err(JobError::Stopped);
        }
        Ok(())
    }
}

/// Where a wish goes.
struct Ear {
    standing: Standing,
    pause: watch::Sender<bool>,
    stop: CancellationToken,
    finish: CancellationToken,
}

impl Ear {
    fn obey(&mut self, standing: Standing) {
        self.standing = standing;
        self.pause.send_if_modified(|paused| {
            let changed = *paused != standing.paused;
            *paused = standing.paused;
            changed
        });
        if standing.finish && !self.finish.is_cancelled() {
            self.finish.cancel();
        }
        if standing.stop && !self.stop.is_cancelled() {
            self.stop.cancel();
        }
    }

    fn hear(&mut self, wish: &Wish) {
        tracing::info!("{} wanted by {}", wish.what.name(), wish.by);
        if wish.what == What::Resume && (self.standing.stop || self.standing.finish) {
            tracing::info!("too late for this process: it leaves; a new one goes on");
        }
        self.obey(self.standing.after(wish.what));
    }
}

async fn listen(
    mut ear: Ear,
    standing: Standing,
    staging: Staging,
    keys: TaskKeys,
    listener: Listener,
    mut number: u64,
) {
    ear.obey(standing);
    let mut away = false;
    loop {
        match control::read_after(&staging, &keys, number).await {
            Ok(Some(wish)) => {
                number += 1;
                away = false;
                if listener.obeys(&wish) {
                    ear.hear(&wish);
                }
                continue;
            }
            Ok(None) => away = false,
            Err(error @ Error::Damaged { .. }) => {
                tracing::warn!("passed over: {error}");
                number += 1;
                continue;
            }
            Err(error) => {
                // Once: the job's own work says loudly enough when staging is away.
                if !std::mem::replace(&mut away, true) {
                    tracing::warn!(
                        "cannot ask what is wanted of this process, still trying: {error}"
                    );
                }
            }
        }
        tokio::time::sleep(POLL).await;
    }
}

#[cfg(test)]
mod tests {
    use tideway_staging::control::Scope;

    use super::*;

    struct Stand {
        staging: Staging,
        keys: TaskKeys,
        stop: CancellationToken,
        finish: CancellationToken,
    }

    impl Stand {
        async fn new(name: &str) -> Self {
            Self {
                staging: Staging::open(&format!("memory:///job-control-{name}"))
                    .await
                    .unwrap(),
                keys: TaskKeys::new("t"),
                stop: CancellationToken::new(),
                finish: CancellationToken::new(),
            }
        }

        async fn start(&self, run: &str) -> Control {
            let listener = Listener {
                run_id: run.to_owned(),
                job: "apply".to_owned(),
                sources: vec!["s".to_owned()],
                stage: String::new(),
            };
            let (stop, finish) = (self.stop.clone(), self.finish.clone());
            Control::start(&self.staging, &self.keys, listener, stop, finish)
                .await
                .unwrap()
        }

        async fn post(&self, what: What, run: &str) {
            let scope = Scope {
                job: Some("apply".to_owned()),
                ..Scope::run(run)
            };
            control::post(&self.staging, &self.keys, what, scope, "test")
                .await
                .unwrap();
        }
    }

    async fn until(what: &str, mut is: impl FnMut() -> bool) {
        for _ in 0..1000 {
            if is() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("never: {what}");
    }

    #[tokio::test]
    async fn a_pause_holds_the_next_point_until_resume() {
        let stand = Stand::new("pause").await;
        let control = stand.start("r").await;
        control.point().await.unwrap();
        stand.post(What::Pause, "another run").await;
        stand.post(What::Pause, "r").await;
        until("paused", || control.is_paused()).await;
        let held = tokio::time::timeout(Duration::from_millis(200), control.point()).await;
        assert!(held.is_err(), "a paused job went on");
        stand.post(What::Resume, "r").await;
        control.point().await.unwrap();
        assert!(!stand.stop.is_cancelled() && !stand.finish.is_cancelled());
    }

    #[tokio::test]
    async fn a_paused_job_can_be_stopped_and_finished() {
        let stand = Stand::new("stop").await;
        let control = stand.start("r").await;
        stand.post(What::Pause, "r").await;
        until("paused", || control.is_paused()).await;
        stand.post(What::Stop, "r").await;
        assert!(matches!(control.point().await, Err(JobError::Stopped)));

        let stand = Stand::new("finish").await;
        let control = stand.start("r").await;
        stand.post(What::Pause, "r").await;
        until("paused", || control.is_paused()).await;
        stand.post(What::Finish, "r").await;
        control.point().await.unwrap();
        until("finish", || stand.finish.is_cancelled()).await;
    }

    #[tokio::test]
    async fn one_that_starts_again_hears_what_its_run_was_told() {
        let stand = Stand::new("again").await;
        stand.post(What::Finish, "r").await;
        let _control = stand.start("r").await;
        until("finish", || stand.finish.is_cancelled()).await;

        let stand = Stand::new("by-hand").await;
        stand.post(What::Stop, "").await;
        let control = stand.start("").await;
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert!(!stand.stop.is_cancelled(), "it was wanted before the start");
        stand.post(What::Stop, "").await;
        until("stop", || stand.stop.is_cancelled()).await;
        assert!(control.point().await.is_err());
    }
}
