"""The reference desk: the keepers of all cameras, and what people ask of them over the control socket and MQTT.

Keepers belong to the analyst's thread; the handlers run in others', and have their work done there.
"""

from __future__ import annotations

import queue
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from agent.config.schema import DriftSettings
from agent.core import clock
from agent.core.arguments import Handler, check_names, take_duration, take_word
from agent.core.errors import ReferenceMismatch, VedetteError
from agent.core.nearest import unknown
from agent.core.untrusted import take_flag, take_integer
from agent.detection import ModelInfo
from agent.features import FEATURE_VERSION, FEATURES
from agent.references.keeper import Keeper, Submit
from agent.references.recorder import Subject
from agent.references.requests import CHANGING, StoreRequests
from agent.references.store import ReferenceStore
from agent.references.writer import ReferenceWriter

ANSWER_SECONDS = 20.0
TOLD = 5
"""Verdicts in an explanation, if not asked for another number."""

MOST_TOLD = 10_000

Answer = TypeVar("Answer")

LOCAL_ONLY = frozenset({"reference_export", "reference_import"})
"""Too large for a message."""


class ReferenceDesk:
    """Makes keepers by camera name and answers for them."""

    def __init__(
        self, state_directory: Path, settings: DriftSettings, window_seconds: float, submit: Submit
    ) -> None:
        self.writer = ReferenceWriter()
        self._store = ReferenceStore(state_directory)
        self._settings, self._window_seconds, self._submit = settings, window_seconds, submit
        self._keepers: dict[str, Keeper] = {}
        self._gone: set[str] = set()

    def keeper(self, camera: str, model: ModelInfo) -> Keeper:
        """The keeper of a camera; one that comes back finds what it had. In the analyst's thread."""
        self._gone.discard(camera)
        if camera not in self._keepers:
            subject = Subject(
                camera=camera,
                model_sha256=model.sha256,
                feature_version=FEATURE_VERSION,
                features=FEATURES,
                window_seconds=self._window_seconds,
            )
            keeper = Keeper(subject, self._settings, self._store, self.writer, self._submit)
            keeper.open(clock.wall())
            self._keepers[camera] = keeper
        return self._keepers[camera]

    def set_budget(self, settings: DriftSettings) -> None:
        """Have all cameras judged by the budget of false alarms in `settings`; from any thread."""

        def change() -> None:
            self._settings = settings
            for keeper in self._keepers.values():
                keeper.set_budget(settings)

        self._submit(change)

    def remove(self, camera: str) -> None:
        """A camera was removed from the config; its references stay on disk. In the analyst's thread."""
        self._gone.add(camera)

    def handlers(self) -> dict[str, Handler]:
        """What may be asked for; nothing but the files where drift is switched off."""
        on_disk = {
            name: self._reloading(name, handler)
            for name, handler in StoreRequests(self._store).handlers().items()
        }
        if not self._settings.enabled:
            return on_disk
        return {
            **on_disk,
            "drift": self._drift,
            "drift_explain": self._explain,
            "reference_record": self._record,
            "reference_finish": self._finish,
            "reference_cancel": self._cancel,
        }

    # -- handlers: in other threads ---------------------------------------------------------------------

    def _drift(self, args: Mapping[str, Any]) -> Mapping[str, Any]:
        check_names(args, "camera")
        return {"cameras": self._of_each(args, Keeper.status)}

    def _explain(self, args: Mapping[str, Any]) -> Mapping[str, Any]:
        check_names(args, "camera", "count", "recent")
        count = take_integer(args, "count", TOLD, minimum=1, maximum=MOST_TOLD)
        recent = take_flag(args, "recent", False)

        def explain(keeper: Keeper) -> dict[str, Any]:
            told = keeper.explanation()
            told["history"] = told["history"][-count:]
            if not recent:
                del told["recent"]
            return {**keeper.status(), **told}

        return {"cameras": self._of_each(args, explain)}

    def _record(self, args: Mapping[str, Any]) -> Mapping[str, Any]:
        check_names(args, "camera", "for")
        length = take_duration(args, "for", "24h")
        now = clock.wall()
        self._of_each(args, lambda keeper: keeper.record(length, now), one="record")
        return {"cameras": self._of_each(args, Keeper.status)}

    def _finish(self, args: Mapping[str, Any]) -> Mapping[str, Any]:
        check_names(args, "camera")
        now = clock.wall()
        self._of_each(args, lambda keeper: keeper.finish(now), one="finish")
        return self._drift(args)

    def _cancel(self, args: Mapping[str, Any]) -> Mapping[str, Any]:
        check_names(args, "camera")
        self._of_each(args, Keeper.cancel, one="cancel")
        return self._drift(args)

    def _reloading(self, name: str, handler: Handler) -> Handler:
        def carry_out(args: Mapping[str, Any]) -> Mapping[str, Any]:
            reply = handler(args)
            if name in CHANGING:
                now = clock.wall()
                self._in_analyst(lambda: self._reload(reply["camera"], now))
            return reply

        return carry_out

    def _of_each(
        self, args: Mapping[str, Any], work: Callable[[Keeper], Answer], *, one: str = ""
    ) -> list[Answer]:
        """`work` on the keeper of the camera asked for, or of each, in the analyst's thread.

        `one` names what needs a camera said, where there are several.
        """
        return self._in_analyst(lambda: [work(keeper) for keeper in self._chosen(args, one)])

    # -- in the analyst's thread ------------------------------------------------------------------------

    def _reload(self, camera: str, now: float) -> None:
        if camera in self._keepers:
            self._keepers[camera].reload(now)

    def _chosen(self, args: Mapping[str, Any], one: str) -> list[Keeper]:
        names = sorted(set(self._keepers) - self._gone)
        camera = take_word(args, "camera", "") if args.get("camera") is not None else ""
        if camera and camera not in names:
            raise ReferenceMismatch(unknown("watched camera", camera, names))
        if one and not camera and len(names) != 1:
            raise ReferenceMismatch(f"camera: say which one to {one}; there are {', '.join(names) or 'none'}")
        return [self._keepers[name] for name in ([camera] if camera else names)]

    # -- from other threads to it -----------------------------------------------------------------------

    def _in_analyst(self, work: Callable[[], Answer]) -> Answer:
        answers: queue.SimpleQueue[tuple[Answer | None, VedetteError | None]] = queue.SimpleQueue()

        def task() -> None:
            try:
                answers.put((work(), None))
            except VedetteError as error:
                answers.put((None, error))
            except Exception as error:
                answers.put((None, VedetteError(f"unexpected {type(error).__name__}, see the journal")))
                raise

        self._submit(task)
        try:
            answer, error = answers.get(timeout=ANSWER_SECONDS)
        except queue.Empty:
            raise VedetteError(
                f"the analysis did not answer within {ANSWER_SECONDS:.0f} s; see the journal"
            ) from None
        if error is not None:
            raise error
        return answer  # type: ignore[return-value]  # there was no error, so this is the answer
