"""What `make bench` measures; tests/bench/run starts it with the servers up."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import data
import replication
import servers
from measure import Failed, Table, best, folder_size, measure
from tideway import Task

FOLDER = Path(__file__).resolve().parents[2] / "target" / "bench"
SCALE = float(os.environ.get("BENCH_SCALE") or 1)
ROUNDS = int(os.environ.get("BENCH_ROUNDS") or 3)
ONLY = set(filter(None, os.environ.get("BENCH_ONLY", "").split(",")))
CLIENTS = 4
# What is expected on the reference data, as ratios within one run.
DUMP_TO_DRAIN = 1.6
LOAD_TO_CLIENTS = 1.2
MEMORY_MIB = 400
# A million rows of 12 columns in a second, on one core.
DECODER_MICROS = 1.0
LARGE_ROWS, LARGE_SIZE = 200, 8 << 20
# TiDB refuses rows above 6 MiB unless told otherwise, and its built-in store dies of one of 8 MiB.
LARGE_SIZE_TIDB = 5 << 20

missed = []


def wanted(part):
    """Whether a part is to run."""
    return not ONLY or part in ONLY


def expect(what, value, limit, unit=""):
    """Says whether a measure is within what is expected."""
    good = value <= limit
    print(f"  {what}: {value:.2f}{unit}, expected at most {limit}{unit}: {'yes' if good else 'NO'}", flush=True)
    if not good:
        missed.append(what)


def log(name):
    """The file for what a command prints."""
    return FOLDER / f"{name}.log"


def dump(source, target, reference, size):
    """Drain, Tideway, mydumper, mysqldump."""
    table = Table(
        f"DUMP from {source.title} {source.version}: {sum(reference.rows.values()):,} rows, {size / 1e6:.0f} MB as text, "
        f"{CLIENTS} connections, fastest of {ROUNDS} (ratio to drain)",
        sum(reference.rows.values()), size)
    drain = [servers.binary("drain"), "--port", source.port, "--database", reference.database,
             "--connections", CLIENTS]
    # Once unmeasured, so that all find the same in the server's cache.
    measure([drain], log("drain"))
    table.add("drain (all rows read and dropped)", best(ROUNDS, lambda: measure([drain], log("drain"))), base=True)

    task = Task(FOLDER / "task-dump", source, target, reference.database)

    def tideway():
        task.clear()
        return measure([task.job("dump")], log("tideway-dump"))

    result = best(ROUNDS, tideway)
    table.add("tideway-dump (zstd Parquet)", result, f"{folder_size(task.staging) / 1e6:.0f} MB written")

    output = FOLDER / "other-dump"

    def mydumper():
        shutil.rmtree(output, ignore_errors=True)
        return measure([[
            "mydumper", f"--defaults-file={source.cnf}", "--host=127.0.0.1", f"--port={source.port}", "--user=root",
            f"--database={reference.database}", f"--threads={CLIENTS}", "--chunk-filesize=64",
            f"--outputdir={output}", "--verbose=1"]], log("mydumper"),
            env={"MYSQL_PWD": servers.password(source)})

    try:
        table.add("mydumper (SQL, Debian)", best(ROUNDS, mydumper), f"{folder_size(output) / 1e6:.0f} MB written")
    except Failed as failed:
        table.missing("mydumper (SQL, Debian)", str(failed).splitlines()[-1].strip()[:90])
    shutil.rmtree(output, ignore_errors=True)

    output.mkdir()
    mysqldump = [os.environ["TIDEWAY_TEST_MYSQLDUMP"], f"--defaults-file={source.cnf}", "--single-transaction",
                 "--set-gtid-purged=OFF", "--no-tablespaces", f"--result-file={output}/all.sql", reference.database]
    result_of_mysqldump = best(ROUNDS, lambda: measure([mysqldump], log("mysqldump")))
    table.add("mysqldump (SQL, 1 connection, Debian)", result_of_mysqldump,
              f"{folder_size(output) / 1e6:.0f} MB written")
    shutil.rmtree(output, ignore_errors=True)
    print(flush=True)
    expect("tideway-dump / drain", result.seconds / table.base, DUMP_TO_DRAIN)


def load(source, target, reference, size):
    """Tideway beside parallel LOAD DATA by the client, which is the limit."""
    task = Task(FOLDER / f"task-load-{target.name.lower()}", source, target, reference.database)
    measure([task.job("dump")], log("tideway-dump-for-load"))
    table = Table(
        f"LOAD into {target.title} {target.version}: {sum(reference.rows.values()):,} rows, {size / 1e6:.0f} MB as text, "
        f"{CLIENTS} connections, fastest of {ROUNDS} (ratio to LOAD DATA)",
        sum(reference.rows.values()), size)
    scripts = []
    for client in range(CLIENTS):
        script = FOLDER / f"load-{client}.sql"
        script.write_text(reference.load_statements(client, CLIENTS))
        scripts.append((target.command(reference.database), script))

    def clients():
        reference.create(target)
        return measure(scripts, log(f"clients-{target.name}"))

    def tideway():
        task.clear_target(target)
        return measure([task.job("load")], log(f"tideway-load-{target.name}"))

    def checked(one_round):
        def run():
            result = one_round()
            if not reference.is_in(target):
                raise Failed(f"{target.title} holds {reference.counts(target)} rows, not {reference.rows}")
            return result
        return run

    table.add(f"{CLIENTS} x LOAD DATA LOCAL INFILE (client)", best(ROUNDS, checked(clients)), base=True)
    result = best(ROUNDS, checked(tideway))
    table.add("tideway-load", result)
    task.clear_target(target)
    task.clear()
    print(flush=True)
    expect(f"tideway-load / LOAD DATA into {target.title}", result.seconds / table.base, LOAD_TO_CLIENTS)


def memory_case(source, target, title, database, table):
    """Dump and load of one table: the peaks, and the rows at the end."""
    task = Task(FOLDER / "task-memory", source, target, database, table)
    result = measure([task.job("dump")], log(f"memory-dump-{table}"))
    expect(f"dump of {title}, {result.seconds:.1f} s", result.peak_kib / 1024, MEMORY_MIB, " MiB")
    task.clear_target(target)
    result = measure([task.job("load")], log(f"memory-load-{table}-{target.name}"))
    expect(f"load of {title} into {target.title}, {result.seconds:.1f} s", result.peak_kib / 1024,
           MEMORY_MIB, " MiB")
    rows = source.value(f"SELECT COUNT(*) FROM {database}.{table}")
    if target.value(f"SELECT COUNT(*) FROM {database}.{table}") != rows:
        raise Failed(f"{target.title} does not hold the {rows} rows of {database}.{table}")
    task.clear_target(target)
    task.clear()


def memory(source, mysql, tidb, reference):
    """The peak of dump and load on a long table, and on one of large values."""
    print(f"\nMEMORY: peak of resident memory per process, at most {MEMORY_MIB} MiB expected\n", flush=True)
    for target in (mysql, tidb):
        memory_case(source, target, f"{reference.rows['sbtest']:,} rows", reference.database, "sbtest")
    rows = max(8, int(LARGE_ROWS * SCALE))
    for target, size in ((mysql, LARGE_SIZE), (tidb, LARGE_SIZE_TIDB)):
        database = f"bench_large_{rows}_{size >> 20}"
        data.make_large(source, database, rows, size)
        memory_case(source, target, f"{rows} rows of {size >> 20} MiB", database, "large")
        # As large as all the rest: not kept.
        source.sql(f"DROP DATABASE {database}")


def decoder():
    """Rows of a binlog decoded by one core, nothing else: no server, no file."""
    print("\nDECODER: row events of 12 columns, one core\n", flush=True)
    for title, arguments in (("insert", []), ("update (two images)", ["--updates"])):
        lines = [subprocess.run([servers.binary("decoder"), *arguments], check=True, text=True,
                                stdout=subprocess.PIPE).stdout.strip() for _ in range(ROUNDS)]
        line = max(lines, key=lambda line: float(line.split()[0]))
        print(f"  {line}")
        expect(f"an {title}", 1e6 / float(line.split()[0]), DECODER_MICROS, " µs")


def main():
    """All parts."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    FOLDER.mkdir(parents=True, exist_ok=True)
    source = servers.mysql("MYSQL1", "MySQL")
    mysql, tidb = servers.mysql("MYSQL_TARGET", "MySQL"), servers.tidb()
    reference = data.Reference(FOLDER, SCALE)
    size = reference.make()
    if not reference.is_in(source):
        print("loading the reference data into the source", flush=True)
        reference.create(source)
        source.sql(f"USE {reference.database}; {reference.load_statements(0, 1)}", by_input=True)
        source.sql(f"USE {reference.database}; ANALYZE TABLE sbtest, wide")
    print(f"{os.cpu_count()} cores; load before: {os.getloadavg()[0]:.1f}")
    if wanted("decoder"):
        decoder()
    if wanted("dump"):
        dump(source, mysql, reference, size)
    if wanted("load-mysql"):
        load(source, mysql, reference, size)
    if wanted("load-tidb"):
        load(source, tidb, reference, size)
    if wanted("memory"):
        memory(source, mysql, tidb, reference)
    if wanted("capture"):
        replication.capture(FOLDER, ROUNDS, source, mysql, reference, expect)
    for target, name in ((mysql, "mysql"), (tidb, "tidb")):
        if wanted(f"apply-{name}"):
            replication.apply(FOLDER, SCALE, source, target, expect)
        if wanted(f"lag-{name}"):
            replication.lag(FOLDER, source, target, expect)
    if wanted("cdc-memory"):
        print(f"\nMEMORY of capture and apply, at most {MEMORY_MIB} MiB expected\n", flush=True)
        replication.memory(FOLDER, source, (mysql, tidb), reference, MEMORY_MIB, expect)
    if missed:
        print(f"\nnot as expected: {'; '.join(missed)}")
    # A measure on a machine that does other things is no failure of the code; memory is.
    return 1 if any(" of " in what for what in missed) else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Failed as failed:
        sys.exit(f"bench: {failed}")
