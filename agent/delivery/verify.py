"""Judging a stream of messages as a subscriber sees it: gaps, duplicates, disorder, schema errors, lateness. Pure.

A family of a device counts its messages (`seq`). Each says how many were merged into it and how many were lost
before it, so over the numbers seen: messages + merged away + lost = numbers given out. What is
missing beyond that is a gap: nobody accounts for it.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from agent.delivery.contract import violations
from agent.delivery.messages import FAMILIES, unix_time
from agent.untrusted import parse_json

LATE_SECONDS = 60.0
SKEW_SECONDS = 1.0  # a device's clock may be this far ahead of ours before it is worth a word
COUNTED = ("host", "gpu", "camera", "sketch", "alert")  # families whose every message matters
EXAMPLES = 5


@dataclass(slots=True)
class Stream:
    """One family of one device, within one epoch of its outbox."""

    received: int = 0
    duplicates: int = 0
    altered: int = 0
    disorder: int = 0
    merged: int = 0
    lost: int = 0
    replayed: int = 0
    late: int = 0
    worst_delay_seconds: float = 0.0
    least_delay_seconds: float = float("inf")
    heard_at: float = 0.0
    first: int = 0
    last: int = 0
    seen: dict[int, int] = field(default_factory=dict)
    _before_first: int = 0

    def hear(self, body: dict[str, Any], *, replay: bool, now: float) -> None:
        """Count one message that arrived at `now`."""
        seq, merged, lost = int(body["seq"]), int(body.get("merged", 1)), int(body.get("lost", 0))
        mark = hash(json.dumps(body, sort_keys=True))
        if seq in self.seen:
            self.duplicates += 1
            self.altered += self.seen[seq] != mark
            return
        self.disorder += bool(self.seen) and seq < self.last
        if not self.seen or seq < self.first:
            self.first, self._before_first = seq, merged - 1 + lost
        self.seen[seq] = mark
        self.received += 1
        self.last = max(self.last, seq)
        self.merged += merged - 1
        self.lost += lost
        self.replayed += replay
        delay = now - unix_time(body["time"])
        self.late += delay > LATE_SECONDS
        self.worst_delay_seconds = max(self.worst_delay_seconds, delay)
        self.least_delay_seconds = min(self.least_delay_seconds, delay)
        self.heard_at = now

    @property
    def gaps(self) -> int:
        """Numbers that nothing accounts for."""
        if not self.seen:
            return 0
        accounted = self.received + self.merged + self.lost - self._before_first
        return max(self.last - self.first + 1 - accounted, 0)


@dataclass(slots=True)
class DeviceReport:
    """What was heard of one device."""

    streams: dict[tuple[str, str], Stream] = field(default_factory=dict)
    others: Counter[str] = field(default_factory=Counter)
    retained: int = 0
    invalid: int = 0
    examples: list[str] = field(default_factory=list)


class Verifier:
    """Fed with messages in the order they arrived; belongs to one thread."""

    def __init__(self, prefix: str = "vedette") -> None:
        self._prefix = prefix.strip("/").split("/")
        self.devices: dict[str, DeviceReport] = {}
        self.foreign = 0

    def hear(self, topic: str, payload: bytes, *, retained: bool, now: float) -> None:
        """Take in one message that arrived at `now` (Unix time); `retained` ones are from before we listened."""
        levels = topic.split("/")
        depth = len(self._prefix)
        if levels[:depth] != self._prefix or len(levels) < depth + 3:
            self.foreign += 1
            return
        site, device, *rest = levels[depth:]
        replay = rest[0] == "replay"
        family = rest[1] if replay and len(rest) > 1 else rest[0]
        if family == "command" or not payload:  # an empty one only clears what was retained
            return
        report = self.devices.setdefault(f"{site}/{device}", DeviceReport())
        body = self._read(report, family, topic, payload)
        if body is None:
            return
        if retained:
            report.retained += 1
        elif family in COUNTED:
            epoch = str(body["boot"]).rpartition("-")[2]
            report.streams.setdefault((family, epoch), Stream()).hear(body, replay=replay, now=now)
        else:
            report.others[family] += 1

    @staticmethod
    def _read(report: DeviceReport, family: str, topic: str, payload: bytes) -> dict[str, Any] | None:
        """The body, if it is one; a schema error is counted, and the message too where it can be."""
        try:
            body = parse_json(payload)
            wrong = violations(family, body) if family in FAMILIES else [f"unknown family {family}"]
        except ValueError:
            body, wrong = None, ["not JSON"]
        if wrong:
            report.invalid += 1
            if len(report.examples) < EXAMPLES:
                report.examples.append(f"{topic}: {wrong[0]}")
        usable = isinstance(body, dict) and isinstance(body.get("seq"), int)
        return body if usable and {"boot", "time"} <= body.keys() else None

    def report(self) -> dict[str, Any]:
        """Per device: totals and streams, plain values; `ok` where nothing is amiss."""
        devices = {name: _device(report) for name, report in sorted(self.devices.items())}
        return {
            "ok": all(device["ok"] for device in devices.values()),
            "foreign": self.foreign,
            "devices": devices,
        }


def _device(report: DeviceReport) -> dict[str, Any]:
    streams = [
        {
            "family": family,
            "epoch": epoch,
            "received": stream.received,
            "gaps": stream.gaps,
            "lost": stream.lost,
            "merged": stream.merged,
            "duplicates": stream.duplicates,
            "altered": stream.altered,
            "disorder": stream.disorder,
            "replayed": stream.replayed,
            "late": stream.late,
            "worst_delay_seconds": round(max(stream.worst_delay_seconds, 0.0), 3),
        }
        for (family, epoch), stream in sorted(report.streams.items())
    ]
    amiss = sum(stream.gaps + stream.altered + stream.disorder for stream in report.streams.values())
    least = min((stream.least_delay_seconds for stream in report.streams.values()), default=0.0)
    return {
        "ok": not amiss and not report.invalid,
        "invalid": report.invalid,
        "examples": report.examples,
        "retained": report.retained,
        "others": dict(report.others),
        "clock_ahead_seconds": round(-least, 3) if least < -SKEW_SECONDS else 0.0,
        "heard_at": max((stream.heard_at for stream in report.streams.values()), default=None),
        "streams": streams,
    }


def describe(report: dict[str, Any]) -> str:
    """The report as lines for people."""
    if not report["devices"]:
        return "nothing was heard: is the prefix right, and does the agent run?"
    return "\n".join(line for name, device in report["devices"].items() for line in _lines(name, device))


def _lines(name: str, device: dict[str, Any]) -> Iterator[str]:
    yield f"{name}: {'ok' if device['ok'] else 'NOT OK'}, {device['invalid']} schema errors"
    yield from (f"  {example}" for example in device["examples"])
    if device["clock_ahead_seconds"]:
        yield f"  its clock is {device['clock_ahead_seconds']:.0f} s ahead of ours, so delays are longer than told"
    if not device["streams"]:
        yield "  only status and info were heard: is it offline, or is the time too short for a window to end?"
    for stream in device["streams"]:
        told = ", ".join(f"{stream[key]} {word}" for key, word in _TOLD.items() if stream[key])
        yield (
            f"  {stream['family']:7} {stream['received']} messages, {stream['gaps']} gaps, "
            f"worst delay {stream['worst_delay_seconds']:.1f} s{', ' + told if told else ''}"
        )


_TOLD = {
    "lost": "reported as lost",
    "merged": "merged into others",
    "duplicates": "came twice",
    "altered": "CAME TWICE WITH OTHER CONTENT",
    "disorder": "OUT OF ORDER",
    "replayed": "replayed",
    "late": f"more than {LATE_SECONDS:.0f} s late",
}
