"""What the servers need on this machine, installed once and kept under `target/servers/`.

Each artifact is made beside its place and renamed into it when whole, so that an interrupted
installation is made again rather than used half. Debian packages are installed only when the
command that they bring is missing. `mariadb-server-core` holds the server without the service that
`mariadb-server` would start.
"""

import concurrent.futures
import os
import re
import shutil
import threading

from . import paths, tls
from .paths import Problem
from .process import run, say

MINIO = "github.com/minio/minio@v0.0.0-20260212201848-7aac2a2c5b7c"
TIDB_VERSION = "v8.4.0"
SID_PACKAGES = "mysql-server-core,mysql-client-core"
# TiDB's go.mod asks for Go 1.25; an older go from 1.21 on fetches the toolchain that it needs.
GO_AT_LEAST = (1, 21)

_apt_lock = threading.Lock()
_apt_updated = False


def _apt(packages):
    """Installs Debian packages, never asking anything."""
    global _apt_updated
    if os.geteuid() != 0:
        raise Problem(f"these packages are missing, and only root installs them: apt-get install {' '.join(packages)}")
    if shutil.which("apt-get") is None:
        raise Problem(f"this is no Debian: install by hand what brings {' '.join(packages)}")
    with _apt_lock:
        say(f"apt-get install {' '.join(packages)}")
        environment = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
        wait = ["-o", "DPkg::Lock::Timeout=600", "-o", "Acquire::Retries=3"]
        if not _apt_updated:
            run(["apt-get", *wait, "-q", "update"], log="apt.log", env=environment)
            _apt_updated = True
        run(
            ["apt-get", *wait, "-q", "-y", "--no-install-recommends", "install", *packages],
            log="apt.log",
            env=environment,
        )


# What the scripts of this repository call, and the Debian package that brings it.
TOOLS = {
    "cc": "build-essential",
    "mydumper": "mydumper",
    "openssl": "openssl",
    "shellcheck": "shellcheck",
}


def tools(commands):
    """Installs what brings the commands."""
    unknown = [command for command in commands if command not in TOOLS]
    if unknown:
        raise Problem(f"no Debian package is known here for `{unknown[0]}`; there are {' '.join(TOOLS)}")
    packages({command: TOOLS[command] for command in commands})


def packages(wanted):
    """Installs those packages of `{command: package}` whose command is missing."""
    missing = sorted({package for command, package in wanted.items() if shutil.which(command) is None})
    if missing:
        _apt(missing)


def sid_root():
    """A Debian sid root with MySQL's server and client."""
    if (paths.SID / "usr/sbin/mysqld").exists():
        _wrappers()
        return
    if os.geteuid() != 0:
        raise Problem("debootstrap and chroot need root: run `sudo infra/local/servers install` or be root")
    packages({"debootstrap": "debootstrap"})
    say("debootstrap of Debian sid with MySQL (about a minute)")
    part = paths.STATE / "sid.part"
    shutil.rmtree(part, ignore_errors=True)
    run(
        ["debootstrap", "--variant=minbase", f"--include={SID_PACKAGES}", "sid", part],
        log="debootstrap.log",
    )
    os.rename(part, paths.SID)
    _wrappers()


def _wrappers():
    """Scripts in bin/ that run the sid root's clients outside of it, so that they see all files."""
    loaders = [*paths.SID.glob("usr/lib64/ld-linux-*"), *paths.SID.glob("usr/lib/ld-linux-*")]
    libraries = [path.parent for path in paths.SID.glob("usr/lib/*/libc.so.6")]
    if not loaders or not libraries:
        raise Problem(f"{paths.SID} has no loader or no libc: remove it, and it is made again")
    for client in ("mysql", "mysqldump", "mysqlbinlog", "mysqladmin"):
        paths.write_text(
            paths.BIN / client,
            "#!/bin/sh\n# MySQL's own client, from the Debian sid root, run with that root's libraries.\n"
            f"exec '{loaders[0]}' --library-path '{libraries[0]}' '{paths.SID}/usr/bin/{client}' \"$@\"\n",
            mode=0o755,
        )


def mysql_version():
    """The version of the MySQL in the sid root."""
    return run([paths.BIN / "mysql", "--version"]).strip().split(" Ver ", 1)[-1].split(" ")[0]


