"""A network that can be broken, an agent that can be killed, and the account of what became of every message."""

import contextlib
import json
import os
import re
import resource
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from agent.config.delivery_settings import BrokerSettings, OutboxSettings
from agent.delivery.identity import Identity
from agent.delivery.messages import host_draft
from agent.delivery.mqtt.session import SessionTiming
from agent.delivery.publisher import Publisher
from agent.delivery.verify.stream import Verifier
from tests.waiting import wait_until

DRIVER = Path(__file__).with_name("driver.py")
IDENTITY = Identity(
    device="box", site="dock", boot="b00t0001", client_id="vedette-fault", topic_prefix="vedette"
)
QUICK = SessionTiming(
    connect=1.0, acknowledge=1.0, preferred=5.0, stop=3.0, disk=0.3, disk_retry=0.5, scale=0.03
)
TABLE = []


def pytest_addoption(parser):
    parser.addoption("--kills", type=int, default=6, help="how often the agent is killed under load")
    parser.addoption("--deliveries", type=Path, help="write what became of all messages there, as Markdown")


def pytest_terminal_summary(terminalreporter, config):
    if not TABLE:
        return
    lines = [
        "| fault | accepted | delivered | lost | twice, same id | worst delay, s | most memory, MB |",
        "|---|---|---|---|---|---|---|",
        *(
            "| " + " | ".join(f"{v:.1f}" if isinstance(v, float) else f"{v}" for v in row) + " |"
            for row in TABLE
        ),
    ]
    terminalreporter.section("deliveries")
    terminalreporter.write_line("\n".join(lines))
    if config.getoption("--deliveries"):
        config.getoption("--deliveries").write_text("\n".join(lines) + "\n")


