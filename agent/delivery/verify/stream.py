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

from agent.core.counts import count
from agent.core.printable import printable
from agent.core.untrusted import BadInput, parse_object, take_integer, take_text
from agent.delivery.messages import FAMILIES, unix_time
from agent.delivery.mqtt.name_watch import machine_there
from agent.delivery.verify.schemas import violations

LATE_SECONDS = 60.0
SKEW_SECONDS = 1.0  # a device's clock may be this far ahead of ours before it is worth a word
COUNTED = ("host", "gpu", "camera", "sketch", "alert")  # families whose every message matters
EXAMPLES = 5
NAME = 60  # characters of a device's name that are kept
MOST_DEVICES = 2000
MOST_STREAMS = 64  # of a device: five families, in as many epochs of its outbox
MOST_SEEN = 20_000  # numbers of a stream that are remembered, to know again what comes twice
MOST_MACHINES = 16  # of a device
MOST_JOINED = 10**9  # windows in one message, or lost before it


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageIdentity:
    """What every counted message says of itself; `at` is Unix time, `mark` distinguishes contents."""

    epoch: str
    seq: int
    merged: int
    lost: int
    at: float
    mark: int

    @classmethod
    def read(cls, body: dict[str, Any]) -> MessageIdentity:
        """The head of `body`; raises BadInput."""
        try:
            at = unix_time(take_text(body, "time", longest=40))
        except (ValueError, OverflowError, OSError):
            raise BadInput("`time` is not a time") from None
        return cls(
            epoch=printable(take_text(body, "boot").rpartition("-")[2], 40),
            seq=take_integer(body, "seq", minimum=1),
            merged=take_integer(body, "merged", 1, minimum=1, maximum=MOST_JOINED),
            lost=take_integer(body, "lost", 0, minimum=0, maximum=MOST_JOINED),
            at=at,
            mark=hash(json.dumps(body, sort_keys=True)),
        )


@dataclass(slots=True)
class FamilyStream:
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

    def process(self, head: MessageIdentity, *, replay: bool, now: float) -> None:
        """Count one message that arrived at `now`."""
        seq = head.seq
        if seq in self.seen or self._is_forgotten(seq):
            self.duplicates += 1
            self.altered += self.seen.get(seq, head.mark) != head.mark
            return
        self.disorder += bool(self.seen) and seq < self.last
        if not self.seen or seq < self.first:
            self.first, self._before_first = seq, head.merged - 1 + head.lost
        self.seen[seq] = head.mark
        if len(self.seen) > MOST_SEEN:  # the one heard first: what comes twice mostly comes soon after
            del self.seen[next(iter(self.seen))]
        self.received += 1
        self.last = max(self.last, seq)
        self.merged += head.merged - 1
        self.lost += head.lost
        self.replayed += replay
        delay = now - head.at
        self.late += delay > LATE_SECONDS
        self.worst_delay_seconds = max(self.worst_delay_seconds, delay)
        self.least_delay_seconds = min(self.least_delay_seconds, delay)
        self.heard_at = now

    def _is_forgotten(self, seq: int) -> bool:
        """Whether it was heard, but so long ago that it is not remembered: older than all that is, and none is missing.

        A broker that was killed goes on from what it had last saved, and delivers once more what it delivered since.
        """
        full = len(self.seen) == MOST_SEEN
        return full and self.first <= seq < next(iter(self.seen)) and not self.gaps

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

    streams: dict[tuple[str, str], FamilyStream] = field(default_factory=dict)
    others: Counter[str] = field(default_factory=Counter)
    retained: int = 0
    invalid: int = 0
    left_out: int = 0
    examples: list[str] = field(default_factory=list)
    machines: list[str] = field(default_factory=list)  # in the order in which they were there

    @property
    def name_taken(self) -> bool:
        """Whether two machines publish under the name in turn; one that takes the other's place is none."""
        return len(self.machines) > len(set(self.machines))

    def there(self, machine: str) -> None:
        """A status says that `machine` is there now."""
        if machine and len(self.machines) < MOST_MACHINES and machine not in self.machines[-1:]:
            self.machines.append(machine)

    def note(self, topic: str, wrong: object) -> None:
        """Count a message that breaks the contract, and keep the first few as examples."""
        self.invalid += 1
        if len(self.examples) < EXAMPLES:
            self.examples.append(f"{printable(topic, 120)}: {printable(wrong, 200)}")


