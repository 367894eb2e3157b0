"""A soak: everything around delivery is killed at random for an hour, and every message is accounted for.

    python benchmarks/soak.py --for 1h [--seed 1] [--markdown docs/benchmarks-soak.md]

Three senders, each behind a TCP proxy that breaks at random, at a mosquitto that is killed, stopped and frozen:
`steady`, an agent with two drawn cameras and an RTSP camera whose server is killed, itself never killed (its
memory, threads and handles are what should stay flat); `killed`, the same with `kill -9` at random; `driver`, the
publisher alone at 20 messages a second, likewise killed. A listener with a session that outlives its
connection hears everything. The proxies let senders in only while it listens: what mosquitto acknowledges
and then loses at its own `kill -9` would not be our loss. Needs mosquitto and GStreamer's RTSP server.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(1, str(Path(__file__).parents[1] / "tests" / "servers"))

from proxy import Proxy

from agent.config.convert import parse_duration
from agent.delivery.listener import Listener
from agent.delivery.urls import parse_broker_url
from agent.delivery.verify import COUNTED, Verifier

ROOT = Path(__file__).resolve().parents[1]
RTSP = ROOT / "tests" / "servers" / "rtsp.py"
DRIVER = ROOT / "tests" / "faults" / "driver.py"
WARM_UP = 300.0  # seconds of a process's life that count as warm-up: its memory is not flat yet
CONFIG = """
state_directory = "{state}"
[device]
name = "{name}"
site = "soak"
[broker]
url = "{url}"
client_id = "vedette-{name}"
[windows]
length = "5s"
[model]
threads = 1
[[cameras]]
name = "crossing"
kind = "synthetic"
width = 320
height = 192
fps = 1
seed = 1
[[cameras]]
name = "dock"
kind = "synthetic"
layout = "warehouse"
width = 320
height = 192
fps = 1
seed = 3
[[cameras]]
name = "gate"
kind = "stream"
url = "rtsp://127.0.0.1:{rtsp}/live"
max_fps = 1
"""


def free_port() -> int:
    """Not from the ephemeral range: who tries such a port may be given it and talk to itself."""
    while True:
        with socket.socket() as probe, suppress(OSError):
            port = random.randrange(12_000, 32_000)
            probe.bind(("127.0.0.1", port))
            return port


class Process:
    """A program that is started again and again in the same place."""

    def __init__(self, words: list[object], log: Path) -> None:
        self.words, self.log = [str(word) for word in words], log
        self.running: subprocess.Popen[bytes] | None = None
        self.lives = 0

    def start(self) -> None:
        """Begin a new life."""
        with self.log.open("ab") as log:
            self.running = subprocess.Popen(self.words, cwd=ROOT, stdout=log, stderr=log)
        self.lives += 1

    def end(self, number: signal.Signals = signal.SIGKILL) -> int:
        """End it and wait; the exit status."""
        running, self.running = self.running, None
        if running is None:
            return 0
        running.send_signal(number)
        return running.wait(60)

    def freeze(self, seconds: float) -> None:
        """Let it neither run nor die."""
        if self.running is not None:
            self.running.send_signal(signal.SIGSTOP)
            pause(seconds)
            self.running.send_signal(signal.SIGCONT)


@dataclass
class Sender:
    """A sender, its process, its way to the broker, and where its queue is."""

    name: str
    process: Process
    proxy: Proxy
    state: Path


@dataclass
class Life:
    """What was measured of one process: (age in seconds, MB, threads, handles) each time, and its CPU seconds."""

    sender: str
    pid: int
    born: float
    samples: list[tuple[float, float, int, int]] = field(default_factory=list)
    cpu_seconds: float = 0.0

    def slope(self, column: int) -> float | None:
        """Growth an hour after the warm-up, by least squares; None where the life was too short to say."""
        late = [(s[0], s[column]) for s in self.samples if s[0] >= WARM_UP]
        if len(late) < 5:
            return None
        ages, values = np.array(late).T
        return float(np.polyfit(ages, values, 1)[0] * 3600)


OVER = threading.Event()
EVENTS: list[tuple[float, str, str, float]] = []
BEGAN = time.monotonic()


def pause(seconds: float) -> None:
    OVER.wait(seconds)


def note(what: str, how: str, seconds: float = 0.0) -> None:
    EVENTS.append((time.monotonic() - BEGAN, what, how, seconds))
    print(
        f"{time.monotonic() - BEGAN:7.0f} s  {what} {how} {f'{seconds:.0f} s' if seconds else ''}", flush=True
    )


# -- the faults -----------------------------------------------------------------------------------------------


def forever(rng: random.Random, mean: float, fault: Callable[[random.Random], None]) -> Callable[[], None]:
    """`fault` again and again, with random quiet times of `mean` seconds in between."""

    def run() -> None:
        while not OVER.wait(rng.expovariate(1 / mean) + 2.0):
            fault(rng)

    return run


def break_broker(broker: Process, listener: Listener, rng: random.Random) -> None:
    while not listener.subscribed and not OVER.is_set():
        pause(0.1)
    how = rng.choice(("killed", "killed", "stopped", "frozen", "long outage"))
    seconds = {"frozen": rng.uniform(3, 60), "long outage": rng.uniform(90, 240)}.get(
        how, rng.uniform(0.1, 20)
    )
    note("broker", how, seconds)
    if how == "frozen":
        broker.freeze(seconds)
        return
    broker.end(signal.SIGKILL if how == "killed" else signal.SIGTERM)
    pause(seconds)
    broker.start()


def break_network(sender: Sender, rng: random.Random) -> None:
    proxy = sender.proxy
    how = rng.choice(("blackhole", "mute", "refuse", "slow", "halve", "reset", "reset"))
    seconds = 0.0 if how in ("halve", "reset") else rng.uniform(2, 60)
    note(f"network of {sender.name}", how, seconds)
    if how == "halve":
        proxy.halve = True
    elif how == "slow":
        proxy.delay = 0.3
        pause(seconds)
        proxy.delay = 0.0
    elif how != "reset":
        proxy.mode = how
        if how == "refuse":
            proxy.reset()
        pause(seconds)
        proxy.mode = "pass"
    if how != "slow":
        proxy.reset()


def kill_again(process: Process, name: str, longest: float, rng: random.Random) -> None:
    seconds = rng.uniform(0.1, longest)
    note(name, "kill -9", seconds)
    process.end()
    pause(seconds)
    process.start()


# -- the account ----------------------------------------------------------------------------------------------


class Ear:
    """Hears everything at the broker in a thread of its own, and keeps the books."""

    def __init__(self, port: int, seconds: float) -> None:
        self.verifier = Verifier()
        self.listener = Listener(parse_broker_url(f"mqtt://127.0.0.1:{port}"), "vedette")
        self.payloads: dict[tuple[str, str, str, int], int] = {}
        self.twice: Counter[str] = Counter()
        self.altered: Counter[str] = Counter()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(seconds,), daemon=True)
        self._thread.start()

    def _run(self, seconds: float) -> None:
        for heard in self.listener.hear(seconds):
            if self._stop.is_set():
                return
            if heard is not None and heard[0].payload:
                message, at = heard
                self.verifier.hear(message.topic, message.payload, retained=message.retained, now=at)
                self._book(message.topic, message.payload)

    def _book(self, topic: str, payload: bytes) -> None:
        levels = topic.split("/")
        family = levels[4] if levels[3] == "replay" else levels[3]
        if family not in COUNTED:
            return
        body = json.loads(payload)
        key = (levels[2], family, body["boot"].rpartition("-")[2], body["seq"])
        mark = hash(payload)
        if key in self.payloads:
            self.twice[levels[2]] += 1
            self.altered[levels[2]] += self.payloads[key] != mark
        self.payloads.setdefault(key, mark)

    def stop(self) -> None:
        """Hear no more."""
        self._stop.set()
        self._thread.join(10)


def given_out(state: Path) -> tuple[str, dict[str, int], int]:
    """Epoch, sequence numbers given out by family (what was accepted), and how many messages still wait."""
    with sqlite3.connect(f"file:{state / 'outbox.db'}?mode=ro", uri=True) as sql:
        epoch = sql.execute("SELECT value FROM meta WHERE name = 'epoch'").fetchone()[0]
        seqs = dict(sql.execute("SELECT name, seq FROM family").fetchall())
        depth = sql.execute("SELECT coalesce(sum(depth), 0) FROM lane").fetchone()[0]
    return epoch, {name: seq for name, seq in seqs.items() if name in COUNTED}, depth


def balance(sender: Sender, ear: Ear, noted: set[tuple[str, int]]) -> dict[str, float]:
    """Accepted against heard; `noted` are those that the driver itself wrote down as accepted."""
    epoch, seqs, _ = given_out(sender.state)
    device = "box" if sender.name == "driver" else sender.name
    report = next((r for name, r in ear.verifier.devices.items() if name.endswith(f"/{device}")), None)
    streams = report.streams if report else {}
    accepted = sum(seqs.values())
    delivered = sum(s.received + s.merged + s.lost for (_, e), s in streams.items() if e == epoch)
    heard = {(e, seq) for name, _, e, seq in ear.payloads if name == device}
    return {
        "lives": sender.process.lives,
        "accepted": accepted,
        "delivered": delivered,
        "lost": accepted - delivered + len(noted - heard),
        "twice, same id": ear.twice[device],
        "same id, other content": ear.altered[device],
        "out of order": sum(s.disorder for s in streams.values()),
        "schema errors": report.invalid if report else 0,
        "worst delay s": max((s.worst_delay_seconds for s in streams.values()), default=0.0),
    }


# -- measuring the processes --------------------------------------------------------------------------------------


def measure(pid: int) -> tuple[float, int, int, float]:
    """MB resident, threads, handles, CPU seconds; raises OSError where it is gone."""
    status = dict(
        line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":\t" in line
    )
    ticks = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()[11:13]
    handles = len(list(Path(f"/proc/{pid}/fd").iterdir()))
    cpu = sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")
    return int(status["VmRSS"].split()[0]) / 1024, int(status["Threads"]), handles, cpu


class Watcher:
    """Measures every sender's process now and then; a new process is a new life."""

    def __init__(self, senders: list[Sender]) -> None:
        self.senders, self.lives = senders, list[Life]()
        self.disk: dict[str, list[tuple[float, float]]] = {sender.name: [] for sender in senders}

    def look(self) -> None:
        """Measure each."""
        now = time.monotonic() - BEGAN
        for sender in self.senders:
            running = sender.process.running
            if running is not None:
                self._look_at(sender.name, running.pid, now)
            size = (
                sum(f.stat().st_size for f in sender.state.rglob("*") if f.is_file())
                if sender.state.exists()
                else 0
            )
            self.disk[sender.name].append((now, size / 1e6))

    def _look_at(self, name: str, pid: int, now: float) -> None:
        life = next((life for life in self.lives if life.pid == pid), None)
        if life is None:
            life = Life(name, pid, now)
            self.lives.append(life)
        with suppress(OSError, KeyError):
            memory, threads, handles, life.cpu_seconds = measure(pid)
            life.samples.append((now - life.born, memory, threads, handles))


