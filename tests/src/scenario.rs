//! One migration in a folder of its own: files like the seed's, databases of its own names.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use mysql_async::prelude::Queryable;

use crate::command::{Ended, binary, run};
use crate::oracle;
use crate::servers::{Server, variable};

/// Where jobs hand work to each other in a test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Store {
    /// A folder.
    Local,
    /// A bucket of the MinIO server.
    MinIo,
}

/// A migration from one or two sources into one target.
pub struct Scenario {
    /// Folder of its files; removed with it.
    pub folder: tempfile::TempDir,
    /// Name of the task, and first part of its databases' names.
    pub name: String,
    /// The sources, in the order of `source1.yaml`, `source2.yaml`.
    pub sources: Vec<Server>,
    /// The target.
    pub target: Server,
    /// The URL of staging.
    pub staging: String,
}

static NUMBER: AtomicU32 = AtomicU32::new(0);

impl Scenario {
    /// Writes the files of a migration that moves the database of the scenario's name.
    pub fn new(what: &str, sources: &[Server], target: Server, store: Store) -> Self {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("tw_{what}_{}_{number}", std::process::id());
        let mut folder = tempfile::tempdir().expect("folder");
        if std::env::var_os("TIDEWAY_TEST_KEEP").is_some() {
            // To look at what a failed test left behind; its databases stay, too.
            folder.disable_cleanup(true);
            println!("{name}: {}", folder.path().display());
        }
        let staging = match store {
            Store::Local => folder.path().join("staging").display().to_string(),
            Store::MinIo => format!(
                "s3://{}/{name}?endpoint={}",
                variable("TIDEWAY_TEST_S3_BUCKET"),
                variable("TIDEWAY_TEST_S3_ENDPOINT")
            ),
        };
        let scenario = Self {
            folder,
            name,
            sources: sources.to_vec(),
            target,
            staging,
        };
        for (number, server) in sources.iter().enumerate() {
            let user = variable("TIDEWAY_TEST_AURORA_USER");
            let password = variable("TIDEWAY_TEST_AURORA_PASSWORD");
            scenario.write(
                &format!("source{}.yaml", number + 1),
                &source_yaml(number + 1, server.port(), &user, &password),
            );
        }
        scenario.write("task.yaml", &scenario.task_yaml("--consistency none"));
        scenario
    }

    /// The text of a task file like the seed's.
    #[must_use]
    pub fn task_yaml(&self, extra_args: &str) -> String {
        let (user, password) = self.target.root();
        let mut text = format!(
            "name: \"{}\"\ntask-mode: \"full\"\nmeta-schema: \"{}_meta\"\ntarget-database:\n  host: \"127.0.0.1\"\n  port: {}\n  user: \"{user}\"\n  password: \"{password}\"\nmysql-instances:\n",
            self.name,
            self.name,
            self.target.port()
        );
        for number in 1..=self.sources.len() {
            text += &format!(
                "- source-id: \"replica-0{number}\"\n  block-allow-list: \"global\"\n  mydumper-config-name: \"global\"\n"
            );
        }
        text + &format!(
            "block-allow-list:\n  global:\n    do-dbs: [\"{}\"]\nmydumpers:\n  global:\n    chunk-filesize: 1\n    extra-args: \"{extra_args}\"\n",
            self.name
        )
    }

    /// Writes a file of the scenario's folder.
    pub fn write(&self, file: &str, text: &str) {
        std::fs::write(self.folder.path().join(file), text).expect("write");
    }

    /// The path of a file of the scenario's folder.
    #[must_use]
    pub fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    /// The folder of a source's staging; for [`Store::Local`] only.
    #[must_use]
    pub fn source_staging(&self, number: usize) -> PathBuf {
        Path::new(&self.staging)
            .join(&self.name)
            .join(format!("replica-0{number}"))
    }

    /// A job's command with the flags that all jobs share.
    #[must_use]
    pub fn job(&self, job: &str) -> Command {
        let mut command = Command::new(binary(&format!("tideway-{job}")));
        command.current_dir(self.folder.path()).args([
            "--task",
            "task.yaml",
            "--staging",
            &self.staging,
        ]);
        for number in 1..=self.sources.len() {
            command.arg("--source").arg(format!("source{number}.yaml"));
        }
        command
    }

    /// Runs precheck, dump, load and validate, each to success.
    pub fn run_all(&self) -> Ended {
        for job in ["precheck", "dump", "load"] {
            run(&mut self.job(job)).expect(0);
        }
        run(&mut self.job("validate")).expect(0)
    }

    /// Runs statements on a source, in the scenario's database, which is made first.
    pub async fn fill(&self, source: usize, statements: &[String]) {
        let mut conn = self.sources[source].connect().await;
        let name = &self.name;
        conn.query_drop(format!("CREATE DATABASE IF NOT EXISTS `{name}`"))
            .await
            .expect("create database");
        conn.query_drop(format!("USE `{name}`")).await.expect("use");
        for statement in statements {
            conn.query_drop(statement)
                .await
                .unwrap_or_else(|error| panic!("{statement:.300}: {error}"));
        }
        conn.disconnect().await.expect("disconnect");
    }

    /// Asserts that a table of a source is equal at the target, value by value.
    pub async fn assert_table(&self, source: usize, table: &str) {
        self.assert_table_json(source, table, &[]).await;
    }

    /// As [`Scenario::assert_table`]; `json` names columns that hold JSON under another type.
    pub async fn assert_table_json(&self, source: usize, table: &str, json: &[&str]) {
        let mut from = self.sources[source].connect().await;
        let mut to = self.target.connect().await;
        let a = oracle::rows(&mut from, &self.name, table, json).await;
        let b = oracle::rows(&mut to, &self.name, table, json).await;
        oracle::assert_same(&format!("{}.{table}", self.name), &a, &b);
        from.disconnect().await.expect("disconnect");
        to.disconnect().await.expect("disconnect");
    }

    /// Drops the target's databases, so that the task can begin anew there.
    pub async fn drop_target(&self) {
        let name = &self.name;
        self.target
            .run(&[
                &format!("DROP DATABASE IF EXISTS `{name}`"),
                &format!("DROP DATABASE IF EXISTS `{name}_meta`"),
            ])
            .await;
    }

    /// Drops what the scenario made on the servers.
    pub async fn clean(self) {
        self.drop_target().await;
        for source in &self.sources {
            source
                .run(&[&format!("DROP DATABASE IF EXISTS `{}`", self.name)])
                .await;
        }
    }
}

fn source_yaml(number: usize, port: u16, user: &str, password: &str) -> String {
    format!(
        "source-id: \"replica-0{number}\"\nenable-gtid: false\nfrom:\n  host: \"127.0.0.1\"\n  user: \"{user}\"\n  password: \"{password}\"\n  port: {port}\n"
    )
}
