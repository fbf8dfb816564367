"""Each server: what it needs, its command line, how its data begins, when it is ready.

Every server listens on 127.0.0.1 only. Users and passwords are those of DM's example: the sources'
is 12345678, TiDB's root 87654321. `aurora` may do all that a dump and a replication need except what
Aurora keeps for itself, so that `FLUSH TABLES WITH READ LOCK` fails as it does there.
"""

import os
import secrets
import shutil
import threading

from . import install, paths, s3
from .paths import Problem
from .process import run, say, start, wait_ready

ROOT_PASSWORD = "12345678"
AURORA_USER = "aurora"
AURORA_PASSWORD = "12345678"
TIDB_PASSWORD = "87654321"
BUCKET = "tideway"
MAX_PACKET = 128 << 20

AURORA_GRANTS = (
    "SELECT, LOCK TABLES, SHOW VIEW, TRIGGER, EVENT, EXECUTE, PROCESS, SHOW DATABASES, "
    "REPLICATION CLIENT, REPLICATION SLAVE"
)


def _users_sql(mariadb):
    """SQL for --init-file: one statement a line. MariaDB's runs at every start."""
    create = "CREATE OR REPLACE USER" if mariadb else "CREATE USER"
    lines = [
        f"ALTER USER 'root'@'localhost' IDENTIFIED BY '{ROOT_PASSWORD}';",
        f"{create} 'root'@'127.0.0.1' IDENTIFIED BY '{ROOT_PASSWORD}';",
        "GRANT ALL PRIVILEGES ON *.* TO 'root'@'127.0.0.1' WITH GRANT OPTION;",
        f"{create} '{AURORA_USER}'@'%' IDENTIFIED BY '{AURORA_PASSWORD}';",
        f"GRANT {AURORA_GRANTS} ON *.* TO '{AURORA_USER}'@'%';",
    ]
    if mariadb:
        # Not in the binlog. And no anonymous user, which would hide '%' from a client of this machine.
        lines.insert(0, "SET SESSION sql_log_bin = 0;")
        lines.insert(1, "DELETE FROM mysql.global_priv WHERE User = '';")
        lines.append("FLUSH PRIVILEGES;")
    return "\n".join(lines) + "\n"


def client(kind):
    """The command of a client that speaks to a kind of server."""
    return str(paths.BIN / "mysql") if kind == "mysql" else "mariadb"


def write_cnf(name, port, user, password):
    """A client's option file, so that no password stands in a process's arguments."""
    text = f'[client]\nhost=127.0.0.1\nport={port}\nuser={user}\npassword="{password}"\nprotocol=TCP\n'
    paths.write_text(paths.CNF / f"{name}.cnf", text)


def query(kind, name, sql):
    """Runs SQL as root of a server, by the client; returns what it prints."""
    return run(
        [client(kind), f"--defaults-file={paths.CNF / f'{name}.cnf'}", "--connect-timeout=5", "-N", "-B", "-e", sql]
    ).strip()


