"""The books of the soak: what was accepted against what was heard, and what each process took. See soak.py."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from proxy import Proxy

from agent.config.delivery_settings import BrokerSettings
from agent.core.secret import Masked
from agent.delivery.mqtt.listener import Listener
from agent.delivery.verify.stream import COUNTED, Verifier

ROOT = Path(__file__).resolve().parents[1]
WARM_UP = 300.0  # seconds of a process's life that count as warm-up: its memory is not flat yet
Event = tuple[float, str, str, float]  # seconds since the start, what, how, for how many seconds


class Process:
    """A program that is started again and again in the same place."""

    def __init__(self, words: list[object], log: Path, environment: Mapping[str, str] | None = None) -> None:
        self.words, self.log = [str(word) for word in words], log
        self.environment = {**os.environ, **(environment or {})}
        self.running: subprocess.Popen[bytes] | None = None
        self.lives = 0

    def start(self) -> None:
        """Begin a new life."""
        with self.log.open("ab") as log:
            self.running = subprocess.Popen(
                self.words, cwd=ROOT, env=self.environment, stdout=log, stderr=log
            )
        self.lives += 1

    def end(self, number: signal.Signals = signal.SIGKILL) -> int:
        """End it and wait; the exit status."""
        running, self.running = self.running, None
        if running is None:
            return 0
        running.send_signal(number)
        return running.wait(60)

    def freeze(self, seconds: float, pause: Callable[[float], object]) -> None:
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


class Ear:
    """Hears everything at the broker in a thread of its own, and keeps the books."""

    def __init__(self, port: int, seconds: float) -> None:
        self.verifier = Verifier()
        self.listener = Listener(BrokerSettings(url=Masked(f"mqtt://127.0.0.1:{port}")))
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
                self.verifier.process(message.topic, message.payload, retained=message.retained, now=at)
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
    """Epoch, sequence numbers given out by family (what was accepted), and how many messages still wait.

    Read from a copy: an agent that runs has the file for itself.
    """
    with tempfile.TemporaryDirectory() as copy:
        for file in state.glob("outbox.db*"):
            shutil.copy(file, copy)
        with closing(sqlite3.connect(Path(copy) / "outbox.db")) as sql:
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

    def __init__(self, senders: list[Sender], began: float) -> None:
        self.senders, self.lives, self._began = senders, list[Life](), began
        self.disk: dict[str, list[tuple[float, float]]] = {sender.name: [] for sender in senders}

    def look(self) -> None:
        """Measure each."""
        now = time.monotonic() - self._began
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


def tables(results: dict[str, dict[str, float]], events: list[Event], watcher: Watcher, ear: Ear) -> str:
    """What came of it, as Markdown."""
    columns = list(next(iter(results.values())))
    lines = [
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
    for _, what, how, length in events:
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
