"""Chooses the engine and precision of a model on this CPU by measuring each once; the choice is kept.

ONNX Runtime in fp32 is what the others are held against. Another one is chosen only where it finds the same boxes on
a few frames, and is clearly faster; where it cannot be opened any more, ONNX Runtime runs the model.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import lru_cache
from importlib.util import find_spec
from itertools import cycle, islice
from math import inf
from pathlib import Path
from time import process_time
from typing import Generic, Protocol, TypeVar

import cv2
import numpy as np
import structlog

from agent.config.schema import ModelSettings
from agent.core import clock
from agent.core import memory as heap
from agent.core.errors import InferenceError, MissingExtra, ModelError
from agent.core.types import Detections, Frame
from agent.detection import DetectedBatch, ModelInfo, onnx_file
from agent.detection.agreement import HALF, LEAST_SCORE, agree
from agent.detection.choice_store import Choice, ChoiceStore, circumstances
from agent.detection.cpu import read_cpu
from agent.detection.layouts.layout import Candidates
from agent.detection.matching import BoxMatches, match_boxes
from agent.detection.metadata import parse
from agent.detection.providers import Machine, identify
from agent.detection.trial import trial_image

log = structlog.get_logger("vedette.detection")

LEAST_F1 = 0.97
"""Boxes of fp32 that a coarser precision must find again."""

BUDGET_SECONDS = 2.0
"""How long measuring takes, once all are open; two turns of each are made whatever they take."""

LEAST_BOXES = 20  # of both together: fewer prove nothing of a coarser precision
GAIN = 1.05  # so much faster at least: another library costs memory
LEAST_BYTES = 4 << 20
"""Of a model's file, from which on it is measured: a smaller one, as the demo model, is fast enough on any engine."""

_MEMORY_TIMES = 4  # of its file's size, that a model takes while it is opened
_SPARE_BYTES = 256 << 20
_LEAST_TURNS, _MOST_TURNS = 2, 12


class Proposed(Protocol):
    """Boxes before suppression."""

    @property
    def found(self) -> Candidates:
        """Those of one image, in input pixels."""


class Contender(Protocol):
    """A detector that is open."""

    settings: ModelSettings

    @property
    def info(self) -> ModelInfo:
        """What is known of its model."""

    def detect(self, frames: Sequence[Frame]) -> DetectedBatch:
        """Detect on frames. Raises InferenceError."""

    def propose(self, frame: Frame, *, confidence: float) -> Proposed:
        """Boxes of one frame above `confidence`. Raises InferenceError."""

    def close(self) -> None:
        """Let go of the model."""


C = TypeVar("C", bound=Contender)


@dataclass(slots=True, kw_only=True, eq=False)
class _Trial(Generic[C]):
    """One contender: CPU seconds a frame of each turn, and what it found on each frame, by its number."""

    detector: C
    turns: list[float] = field(default_factory=list)
    found: dict[int, Detections] = field(default_factory=dict)
    failed: bool = False

    @property
    def name(self) -> str:
        info = self.detector.info
        return f"{info.provider} {info.precision}"

    @property
    def text(self) -> str:
        return f"{self.name} {self.seconds * 1e3:.3g} ms of CPU a frame" if self.turns else self.name

    @property
    def seconds(self) -> float:
        """A frame's CPU time, which other work on the box changes little; the least, as it can only add to it."""
        return min(self.turns, default=inf)

    def take(self, numbers: Sequence[int]) -> None:
        """Detect on some of the frames, all abreast."""
        if self.failed:
            return
        began = process_time()
        try:
            with ThreadPoolExecutor(len(numbers)) as lanes:
                found = list(lanes.map(self._detect, numbers))
        except InferenceError as error:
            self.failed = True
            log.warning("an engine cannot run the model", engine=self.name, reason=str(error))
            return
        self.turns.append((process_time() - began) / len(numbers))
        self.found |= dict(zip(numbers, found, strict=True))

    def see_all(self) -> None:
        """Detect on the frames that no turn came to: boxes are compared on all, however busy the box was."""
        for number in range(len(_frames())):
            if number not in self.found:
                self.found[number] = self._detect(number)

    def _detect(self, number: int) -> Detections:
        return self.detector.detect([_frames()[number]]).detections[0]


