"""The drift monitors of all cameras, and the commands on them over the control socket and MQTT.

Monitors belong to the analyst's thread; command handlers run in others' and have their work done there.
"""

from __future__ import annotations

import queue
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import structlog

from agent.config.schema import DriftSettings
from agent.core import clock
from agent.core.arguments import Handler, check_names, take_duration, take_moment, take_word
from agent.core.errors import ReferenceMismatch, VedetteError
from agent.core.nearest import unknown
from agent.core.types import Draft
from agent.core.untrusted import take_flag, take_integer
from agent.detection import ModelInfo
from agent.drift.advice import Situation
from agent.drift.diagnosis.accuracy import Estimate
from agent.drift.diagnosis.signatures import Signatures
from agent.drift.sketch import WIRE_ITEMS
from agent.features import FEATURE_VERSION, FEATURES
from agent.references.accuracy_monitor import Ask
from agent.references.carried import CarryOver, Submit
from agent.references.causes import CameraCauses, Learn
from agent.references.comparison import compare_feature
from agent.references.frame_store import FrameStore, Hidden
from agent.references.monitor import DriftMonitor
from agent.references.no_monitor import NoMonitor
from agent.references.recorder import Subject
from agent.references.requests import CHANGING, StoreRequests
from agent.references.store import ReferenceStore
from agent.references.writer import ReferenceWriter

log = structlog.get_logger("vedette.drift")

ANSWER_SECONDS = 20.0
EXPLAINED = 5
"""Verdicts in an explanation, if not asked for another number."""

MOST_EXPLAINED = 10_000

Answer = TypeVar("Answer")

LOCAL_ONLY = frozenset({"reference_export", "reference_import"})
"""Too large for a message."""


