"""The reload: reads the config anew and has it put in force, in a worker of its own.

Laws
----
1. One reload at a time; however many are asked for meanwhile, they are one more after it.
2. Whatever goes wrong in one is logged and kept in `outcome` until one goes well. Nothing of it leaves this thread.
3. All of a config is found good before anything is changed (`plan`). What cannot be put in force even so leaves the
   rest in force, is told by name, and is tried again by the next reload: it still differs.
"""

from __future__ import annotations

import dataclasses
import math
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import structlog

from agent.app.camera_set import CameraChanges
from agent.app.reload_plan import say_refused
from agent.config.schema import Settings
from agent.core.arguments import check_names
from agent.core.errors import VedetteError
from agent.core.printable import printable
from agent.core.worker import Worker

log = structlog.get_logger("vedette.service")

ANSWER_SECONDS = 25.0
"""How long one who asked waits for the answer: less than the control socket's client does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReloadOutcome:
    """What came of the last reload: `error` "" where it went well, and the keys that `waiting` for a restart."""

    error: str = ""
    waiting: tuple[str, ...] = ()


class ReloadProgress:
    """The course of putting `new` in force, table by table: `in_force` is what holds so far."""

    def __init__(self, old: Settings, new: Settings) -> None:
        self.old, self.new, self.in_force = old, new, old
        self.said: list[str] = []
        self.failed: list[str] = []

    def step(self, said: str, tables: Sequence[str], do: Callable[[], object]) -> None:
        """Put `tables` in force by `do`; where that raises they stay as they were, and the others go on."""
        try:
            do()
        except Exception as error:
            log.error("a part of the config cannot be put in force", what=said, exc_info=error)
            self.failed.append(f"{said}: {_in_words(error)}")
            return
        self.said.append(said)
        self._keep({table: getattr(self.new, table) for table in tables})

    def cameras(self, change: Callable[[], CameraChanges]) -> None:
        """Put the cameras in force by `change`; one that failed is not: the next reload tries it again."""
        try:
            changed = change()
        except Exception as error:
            log.error("the cameras cannot be put in force", exc_info=error)
            self.failed.append(f"cameras: {_in_words(error)}")
            self._keep({"cameras": tuple(one for one in self.old.cameras if one in self.new.cameras)})
            return
        self.said += changed.said
        for name, reason in changed.failed.items():
            log.error("camera cannot be started", camera=name, error=reason)
            self.failed.append(f"camera {name}: {printable(reason, 300)}")
        self._keep({"cameras": tuple(one for one in self.new.cameras if one.name not in changed.failed)})

    def _keep(self, tables: dict[str, Any]) -> None:
        self.in_force = dataclasses.replace(self.in_force, **tables)


class ReloadRequest:
    """A reload that was asked for; whoever asked may wait for what came of it."""

    def __init__(self) -> None:
        self._done = threading.Event()
        self._text = ""
        self._error: VedetteError | None = None

    def answer(self, text: str, error: VedetteError | None = None) -> None:
        """It is over."""
        self._text, self._error = text, error
        self._done.set()

    def wait(self, timeout: float = ANSWER_SECONDS) -> str:
        """What was changed, in words; raises VedetteError where it was refused or takes longer."""
        if not self._done.wait(timeout):
            raise VedetteError(
                f"the reload takes longer than {timeout:.0f} s; see `vedette status` and the journal"
            )
        if self._error is not None:
            raise self._error
        return self._text


class Reloader(Worker):
    """Reloads by `reload` when asked to, and only then; `told` is called after each.

    `reload` gives what was changed in words and what waits for a restart; it may raise anything.
    """

    def __init__(self, reload: Callable[[], tuple[str, tuple[str, ...]]], told: Callable[[], None]) -> None:
        super().__init__("reload")
        self.patience_seconds = math.inf  # a file on a dead network share is no reason to end the agent
        self.outcome = ReloadOutcome()
        self._reload, self._told = reload, told
        self._wake = threading.Condition()
        self._asked: ReloadRequest | None = None
        self._at_it = False

    @property
    def busy(self) -> bool:
        """Whether a reload goes on or is still to be done."""
        with self._wake:
            return self._at_it or self._asked is not None

    def ask(self) -> ReloadRequest:
        """Have the config read anew; returns at once."""
        with self._wake:
            if self._asked is None:
                self._asked = ReloadRequest()
            self._wake.notify()
            return self._asked

    def carry_out(self, args: Mapping[str, Any]) -> Mapping[str, Any]:
        """The command `reload`: waits for what comes of it."""
        check_names(args)
        return {"text": self.ask().wait()}

    def run(self, stop: threading.Event) -> None:
        """Reload whenever that is asked for, until stopped."""
        while not stop.is_set():
            self.beat()
            if asked := self._take():
                self._serve(asked)
                with self._wake:
                    self._at_it = False
        if asked := self._take():
            asked.answer("", VedetteError("the agent is stopping"))

    def _take(self) -> ReloadRequest | None:
        with self._wake:
            if self._asked is None:
                self._wake.wait(0.2)
            asked, self._asked = self._asked, None
            self._at_it = asked is not None
            return asked

    def _serve(self, asked: ReloadRequest) -> None:
        try:
            text, waiting = self._reload()
        except VedetteError as error:
            say_refused(error)
            self._over(asked, error)
        except (Exception, SystemExit) as error:
            log.error("unexpected error in a reload, the old config stays in force", exc_info=error)
            self._over(asked, VedetteError(f"the config cannot be used: {_in_words(error)}"))
        else:
            self.outcome = ReloadOutcome(waiting=waiting)
            log.info("config reloaded", result=text)
            self._told()
            asked.answer(text)

    def _over(self, asked: ReloadRequest, error: VedetteError) -> None:
        self.outcome = dataclasses.replace(self.outcome, error=str(error) or type(error).__name__)
        self._told()
        asked.answer("", error)


class PartlyInForce(VedetteError):
    """A config was good and could not be put in force whole: what failed, after what was changed."""

    def __init__(self, course: ReloadProgress) -> None:
        changed = f"; changed: {', '.join(course.said)}" if course.said else ""
        super().__init__(f"not all of the config could be put in force: {'; '.join(course.failed)}{changed}")


def _in_words(error: BaseException) -> str:
    return printable(f"{type(error).__name__}: {error}", 300)
