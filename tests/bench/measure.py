"""Running commands and measuring them: wall time, CPU of the processes, peak of resident memory.

CPU is user + system of the measured processes themselves (not of the servers), from wait4. The peak is
the kernel's VmHWM, read while the process runs: ru_maxrss would count what this script had resident
when it forked.
"""

import os
import subprocess
import threading
import time
from dataclasses import dataclass


class Failed(Exception):
    """A command that did not do its work."""


@dataclass
class Measure:
    """What one run took; of several processes at once: the sum of CPU, the largest peak."""

    seconds: float
    cpu: float
    peak_kib: int


def _peak(pid):
    try:
        with open(f"/proc/{pid}/status") as status:
            for line in status:
                if line.startswith("VmHWM:"):
                    return int(line.split()[1])
    except (FileNotFoundError, ProcessLookupError):
        pass
    return 0


def _watch(pid, done, peaks):
    while not done.is_set():
        peaks[pid] = max(peaks.get(pid, 0), _peak(pid))
        done.wait(0.01)


def measure(commands, log, env=None, cwd=None, expected=(0,)):
    """Runs commands at once (each an argument list, or a pair of it and a file for its input)."""
    started = time.monotonic()
    running = []
    peaks = {}
    with open(log, "wb") as output:
        for command in commands:
            stdin = subprocess.DEVNULL
            if isinstance(command, tuple):
                command, path = command
                stdin = open(path, "rb")
            child = subprocess.Popen(
                [str(word) for word in command], stdin=stdin, stdout=output, stderr=subprocess.STDOUT,
                env=None if env is None else dict(os.environ, **env), cwd=cwd)
            done = threading.Event()
            watcher = threading.Thread(target=_watch, args=(child.pid, done, peaks), daemon=True)
            watcher.start()
            running.append((child, command, done))
        cpu = 0.0
        failed = []
        for child, command, done in running:
            _, status, usage = os.wait4(child.pid, 0)
            child.returncode = os.waitstatus_to_exitcode(status)
            done.set()
            cpu += usage.ru_utime + usage.ru_stime
            if child.returncode not in expected:
                failed.append(f"{command[0]} ended with {child.returncode}")
    seconds = time.monotonic() - started
    if failed:
        with open(log, errors="replace") as text:
            tail = "\n    ".join(text.read().splitlines()[-15:])
        raise Failed(f"{'; '.join(failed)} (all of it in {log}):\n    {tail}")
    return Measure(seconds, cpu, max(peaks.values()))


def best(rounds, one_round):
    """The fastest of several rounds; the machine's other work only ever adds."""
    return min((one_round() for _ in range(rounds)), key=lambda result: result.seconds)


class Table:
    """Lines of results, with the ratio to one of them."""

    COLUMNS = ("", "seconds", "rows/s", "MB/s", "CPU s", "peak MiB", "ratio", "")

    def __init__(self, title, rows, size):
        self.rows = rows
        self.size = size
        self.base = None
        self.results = {}
        print(f"\n{title}\n", flush=True)
        self._line(self.COLUMNS)

    def _line(self, cells):
        print("{:<40} {:>8} {:>10} {:>8} {:>7} {:>9} {:>6}  {}".format(*cells).rstrip(), flush=True)

    def add(self, name, result, note="", base=False):
        """A line; `base` is what the following ratios are to."""
        if base:
            self.base = result.seconds
        ratio = f"{result.seconds / self.base:.2f}" if self.base else ""
        self.results[name] = result
        self._line((
            name, f"{result.seconds:.2f}", f"{self.rows / result.seconds:,.0f}",
            f"{self.size / 1e6 / result.seconds:.1f}", f"{result.cpu:.2f}", f"{result.peak_kib / 1024:.0f}",
            ratio, note))

    def missing(self, name, why):
        """A line for what could not run."""
        self._line((name, "-", "-", "-", "-", "-", "-", why))


def folder_size(folder):
    """Bytes of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