class DriftMonitors:
    """Makes monitors by camera name and answers commands about them.

    `submit` runs a task in the analyst's thread; `publish` takes the sketches, which cover `sketch_seconds` (0: a
    window; None: none are published) and keep `sketch_items` values where windows are merged. `hidden` are by camera
    the areas left out of the frames that may be kept, where any may; `learn` has their signatures made, for `learnt`;
    `look` an estimate by frames of now, for `estimated`; `carry` a reference for another model; `golden` gives the
    state of the golden check.
    """

    def __init__(
        self,
        state_directory: Path,
        settings: DriftSettings,
        window_seconds: float,
        *,
        submit: Submit,
        publish: Callable[[Draft], None],
        sketch_seconds: float | None = 0.0,
        sketch_items: int = WIRE_ITEMS,
        hidden: Mapping[str, Hidden | None] | None = None,
        learn: Learn = lambda _camera, _span, _anew: None,
        look: Ask = lambda _glance: None,
        carry: CarryOver = lambda _wanted, _done: None,
        golden: Callable[[], str] = lambda: "",
    ) -> None:
        self.writer = ReferenceWriter()
        self._store = ReferenceStore(state_directory)
        self._hidden, self._learn, self._carry = hidden or {}, learn, carry
        self._look, self._golden = look, golden
        self._settings, self._window_seconds = settings, window_seconds
        self._submit, self._publish = submit, publish
        self._sketch_seconds, self._sketch_items = sketch_seconds, sketch_items
        self._monitors: dict[str, DriftMonitor] = {}
        self._removed: dict[str, object] = {}
        self._delete_frames()

    def monitor(self, camera: str, model: ModelInfo) -> DriftMonitor | NoMonitor:
        """The monitor of a camera for a model; one that was removed and added again goes on.

        In the analyst's thread.
        """
        if not self._settings.enabled:
            return NoMonitor()
        self._removed.pop(camera, None)
        kept = self._monitors.get(camera)
        if kept is None or kept.subject.model_sha256 != model.sha256:
            subject = Subject(
                camera=camera,
                model_sha256=model.sha256,
                feature_version=FEATURE_VERSION,
                features=FEATURES,
                window_seconds=self._window_seconds,
            )
            monitor = DriftMonitor(
                subject,
                self._settings,
                self._store,
                self.writer,
                causes=self._causes(camera),
                submit=self._submit,
                publish=self._publish,
                sketch_seconds=self._sketch_seconds,
                sketch_items=self._sketch_items,
                carry=self._carry,
            )
            self._monitors.pop(camera, None)  # it is of another model, and must judge nothing of this one
            try:
                monitor.open(clock.unix_now())
            except OSError as error:  # another user's files, a failing disk
                log.error("references cannot be read, drift is not judged", camera=camera, reason=str(error))
                return NoMonitor()
            except Exception as error:  # whatever is on disk, the camera's frames are analysed all the same
                log.error("references cannot be used, drift is not judged", camera=camera, exc_info=error)
                return NoMonitor()
            self._monitors[camera] = monitor
        self._monitors[camera].restart()
        return self._monitors[camera]

    def learnt(self, camera: str, signatures: Signatures | None) -> None:
        """Diagnose a camera's drift by these signatures from now on (None: its frames are too few); from any thread."""

        def change() -> None:
            if camera in self._monitors:
                self._monitors[camera].causes.learnt(signatures)

        self._submit(change)

    def estimated(self, camera: str, estimate: Estimate) -> None:
        """How right the model is on a camera, as far as it can be told without labels; from any thread."""

        def change() -> None:
            if camera in self._monitors:
                self._monitors[camera].causes.accuracy.estimated(estimate, clock.unix_now())

        self._submit(change)

    def set_hidden(self, hidden: Mapping[str, Hidden | None]) -> None:
        """Keep frames of these cameras alone from now on, with these areas left out; from any thread."""

        def change() -> None:
            self._hidden = hidden
            for camera, monitor in self._monitors.items():
                monitor.causes.set_hidden(hidden.get(camera))
            self._delete_frames()

        self._submit(change)

    def set_budget(self, settings: DriftSettings) -> None:
        """Judge all cameras by the budget of false alarms in `settings`; from any thread."""

        def change() -> None:
            self._settings = settings
            for monitor in self._monitors.values():
                monitor.set_budget(settings)

        self._submit(change)

    def remove(self, camera: str) -> None:
        """A camera was removed from the config, and its monitor saved; its references stay on disk. In the analyst's
        thread."""
        if camera not in self._monitors:
            return
        removal = self._removed[camera] = object()

        def drop() -> None:
            if self._removed.get(camera) is removal:  # else it was added again meanwhile
                del self._removed[camera], self._monitors[camera]

        # Once all that it asked the writer for is written, and has led back here.
        self.writer.ask(f"drop the monitor of camera {camera}", lambda: self._submit(drop))

    def situation(self, camera: str) -> Situation | None:
        """What is known of a camera's drift, None of one whose drift is not watched; in the analyst's thread."""
        monitor = self._monitors.get(camera)
        return None if monitor is None else monitor.situation(clock.unix_now())

    def situations(self, args: Mapping[str, Any]) -> list[Situation]:
        """The same of the `camera` in a command's arguments, or of each; from any other thread."""
        return self._of_each(args, lambda monitor: monitor.situation(clock.unix_now()))

    def handlers(self) -> dict[str, Handler]:
        """The handlers of the commands by name; only those on stored references where drift is switched off."""
        stored = {
            name: self._reloading(name, handler)
            for name, handler in StoreRequests(self._store).handlers().items()
        }
        if not self._settings.enabled:
            return stored
        return {
            **stored,
            "drift": self._status,
            "drift_explain": self._explain,
            "drift_feature": self._feature,
            "reference_record": self._record,
            "reference_finish": self._finish,
            "reference_cancel": self._cancel,
            "reference_accept": self._accept,
        }

    # -- handlers: in other threads ---------------------------------------------------------------------

    def _status(self, args: Mapping[str, Any]) -> Mapping[str, Any]:
        check_names(args, "camera")
        return {"cameras": self._of_each(args, DriftMonitor.status)}

    def _explain(self, args: Mapping[str, Any]) -> Mapping[str, Any]:
        check_names(args, "camera", "count", "recent")
        count = take_integer(args, "count", EXPLAINED, minimum=1, maximum=MOST_EXPLAINED)
        recent = take_flag(args, "recent", False)

        def explain(monitor: DriftMonitor) -> dict[str, Any]:
            explained = monitor.explanation()
            explained["history"] = explained["history"][-count:]
            if not recent:
                del explained["recent"]
            return {**monitor.status(), **explained}

        return {"cameras": self._of_each(args, explain)}

    def _feature(self, args: Mapping[str, Any]) -> Mapping[str, Any]:
        check_names(args, "camera", "feature")
        feature = take_word(args, "feature")

        def compare(monitor: DriftMonitor) -> dict[str, Any]:
            found = monitor.explanation()
            compared = compare_feature(monitor.stored, found["recent"], found["history"], feature)
            return {"camera": monitor.subject.camera, **compared}

        [answer] = self._of_each(args, compare, one="compare")
        return answer

    def _record(self, args: Mapping[str, Any]) -> Mapping[str, Any]:
        check_names(args, "camera", "for")
        length = take_duration(args, "for", "24h")
        self._of_each(args, lambda monitor: monitor.record(length, clock.unix_now()), one="record")
        return {"cameras": self._of_each(args, DriftMonitor.status)}

    def _finish(self, args: Mapping[str, Any]) -> Mapping[str, Any]:
        check_names(args, "camera")
        self._of_each(args, lambda monitor: monitor.finish(clock.unix_now()), one="finish")
        return self._status(args)

    def _cancel(self, args: Mapping[str, Any]) -> Mapping[str, Any]:
        check_names(args, "camera")
        self._of_each(args, DriftMonitor.cancel, one="cancel")
        return self._status(args)

    def _accept(self, args: Mapping[str, Any]) -> Mapping[str, Any]:
        check_names(args, "camera", "since", "who", "why")
        now = clock.unix_now()
        since = (
            take_moment(args, "since", None, now, backwards=True) if args.get("since") is not None else None
        )
        by, why = take_word(args, "who", "unknown"), take_word(args, "why", "")
        [(camera, accepted)] = self._of_each(
            args,
            lambda monitor: (monitor.subject.camera, monitor.accept(since, now, by=by, why=why)),
            one="accept",
        )
        return {"camera": camera, **asdict(accepted)}

    def _reloading(self, name: str, handler: Handler) -> Handler:
        """`handler`, after which the camera's monitor reads the references again if they were changed."""

        def answer(args: Mapping[str, Any]) -> Mapping[str, Any]:
            reply = handler(args)
            if name in CHANGING:
                self._in_analyst(lambda: self._reload(reply["camera"]))
            return reply

        return answer

    def _of_each(
        self, args: Mapping[str, Any], work: Callable[[DriftMonitor], Answer], *, one: str = ""
    ) -> list[Answer]:
        """`work` on the monitor of the camera in `args`, or of each, in the analyst's thread.

        `one` names a command that needs a camera where there are several.
        """
        return self._in_analyst(lambda: [work(monitor) for monitor in self._chosen(args, one)])

    # -- in the analyst's thread ------------------------------------------------------------------------

    def _delete_frames(self) -> None:
        """Have those deleted that may be kept no longer."""
        frames, hidden = FrameStore(self._store), self._hidden
        self.writer.ask("delete frames that are kept no longer", lambda: frames.keep_only(hidden))

    def _causes(self, camera: str) -> CameraCauses:
        return CameraCauses(
            camera,
            self._window_seconds,
            hidden=self._hidden.get(camera),
            frames=FrameStore(self._store),
            writer=self.writer,
            learn=self._learn,
            look=self._look,
            golden=self._golden,
        )

    def _reload(self, camera: str) -> None:
        if camera in self._monitors:
            self._monitors[camera].reload(clock.unix_now())

    def _chosen(self, args: Mapping[str, Any], one: str) -> list[DriftMonitor]:
        names = sorted(set(self._monitors) - set(self._removed))
        camera = take_word(args, "camera", "") if args.get("camera") is not None else ""
        if camera and camera not in names:
            raise ReferenceMismatch(unknown("watched camera", camera, names))
        if one and not camera and len(names) != 1:
            raise ReferenceMismatch(f"camera: say which one to {one}; there are {', '.join(names) or 'none'}")
        return [self._monitors[name] for name in ([camera] if camera else names)]

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
