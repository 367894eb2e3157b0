"""Stores steady time (`agent/core/clock.py`) for the next start, and logs once what happens to the wall clock."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import structlog

from agent.alerts.words import duration, stamp
from agent.core import clock
from agent.core.state_dir import write_atomic
from agent.core.untrusted import parse_kept

log = structlog.get_logger("vedette.clock")

FILE_NAME = "clock.json"
SAVE_SECONDS = 300.0  # only an unsynchronised boot loses what passed since
LEAST_UNIX = 1_735_689_600.0  # 2025: before this agent was written no clock is right
STEP_SECONDS = 5.0  # a smaller change of the wall clock is not worth a line


class ClockWatch:
    """Owns the file `clock.json` of a state directory; `tick` belongs to one thread."""

    def __init__(self, state_directory: Path, steady: clock.SteadyClock | None = None) -> None:
        self._path = state_directory / FILE_NAME
        self._clock = steady or clock.shared
        self._offset = self._saved_at = 0.0
        self._synced = True
        self._failing = False

    def open(self) -> None:
        """Go on with the steady time of the last run."""
        try:
            self._clock.resume(clock.state_from_json(parse_kept(self._path.read_bytes())))
        except FileNotFoundError:
            pass
        except (OSError, ValueError, KeyError, TypeError) as error:
            log.warning("clock.json cannot be read: steady time starts again", reason=repr(error))
        self._offset, self._synced = self._clock.offset(), self._clock.synced()
        if not self._synced:
            unix = self._clock.now() + self._offset
            wrong = unix < LEAST_UNIX or self._offset < -STEP_SECONDS
            (log.warning if wrong else log.info)(
                f"the clock {'is wrong' if wrong else 'is not synchronised'}: times may be wrong, durations are not",
                clock=stamp(unix),
                mend="have NTP run (timedatectl)",
            )
        self.save()

    def tick(self) -> None:
        """Log a clock that was set or synchronised, and save when it is time to; to be called about once a second."""
        now, offset, synced = self._clock.now(), self._clock.offset(), self._clock.synced()
        step = offset - self._offset
        changed = abs(step) > STEP_SECONDS or synced is not self._synced
        if abs(step) > STEP_SECONDS:
            way = "forward" if step > 0 else "back"
            log.info(
                f"the clock was set {way} by {duration(abs(step))}; durations are unaffected, times follow it",
                clock=stamp(now + offset),
                synchronised=synced,
            )
            self._offset = offset
        elif synced and not self._synced:
            log.info("the clock is synchronised", clock=stamp(now + offset))
        self._synced = synced
        if changed or now - self._saved_at >= SAVE_SECONDS:
            self.save()

    def save(self) -> None:
        """Write the file; a disk that cannot be written is logged once."""
        state = self._clock.state()
        self._saved_at = state.now
        try:
            write_atomic(self._path, json.dumps(asdict(state)).encode())
            self._failing = False
        except OSError as error:
            if not self._failing:
                log.warning("the clock's state cannot be stored", path=str(self._path), reason=str(error))
            self._failing = True
