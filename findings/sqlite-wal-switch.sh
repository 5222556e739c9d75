#!/usr/bin/env bash
# SQLite 3.54.1 (apsw 3.54.1.0): turning on the write-ahead log does not wait for a writer, whatever the busy timeout.
#
# A connection with `busy_timeout` set waits as long as that for another connection's write transaction to end, when it
# writes. The statement `PRAGMA journal_mode=WAL` does not: while another connection holds a write transaction, it fails
# at once with "database is locked". While another connection only reads, it waits. A good guess is that the timeout
# holds for every statement. Processes that open a new database at the same moment, each of which turns the log on at
# first, then fail now and then, although every one of them has set a timeout.
#
# Seen on 2026-11-29 (Python 3.11):
#   another writes: the log is refused at once, a write waits for the timeout
#   another reads: both wait for the timeout
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check apsw==3.54.1.0
"$folder/venv/bin/python" - "$folder/a.db" <<'PYTHON'
import sys
import time

import apsw

TIMEOUT_MS = 1500
path = sys.argv[1]
other = apsw.Connection(path)
other.execute("CREATE TABLE t (x)")
other.execute("INSERT INTO t VALUES (1)")


def seconds_until_refused(statement):
    connection = apsw.Connection(path)
    connection.set_busy_timeout(TIMEOUT_MS)
    began = time.monotonic()
    try:
        connection.execute(statement).fetchall()
    except apsw.BusyError:
        return time.monotonic() - began
    finally:
        connection.close()
    raise SystemExit(f"{statement} was not refused")


def waits(statement):
    return seconds_until_refused(statement) > TIMEOUT_MS / 1000 / 2


other.execute("BEGIN IMMEDIATE")
while_writing = waits("PRAGMA journal_mode=WAL"), waits("INSERT INTO t VALUES (2)")
other.execute("ROLLBACK")
other.execute("BEGIN")
other.execute("SELECT * FROM t").fetchall()
while_reading = waits("PRAGMA journal_mode=WAL"), waits("INSERT INTO t VALUES (2)")
other.execute("ROLLBACK")
print("another writes: log waits", while_writing[0], "write waits", while_writing[1])
print("another reads: log waits", while_reading[0], "write waits", while_reading[1])
assert while_writing == (False, True), while_writing
assert while_reading == (True, True), while_reading
PYTHON
echo "as described"
