"""Power cuts, by replaying what the agent really asked of the kernel, and disks that fail to sync.

strace records every write, truncate and sync of the outbox's files in order, and every acceptance. A power cut
after operation k leaves of each file what was last synced, and of the writes since any part: whole, torn at
a sector, or not at all. From each such state the outbox must open with all that had been accepted.
"""

import random
import re
import shutil
import signal
import subprocess
import time

import pytest

from agent.delivery.outbox.queue import Outbox
from agent.delivery.outbox.rows import unpack
from agent.delivery.outbox.store import LANES
from tests.conftest import free_port
from tests.faults.conftest import IDENTITY, TABLE, drained
from tests.waiting import wait_until

SECTOR = 512
STRACE = shutil.which("strace")
_CALL = re.compile(r"^\d+ +(?:<\.\.\. )?(\w+)(?: resumed>)?\((.*)\) += (-?\d+)")


def traceable():
    return (
        bool(STRACE)
        and subprocess.run([STRACE, "-qq", "-o", "/dev/null", "true"], capture_output=True).returncode == 0
    )


pytestmark = pytest.mark.skipif(not traceable(), reason="needs strace")


def text(literal):
    return bytes.fromhex(literal.replace("\\x", ""))


def recorded(log):
    """(kind, file name, offset, bytes) in the order of completion; kind: write, truncate, sync, accept."""
    pending, names = {}, {}
    for line in log.read_text().splitlines():
        pid = line.split(" ", 1)[0]
        if line.endswith("<unfinished ...>"):
            pending[pid] = line.removesuffix("<unfinished ...>").rstrip()
            continue
        resumed = re.match(r"^\d+ +<\.\.\. (\w+) resumed>(.*)$", line)
        if resumed:
            line = pending.pop(pid) + resumed[2]
        match = _CALL.match(line)
        if not match or int(match[3]) < 0:
            continue
        call, arguments, result = match[1], match[2], int(match[3])
        if call == "openat":
            names[result] = text(re.search(r'"([^"]*)"', arguments)[1]).decode().rpartition("/")[2]
            continue
        handle = int(re.match(r"\d+", arguments)[0])
        name = names.get(handle, "")
        if call == "close":
            names.pop(handle, None)
        elif name == "accepted" and call == "write":
            yield "accept", name, 0, text(re.search(r'"([^"]*)"', arguments)[1])
        elif name in {"outbox.db", "outbox.db-wal"}:
            if call == "pwrite64":
                found = re.search(r'"([^"]*)"(\.\.\.)?, (\d+), (\d+)$', arguments)
                assert not found[2]
                yield "write", name, int(found[4]), text(found[1])[:result]
            elif call == "ftruncate":
                yield "truncate", name, int(arguments.rpartition(" ")[2]), b""
            elif call in {"fdatasync", "fsync"}:
                yield "sync", name, 0, b""


def apply(content, kind, offset, data):
    if kind == "truncate":
        del content[offset:]
        content.extend(bytes(max(offset - len(content), 0)))
        return
    content.extend(bytes(max(offset + len(data) - len(content), 0)))
    content[offset : offset + len(data)] = data


def cut(operations, rng):
    """The files after a power cut at the end of `operations`, and the text of what had been accepted."""
    synced, unsynced, accepted = {}, {}, b""
    for kind, name, offset, data in operations:
        if kind == "accept":
            accepted += data
        elif kind == "sync":
            for operation in unsynced.pop(name, []):
                apply(synced.setdefault(name, bytearray()), *operation)
        else:
            unsynced.setdefault(name, []).append((kind, offset, data))
    for name, operations_left in unsynced.items():
        for kind, offset, data in operations_left:
            fate = rng.choice(("whole", "torn", "gone"))
            if fate == "torn":
                data = data[: rng.randrange(0, len(data) + 1, SECTOR)] if data else data
            if fate != "gone":
                apply(synced.setdefault(name, bytearray()), kind, offset, data)
    return synced, accepted.decode()


