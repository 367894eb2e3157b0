"""Rows of the outbox: a message as it waits on disk. Pure."""

from __future__ import annotations

import base64
import binascii
import json
import math
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from agent.core.errors import PermanentDelivery
from agent.core.types import Draft, Priority
from agent.core.untrusted import parse_object
from agent.delivery.clock import Clock
from agent.delivery.messages import Stamp, plain, relabelled, to_json, unix_time

CORRECTED_FROM_SECONDS = 1.0  # by less no clock is wrong that is not synchronised yet
PACK_FROM_BYTES = 256  # shorter payloads do not get shorter by packing
_HELD = ""  # no stem of a quantile is empty
_NONE: Mapping[str, Any] = MappingProxyType({})

LEFT_OUT = b"-"
"""Stands for sketches that were not stored: nothing that can be unpacked, so the row cannot be merged."""

RowKey = tuple[Priority, int]
"""What names a row for good: its priority, and its id within that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxRow:
    """One accepted message.

    `id` orders the rows of a priority. `weight` is how many sequence numbers the row stands for: itself, those
    merged into it and those it reports as lost. `created` is Unix time and `boottime` seconds since the boot
    named `boot`. `start` and `window` (seconds) are those of the window it tells of, `span` the length
    (seconds) windows were merged to, 0 if not. `payload` is JSON, packed or not; `sketches` packed or empty,
    with the fields that the payload leaves out.
    """

    priority: Priority
    id: int
    topic: str
    seq: int
    retain: bool
    expiry: int | None
    created: float
    boottime: float
    boot: str
    start: float
    window: float
    span: int
    weight: int
    payload: bytes
    sketches: bytes

    @property
    def key(self) -> RowKey:
        """What names it for good."""
        return self.priority, self.id

    @property
    def family(self) -> str:
        """The first segment of the topic."""
        return self.topic.partition("/")[0]

    def values(self) -> tuple[Any, ...]:
        """The row in the order of the table's columns."""
        return (
            self.id,
            self.topic,
            self.seq,
            int(self.retain),
            self.expiry,
            self.created,
            self.boottime,
            self.boot,
            self.start,
            self.window,
            self.span,
            self.weight,
            self.payload,
            self.sketches,
        )

    @classmethod
    def from_values(cls, priority: Priority, values: tuple[Any, ...]) -> OutboxRow:
        """The inverse of `values`."""
        row_id, topic, seq, retain, expiry, created, boottime, boot, start, window, span, weight, *blobs = (
            values
        )
        return cls(
            priority=priority,
            id=row_id,
            topic=topic,
            seq=seq,
            retain=bool(retain),
            expiry=expiry,
            created=created,
            boottime=boottime,
            boot=boot,
            start=start,
            window=window,
            span=span,
            weight=weight,
            payload=blobs[0],
            sketches=blobs[1],
        )

    def age(self, *, wall: float, boottime: float, boot: str, synced: bool = True) -> float | None:
        """Seconds since it was accepted: exact within a boot; of another boot only by clocks that were synchronised.

        None where that cannot be known: then it is at least as old as this boot.
        """
        if _same_boot(self.boot, boot):
            return max(boottime - self.boottime, 0.0)
        return max(wall - self.created, 0.0) if synced and self.clock_synced() else None

    def clock_synced(self) -> bool:
        """Whether the wall clock was synchronised when it was accepted."""
        try:
            return parse_object(unpack(self.payload)).get("clock_synced") is not False
        except ValueError:
            return False

    def corrected(self, *, wall: float, boottime: float, boot: str) -> OutboxRow | None:
        """The same with the times that a clock which is synchronised by now gives; None where they are right already.

        Only for rows of this boot that were never sent: what is sent again must stay as it was.
        """
        ahead = (wall - boottime) - (self.created - self.boottime)
        if not _same_boot(self.boot, boot) or abs(ahead) < CORRECTED_FROM_SECONDS:
            return None
        try:
            body = parse_object(unpack(self.payload))
            if body.get("clock_synced") is not False:
                return None
            payload = to_json(
                {**relabelled(body, ahead), "clock_synced": True, "clock_corrected_seconds": round(ahead, 3)},
                self.topic,
            )
        except (ValueError, PermanentDelivery):
            return None  # damaged: that is found when it is sent
        return replace(self, created=self.created + ahead, start=self.start + ahead, payload=pack(payload))