def _go():
    """A go that is new enough: this machine's, else one from Debian sid in the sid root."""
    go = shutil.which("go") or shutil.which("go", path="/usr/local/go/bin")
    if go is not None:
        found = re.search(r"go(\d+)\.(\d+)", run([go, "version"]))
        if found and tuple(map(int, found.groups())) >= GO_AT_LEAST:
            return go
    return None


def _go_build(name, what, environment, command, folder):
    """Builds bin/<name> with this machine's go, or with sid's inside the sid root."""
    target = paths.BIN / name
    if target.exists():
        return
    say(f"building {name} ({what})")
    go = _go()
    if go is not None:
        part = paths.STATE / f"{name}.build"
        part.mkdir(exist_ok=True)
        environment = {key: value.format(out=part) for key, value in environment.items()}
        run(
            [go, *(word.format(out=part) for word in command)],
            log=f"build-{name}.log",
            cwd=folder,
            env=dict(os.environ, **environment),
        )
        os.replace(part / name, target)
        shutil.rmtree(part, ignore_errors=True)
        return
    _sid_go()
    inside = f"/srv/build-{name}"
    build = paths.host_path(inside)
    shutil.rmtree(build, ignore_errors=True)
    (build / "source").mkdir(parents=True)
    for file in folder.glob("go.*"):
        shutil.copy(file, build / "source")
    environment = {key: value.format(out=inside) for key, value in environment.items()}
    environment.update(HOME=inside, PATH="/usr/sbin:/usr/bin:/sbin:/bin")
    words = [word.format(out=inside) for word in command]
    run(
        ["chroot", paths.SID, "sh", "-c", f'cd {inside}/source && exec go "$@"', "go", *words],
        log=f"build-{name}.log",
        env=environment,
    )
    os.replace(build / name, target)
    # Go makes its module cache read-only.
    run(["chmod", "-R", "u+w", build])
    shutil.rmtree(build, ignore_errors=True)


_sid_go_lock = threading.Lock()


def _sid_go():
    with _sid_go_lock:
        sid_root()
        if paths.host_path("/usr/bin/go").exists():
            return
        say("this machine has no go of 1.21 or newer: installing Debian sid's in the sid root")
        for file in ("/etc/resolv.conf", "/etc/hosts"):
            shutil.copyfile(file, paths.host_path(file))
        apt = ["chroot", paths.SID, "apt-get", "-q", "-o", "Acquire::Retries=3"]
        environment = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
        run([*apt, "update"], log="sid-go.log", env=environment)
        run(
            [*apt, "-y", "--no-install-recommends", "install", "golang-go", "ca-certificates", "git"],
            log="sid-go.log",
            env=environment,
        )


def tidb():
    """tidb-server, built from the pinned modules of infra/local/tidb."""
    release = f"-X github.com/pingcap/tidb/pkg/parser/mysql.TiDBReleaseVersion={TIDB_VERSION}"
    _go_build(
        "tidb-server",
        "about 5 minutes the first time",
        {},
        ["build", "-ldflags", f"-s -w {release}", "-o", "{out}/tidb-server", "tool"],
        paths.LOCAL / "tidb",
    )


def minio():
    """MinIO, built at a pinned version."""
    _go_build(
        "minio",
        "2 to 3 minutes the first time",
        {"GOBIN": "{out}"},
        ["install", MINIO],
        paths.LOCAL,
    )


def mariadb():
    """MariaDB of this Debian, without its service."""
    packages({
        "mariadbd": "mariadb-server-core",
        "mariadb-install-db": "mariadb-server-core",
        "mariadb": "mariadb-client-core",
    })


def mysql():
    """MySQL of Debian sid, and the certificates for it."""
    sid_root()
    tls.copy_into_sid()


def tidb_and_client():
    """TiDB, and MariaDB's client: MySQL's no longer knows mysql_native_password, which TiDB uses."""
    packages({"mariadb": "mariadb-client-core"})
    tidb()


def install(installers):
    """Runs the installers, the Debian ones one after the other beside the builds."""
    packages({"openssl": "openssl"})
    tls.make()
    problems = []
    with concurrent.futures.ThreadPoolExecutor(max_workers=4) as pool:
        for future in concurrent.futures.as_completed([pool.submit(each) for each in installers]):
            try:
                future.result()
            except Problem as problem:
                problems.append(str(problem))
    if problems:
        raise Problem("\n".join(problems))
