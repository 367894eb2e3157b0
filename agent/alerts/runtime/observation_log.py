"""The observation log: a few days of observations on disk, one a minute, so that rules can be tried on the past.

One file a day (UTC), `observations/2026-01-31.jsonl.gz` (`zcat` prints it; each flush adds a piece); a line holds the
metrics of one target at one time:
`{"at": 1769860800.0, "labels": {"camera": "front"}, "values": {"camera.fps_in": 25.0}}`. Beyond
KEEP_DAYS or MOST_BYTES the oldest days are removed; days of a clock that was ahead go first. Days of earlier versions,
`2026-01-31.jsonl`, are read too.
"""

from __future__ import annotations

import gzip
import json
import math
import re
import zlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path

import structlog

from agent.alerts.metrics import METRICS
from agent.core.state_dir import unlinked
from agent.core.types import Observation
from agent.core.untrusted import parse_kept

log = structlog.get_logger("vedette.alerts")

FOLDER = "observations"
KEEP_DAYS = 8
MOST_BYTES = 64 * 1024 * 1024
SPACING_SECONDS = 60.0
FLUSH_SECONDS = 300.0
"""Flash is written by whole pages, and more lines are packed better."""

MOST_SERIES = 20_000
LARGEST_LINE = 256 * 1024
LARGEST_PIECE = 64 * 1024 * 1024
_PIECE = b"\x1f\x8b\x08"  # how gzip begins
_NAME = re.compile(r"(\d{4}-\d{2}-\d{2})\.jsonl(\.gz)?")

_Target = tuple[tuple[str, str], ...]


class ObservationLog:
    """Writes observations to the state directory, every five minutes; belongs to one thread."""

    def __init__(self, state_directory: Path, *, most_bytes: int = MOST_BYTES) -> None:
        self._folder = state_directory / FOLDER
        self._most_bytes = most_bytes
        self._recorded: dict[tuple[str, _Target], tuple[float, float]] = {}
        self._lines: dict[tuple[float, _Target], dict[str, float]] = {}
        self._flushed_at = 0.0
        self._failing = False

    def record(
        self,
        observations: Iterable[Observation],
        now: float,
        *,
        unix_offset: float = 0.0,
        clock_synced: bool = True,
    ) -> None:
        """Record one value a minute of each series, and every change of a state, under Unix time.

        `unix_offset` seconds make `now` and the observations' times Unix time.
        """
        for observation in observations:
            target = tuple(sorted(observation.labels.items()))
            key = observation.metric, target
            if not self._is_due(key, observation):
                continue
            self._recorded[key] = observation.at, observation.value
            line = self._lines.setdefault((round(observation.at + unix_offset, 1), target), {})
            line[observation.metric] = float(f"{observation.value:.6g}")
        if now - self._flushed_at >= FLUSH_SECONDS:
            self._flushed_at = now
            self.flush(now + unix_offset, clock_synced=clock_synced)

    def _is_due(self, key: tuple[str, _Target], observation: Observation) -> bool:
        metric = METRICS.get(observation.metric)
        is_state = metric is not None and metric.unit == "state"
        before = self._recorded.get(key)
        if before is None:
            return len(self._recorded) < MOST_SERIES and not (is_state and not observation.value)
        if is_state and observation.value != before[1]:
            return True
        old = not 0 <= observation.at - before[0] < SPACING_SECONDS
        return old and not (is_state and not observation.value and not before[1])

    def flush(self, unix_now: float, *, clock_synced: bool = True) -> None:
        """Write what is gathered; a disk that cannot be written is logged once."""
        lines, self._lines = self._lines, {}
        days: dict[str, list[str]] = {}
        for (at, target), values in sorted(lines.items(), key=lambda item: item[0][0]):
            text = json.dumps({"at": at, "labels": dict(target), "values": values}, separators=(",", ":"))
            days.setdefault(day_of(at), []).append(text)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            for day, texts in days.items():
                with open(self._folder / f"{day}.jsonl.gz", "ab", opener=unlinked) as file:
                    file.write(gzip.compress("".join(f"{text}\n" for text in texts).encode()))
            self._prune(day_of(unix_now), clock_synced=clock_synced)
            self._failing = False
        except OSError as error:
            if not self._failing:
                self._failing = True
                log.warning("observations cannot be written", path=str(self._folder), error=str(error))

    def _prune(self, today: str, *, clock_synced: bool) -> None:
        """Remove the days that a clock ahead of this one wrote, if this one can be trusted, then the oldest."""
        found = sorted(path for path in self._folder.iterdir() if _NAME.fullmatch(path.name))
        ahead = [path for path in found if path.name[:10] > today] if clock_synced else []
        files = [*ahead, *(path for path in found if path not in ahead and path.name[:10] != today)]
        files += [path for path in found if path.name[:10] == today]
        sizes = {path: path.stat().st_size for path in files}
        while len(files) > KEEP_DAYS or (
            len(files) > 1 and sum(sizes[path] for path in files) > self._most_bytes
        ):
            files.pop(0).unlink()
        if files and sizes[files[-1]] > self._most_bytes:  # one day alone is too much: begin it anew
            files[-1].unlink()


def day_of(at: float) -> str:
    """The UTC day of a time, `2026-01-31`."""
    return datetime.fromtimestamp(at, timezone.utc).strftime("%Y-%m-%d")


def days(state_directory: Path) -> dict[str, Path]:
    """The recorded days, oldest first, with their files."""
    folder = state_directory / FOLDER
    if not folder.is_dir():
        return {}
    named = [(found[1], path) for path in sorted(folder.iterdir()) if (found := _NAME.fullmatch(path.name))]
    return dict(named)  # of a day's two files the packed one, which sorts last: `read` reads both


def read(path: Path, *, camera: str = "") -> Iterator[Observation]:
    """The observations of a day, or those of one camera, in the order of its files.

    Lines torn by a crash are skipped.
    """
    plain = path.with_suffix("") if path.suffix == ".gz" else path
    part = f'"camera":{json.dumps(camera)}' if camera else ""
    for one in dict.fromkeys((plain, path)):
        if one.exists():
            yield from _read(one, part)


def _read(path: Path, part: str) -> Iterator[Observation]:
    """Those of the lines that have `part` in them: to parse the others takes ten times as long."""
    for line in _lines(path):
        if part not in line:
            continue
        try:
            entry = parse_kept(line, largest=LARGEST_LINE)
            at, labels, values = float(entry["at"]), dict(entry["labels"]), dict(entry["values"])
            observed = [(metric, float(value)) for metric, value in values.items()]
        except (ValueError, KeyError, TypeError):
            continue
        if not math.isfinite(at):  # no moment: a replay would never come to it
            continue
        for metric, value in observed:
            yield Observation(metric=metric, value=value, at=at, labels=labels)


def _lines(path: Path) -> Iterator[str]:
    data = path.read_bytes()
    if path.suffix != ".gz":
        yield from data.decode("utf-8", "replace").splitlines()
        return
    at = data.find(_PIECE)
    while at >= 0:
        text, at = _unpacked(data, at)
        yield from text.decode("utf-8", "replace").splitlines()


def _unpacked(data: bytes, at: int) -> tuple[bytes, int]:
    """The piece at `at`, or the beginning that a crash left of it, and where the next begins (-1: nowhere)."""
    decoder, text = zlib.decompressobj(wbits=31), b""
    with suppress(zlib.error):
        text = decoder.decompress(memoryview(data)[at:], LARGEST_PIECE)
    after = len(data) - len(decoder.unused_data) if decoder.eof else at + len(_PIECE)
    return text, data.find(_PIECE, after)