def corrected_rows(rows: Iterable[OutboxRow], first: int, read: Clock, boot: str) -> dict[int, OutboxRow]:
    """Those of `rows` from the id `first` on that must be corrected, by id, as they should be."""
    wall, boottime = read.wall(), read.boottime()
    return {
        row.id: right
        for row in rows
        if row.id >= first and (right := row.corrected(wall=wall, boottime=boottime, boot=boot)) is not None
    }


def _same_boot(one: str, other: str) -> bool:
    """Whether two boots as published are one, whatever the epochs of their queues."""
    return one.partition("-")[0] == other.partition("-")[0]


def pack(payload: bytes) -> bytes:
    """`payload`, deflated where that pays; JSON begins with '{', a zlib stream never does."""
    if len(payload) < PACK_FROM_BYTES:
        return payload
    packed = zlib.compress(payload, 1)
    return packed if len(packed) < len(payload) else payload


def unpack(payload: bytes) -> bytes:
    """The inverse of `pack`; ValueError where it is damaged."""
    if payload[:1] == b"{":
        return payload
    try:
        return zlib.decompress(payload)
    except zlib.error as error:
        raise ValueError(f"damaged payload: {error}") from None


def reported_lost(payload: bytes) -> int:
    """How many messages a stored payload reports as lost before it; 0 where it is damaged."""
    try:
        return int(parse_object(unpack(payload)).get("lost", 0))
    except (ValueError, TypeError):
        return 0


def pack_sketches(sketches: Mapping[str, bytes], held: Mapping[str, Any] = _NONE) -> bytes:
    """Sketches by name, and the fields of the window that the payload leaves out (plain JSON values), as one blob."""
    if not sketches and not held:
        return b""
    entries: dict[str, Any] = {name: base64.b64encode(blob).decode() for name, blob in sketches.items()}
    if held:
        entries[_HELD] = held
    return zlib.compress(json.dumps(entries).encode(), 1)


def unpack_sketches(blob: bytes) -> dict[str, bytes]:
    """The sketches that `pack_sketches` packed; ValueError where they are damaged."""
    try:
        texts = _hidden(blob)
        return {name: base64.b64decode(text, validate=True) for name, text in texts.items() if name != _HELD}
    except (binascii.Error, ValueError, TypeError) as error:
        raise ValueError(f"damaged sketches: {error}") from None


def unpack_held(blob: bytes) -> dict[str, Any]:
    """The fields that `pack_sketches` packed beside the sketches; ValueError where they are damaged."""
    held = _hidden(blob).get(_HELD, {})
    if not isinstance(held, dict):
        raise ValueError("damaged fields beside the sketches")
    return held


def _hidden(blob: bytes) -> dict[str, Any]:
    try:
        return dict(parse_object(zlib.decompress(blob))) if blob else {}
    except zlib.error as error:
        raise ValueError(f"damaged sketches: {error}") from None


def row_of(draft: Draft, stamp: Stamp, payload: bytes, row_id: int, *, boottime: float) -> OutboxRow:
    """The row that `draft` becomes, as `stamp` numbers it; `payload` is that of its message."""
    start, window = window_of(draft, stamp.at)
    return OutboxRow(
        priority=draft.priority,
        id=row_id,
        topic=draft.topic,
        seq=stamp.seq,
        retain=draft.retain,
        expiry=draft.expiry_seconds,
        created=stamp.at,
        boottime=boottime,
        boot=stamp.boot,
        start=start,
        window=window,
        span=0,
        weight=1 + stamp.lost,
        payload=pack(payload),
        sketches=pack_sketches(draft.sketches, plain(draft.held)),
    )


def window_of(draft: Draft, at: float) -> tuple[float, float]:
    """Start (Unix time) and length (seconds) of the window that `draft` tells of; (at, 0) where it has none."""
    start, end = (_moment(draft.body.get(name)) for name in ("start", "end"))
    if start is None or end is None:
        return at, 0.0
    return start, max(end - start, 0.0)


def _moment(value: Any) -> float | None:
    if isinstance(value, str):
        try:
            return unix_time(value)
        except ValueError:
            return None
    return float(value) if isinstance(value, (int, float)) and math.isfinite(value) else None
