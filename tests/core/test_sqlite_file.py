"""The databases on a file system that shares no memory: SQLite's own system call for it is replaced by one that fails."""

import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from agent.core.sqlite_file import connect_wal

ROOT = Path(__file__).resolve().parents[2]
NO_SHARED_MEMORY = """
import ctypes, sqlite3, sys
from pathlib import Path

class Vfs(ctypes.Structure):  # https://sqlite.org/c3ref/vfs.html
    _fields_ = [("iVersion", ctypes.c_int), ("szOsFile", ctypes.c_int), ("mxPathname", ctypes.c_int)]
    _fields_ += [(name, ctypes.c_void_p) for name in (
        "pNext zName pAppData xOpen xDelete xAccess xFullPathname xDlOpen xDlError xDlSym xDlClose xRandomness xSleep "
        "xCurrentTime xGetLastError xCurrentTimeInt64").split()]
    _fields_ += [("xSetSystemCall", ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p))]

refused = []
mmap = ctypes.CFUNCTYPE(ctypes.c_ssize_t, *[ctypes.c_size_t] * 6)(lambda *_: refused.append(1) or -1)
find = ctypes.CDLL("libsqlite3.so.0").sqlite3_vfs_find
find.restype = ctypes.POINTER(Vfs)
vfs = find(None)
assert vfs.contents.xSetSystemCall(ctypes.addressof(vfs.contents), b"mmap", ctypes.cast(mmap, ctypes.c_void_p)) == 0
folder = Path(sys.argv[1])
try:
    sql = sqlite3.connect(folder / "as SQLite does.db", isolation_level=None)
    sql.execute("PRAGMA journal_mode=WAL")
    sql.execute("CREATE TABLE t (a)")
except sqlite3.OperationalError:
    pass
else:
    sys.exit(77)  # another copy of SQLite: nothing was replaced
"""
STORES = """
from agent.alerts.runtime.store import AlertStore
from agent.core.types import Priority
from agent.delivery.outbox.store import MessageStore

for value in sys.argv[2:]:
    store = MessageStore(folder / "outbox.db", size=1 << 20)
    store.open()
    print(store.meta("kept"), store.query("PRAGMA journal_mode"))
    with store.transaction() as sql:
        sql.execute("INSERT OR REPLACE INTO meta VALUES ('kept', ?)", (value,))
    alerts = AlertStore(folder)
    alerts.open()
    print(alerts.family("kept").get("kept"))
    alerts.record((), {"kept": value})
    if value != "the last":
        store.close(), alerts.close()
"""


def without_shared_memory(code, *words):
    done = subprocess.run(
        [sys.executable, "-c", NO_SHARED_MEMORY + code, *map(str, words)],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    if done.returncode == 77 or "libsqlite3.so.0" in done.stderr:
        pytest.skip("this Python has a SQLite of its own")
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_outbox_and_alerts_are_kept_with_a_log_where_no_memory_is_shared(tmp_path):
    printed = without_shared_memory(
        STORES, tmp_path, "one", "the last"
    )  # (which is not closed: as after a kill)
    assert printed == ["None [('wal',)]", "None", "one [('wal',)]", "one"]
    assert without_shared_memory(STORES, tmp_path, "x")[0] == "the last [('wal',)]"
    with sqlite3.connect(tmp_path / "outbox.db") as elsewhere:  # moved to an ordinary disk
        assert elsewhere.execute("SELECT value FROM meta WHERE name = 'kept'").fetchone() == ("x",)


def test_a_file_of_an_ordinary_disk_goes_on_where_no_memory_is_shared(tmp_path):
    """Copied with its log, as a killed agent leaves it."""
    sql = connect_wal(tmp_path / "outbox.db")
    sql.execute("CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID")
    sql.execute("INSERT INTO meta VALUES ('version', '1'), ('kept', 'before')")
    (tmp_path / "copied").mkdir()
    for name in ("outbox.db", "outbox.db-wal"):
        shutil.copy(tmp_path / name, tmp_path / "copied")
    sql.close()
    assert without_shared_memory(STORES, tmp_path / "copied", "x")[0] == "before [('wal',)]"


def test_no_memory_is_shared_and_a_file_of_a_version_that_shared_some_goes_on(tmp_path):
    sql = sqlite3.connect(tmp_path / "a.db", isolation_level=None)
    sql.execute("PRAGMA journal_mode=WAL")
    sql.execute("CREATE TABLE t (a)")
    (tmp_path / "killed").mkdir()
    for file in tmp_path.glob("a.db*"):
        shutil.copy(file, tmp_path / "killed")
    sql.close()
    assert {file.name for file in (tmp_path / "killed").iterdir()} == {"a.db", "a.db-wal", "a.db-shm"}
    alone = connect_wal(tmp_path / "killed" / "a.db")
    alone.execute("INSERT INTO t VALUES (1)")
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        sqlite3.connect(tmp_path / "killed" / "a.db", timeout=0.01).execute("SELECT count(*) FROM t")
    alone.close()
    again = sqlite3.connect(tmp_path / "killed" / "a.db")  # a roll-back to the version before
    assert again.execute("SELECT count(*) FROM t").fetchone() == (1,)
    again.close()
    fresh = connect_wal(tmp_path / "b.db")
    fresh.execute("CREATE TABLE t (a)")
    assert {file.name for file in tmp_path.glob("b.db*")} == {"b.db", "b.db-wal"}
    fresh.close()


def test_a_reader_that_is_there_already_keeps_nobody_from_writing(tmp_path, monkeypatch):
    monkeypatch.setattr("agent.core.sqlite_file.BUSY_SECONDS", 0.01)
    connect_wal(tmp_path / "a.db").close()
    with closing(sqlite3.connect(tmp_path / "a.db")) as reader:
        reader.execute("SELECT count(*) FROM sqlite_master")
        with closing(connect_wal(tmp_path / "a.db")) as sql:
            sql.execute("CREATE TABLE t (a)")
        assert reader.execute("SELECT count(*) FROM t").fetchone() == (0,)


def test_another_process_at_work_is_no_reason_to_lock_it_out(tmp_path, monkeypatch):
    monkeypatch.setattr("agent.core.sqlite_file.BUSY_SECONDS", 0.01)
    other = sqlite3.connect(tmp_path / "a.db", isolation_level=None)
    other.execute("PRAGMA locking_mode=EXCLUSIVE")
    other.execute("CREATE TABLE t (a)")
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        connect_wal(tmp_path / "a.db")
    other.close()