class MySql:
    """MySQL of Debian sid, in a chroot."""

    kind = "mysql"
    installer = staticmethod(install.mysql)
    _template_lock = threading.Lock()

    def __init__(self, name, server_id, binlog=True):
        self.name = name
        self.server_id = server_id
        # A target's binlog is read by nobody, and as large as all that was ever loaded.
        self.binlog = "--log-bin=binlog" if binlog else "--skip-log-bin"
        self.ports = [name]
        self.data = paths.SID_DATA / name

    def _initialize(self):
        """A datadir: initialized once for all, then copied. Without auto.cnf each gets its own UUID."""
        data = paths.host_path(self.data)
        if data.exists():
            return
        template = paths.SID_DATA / "template"
        with self._template_lock:
            if not paths.host_path(template).exists():
                part = paths.SID_DATA / "template.part"
                shutil.rmtree(paths.host_path(part), ignore_errors=True)
                users = paths.SID_DATA / "users.sql"
                paths.write_text(paths.host_path(users), _users_sql(mariadb=False))
                run(
                    ["chroot", paths.SID, "mysqld", "--no-defaults", "--initialize-insecure", "--user=root",
                     f"--datadir={part}", f"--init-file={users}"],
                    log="initialize-mysql.log",
                )
                paths.host_path(part / "auto.cnf").unlink(missing_ok=True)
                os.rename(paths.host_path(part), paths.host_path(template))
        part = data.with_name(data.name + ".part")
        shutil.rmtree(part, ignore_errors=True)
        shutil.copytree(paths.host_path(template), part, symlinks=True)
        os.rename(part, data)

    def start(self, ports):
        """Starts it and waits until it answers; returns its version."""
        self._initialize()
        tls = paths.SID_TLS
        command = [
            "chroot", paths.SID, "mysqld", "--no-defaults", "--user=root", f"--datadir={self.data}",
            f"--port={ports[self.name]}", "--bind-address=127.0.0.1", f"--socket={self.data}.sock",
            f"--pid-file={self.data}.pid", "--secure-file-priv=NULL", "--mysqlx=0",
            f"--server-id={self.server_id}", "--gtid-mode=ON", "--enforce-gtid-consistency=ON",
            self.binlog, "--local-infile=ON", f"--max-allowed-packet={MAX_PACKET}",
            f"--ssl-ca={tls}/ca.pem", f"--ssl-cert={tls}/server-cert.pem", f"--ssl-key={tls}/server-key.pem",
            "--innodb-buffer-pool-size=1G", "--innodb-redo-log-capacity=1G", "--binlog-expire-logs-seconds=86400",
            # Nobody pulls the plug of a test server; its data may be a second old then.
            "--innodb-flush-log-at-trx-commit=2", "--sync-binlog=0",
        ]
        child = start(self.name, command, f"--datadir={self.data}", ports=ports)
        write_cnf(self.name, ports[self.name], "root", ROOT_PASSWORD)
        return wait_ready(self.name, child, lambda: query(self.kind, self.name, "SELECT VERSION()"))

    def wipe(self):
        """Removes its data."""
        shutil.rmtree(paths.host_path(self.data), ignore_errors=True)


class MariaDb:
    """MariaDB of this machine's Debian, a source."""

    kind = "mariadb"
    name = "mariadb"
    ports = ["mariadb"]
    installer = staticmethod(install.mariadb)
    data = paths.DATA / "mariadb"

    def _initialize(self):
        if self.data.exists():
            return
        part = paths.DATA / "mariadb.part"
        shutil.rmtree(part, ignore_errors=True)
        run(
            ["mariadb-install-db", "--no-defaults", "--user=root", f"--datadir={part}", "--skip-test-db",
             "--auth-root-authentication-method=normal"],
            log="initialize-mariadb.log",
        )
        os.rename(part, self.data)

    def start(self, ports):
        """Starts it and waits until it answers; returns its version."""
        self._initialize()
        users = paths.DATA / "mariadb-users.sql"
        paths.write_text(users, _users_sql(mariadb=True))
        command = [
            "mariadbd", "--no-defaults", "--user=root", f"--datadir={self.data}",
            f"--port={ports[self.name]}", "--bind-address=127.0.0.1", f"--socket={paths.RUN}/mariadb.sock",
            f"--pid-file={paths.RUN}/mariadb.pid", f"--init-file={users}", "--server-id=31", "--gtid-domain-id=0", "--log-bin=binlog",
            "--binlog-format=ROW", "--local-infile=ON", f"--max-allowed-packet={MAX_PACKET}",
            f"--ssl-ca={paths.TLS}/ca.pem", f"--ssl-cert={paths.TLS}/server-cert.pem",
            f"--ssl-key={paths.TLS}/server-key.pem", "--innodb-buffer-pool-size=256M",
            "--innodb-flush-log-at-trx-commit=2", "--sync-binlog=0",
        ]
        child = start(self.name, command, f"--datadir={self.data}", ports=ports)
        write_cnf(self.name, ports[self.name], "root", ROOT_PASSWORD)
        return wait_ready(self.name, child, lambda: query(self.kind, self.name, "SELECT VERSION()"))

    def wipe(self):
        """Removes its data."""
        shutil.rmtree(self.data, ignore_errors=True)


