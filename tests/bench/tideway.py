"""Tideway's jobs under measure: the files of a task, and the commands."""

import shutil

import servers


class Task:
    """One task in a folder of its own: a source's database into a target."""

    def __init__(self, folder, source, target, database, table=None, threads=4):
        self.folder = folder
        self.database = database
        self.meta = f"{database}_meta"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        allow = (
            f'do-tables: [{{db-name: "{database}", tbl-name: "{table}"}}]' if table else f'do-dbs: ["{database}"]'
        )
        self._write("source.yaml", f"""source-id: "bench"
from: {{host: "127.0.0.1", port: {source.port}, user: "root", password: "{servers.password(source)}"}}
""")
        self._write("task.yaml", f"""name: "bench"
task-mode: "full"
meta-schema: "{self.meta}"
target-database: {{host: "127.0.0.1", port: {target.port}, user: "root", password: "{servers.password(target)}"}}
mysql-instances:
- {{source-id: "bench", block-allow-list: "global", mydumper-config-name: "global", loader-config-name: "global"}}
block-allow-list:
  global: {{{allow}}}
mydumpers:
  global: {{threads: {threads}, extra-args: "--consistency none"}}
loaders:
  global: {{pool-size: {threads}}}
""")

    def _write(self, name, text):
        path = self.folder / name
        path.touch(mode=0o600)
        path.write_text(text)

    @property
    def staging(self):
        """The folder of its staging."""
        return self.folder / "staging"

    def clear(self):
        """Forgets the dump."""
        shutil.rmtree(self.staging, ignore_errors=True)

    def clear_target(self, target):
        """Forgets the load."""
        target.sql(f"DROP DATABASE IF EXISTS {self.database}; DROP DATABASE IF EXISTS {self.meta}")

    def job(self, name):
        """The command of a job."""
        return [
            servers.binary(f"tideway-{name}"), "--task", self.folder / "task.yaml",
            "--source", self.folder / "source.yaml", "--staging", self.staging,
        ]
