"""Where everything lies, and what is remembered between two calls.

All state is below `target/servers/` of the repository (or `TIDEWAY_SERVERS_DIR`):

    bin/            tidb-server, minio, wrappers for the MySQL clients
    sid/            a Debian sid root with MySQL; the MySQL data lies in it, as mysqld is chrooted
    data/           data of the servers that are not chrooted
    tls/            certificates for tests
    run/NAME.json   a server that was started: pid, start time, port
    ports.json      the ports that were found free, kept so that addresses survive a restart
    secrets.json    keys of MinIO, made at random
    env             what `. target/servers/env` exports
"""

import json
import os
import socket
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[3]
LOCAL = REPOSITORY / "infra" / "local"
STATE = Path(os.environ.get("TIDEWAY_SERVERS_DIR") or REPOSITORY / "target" / "servers").absolute()

BIN = STATE / "bin"
SID = STATE / "sid"
DATA = STATE / "data"
TLS = STATE / "tls"
RUN = STATE / "run"
LOG = STATE / "log"
CNF = STATE / "cnf"
ENV = STATE / "env"
LOCK = STATE / "lock"

# Inside the sid root, as mysqld sees them.
SID_DATA = Path("/srv/tideway")
SID_TLS = SID_DATA / "tls"


class Problem(Exception):
    """Something a person must know; the text names the way out."""


def make_folders():
    """Creates the folders of the state."""
    for folder in (BIN, DATA, TLS, RUN, LOG, CNF):
        folder.mkdir(parents=True, exist_ok=True)


def read_json(path, default):
    """The content of a JSON file, or `default` when there is none (or it was cut by a kill)."""
    try:
        return json.loads(path.read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return default


def write_text(path, text, mode=0o600):
    """Replaces a file in one step, so that a reader sees the former or the new content."""
    temporary = path.with_name(path.name + ".new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    os.replace(temporary, path)


def write_json(path, value):
    """Replaces a JSON file in one step."""
    write_text(path, json.dumps(value, indent=2) + "\n")


def host_path(inside):
    """The path on this machine of a path inside the sid root."""
    return SID / str(inside).lstrip("/")


def _is_free(port):
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def free_ports(wanted):
    """A free port on 127.0.0.1 for each of the names: the one used last time when it is still free."""
    path = STATE / "ports.json"
    known = read_json(path, {})
    # Held open until all are chosen, so that no two names get the same.
    held = []
    for name in wanted:
        if name in known and _is_free(known[name]):
            continue
        probe = socket.socket()
        while True:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
            if port not in known.values():
                break
            probe.close()
            probe = socket.socket()
        known[name] = port
        held.append(probe)
    for probe in held:
        probe.close()
    write_json(path, known)
    return {name: known[name] for name in wanted}
