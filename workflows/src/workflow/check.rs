//! From the text of a workflow file to a sound [`Workflow`].
//!
//! First the YAML and its shape (one problem at most: the reader stops there), then the meaning (all
//! problems at once).

use std::collections::BTreeMap;

use serde_saphyr::{Location, Spanned};

use super::error::{Problem, Problems, hint_of_names};
use super::file::{ResourcesFile, RetryFile, StageFile, WorkflowFile};
use super::{ArgValue, JobKind, Mode, Resources, Retry, Scalar, Stage, Workflow, graph, paths};

/// The largest number of processes per source.
const MAX_WORKERS: u32 = 1000;
/// The largest number of tries.
const MAX_ATTEMPTS: u32 = 100;

/// Reads a workflow file. `file` is its name: for messages, and because relative paths in it start
/// at its folder.
///
/// # Errors
/// Everything that is wrong in the file, with places and hints.
pub fn parse(text: &str, file: &str) -> Result<Workflow, Problems> {
    let raw: WorkflowFile = serde_saphyr::from_str(text)
        .map_err(|error| Problems(vec![of_reader(error.without_snippet(), file)]))?;
    let mut checker = Checker {
        file,
        problems: Vec::new(),
    };
    let workflow = checker.workflow(raw);
    if checker.problems.is_empty() {
        Ok(workflow)
    } else {
        checker.problems.sort_by_key(|problem| problem.place);
        Err(Problems(checker.problems))
    }
}

/// What the YAML reader complains of, with a hint where a name is nearly right.
fn of_reader(error: &serde_saphyr::Error, file: &str) -> Problem {
    let place = error
        .location()
        .map(|location| (location.line(), location.column()));
    let (what, hint) = match error {
        serde_saphyr::Error::SerdeUnknownField {
            field, expected, ..
        } => (
            format!("unknown key `{field}`"),
            Some(hint_of_names(field, expected)),
        ),
        serde_saphyr::Error::SerdeMissingField { field, .. } => (
            format!("key `{field}` is missing"),
            Some(format!("add `{field}:` here")),
        ),
        other => {
            let text = other.to_string();
            // The place is told separately.
            let text = match text.rfind(" at line ") {
                Some(at) => text[..at].to_owned(),
                None => text,
            };
            let text = text.trim_end_matches([':', ' ', '\n']);
            (text.to_owned(), None)
        }
    };
    Problem {
        file: file.to_owned(),
        place,
        what,
        hint,
    }
}

struct Checker<'a> {
    file: &'a str,
    problems: Vec<Problem>,
}

