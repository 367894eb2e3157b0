"""Delivery in figures: messages a second into the outbox and out of it, wear of flash, a day of outage, opening.

    python benchmarks/outbox.py [--rounds 3] [--messages 10000] [--markdown FILE]

Compared in the same run, rounds interleaved: the outbox, persist-queue and litequeue (`pip install persist-queue
litequeue`) and paho's own queue in memory. Needs mosquitto; strace for the count of fsyncs.
"""

from __future__ import annotations

import argparse
import collections
import json
import os
import platform
import re
import shutil
import socket
import sqlite3
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from agent.config.delivery_settings import BrokerSettings, OutboxSettings
from agent.config.report_plan import ReportPlan
from agent.core.kll import Sketch
from agent.core.secret import Masked
from agent.core.types import Draft, Priority
from agent.delivery.messages import camera_draft, encode, gpu_draft, host_draft, sketch_draft
from agent.delivery.outbox.queue import Outbox
from agent.delivery.outbox.rows import unpack
from agent.delivery.publisher import Publisher
from agent.delivery.reports import Reports
from benchmarks.contenders.queues import (
    IDENTITY,
    STAMP,
    directory,
    in_litequeue,
    in_outbox,
    in_paho,
    in_persist_queue,
    out_litequeue,
    out_paho,
    out_persist_queue,
    out_publisher,
    put_all,
)

START, MINUTE = 1.8e9, 60.0
RNG = np.random.default_rng(3)
STAGES = ("latency", "decode", "wait", "preprocess", "inference", "postprocess")


def sketch(count: int) -> Sketch:
    made = Sketch()
    made.update(RNG.gamma(3.0, 0.02, count).astype(np.float32))
    return made


def camera(name: str, start: float, *, sketches: bool = True, features: int = 20) -> Draft:
    """A window of a camera at 10 frames a second, 20 features."""
    hidden = {stage: sketch(600) for stage in STAGES} if sketches else {}
    body = {
        "state": "online",
        "frames_seen": 600,
        "frames_inferred": 600,
        "frames_dropped": 0,
        "frames_failed": 0,
    }
    body |= {
        f"{stage}_{rank}_seconds": float(RNG.random())
        for stage in STAGES
        for rank in ("p50", "p90", "p99", "max")
    }
    body |= {f"drift_feature{i}_ratio": float(RNG.random()) for i in range(features)}
    return camera_draft(name, body, hidden, start=start, end=start + MINUTE)


def feature_sketches(name: str, start: float, features: int = 20) -> Draft:
    blobs = {f"feature{i}": sketch(120).to_bytes() for i in range(features)}
    return sketch_draft(name, blobs, {"frames_inferred": 120}, start=start, end=start + MINUTE)


def one_window(start: float, cameras: int = 4) -> list[Draft]:
    """All that a box with `cameras` cameras publishes in one window."""
    names = [f"camera{i}" for i in range(cameras)]
    host = {f"value{i}_ratio": float(RNG.random()) for i in range(40)}
    return [
        *(camera(name, start) for name in names),
        *(feature_sketches(name, start) for name in names),
        host_draft(host, start=start, end=start + MINUTE),
        gpu_draft(0, {k: host[k] for k in list(host)[:12]}, start=start, end=start + MINUTE),
    ]


