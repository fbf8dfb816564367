"""The servers of the benchmark, spoken to by their clients."""

import os
import subprocess
from pathlib import Path

from measure import Failed

PACKET = ["--max-allowed-packet=128M"]


class Server:
    """One of `infra/local/servers`, as root."""

    def __init__(self, name, title, client):
        self.title = title
        self.name = name
        self.port = os.environ[f"TIDEWAY_TEST_{name}_PORT"]
        self.version = os.environ[f"TIDEWAY_TEST_{name}_VERSION"]
        self.pid = os.environ[f"TIDEWAY_TEST_{name}_PID"]
        self.cnf = os.environ[f"TIDEWAY_TEST_{name}_CNF"]
        self.client = os.environ[f"TIDEWAY_TEST_{client}"]

    def command(self, *options):
        """The command of a client."""
        return [self.client, f"--defaults-file={self.cnf}", "--local-infile=1", *PACKET, *options]

    def sql(self, text, by_input=False):
        """Runs statements; returns what the client prints."""
        command = self.command("-N", "-B")
        result = subprocess.run(
            command if by_input else [*command, "-e", text],
            input=text if by_input else None, stdin=None if by_input else subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        if result.returncode != 0:
            raise Failed(f"{self.title}: {text[:200]}: {result.stdout[-500:]}")
        return result.stdout.strip()

    def value(self, text):
        """The one value of a query."""
        return self.sql(text)


def mysql(name, title):
    """A MySQL server, by its own client."""
    return Server(name, title, "MYSQL_CLIENT")


def tidb():
    """TiDB, by MariaDB's client."""
    return Server("TIDB", "TiDB", "MARIADB_CLIENT")


def password(server):
    """The password of a server's root."""
    variable = "TIDEWAY_TEST_TIDB_PASSWORD" if server.name == "TIDB" else "TIDEWAY_TEST_ROOT_PASSWORD"
    return os.environ[variable]


def binary(name):
    """One of the binaries of this repository."""
    path = Path(os.environ["TIDEWAY_BIN_DIR"]) / name
    if not path.exists():
        raise Failed(f"{path} is not built: unset TIDEWAY_BIN_DIR, or build it there")
    return path