class TiDb:
    """TiDB with its built-in store, the target."""

    kind = "tidb"
    name = "tidb"
    ports = ["tidb", "tidb-status"]
    installer = staticmethod(install.tidb_and_client)
    data = paths.DATA / "tidb"

    def start(self, ports):
        """Starts it and waits until it answers; returns its version."""
        self.data.mkdir(parents=True, exist_ok=True)
        config = paths.DATA / "tidb.toml"
        paths.write_text(
            config,
            f'tmp-storage-path = "{paths.DATA}/tidb-tmp"\n'
            'socket = ""\n'
            f'server-version = "8.0.11-TiDB-{install.TIDB_VERSION}"\n'
            '[log]\nlevel = "warn"\n',
        )
        command = [
            paths.BIN / "tidb-server", "-store", "unistore", "-path", self.data, "-config", config,
            "-P", ports["tidb"], "-status", ports["tidb-status"], "-host", "127.0.0.1",
            "-status-host", "127.0.0.1",
        ]
        child = start(self.name, command, str(self.data), ports=ports)
        write_cnf(self.name, ports["tidb"], "root", TIDB_PASSWORD)
        write_cnf("tidb-fresh", ports["tidb"], "root", "")
        return wait_ready(self.name, child, self._answer)

    def _answer(self):
        """The version. A fresh TiDB has a root without password and gets one first."""
        try:
            return query(self.kind, self.name, "SELECT VERSION()")
        except Problem as problem:
            if "1045" not in str(problem):
                raise
        query(self.kind, "tidb-fresh", f"ALTER USER 'root'@'%' IDENTIFIED BY '{TIDB_PASSWORD}'")
        return query(self.kind, self.name, "SELECT VERSION()")

    def wipe(self):
        """Removes its data."""
        shutil.rmtree(self.data, ignore_errors=True)


class MinIo:
    """MinIO with one bucket."""

    kind = "minio"
    name = "minio"
    ports = ["minio", "minio-console"]
    installer = staticmethod(install.minio)
    data = paths.DATA / "minio"

    @staticmethod
    def keys():
        """The access key and the secret key, made once at random."""
        file = paths.STATE / "secrets.json"
        keys = paths.read_json(file, {})
        if "minio" not in keys:
            keys["minio"] = ["tideway" + secrets.token_hex(4), secrets.token_hex(20)]
            paths.write_json(file, keys)
        return keys["minio"]

    def start(self, ports):
        """Starts it, waits until it answers and creates the bucket; returns its version."""
        self.data.mkdir(parents=True, exist_ok=True)
        access, secret = self.keys()
        address = f"127.0.0.1:{ports['minio']}"
        command = [
            paths.BIN / "minio", "server", self.data, "--address", address,
            "--console-address", f"127.0.0.1:{ports['minio-console']}",
        ]
        environment = {"MINIO_ROOT_USER": access, "MINIO_ROOT_PASSWORD": secret, "MINIO_BROWSER": "off"}
        child = start(self.name, command, str(self.data), env=environment, ports=ports)
        wait_ready(self.name, child, lambda: s3.create_bucket(address, BUCKET, access, secret))
        return install.MINIO.rsplit("@", 1)[1]

    def wipe(self):
        """Removes its data."""
        shutil.rmtree(self.data, ignore_errors=True)


ALL = {
    server.name: server
    for server in (
        MySql("mysql1", 11),
        MySql("mysql2", 12),
        MySql("mysql-target", 21, binlog=False),
        MariaDb(),
        TiDb(),
        MinIo(),
    )
}


def report(server, ports, version):
    """Says that a server runs."""
    say(f"{server.name:<13} 127.0.0.1:{ports[server.ports[0]]:<6} {version}")