class Verifier:
    """Fed with messages in the order they arrived; belongs to one thread. No message raises, and memory is bounded:
    so many devices, and streams of each; what is beyond is counted as `left_out`.
    """

    def __init__(self, prefix: str = "vedette") -> None:
        self._prefix = prefix.strip("/").split("/")
        self.devices: dict[str, DeviceReport] = {}
        self.foreign = 0
        self.left_out = 0

    def process(self, topic: str, payload: bytes, *, retained: bool, now: float) -> None:
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
        name = f"{printable(site, NAME)}/{printable(device, NAME)}"
        if name not in self.devices and len(self.devices) >= MOST_DEVICES:
            self.left_out += 1
            return
        report = self.devices.setdefault(name, DeviceReport())
        head = self._read(report, family, topic, payload)
        if head is None:
            return
        if retained:
            report.retained += 1
        elif family in COUNTED:
            self._count(report, family, head, replay=replay, now=now)
        else:
            report.others[family] += 1
            report.there(machine_there(payload) if family == "status" else "")

    @staticmethod
    def _count(report: DeviceReport, family: str, head: MessageIdentity, *, replay: bool, now: float) -> None:
        key = family, head.epoch
        if key not in report.streams and len(report.streams) >= MOST_STREAMS:
            report.left_out += 1
            return
        report.streams.setdefault(key, FamilyStream()).process(head, replay=replay, now=now)

    @staticmethod
    def _read(report: DeviceReport, family: str, topic: str, payload: bytes) -> MessageIdentity | None:
        """The head, if there is one; a schema error is counted, and the message too where it can be."""
        if family not in FAMILIES:
            report.note(topic, f"unknown family {family}")
            return None
        try:
            body = parse_object(payload)
            wrong = violations(family, body)
            head = MessageIdentity.read(body)
        except BadInput as error:
            report.note(topic, error)
            return None
        if wrong:
            report.note(topic, wrong[0])
        return head

    def report(self) -> dict[str, Any]:
        """Per device: totals and streams, plain values; `ok` where nothing is amiss."""
        devices = {name: _device(report) for name, report in sorted(self.devices.items())}
        return {
            "ok": all(device["ok"] for device in devices.values()),
            "foreign": self.foreign,
            "left_out": self.left_out,
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
        "ok": not amiss and not report.invalid and not report.left_out and not report.name_taken,
        "name_taken": report.name_taken,
        "invalid": report.invalid,
        "left_out": report.left_out,
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
        return "no messages were received: is the prefix right, and does the agent run?"
    lines = [line for name, device in report["devices"].items() for line in _lines(name, device)]
    if report["left_out"]:
        lines.append(
            f"{count(report['left_out'], 'message')} of more than {MOST_DEVICES} devices were not judged"
        )
    return "\n".join(lines)


def _lines(name: str, device: dict[str, Any]) -> Iterator[str]:
    yield f"{name}: {'ok' if device['ok'] else 'NOT OK'}, {count(device['invalid'], 'schema error')}"
    yield from (f"  {example}" for example in device["examples"])
    if device["name_taken"]:
        yield "  NAME TAKEN: two machines publish under this name; give one of them another device.name"
    if device["clock_ahead_seconds"]:
        yield f"  its clock is {device['clock_ahead_seconds']:.0f} s ahead of ours, so delays are longer than shown"
    if device["left_out"]:
        yield f"  {count(device['left_out'], 'message')} not counted: more than {MOST_STREAMS} epochs of its queue"
    if not device["streams"]:
        yield "  only status and info were received: is it offline, or is the time too short for a "
        "window to end?"
    for stream in device["streams"]:
        shown = ", ".join(f"{stream[key]} {word}" for key, word in _COUNTED.items() if stream[key])
        yield (
            f"  {stream['family']:7} {count(stream['received'], 'message')}, {count(stream['gaps'], 'gap')}, "
            f"worst delay {stream['worst_delay_seconds']:.1f} s{', ' + shown if shown else ''}"
        )


_COUNTED = {
    "lost": "reported as lost",
    "merged": "merged into others",
    "duplicates": "came twice",
    "altered": "ARRIVED TWICE WITH OTHER CONTENT",
    "disorder": "OUT OF ORDER",
    "replayed": "replayed",
    "late": f"more than {LATE_SECONDS:.0f} s late",
}