def alternatives(settings: ModelSettings) -> list[ModelSettings]:
    """What may run the model on this CPU, the one to be held against first; just one where nothing is to be chosen.

    `provider` "auto" stays as it is in the first: ONNX Runtime takes a GPU where there is one.
    """
    wanted = settings.precision
    engines = {"auto": _installed(), "openvino": ("openvino",)}.get(settings.provider)
    if engines is None or wanted == "fp16" or (engines == ("openvino",) and wanted == "bf16"):
        return [settings]  # (OpenVINO itself warns where this CPU has no bf16)
    exact = [replace(settings, provider=engine, precision="fp32") for engine in engines]
    if engines[0] == "auto":
        exact[0] = settings
    if engines[-1] != "openvino" or wanted == "fp32" or not read_cpu().bf16:
        return exact
    return [*exact, replace(settings, provider="openvino", precision="bf16")]


def choose(
    settings: ModelSettings,
    cache: Path | None,
    model: Path,
    sha256: str,
    open_: Callable[[ModelSettings], C],
    *,
    beside: Callable[[ModelSettings, Path, Path, str], str] | None = None,
) -> tuple[C, str]:
    """An open detector as the settings want it, and why it is this one ("": there was no choice).

    `cache` is where choices are kept; without it, or for a small model, nothing is measured. `beside` has another
    process measure and keep the choice, and says why there is none; without it this one does. Raises ModelError,
    MissingExtra.
    """
    made_for = _made_for(settings, model)
    if made_for:
        return open_(replace(settings, provider=made_for)), f"INT8, made for {made_for}"
    offered = alternatives(settings)
    if len(offered) < 2 or cache is None or model.stat().st_size < LEAST_BYTES:
        return open_(offered[0]), ""
    store, key = ChoiceStore(cache), circumstances(settings, sha256)
    kept = store.find(key)
    if kept is not None:
        return _as_kept(kept, offered, store, key, open_)
    if not _room(model):
        log.warning("there is too little memory to compare engines", model=model.name)
        return open_(offered[0]), "there was too little memory to compare engines"
    if beside is None or identify() is not Machine.PLAIN:  # a GPU may take it: then nothing is compared
        return compare(settings, cache, sha256, open_)
    began = clock.monotonic()
    _log_beginning(offered)
    failed = beside(settings, cache, model, sha256)
    kept = store.find(key)
    if kept is None:
        log.warning("engines could not be compared", reason=failed, model=model.name)
        return open_(offered[0]), failed
    log.info(
        "engine is chosen",
        engine=f"{kept.provider} {kept.precision}",
        reason=kept.reason,
        seconds=round(clock.monotonic() - began, 1),
    )
    return _as_kept(kept, offered, store, key, open_)


def compare(
    settings: ModelSettings, cache: Path, sha256: str, open_: Callable[[ModelSettings], C]
) -> tuple[C, str]:
    """The best of what may run the model, open, and why; kept in `cache`. On a GPU nothing is compared.

    Raises ModelError, MissingExtra.
    """
    offered = alternatives(settings)
    first = open_(offered[0])
    if not first.info.threads:
        return first, ""
    _log_beginning(offered)
    chosen, choice = _measured(first, offered[1:], open_)
    ChoiceStore(cache).put(circumstances(settings, sha256), choice)
    return chosen, choice.reason


def _log_beginning(offered: Sequence[ModelSettings]) -> None:
    names = ", ".join(f"{one.provider} {one.precision}" for one in offered)
    log.info("comparing engines, once for this model on this machine: it takes seconds", engines=names)


def _made_for(settings: ModelSettings, model: Path) -> str:
    """The engine for which an INT8 model was made, where "auto" may take it; "": it is no such model."""
    engines = parse(onnx_file.metadata(model), model).int8_engines
    if settings.provider != "auto" or not engines:
        return ""
    return engines[0] if engines[0] == "openvino" and "openvino" in _installed() else "auto"


def _installed() -> tuple[str, ...]:
    """What "auto" may take; "auto" itself stands for ONNX Runtime."""
    if find_spec("openvino") is None:
        return ("auto",)
    return ("auto", "openvino") if find_spec("onnxruntime") is not None else ("openvino",)


def _as_kept(
    kept: Choice,
    offered: Sequence[ModelSettings],
    store: ChoiceStore,
    key: str,
    open_: Callable[[ModelSettings], C],
) -> tuple[C, str]:
    """What was chosen before; the first of what is offered where that cannot be opened any more."""
    again = next(
        (one for one in offered if (one.provider, one.precision) == (kept.provider, kept.precision)), None
    )
    if again is None or again is offered[0]:
        return open_(offered[0]), kept.reason
    try:
        return open_(again), kept.reason
    except (ModelError, MissingExtra) as error:
        store.remove(key)
        log.warning(
            "the engine chosen before can no longer open the model",
            chosen=f"{kept.provider} {kept.precision}",
            reason=str(error),
            advice="ONNX Runtime runs it; engines are compared again at the next start",
        )
        return open_(offered[0]), f"{kept.provider} {kept.precision} could not be opened"