# -- the whole ----------------------------------------------------------------------------------------------------


@contextmanager
def stage(seconds: float) -> Iterator[tuple[Path, Process, Process, list[Sender], Ear]]:
    """Broker, RTSP server, ear and senders, all running; everything is ended by its pid."""
    found = shutil.which("mosquitto", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
    if found is None:
        raise SystemExit("needs mosquitto (Debian package mosquitto)")
    with ExitStack() as closing:
        at = Path(closing.enter_context(tempfile.TemporaryDirectory(prefix="vedette-soak-")))
        port, rtsp_port = free_port(), free_port()
        (at / "broker").mkdir(mode=0o777)
        (at / "conf").write_text(
            f"listener {port} 127.0.0.1\nallow_anonymous true\nuser root\npersistence true\n"
            f"persistence_location {at}/broker/\nmax_queued_messages 0\nmax_inflight_messages 0\n"
        )
        broker = Process([found, "-c", at / "conf"], at / "mosquitto.log")
        rtsp = Process(["/usr/bin/python3", RTSP, rtsp_port, "live"], at / "rtsp.log")
        for process in (broker, rtsp):
            process.start()
            closing.callback(process.end)
        time.sleep(1.0)
        ear = Ear(port, seconds)
        closing.callback(ear.stop)
        senders = []
        for name in ("steady", "killed", "driver"):
            proxy = Proxy(port, gate=lambda: ear.listener.subscribed)
            closing.callback(proxy.close)
            words: list[object] = [
                sys.executable,
                DRIVER,
                proxy.url,
                at / name,
                at / "accepted",
                "--rate",
                20,
            ]
            if name != "driver":
                (at / f"{name}.toml").write_text(
                    CONFIG.format(name=name, state=at / name, url=proxy.url, rtsp=rtsp_port)
                )
                words = [sys.executable, "-m", "agent", "run", "--config", at / f"{name}.toml"]
            senders.append(Sender(name, Process(words, at / f"{name}.log"), proxy, at / name))
        for sender in senders:
            sender.process.start()
            closing.callback(sender.process.end)
        yield at, broker, rtsp, senders, ear


def faults(
    seed: int, broker: Process, rtsp: Process, senders: list[Sender], ear: Ear
) -> list[threading.Thread]:
    """One thread for each thing that breaks, each with its own seeded chance."""
    steady, killed, driver = senders
    plans: list[tuple[float, Callable[[random.Random], None]]] = [
        (90, lambda rng: break_broker(broker, ear.listener, rng)),
        (90, lambda rng: kill_again(rtsp, "RTSP server", 30, rng)),
        (100, lambda rng: kill_again(killed.process, "killed", 5, rng)),
        (40, lambda rng: kill_again(driver.process, "driver", 2, rng)),
        *(
            (100, lambda rng, sender=sender: break_network(sender, rng))
            for sender in (steady, killed, driver)
        ),  # type: ignore[misc]
    ]
    threads = []
    for number, (mean, fault) in enumerate(plans):
        run = forever(random.Random(seed * 1000 + number), mean, fault)
        threads.append(threading.Thread(target=run, daemon=True))
    return threads


def settle(broker: Process, rtsp: Process, senders: list[Sender], timeout: float = 420.0) -> None:
    """Mend everything, have the senders deliver what is left, and end them in good order."""
    for process in (broker, rtsp, *(sender.process for sender in senders)):
        if process.running is None:
            process.start()
    for sender in senders:
        sender.proxy.mode, sender.proxy.delay, sender.proxy.halve = "pass", 0.0, False
    until = time.monotonic() + timeout
    time.sleep(60)  # so that each has been up for a while
    driver = senders[-1].process
    driver.end()
    driver.words += ["--count", "20", "--drain", "300"]
    driver.start()
    if driver.running is not None:
        driver.running.wait(timeout)
    for sender in senders[:-1]:
        while given_out(sender.state)[2] > 10 and time.monotonic() < until:
            time.sleep(0.5)
        sender.process.end(signal.SIGTERM)
    time.sleep(3)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--for", dest="length", default="1h", help="how long (default 1h)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--sample", default="60s", help="how often the processes are measured")
    parser.add_argument("--json", type=Path, help="write what was found there too")
    parser.add_argument("--keep", type=Path, help="copy logs and states there")
    args = parser.parse_args()
    seconds = parse_duration(args.length)
    with stage(seconds + 3600) as (at, broker, rtsp, senders, ear):
        watcher = Watcher(senders)
        threads = faults(args.seed, broker, rtsp, senders, ear)
        for thread in threads:
            thread.start()
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            time.sleep(min(parse_duration(args.sample), left))
            watcher.look()
        OVER.set()
        for thread in threads:
            thread.join(60)
        note("everything", "mended")
        settle(broker, rtsp, senders)
        noted = {
            (boot.rpartition("-")[2], int(seq))
            for line in (at / "accepted").read_text().splitlines()
            for boot, _, seq in [line.partition(" ")]
            if seq
        }
        results = {s.name: balance(s, ear, noted if s.name == "driver" else set()) for s in senders}
        if args.keep:
            shutil.copytree(at, args.keep, dirs_exist_ok=True)
    text = tables(args, results, watcher, ear)
    print(text)
    if args.json:
        args.json.write_text(
            json.dumps(
                {
                    "results": results,
                    "events": EVENTS,
                    "lives": [vars(life) for life in watcher.lives],
                    "disk": watcher.disk,
                },
                indent=1,
            )
        )
    if any(
        result["lost"] or result["same id, other content"] or result["schema errors"]
        for result in results.values()
    ):
        raise SystemExit("something was lost, altered or broke its schema")


def tables(args: argparse.Namespace, results: dict[str, dict[str, float]], watcher: Watcher, ear: Ear) -> str:
    """What came of it, as Markdown."""
    columns = list(next(iter(results.values())))
    lines = [
        f"{args.length}, seed {args.seed}.",
        "",
        f"| sender | {' | '.join(columns)} |",
        f"|---|{'---|' * len(columns)}",
        *(
            f"| {name} | {' | '.join(f'{value:,.4g}' if isinstance(value, float) else f'{value:,}' for value in result.values())} |"
            for name, result in results.items()
        ),
        "",
        "| fault | how often | longest, s |",
        "|---|---|---|",
    ]
    kinds: dict[tuple[str, str], list[float]] = {}
    for _, what, how, length in EVENTS[:-1]:
        kinds.setdefault((what, how), []).append(length)
    lines += [
        f"| {what}: {how} | {len(found)} | {max(found):.0f} |" for (what, how), found in sorted(kinds.items())
    ]
    lines += [
        f"| the listener cut off | {len(ear.listener.interruptions)} | {max((i.seconds for i in ear.listener.interruptions), default=0):.0f} |",
        "",
        "| sender | minutes measured | MB, median (least - most) | MB an hour | threads | threads an hour | handles | handles an hour | CPU |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for sender in watcher.senders:
        lines.append(resources(sender.name, [life for life in watcher.lives if life.sender == sender.name]))
    lines += ["", "| sender | state on disk, MB: first, most, last |", "|---|---|"]
    lines += [
        f"| {name} | {d[0][1]:.1f}, {max(v for _, v in d):.1f}, {d[-1][1]:.1f} |"
        for name, d in watcher.disk.items()
        if d
    ]
    return "\n".join(lines)


def resources(name: str, lives: list[Life]) -> str:
    """A row: within its life for a sender that had one, over its lives (by the time each began) for the others."""
    samples = [
        (life.born + s[0], *s[1:])
        for life in lives
        for s in life.samples
        if s[0] >= (WARM_UP if len(lives) == 1 else 20)
    ]
    if len(samples) < 3:
        return f"| {name} | too short | | | | | | | |"
    times, *columns = np.array(samples, float).T
    slopes = [np.polyfit(times, column, 1)[0] * 3600 for column in columns]
    shown = [
        f"{np.median(c):.0f} ({c.min():.0f} - {c.max():.0f}) | {slope:+.1f}"
        for c, slope in zip(columns, slopes, strict=True)
    ]
    spent = sum(life.cpu_seconds for life in lives)
    lived = sum(life.samples[-1][0] for life in lives if life.samples)
    return f"| {name} | {(times.max() - times.min()) / 60:.0f} | {' | '.join(shown)} | {100 * spent / max(lived, 1):.0f} % |"


if __name__ == "__main__":
    main()