impl Checker<'_> {
    fn problem(&mut self, at: Location, what: String, hint: impl Into<Option<String>>) {
        self.problems.push(Problem {
            file: self.file.to_owned(),
            place: Some((at.line(), at.column())),
            what,
            hint: hint.into(),
        });
    }

    fn workflow(&mut self, raw: WorkflowFile) -> Workflow {
        self.name(&raw.name, "workflow");
        let task = self.path(&raw.task, "task");
        if raw.sources.value.is_empty() {
            self.problem(
                raw.sources.referenced,
                "`sources` is empty".to_owned(),
                "name at least one source file".to_owned(),
            );
        }
        let mut sources = Vec::new();
        for source in &raw.sources.value {
            let path = self.path(source, "sources");
            if sources.contains(&path) {
                self.problem(
                    source.referenced,
                    format!("source file `{}` is named twice", source.value),
                    "name each source file once".to_owned(),
                );
            }
            sources.push(path);
        }
        let staging = raw
            .staging
            .as_ref()
            .map(|staging| self.path(staging, "staging"));
        let mode = raw.mode.as_ref().and_then(|mode| self.mode(mode));
        let stages = self.stages(raw.stages);
        Workflow {
            name: raw.name.value,
            file: self.file.to_owned(),
            task,
            sources,
            staging,
            mode,
            stages,
        }
    }

    fn name(&mut self, name: &Spanned<String>, of: &str) {
        let text = &name.value;
        let sound = text.len() <= 64
            && text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && text
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
        if !sound {
            self.problem(
                name.referenced,
                format!("`{text}` cannot name a {of}"),
                "take up to 64 letters, digits, `-` and `_`, beginning with a letter or digit"
                    .to_owned(),
            );
        }
    }

    fn path(&mut self, path: &Spanned<String>, key: &str) -> String {
        if path.value.trim().is_empty() {
            self.problem(path.referenced, format!("`{key}` is empty"), None);
        }
        paths::resolve(self.file, &path.value)
    }

    fn mode(&mut self, mode: &Spanned<String>) -> Option<Mode> {
        let modes = [Mode::Full, Mode::Incremental, Mode::All];
        let found = modes.into_iter().find(|known| known.name() == mode.value);
        if found.is_none() {
            self.problem(
                mode.referenced,
                format!("unknown mode `{}`", mode.value),
                hint_of_names(&mode.value, &modes.map(Mode::name)),
            );
        }
        found
    }

    fn stages(&mut self, raw: Spanned<Vec<Spanned<StageFile>>>) -> Vec<Stage> {
        if raw.value.is_empty() {
            self.problem(
                raw.referenced,
                "`stages` is empty".to_owned(),
                "write at least one, such as `- {name: precheck, job: precheck}`".to_owned(),
            );
        }
        let names: Vec<String> = raw
            .value
            .iter()
            .map(|stage| stage.value.name.value.clone())
            .collect();
        let mut seen: BTreeMap<&str, u64> = BTreeMap::new();
        for (stage, name) in raw.value.iter().zip(&names) {
            let place = stage.value.name.referenced;
            if let Some(first) = seen.insert(name, place.line()) {
                self.problem(
                    place,
                    format!("two stages are named `{name}`"),
                    format!("the first is in line {first}: rename one of them"),
                );
            }
        }
        let mut stages = Vec::new();
        for stage in raw.value {
            stages.push(self.stage(stage.value, &names));
        }
        if !stages.is_empty() && stages.iter().all(|stage| stage.background) {
            self.problem(
                raw.referenced,
                "all stages are background stages".to_owned(),
                "they end when the others are done: leave at least one in the foreground"
                    .to_owned(),
            );
        }
        match graph::order(stages) {
            Ok(ordered) => ordered,
            Err(circle) => {
                let path = circle.names.join(" → ");
                self.problems.push(Problem {
                    file: self.file.to_owned(),
                    place: Some((circle.line, 1)),
                    what: format!("these stages wait for each other: {path}"),
                    hint: Some(format!(
                        "remove one of them from the other's `needs`, for instance `{}`",
                        circle.names[0]
                    )),
                });
                Vec::new()
            }
        }
    }

    fn stage(&mut self, raw: StageFile, names: &[String]) -> Stage {
        self.name(&raw.name, "stage");
        let line = raw.name.referenced.line();
        let job = JobKind::ALL
            .into_iter()
            .find(|job| job.name() == raw.job.value);
        if job.is_none() {
            self.problem(
                raw.job.referenced,
                format!("unknown job `{}`", raw.job.value),
                hint_of_names(&raw.job.value, &JobKind::ALL.map(JobKind::name)),
            );
        }
        let needs = self.needs(raw.needs.unwrap_or_default(), names);
        let workers = self.bounded(raw.workers, "workers", 1, MAX_WORKERS);
        let (verb, args) = self.args(raw.args.unwrap_or_default(), job);
        // When the job is unknown a problem was reported and no workflow comes of this.
        let job = job.unwrap_or(JobKind::Precheck);
        if !job.is_shared()
            && let Some(workers) = &workers
            && workers.value > 1
        {
            self.problem(
                workers.referenced,
                format!("job `{}` is always one process", job.name()),
                "leave out `workers` here".to_owned(),
            );
        }
        Stage {
            name: raw.name.value,
            job,
            needs,
            background: raw.background.unwrap_or(false),
            workers: workers.map_or(1, |workers| workers.value),
            retry: raw
                .retry
                .map_or_else(Retry::default, |retry| self.retry(retry)),
            resources: raw
                .resources
                .map_or_else(Resources::default, |resources| self.resources(&resources)),
            verb,
            args,
            line,
        }
    }

    fn needs(&mut self, raw: Vec<Spanned<String>>, names: &[String]) -> Vec<String> {
        let mut needs: Vec<String> = Vec::new();
        for need in raw {
            if !names.contains(&need.value) {
                let known: Vec<&str> = names.iter().map(String::as_str).collect();
                self.problem(
                    need.referenced,
                    format!("`needs` names the unknown stage `{}`", need.value),
                    hint_of_names(&need.value, &known),
                );
            } else if !needs.contains(&need.value) {
                needs.push(need.value);
            }
        }
        needs
    }

    fn bounded(
        &mut self,
        number: Option<Spanned<u32>>,
        key: &str,
        min: u32,
        max: u32,
    ) -> Option<Spanned<u32>> {
        let number = number?;
        if !(min..=max).contains(&number.value) {
            self.problem(
                number.referenced,
                format!("`{key}: {}` is out of range", number.value),
                format!("take {min} to {max}"),
            );
        }
        Some(number)
    }

    fn retry(&mut self, raw: RetryFile) -> Retry {
        let attempts = self
            .bounded(raw.attempts, "attempts", 1, MAX_ATTEMPTS)
            .map_or(3, |attempts| attempts.value);
        let mut retry = Retry {
            attempts,
            ..Retry::default()
        };
        if let Some(backoff) = raw.backoff {
            match humantime::parse_duration(&backoff.value) {
                Ok(duration) => retry.backoff = duration,
                Err(error) => self.problem(
                    backoff.referenced,
                    format!("`backoff: {}` is no duration: {error}", backoff.value),
                    "write a number with its unit, such as 30s, 5m or 1m 30s".to_owned(),
                ),
            }
        }
        retry
    }

    fn resources(&mut self, raw: &ResourcesFile) -> Resources {
        let mut resources = Resources::default();
        if let Some(vcpu) = &raw.vcpu {
            if !(vcpu.value > 0.0 && vcpu.value <= 1024.0) {
                self.problem(
                    vcpu.referenced,
                    format!("`vcpu: {}` is out of range", vcpu.value),
                    "take a number above 0, such as 0.5 or 2".to_owned(),
                );
            }
            resources.vcpu = Some(vcpu.value);
        }
        if let Some(memory) = &raw.memory {
            match memory.value.parse::<bytesize::ByteSize>() {
                Ok(size) if size.as_u64() > 0 => resources.memory = Some(size.as_u64()),
                _ => self.problem(
                    memory.referenced,
                    format!("`memory: {}` is no size", memory.value),
                    "write a number with its unit, such as 4GiB or 512MiB".to_owned(),
                ),
            }
        }
        resources
    }

    fn args(
        &mut self,
        raw: BTreeMap<String, Spanned<ArgValue>>,
        job: Option<JobKind>,
    ) -> (Option<String>, Vec<(String, ArgValue)>) {
        let mut verb = None;
        let mut args = Vec::new();
        for (name, value) in raw {
            let at = value.referenced;
            if name == "verb" {
                verb = self.verb(value, job);
                continue;
            }
            if let Some(what) = reserved(&name) {
                self.problem(
                    at,
                    format!("`{name}` cannot stand in `args`"),
                    what.to_owned(),
                );
                continue;
            }
            let sound = name.starts_with(|c: char| c.is_ascii_lowercase())
                && name
                    .chars()
                    .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
            if !sound {
                self.problem(
                    at,
                    format!("`{name}` is no name of a flag"),
                    "write the job's long flag without `--`, such as `lag: 5s`".to_owned(),
                );
            }
            args.push((name, value.value));
        }
        (verb, args)
    }

    fn verb(&mut self, value: Spanned<ArgValue>, job: Option<JobKind>) -> Option<String> {
        let job = job?;
        let at = value.referenced;
        let ArgValue::One(Scalar::Text(verb)) = value.value else {
            self.problem(at, "`verb` is no text".to_owned(), None);
            return None;
        };
        if !job.verbs().contains(&verb.as_str()) {
            let hint = if job.verbs().is_empty() {
                format!("job `{}` has no verbs: leave it out", job.name())
            } else {
                hint_of_names(&verb, job.verbs())
            };
            self.problem(at, format!("unknown verb `{verb}`"), hint);
        }
        Some(verb)
    }
}

/// Flags that the runner sets itself, or that would show a secret in the process list.
fn reserved(name: &str) -> Option<&'static str> {
    match name {
        "task" | "source" | "staging" => {
            Some("write it at the top of the workflow file: it holds for all stages")
        }
        "task-mode" => Some("write `mode:` at the top of the workflow file"),
        "worker-count" => Some("write `workers:` beside `job:`"),
        "dump-processes" | "load-processes" => Some("write `workers:` at the dump and load stages"),
        "source-id" | "worker-index" | "run-id" | "log-format" | "output" | "metrics-addr" => {
            Some("`tideway run` sets it for each process")
        }
        _ if ["password", "secret", "token"]
            .iter()
            .any(|word| name.contains(word)) =>
        {
            Some(
                "arguments are visible to every user of the machine: put the secret in the \
                 source or task file, as ${VARIABLE} or file:…",
            )
        }
        _ => None,
    }
}