def _measured(
    first: C, others: Sequence[ModelSettings], open_: Callable[[ModelSettings], C]
) -> tuple[C, Choice]:
    """The best of all that are offered; the others are closed."""
    began = clock.monotonic()
    trials = [_Trial(detector=first), *filter(None, (_trial_of(one, open_) for one in others))]
    opened = clock.monotonic()
    for trial in trials:
        trial.take([0])  # the first run of a shape takes its memory, and its time
        trial.turns.clear()
    if len(trials) > 1 and not trials[0].failed:
        _take_turns(trials, opened + BUDGET_SECONDS)
    best, reason = _best(trials)
    for trial in trials:
        if trial is not best:
            trial.detector.close()
    heap.trim()
    log.info(
        "engine is chosen",
        engine=best.name,
        reason=reason,
        seconds=round(clock.monotonic() - began, 1),
        measured_seconds=round(clock.monotonic() - opened, 1),
    )
    settings = best.detector.settings
    return best.detector, Choice(provider=settings.provider, precision=settings.precision, reason=reason)


def _trial_of(settings: ModelSettings, open_: Callable[[ModelSettings], C]) -> _Trial[C] | None:
    try:
        return _Trial(detector=open_(settings))
    except (ModelError, MissingExtra) as error:
        log.warning("an engine cannot open the model", engine=settings.provider, reason=str(error))
        return None


def _take_turns(trials: Sequence[_Trial[C]], until: float) -> None:
    """Each in turn detects on the same frames, as many abreast as there are lanes."""
    lanes, numbers = trials[0].detector.info.lanes, cycle(range(len(_frames())))
    for turn in range(_MOST_TURNS):
        if turn >= _LEAST_TURNS and clock.monotonic() > until:
            break
        chosen = list(islice(numbers, lanes))
        for trial in trials:
            trial.take(chosen)


def _best(trials: Sequence[_Trial[C]]) -> tuple[_Trial[C], str]:
    """The fastest of those that agree with the first, and why."""
    first, best, texts = trials[0], trials[0], [trials[0].text]
    for trial in trials[1:]:
        agrees, how = _agrees(first, trial)
        texts.append(f"{trial.text} ({how})")
        if agrees and trial.seconds * GAIN < first.seconds and trial.seconds < best.seconds:
            best = trial
    return best, f"measured: {', '.join(texts)}"


def _agrees(first: _Trial[C], other: _Trial[C]) -> tuple[bool, str]:
    """Whether the boxes of `other` are those of `first`, and how that shows."""
    if first.failed or other.failed:
        return False, "does not run"
    if other.detector.info.precision == first.detector.info.precision:
        frame = _frames()[0]
        before, after = (one.detector.propose(frame, confidence=LEAST_SCORE).found for one in (first, other))
        lost = agree(before, after, HALF).lost
        return lost is None, "same boxes" if lost is None else "other boxes"
    try:
        first.see_all()
        other.see_all()
    except InferenceError:
        return False, "does not run"
    names = first.detector.info.classes, other.detector.info.classes
    matches = (
        match_boxes(first.found[number], names[0], other.found[number], names[1])
        for number in first.found.keys() & other.found.keys()
    )
    f1 = sum(matches, BoxMatches()).f1(LEAST_BOXES)
    if f1 is None:
        return False, f"fewer than {LEAST_BOXES} boxes to compare"
    return f1 >= LEAST_F1, f"F1 {f1:.3f}, at least {LEAST_F1} needed"


def _room(model: Path) -> bool:
    """Whether memory suffices to have the model open several times."""
    free = heap.free_bytes()
    return not free or free > _MEMORY_TIMES * model.stat().st_size + _SPARE_BYTES


@lru_cache(maxsize=1)
def _frames() -> tuple[Frame, ...]:
    """The trial image in several ways, as 16:9 frames: whole bands of it, their mirror images, darker, enlarged."""
    image = trial_image()
    bands = [image[top : top + 360] for top in (0, 140, 280)]
    enlarged = [cv2.resize(image[y : y + 270, x : x + 480], (960, 540)) for y in (0, 200) for x in (0, 160)]
    shown = [*bands, *(band[:, ::-1] for band in bands), *(band // 2 for band in bands[:2]), *enlarged]
    return tuple(
        Frame(
            camera="trial",
            index=index,
            image=np.ascontiguousarray(one, np.uint8),
            captured_at=0.0,
            monotonic_ns=0,
        )
        for index, one in enumerate(shown)
    )
