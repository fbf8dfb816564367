"""The file `target/servers/env`: shell `export` lines that tell the tests where everything is."""

import shlex

from . import kinds, paths, s3
from .process import running

PORT_VARIABLES = {
    "mysql1": "TIDEWAY_TEST_MYSQL1_PORT",
    "mysql2": "TIDEWAY_TEST_MYSQL2_PORT",
    "mysql-target": "TIDEWAY_TEST_MYSQL_TARGET_PORT",
    "mariadb": "TIDEWAY_TEST_MARIADB_PORT",
    "tidb": "TIDEWAY_TEST_TIDB_PORT",
}


def variables():
    """All variables, of the servers that run."""
    found = {}
    versions = paths.read_json(paths.STATE / "versions.json", {})
    for name in kinds.ALL:
        record = running(name)
        if record is None:
            continue
        stem = name.upper().replace("-", "_")
        port = record["ports"][name]
        if name in PORT_VARIABLES:
            found[PORT_VARIABLES[name]] = port
            found[f"TIDEWAY_TEST_{stem}_CNF"] = paths.CNF / f"{name}.cnf"
        else:
            access, secret = kinds.MinIo.keys()
            endpoint = f"http://127.0.0.1:{port}"
            found.update(
                TIDEWAY_TEST_S3_ENDPOINT=endpoint,
                TIDEWAY_TEST_S3_BUCKET=kinds.BUCKET,
                AWS_ENDPOINT_URL=endpoint,
                AWS_ACCESS_KEY_ID=access,
                AWS_SECRET_ACCESS_KEY=secret,
                AWS_REGION=s3.REGION,
            )
        found[f"TIDEWAY_TEST_{stem}_PID"] = record["pid"]
        if name in versions:
            found[f"TIDEWAY_TEST_{stem}_VERSION"] = versions[name]
    found.update(
        TIDEWAY_TEST_ROOT_USER="root",
        TIDEWAY_TEST_ROOT_PASSWORD=kinds.ROOT_PASSWORD,
        TIDEWAY_TEST_TIDB_PASSWORD=kinds.TIDB_PASSWORD,
        TIDEWAY_TEST_AURORA_USER=kinds.AURORA_USER,
        TIDEWAY_TEST_AURORA_PASSWORD=kinds.AURORA_PASSWORD,
        TIDEWAY_TEST_CA_FILE=paths.TLS / "ca.pem",
        TIDEWAY_TEST_OTHER_CA_FILE=paths.TLS / "other-ca.pem",
        TIDEWAY_TEST_CLIENT_CERT_FILE=paths.TLS / "client-cert.pem",
        TIDEWAY_TEST_CLIENT_KEY_FILE=paths.TLS / "client-key.pem",
        TIDEWAY_TEST_MYSQL_CLIENT=paths.BIN / "mysql",
        TIDEWAY_TEST_MYSQLDUMP=paths.BIN / "mysqldump",
        TIDEWAY_TEST_MYSQLBINLOG=paths.BIN / "mysqlbinlog",
        TIDEWAY_TEST_MARIADB_CLIENT="mariadb",
    )
    return found


def write():
    """Writes the file, or removes it when nothing runs."""
    if not any(running(name) for name in kinds.ALL):
        paths.ENV.unlink(missing_ok=True)
        return
    lines = [f"export {name}={shlex.quote(str(value))}" for name, value in sorted(variables().items())]
    paths.write_text(paths.ENV, "\n".join(lines) + "\n")