class Meter(threading.Thread):
    """Watches the memory of a process."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self._file, self.sizes, self._done = Path(f"/proc/{pid}/statm"), [], threading.Event()
        self.start()

    def run(self):
        with contextlib.suppress(OSError, IndexError):
            while not self._done.wait(0.05):
                self.sizes.append(int(self._file.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6)

    def stop(self):
        self._done.set()

    @property
    def most(self):
        return max(self.sizes, default=0.0)


class Load:
    """A publisher in this process with a thread that keeps feeding it; remembers what was accepted."""

    def __init__(
        self, url, directory, *, rate=300.0, size=16 << 20, clock=None, identity=IDENTITY, fallbacks=()
    ):
        self.accepted = []
        self.publisher = Publisher(
            BrokerSettings(url=url, fallback_urls=tuple(fallbacks)),
            OutboxSettings(size=size, commit_interval=0.02),
            identity,
            directory,
            timing=QUICK,
            clock=clock,
            on_accepted=lambda stamps: self.accepted.extend((s.boot, s.seq) for s in stamps if s),
        )
        self.meter = Meter(os.getpid())
        self._rate, self._quiet, self._stop = rate, threading.Event(), threading.Event()
        self._threads = [
            threading.Thread(target=run) for run in (self._feed, lambda: self.publisher.run(self._stop))
        ]
        for thread in self._threads:
            thread.start()

    def _feed(self):
        while not self._quiet.wait(1 / self._rate):
            now = time.time()
            self.publisher.publish(host_draft({"cpu_ratio": 0.5}, start=now - 60, end=now))

    def quiet(self):
        self._quiet.set()
        self._threads[0].join()

    def drain(self, timeout=20.0):
        self.quiet()
        assert self.publisher.drain(timeout), (self.publisher.connection, self.publisher.statistics())

    def until(self, condition, timeout=15.0):
        wait_until(
            lambda: condition(self.publisher),
            timeout,
            lambda: (self.publisher.connection, self.publisher.statistics()),
        )

    def stop(self):
        self.quiet()
        self._stop.set()
        self.publisher._inbox.wake()
        self._threads[1].join(15)
        self.meter.stop()
        assert not self._threads[1].is_alive()


class Pipe:
    """What drivers say they accepted. A pipe: it survives their death, and limits on files do not bind it."""

    def __init__(self, path):
        self.path = path
        os.mkfifo(path)
        self._handle = os.open(path, os.O_RDWR)
        self._text = ""
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self):
        while (data := os.read(self._handle, 65536)) != b"end":
            self._text += data.decode()

    def accepted(self):
        return [(boot, int(seq)) for boot, seq in re.findall(r"^(\w+-\w+) (\d+)$", self._text, re.MULTILINE)]

    def close(self):
        os.write(self._handle, b"end")
        self._thread.join(5)
        os.close(self._handle)


class Driver:
    """The same in a process of its own."""

    def __init__(self, url, directory, accepted, *, rate=500.0, wrap=(), **more):
        words = [str(word) for pair in more.items() for word in (f"--{pair[0]}", pair[1])]
        self.process = subprocess.Popen(
            [*wrap, sys.executable, DRIVER, url, directory, accepted, "--rate", str(rate), *words],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.meter = Meter(self.process.pid)

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)

    def limit_files(self, size):
        """Have every write beyond `size` bytes of a file fail; -1 lifts it."""
        resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def drained(listener, accepted, timeout=20.0):
    """Wait until all that was accepted was heard."""
    missing, seen, end = set(accepted), 0, time.monotonic() + timeout
    while missing:
        heard = listener.messages[seen:]
        seen += len(heard)
        messages = [m for m in heard if m.payload]
        others = [m for m in messages if not {"boot", "seq"} <= m.body.keys()]
        assert not others, f"not the agent's: {others}"
        missing -= {(m.body["boot"], m.body["seq"]) for m in messages}
        assert time.monotonic() < end, f"{len(missing)} of {len(accepted)} missing: {sorted(missing)[:20]}"
        time.sleep(0.02)


class Account:
    """What was accepted against what was heard."""

    def __init__(self, name, accepted, heard, meters, *, family="host", dated=True):
        self.accepted = accepted
        verifier, delivered = Verifier(), {}
        self.delay = self.twice = 0
        for message in heard:
            verifier.process(message.topic, message.payload, retained=message.retain, now=message.at)
            levels = message.topic.split("/")
            if family not in levels or not message.payload:
                continue
            body = json.loads(message.payload)
            key = (body["boot"], body["seq"])
            self.twice += key in delivered
            assert (
                delivered.setdefault(key, message.payload) == message.payload
            )  # a duplicate is the same message
        self.delivered = delivered
        self.report = verifier.report()
        for device in self.report["devices"].values():
            assert device["invalid"] == 0, device["examples"]
            for stream in device["streams"]:
                assert stream["altered"] == 0
                self.delay = max(self.delay, stream["worst_delay_seconds"])
        self.lost = [key for key in accepted if key not in delivered]
        if not dated:
            self.delay = "-"  # stamps of a clock that jumps say nothing
        memory = max((meter.most for meter in meters), default="-")
        TABLE.append(
            (name, len(set(accepted)), len(delivered), len(self.lost), self.twice, self.delay, memory)
        )

    def streams(self, family="host"):
        return [s for d in self.report["devices"].values() for s in d["streams"] if s["family"] == family]


@pytest.fixture
def meters():
    return []


@pytest.fixture
def load(tmp_path, meters):
    made = []

    def make(url, directory=None, **more):
        made.append(Load(url, directory or tmp_path / "state", **more))
        meters.append(made[-1].meter)
        return made[-1]

    yield make
    for one in made:
        one.stop()


@pytest.fixture
def pipe(tmp_path):
    made = Pipe(tmp_path / "accepted")
    yield made
    made.close()


@pytest.fixture
def drive(tmp_path, meters):
    made = []

    def make(url, accepted, directory=None, **more):
        made.append(Driver(url, directory or tmp_path / "state", accepted, **more))
        if "wrap" not in more:  # the wrapper's memory is not the agent's
            meters.append(made[-1].meter)
        return made[-1]

    yield make
    for one in made:
        if one.process.poll() is None:
            one.kill()


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 6 MB of our own, where mounting is allowed."""
    path = tmp_path / "disk"
    path.mkdir()
    try:
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", path], capture_output=True)
    except OSError:
        pytest.skip("mount is not there")
    if done.returncode:
        pytest.skip("may not mount a small disk")
    yield path
    subprocess.run(["umount", "-l", path], check=True)


class FailingDisk:
    """ext4 in a file; `fail` is an error of the disk to it, for which it turns read-only, `repair` what an operator does."""

    def __init__(self, folder):
        self.path, self._image = folder / "disk", folder / "disk.image"
        self.path.mkdir()
        with self._image.open("wb") as file:
            file.truncate(32 << 20)
        self._run("mkfs.ext4", "-q", self._image)
        self._mount()

    def _mount(self):
        self._run("mount", "-o", "loop,errors=remount-ro", self._image, self.path)

    def fail(self):
        device = self._run("findmnt", "-no", "SOURCE", self.path).strip()
        Path("/sys/fs/ext4", Path(device).name, "trigger_fs_error").write_text("1")

    def repair(self):
        self._run("umount", self.path)
        subprocess.run(["e2fsck", "-fy", self._image], capture_output=True)  # 1: it has mended something
        self._mount()

    def close(self):
        self._run("umount", "-l", self.path)

    @staticmethod
    def _run(*words):
        return subprocess.run(words, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def failing_disk(tmp_path):
    """A disk of our own that can be made to fail, where mounting is allowed."""
    try:
        made = FailingDisk(tmp_path)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"may not mount a disk in a file: {error}")
    yield made
    made.close()


@pytest.fixture
def account(request, meters):
    """Makes the account of the test, and shows it in the summary."""

    def make(accepted, heard, **more):
        name = request.node.name.removeprefix("test_").replace("_", " ")
        return Account(name, accepted, heard, meters, **more)

    return make
