"""Processes: commands that must end, and servers that must stay and be found again.

A server is stopped by its pid, and only after the pid was proved to be the process that was
started: same start time (pids are used again by the kernel) and a command line that names what
ours named. Servers run in a session of their own, so that a Ctrl-C at the caller's terminal
reaches the caller only.
"""

import os
import signal
import subprocess
import sys
import threading
import time

from . import paths
from .paths import Problem

_children = set()
_children_lock = threading.Lock()
_print_lock = threading.Lock()
# Held while a server is started and recorded, so that none is left that nobody knows.
_start_lock = threading.Lock()


def say(text):
    """One line of progress on standard error."""
    with _print_lock:
        print(f"servers: {text}", file=sys.stderr, flush=True)


def run(command, log=None, **options):
    """Runs a command to its end; its output goes to a file of the log folder, or is returned.

    A failure is a `Problem` with the last lines of the output.
    """
    options.setdefault("stdin", subprocess.DEVNULL)
    if "input" in options:
        options["stdin"] = subprocess.PIPE
    text = options.pop("input", None)
    if log is not None:
        file = open(paths.LOG / log, "ab")
        options.update(stdout=file, stderr=subprocess.STDOUT)
    else:
        options.update(stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    command = [str(part) for part in command]
    child = subprocess.Popen(command, start_new_session=True, **options)
    with _children_lock:
        _children.add(child)
    try:
        output, _ = child.communicate(None if text is None else text.encode())
    finally:
        with _children_lock:
            _children.discard(child)
    if log is not None:
        file.close()
        output = b""
    if child.returncode != 0:
        if log is not None:
            output = (paths.LOG / log).read_bytes()
        tail = "\n    ".join(output.decode(errors="replace").strip().splitlines()[-12:])
        where = f" (all of it in {paths.LOG / log})" if log is not None else ""
        raise Problem(f"`{' '.join(command[:6])}…` ended with {child.returncode}{where}:\n    {tail}")
    return output.decode(errors="replace")


def end_children():
    """Ends the commands in hand; called when this process is asked to leave. No server starts any more."""
    _start_lock.acquire(timeout=10)
    with _children_lock:
        for child in _children:
            try:
                os.killpg(child.pid, signal.SIGTERM)
            except ProcessLookupError:
                pass


def _start_time(pid):
    """When the kernel started a process, in its ticks; None when there is none (or a zombie)."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            fields = file.read().rsplit(")", 1)[1].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] == "Z" else int(fields[19])


def _command_line(pid):
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read().replace(b"\0", b" ").decode(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return ""


def _record(name):
    return paths.RUN / f"{name}.json"


def running(name):
    """What was recorded of a server that runs; None when it does not."""
    record = paths.read_json(_record(name), None)
    if record is None:
        return None
    same = _start_time(record["pid"]) == record["start_time"]
    return record if same and record["token"] in _command_line(record["pid"]) else None


def start(name, command, token, env=None, **facts):
    """Starts a server in the background and records it. `token` must occur in its command line."""
    command = [str(part) for part in command]
    environment = dict(os.environ)
    environment.update(env or {})
    with _start_lock, open(paths.LOG / f"{name}.log", "ab") as log:
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            cwd="/",
            env=environment,
        )
        record = {"pid": child.pid, "start_time": _start_time(child.pid), "token": token}
        record.update(facts)
        paths.write_json(_record(name), record)
    return child


def wait_ready(name, child, ready, seconds=120):
    """Waits until `ready()` returns something, which is returned; a server that ended is a problem."""
    deadline = time.monotonic() + seconds
    last = "no answer"
    while time.monotonic() < deadline:
        if child.poll() is not None:
            raise Problem(f"{name} ended with {child.returncode} while it started:\n    {log_tail(name)}")
        try:
            return ready()
        except (OSError, Problem) as error:
            last = str(error)
        time.sleep(0.25)
    raise Problem(f"{name} is not ready after {seconds} s ({last}):\n    {log_tail(name)}")


def log_tail(name):
    """The last lines that a server wrote."""
    try:
        lines = (paths.LOG / f"{name}.log").read_text(errors="replace").splitlines()
    except FileNotFoundError:
        return "(no log)"
    return "\n    ".join(lines[-12:])


def stop(name, seconds=90):
    """Stops a server by its pid (SIGTERM; SIGKILL when it does not leave). False: it did not run."""
    record = running(name)
    if record is None:
        _record(name).unlink(missing_ok=True)
        return False
    pid = record["pid"]
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + seconds
    while running(name) is not None:
        if time.monotonic() > deadline:
            say(f"{name} (pid {pid}) did not leave within {seconds} s of SIGTERM: SIGKILL")
            os.kill(pid, signal.SIGKILL)
            deadline = time.monotonic() + 10
        try:
            # Reaps it when it is our own child.
            os.waitpid(pid, os.WNOHANG)
        except ChildProcessError:
            pass
        time.sleep(0.1)
    _record(name).unlink(missing_ok=True)
    return True