@contextmanager
def broker() -> Iterator[int]:
    found = shutil.which("mosquitto", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
    if found is None:
        raise SystemExit("needs mosquitto (Debian package mosquitto)")
    with directory() as at:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        (at / "conf").write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\nmax_queued_messages 0\n")
        process = subprocess.Popen(
            [found, "-c", at / "conf"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            time.sleep(0.5)
            yield port
        finally:
            process.terminate()
            process.wait()


# -- disk ---------------------------------------------------------------------------------------------------


def an_hour() -> None:
    """What the delivery of a box with four cameras (profile normal) asks of its disk in an hour; run by `wear`."""
    with broker() as port, directory() as at:
        publisher = Publisher(
            BrokerSettings(url=Masked(f"mqtt://127.0.0.1:{port}")),
            OutboxSettings(commit_interval=0.05),
            IDENTITY,
            at,
        )
        stop = threading.Event()
        thread = threading.Thread(target=publisher.run, args=(stop,))
        thread.start()
        while not publisher.statistics().get("broker_connected"):
            time.sleep(0.01)
        windows = [one_window(START + MINUTE * minute) for minute in range(60)]
        reports = Reports(ReportPlan(profile="normal", complete_every=15), publisher.publish)
        before = written_bytes()
        for minute, drafts in enumerate(windows):
            for draft in drafts:
                if draft.family != "sketch":
                    reports.add(draft)
                elif minute == 59:  # the hour's
                    publisher.publish(draft)
            publisher.drain(10)
        print("bytes", written_bytes() - before)
        stop.set()
        thread.join()


def written_bytes() -> int:
    return int(re.search(r"^write_bytes: (\d+)", Path("/proc/self/io").read_text(), re.MULTILINE)[1])  # type: ignore[index]


def wear() -> tuple[float, float]:
    """(fsyncs, megabytes written) an hour."""
    with directory() as at:
        words = [sys.executable, __file__, "--hour"]
        strace = shutil.which("strace")
        wrap = [strace, "-f", "-qq", "-e", "trace=fdatasync,fsync", "-o", str(at / "log")] if strace else []
        done = subprocess.run([*wrap, *words], capture_output=True, text=True, check=True)
        written = int(re.findall(r"^bytes (\d+)$", done.stdout, re.MULTILINE)[0]) / 1e6
        syncs = len(re.findall(r"= 0$", (at / "log").read_text(), re.MULTILINE)) if strace else float("nan")
    return syncs, written


def a_day_of_outage(hours: int) -> dict[str, float]:
    """Four cameras without a broker: how much disk it took, and what is still told."""
    with directory() as at:
        outbox = Outbox(at / "o.db", size=64 << 20, identity=IDENTITY)
        outbox.open()
        outbox.store.query("PRAGMA synchronous=OFF")
        largest, slowest = 0, 0.0
        for minute in range(60 * hours):
            drafts = one_window(START + MINUTE * minute)
            started = time.perf_counter()
            put_all(outbox, drafts)
            outbox.shed()
            slowest = max(slowest, time.perf_counter() - started)
            if minute % 20 == 0:
                largest = max(largest, sum(file.stat().st_size for file in at.iterdir()))
        summaries: dict[int, int] = collections.Counter()
        frames = 0
        while rows := outbox.lease(Priority.SUMMARY, 500):
            for row in rows:
                summaries[row.span] += 1
                if row.family == "camera":
                    body = json.loads(unpack(row.payload))
                    frames += body["frames_seen"]
        result = {
            "largest_mb": largest / 1e6,
            "slowest_put_and_shed_ms": slowest * 1e3,
            "messages_left": outbox.depth,
            "frames_told_ratio": frames / (4 * 600 * 60 * hours),
            "sketches_left": dict(outbox.store.query("SELECT priority, depth FROM lane")).get(
                Priority.SKETCH, 0
            ),
            "sketches_lost": outbox.lost_total().get("sketch", 0),
            "summaries_lost": sum(n for family, n in outbox.lost_total().items() if family != "sketch"),
            **{f"summaries_of_{span // 60 or 1}_min": count for span, count in sorted(summaries.items())},
        }
        outbox.close()
        return result


def opening(count: int) -> float:
    """Seconds until the first message of a queue of `count` can be sent."""
    with directory() as at:
        outbox = Outbox(at / "o.db", size=4 << 30, identity=IDENTITY)
        outbox.open()
        put_all(outbox, [camera("front", START, sketches=False)])
        outbox.close()
        with sqlite3.connect(at / "o.db") as sql:
            sql.execute("PRAGMA synchronous=OFF")
            sql.execute(
                f"""WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < {count})
                INSERT INTO lane_summary SELECT i, topic, i, retain, expiry, created, boottime, boot, start, window,
                span, weight, payload, sketches FROM n, (SELECT * FROM lane_summary WHERE id = 1)"""
            )
            sql.execute(f"UPDATE lane SET depth = {count}")
        subprocess.run(["sync"], check=True)
        again = Outbox(at / "o.db", size=4 << 30, identity=IDENTITY)
        started = time.perf_counter()
        again.open()
        assert len(again.lease(Priority.SUMMARY, 64)) == 64
        seconds = time.perf_counter() - started
        assert again.depth == count
        again.close()
        return seconds


# -- report -------------------------------------------------------------------------------------------------


def compare(rounds: int, count: int) -> list[tuple[str, list[float], list[float]]]:
    drafts = [camera("front", START + MINUTE * i, sketches=False) for i in range(count)]
    few = drafts[: max(count // 5, 100)]
    into = {
        "vedette outbox": in_outbox,
        "persist-queue": in_persist_queue,
        "litequeue": in_litequeue,
        "paho in memory": in_paho,
    }
    out = {
        "vedette outbox": (out_publisher, drafts),
        "persist-queue": (out_persist_queue, few),
        "litequeue": (out_litequeue, few),
        "paho in memory": (out_paho, drafts),
    }
    results: dict[str, tuple[list[float], list[float]]] = {name: ([], []) for name in into}
    with broker() as port:
        for _ in range(rounds):
            for name, results_of in results.items():
                results_of[0].append(into[name](drafts))
                run, given = out[name]
                results_of[1].append(run(given, port))
    return [(name, *results_of) for name, results_of in results.items()]


DURABILITY = {
    "vedette outbox": "each commit synced (FULL), 512 a commit",
    "persist-queue": "in: 512 a commit, out: one; WAL, synced (FULL by default)",
    "litequeue": "in: 512 a commit, out: one; WAL, NORMAL: not synced at commit",
    "paho in memory": "none",
}


def table(rounds: int, count: int, hours: int) -> str:
    lines = [
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, SQLite "
        f"{sqlite3.sqlite_version}; median (least - most) of {rounds} interleaved rounds of {count} summaries of "
        f"{len(encode(camera('front', START, sketches=False), STAMP).payload)} bytes, encoded, to a mosquitto on the "
        "same machine. The PyPI queues drain a fifth as many.",
        "",
        "| queue | durability | in, messages/s | out, messages/s |",
        "|---|---|---|---|",
    ]
    for name, into, out in compare(rounds, count):
        lines.append(f"| {name} | {DURABILITY[name]} | {spread(into)} | {spread(out)} |")
    syncs, written = wear()
    lines += ["", "| what | figure | aim |", "|---|---|---|"]
    lines.append(f"| fsyncs an hour, 4 cameras with 20 features, one-minute windows | {syncs:.0f} | |")
    lines.append(f"| written an hour, the same | {written:.1f} MB | |")
    lines.append(f"| opening a queue of 1,000,000 messages | {opening(1_000_000):.3f} s | < 2 s |")
    day = a_day_of_outage(hours)
    lines.append(
        f"| {hours} h without a broker, 4 cameras with 20 features: disk | {day['largest_mb']:.1f} MB | < 64 MiB (67.1 MB) |"
    )
    lines += [
        f"| the same: {name.replace('_', ' ')} | {value:g} | |" for name, value in list(day.items())[1:]
    ]
    return "\n".join(lines) + "\n"


def spread(values: list[float]) -> str:
    return f"{statistics.median(values):,.0f} ({min(values):,.0f} - {max(values):,.0f})"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--messages", type=int, default=10_000)
    parser.add_argument("--hours", type=int, default=24, help="length of the outage")
    parser.add_argument("--markdown", type=Path, help="also write the tables here")
    parser.add_argument("--hour", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.hour:
        an_hour()
        return
    text = table(args.rounds, args.messages, args.hours)
    print(text)
    if args.markdown:
        args.markdown.write_text(text)


if __name__ == "__main__":
    main()
