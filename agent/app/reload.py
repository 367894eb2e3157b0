"""The reload: reads the config anew and has it put in force, in a worker of its own.

Laws
----
1. One reload at a time; however many are asked for meanwhile, they are one more after it.
2. Whatever goes wrong in one is logged and kept in `outcome` until one goes well. Nothing of it leaves this thread.
3. All of a config is validated before anything is changed (`reload_plan`). What cannot be put in force even so is
   reported by name, the rest is in force, and the next reload tries it again: it still differs.
"""

from __future__ import annotations

import dataclasses
import math
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog

from agent.app.reload_plan import log_refused
from agent.config.schema import Settings
from agent.core.arguments import Handler, check_names, take_word
from agent.core.errors import VedetteError
from agent.core.printable import printable
from agent.core.worker import Worker

log = structlog.get_logger("vedette.service")


ANSWER_SECONDS = 25.0
"""How long one who asked waits for the answer: less than the control socket's client does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReloadOutcome:
    """The last reload's `error` ("" where it succeeded), and the keys that are `waiting` for a restart."""

    error: str = ""
    waiting: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ReloadResult:
    """A reload that succeeded: what changed as a sentence, and the keys that are `waiting` for a restart."""

    text: str
    waiting: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """One step of a reload: what was `done` and what `failed`, each as text.

    `in_force` has the tables that are not in force as the new config has them.
    """

    done: Sequence[str] = ()
    failed: Sequence[str] = ()
    in_force: Mapping[str, Any] = field(default_factory=dict)


class ReloadProgress:
    """Puts `new` in force step by step; `in_force` is the config that holds so far."""

    def __init__(self, old: Settings, new: Settings) -> None:
        self.old, self.new, self.in_force = old, new, old
        self.done: list[str] = []
        self.failed: list[str] = []

    def step(self, name: str, tables: Sequence[str], do: Callable[[], Applied | None]) -> None:
        """Put `tables` in force by `do`; where that raises they stay as they were, and the next step follows."""
        try:
            applied = do() or Applied(done=[name])
        except Exception as error:
            log.error("a change of the config cannot be applied", what=name, exc_info=error)
            self.failed.append(f"{name}: {error_text(error)}")
            return
        self.done += applied.done
        self.failed += applied.failed
        new = {table: getattr(self.new, table) for table in tables}
        self.in_force = dataclasses.replace(self.in_force, **(new | dict(applied.in_force)))


class ReloadRequest:
    """A reload that was requested, first by `who`; the requester may wait for its result."""

    def __init__(self, who: str = "") -> None:
        self.who = who
        self._done = threading.Event()
        self._text = ""
        self._error: VedetteError | None = None

    def answer(self, text: str, error: VedetteError | None = None) -> None:
        """Set the result."""
        self._text, self._error = text, error
        self._done.set()

    def wait(self, timeout: float = ANSWER_SECONDS) -> str:
        """What was changed, as a sentence; raises VedetteError where it was refused or takes longer."""
        if not self._done.wait(timeout):
            raise VedetteError(
                f"the reload takes longer than {timeout:.0f} s; see `vedette status` and the journal"
            )
        if self._error is not None:
            raise self._error
        return self._text


class Reloader(Worker):
    """Calls `reload` on request, which may raise anything; `report` gets the outcome of each.

    `changed` gets who asked for a reload that put something in force.
    """

    def __init__(
        self,
        reload: Callable[[], ReloadResult],
        report: Callable[[ReloadOutcome], None],
        changed: Callable[[str], None] = lambda _who: None,
    ) -> None:
        super().__init__("reload")
        self.patience_seconds = math.inf  # a file on a dead network share is no reason to end the agent
        self.outcome = ReloadOutcome()
        self._reload, self._report, self._changed = reload, report, changed
        self._wake = threading.Condition()
        self._requested: ReloadRequest | None = None
        self._reloading = False

    @property
    def busy(self) -> bool:
        """Whether a reload goes on or is still to be done."""
        with self._wake:
            return self._reloading or self._requested is not None

    def request(self, who: str = "") -> ReloadRequest:
        """Request a reload; returns at once. One that has not begun yet is shared."""
        with self._wake:
            if self._requested is None:
                self._requested = ReloadRequest(who)
            self._wake.notify()
            return self._requested

    def handlers(self) -> dict[str, Handler]:
        """The command `reload`."""
        return {"reload": self._command}

    def _command(self, args: Mapping[str, Any]) -> Mapping[str, Any]:
        check_names(args, "who")
        return {"text": self.request(take_word(args, "who", "")).wait()}

    def run(self, stop: threading.Event) -> None:
        """Serve requests until stopped."""
        while not stop.is_set():
            self.beat()
            if request := self._next_request():
                self._serve(request)
                with self._wake:
                    self._reloading = False
        if request := self._next_request():
            request.answer("", VedetteError("the agent is stopping"))

    def _next_request(self) -> ReloadRequest | None:
        with self._wake:
            if self._requested is None:
                self._wake.wait(0.2)
            request, self._requested = self._requested, None
            self._reloading = request is not None
            return request

    def _serve(self, request: ReloadRequest) -> None:
        try:
            result = self._reload()
        except PartlyInForce as error:
            log_refused(error)
            self._changed(request.who)
            self._fail(request, error)
        except VedetteError as error:
            log_refused(error)
            self._fail(request, error)
        except (Exception, SystemExit) as error:
            log.error("unexpected error in a reload, the old config stays in force", exc_info=error)
            self._fail(request, VedetteError(f"the config cannot be used: {error_text(error)}"))
        else:
            self.outcome = ReloadOutcome(waiting=result.waiting)
            log.info("config reloaded", result=result.text)
            self._changed(request.who)
            self._report(self.outcome)
            request.answer(result.text)

    def _fail(self, request: ReloadRequest, error: VedetteError) -> None:
        self.outcome = dataclasses.replace(self.outcome, error=str(error) or type(error).__name__)
        self._report(self.outcome)
        request.answer("", error)


class PartlyInForce(VedetteError):
    """A valid config could not be put in force whole: names what failed, and what was changed."""

    def __init__(self, progress: ReloadProgress) -> None:
        changed = f"; changed: {', '.join(progress.done)}" if progress.done else ""
        super().__init__(
            f"not all of the config could be put in force: {'; '.join(progress.failed)}{changed}"
        )


def error_text(error: BaseException) -> str:
    """Type and message of an error, printable and bounded."""
    return printable(f"{type(error).__name__}: {error}", 300)