def survivors(files, directory):
    directory.mkdir()
    for name, content in files.items():
        (directory / name).write_bytes(content)
    outbox = Outbox(directory / "outbox.db", size=64 << 20, identity=IDENTITY)
    outbox.open()
    found = set()
    for lane in LANES:
        while rows := outbox.lease(lane, 500):
            for row in rows:
                assert unpack(row.payload).endswith(b"}")
                found.add((row.boot, row.seq))
    assert outbox.depth == len(found)
    outbox.close()
    return found


def record(drive, tmp_path, **more):
    log = tmp_path / "strace.log"
    calls = "openat,close,pwrite64,write,ftruncate,fdatasync,fsync"
    wrap = [STRACE, "-f", "-qq", "-xx", "-s", "20000000", "-e", f"trace={calls}", "-o", log]
    agent = drive(
        f"mqtt://127.0.0.1:{free_port()}",
        tmp_path / "accepted",
        rate=1500,
        wrap=wrap,
        size=1 << 20,
        drain=0,
        **more,
    )
    assert agent.process.wait(60) is not None
    return list(recorded(log))


def replay(operations, tmp_path, cuts=40):
    """How many accepted messages were missing after each of `cuts` power cuts, and how many had been accepted."""
    rng = random.Random(11)
    syncs = sum(kind == "sync" for kind, *_ in operations)
    first = next(i for i, (kind, *_) in enumerate(operations) if kind == "accept")
    missing, total = [], 0
    for number in range(cuts):
        files, accepted = cut(operations[: rng.randrange(first, len(operations))], rng)
        promised = {(boot, int(seq)) for boot, seq in re.findall(r"^(\S+) (\d+)$", accepted, re.MULTILINE)}
        directory = tmp_path / f"cut{number}"
        missing.append(len(promised - survivors(files, directory)))
        total += len(promised)
        shutil.rmtree(directory)
    assert syncs > 5
    return missing, total


def test_a_power_cut_loses_nothing_that_was_accepted(drive, tmp_path):
    missing, total = replay(record(drive, tmp_path, count=1500), tmp_path)
    TABLE.append(
        (f"power cut, {len(missing)} moments", total, total - sum(missing), sum(missing), 0, "-", "-")
    )
    assert total > 5000
    assert sum(missing) == 0


def test_the_simulation_does_find_losses_where_commits_are_not_synced(drive, tmp_path):
    missing, _ = replay(record(drive, tmp_path, count=1500, careless=1), tmp_path)
    assert sum(missing) > 0


@pytest.mark.broker
def test_syncs_that_fail(mosquitto, listen, drive, pipe, account, tmp_path):
    """What is accepted after a failed sync is accepted: in memory if need be, and delivered."""
    broker = mosquitto()
    listener = listen(broker.port)
    wrap = [
        STRACE,
        "-f",
        "-qq",
        "-e",
        "trace=fdatasync",
        "-e",
        "inject=fdatasync:error=EIO:when=12..60",
        "-o",
        tmp_path / "strace.log",
    ]
    agent = drive(broker.url, pipe.path, rate=300, wrap=wrap, count=900)
    assert agent.process.wait(60) == 0
    assert (tmp_path / "strace.log").read_text().count("INJECTED") > 3
    drained(listener, pipe.accepted())
    outcome = account(pipe.accepted(), listener.messages)
    assert outcome.lost == []
    assert len(set(pipe.accepted())) == 900


@pytest.mark.broker
def test_a_copy_of_the_directory_taken_in_between_opens_whole(mosquitto, drive, pipe, tmp_path):
    """The agent is stopped, copied and goes on: what a snapshot of a virtual machine or a backup does."""
    agent = drive(f"mqtt://127.0.0.1:{free_port()}", pipe.path, rate=2000)
    wait_until(lambda: len(pipe.accepted()) >= 200, 20)
    for number in range(5):
        time.sleep(0.05)
        agent.process.send_signal(signal.SIGSTOP)
        time.sleep(0.05)
        promised = set(pipe.accepted())
        shutil.copytree(tmp_path / "state", tmp_path / f"copy{number}")
        agent.process.send_signal(signal.SIGCONT)
        names = ("outbox.db", "outbox.db-wal")
        files = {name: (tmp_path / f"copy{number}" / name).read_bytes() for name in names}
        assert promised <= survivors(files, tmp_path / f"opened{number}")
