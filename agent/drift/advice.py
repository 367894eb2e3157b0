"""Advice on a drift: what to do next, with what speaks for it and against it. Pure.

Drift alone decides nothing (Regol et al., arXiv 2505.14903): what caused it, whether the model still finds things, and
what acting costs do. The first of RULES that applies is taken, so the order is the precedence: the model, the camera,
the scene, what is in it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from enum import Enum

from agent.core.counts import count
from agent.drift.course import GRADUAL, UNKNOWN_COURSE, Course
from agent.drift.diagnosis import CAUSES
from agent.drift.diagnosis.accuracy import Estimate
from agent.drift.diagnosis.diagnose import AGREES, DIFFERS, MODEL, NO_CAUSE, POPULATION, SCENE, UNKNOWN

DAY = 86_400.0
SURE = 0.5
"""Confidence from which a cause is acted on without looking first."""

STANDS = 7 * DAY
"""What has lasted for so long is how things are now."""

WEATHER = DAY
BY_THE_HOUR = frozenset({"low_light", "overexposure", "colour_cast", "infrared"})
"""Causes that come with the light of the day."""

SOME_TRUST, MUCH_TRUST = 0.3, 0.6
FOUND_ENOUGH = 0.9
RIGHT_ENOUGH = 0.8

_MODEL_AS_BEFORE = (
    "the golden check agrees: on fixed images the model gives the same results as when it was first used"
)


class Action(str, Enum):
    """What may be advised."""

    NOTHING = "nothing"
    LOOK = "look"
    MEND = "mend"
    WAIT = "wait"
    POINT_BACK = "point_back"
    CHECK_MODEL = "check_model"
    ACCEPT = "accept"
    RECORD = "record"
    TRAIN_ON = "train_on"
    RETRAIN = "retrain"


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """What is known of a camera's drift.

    `cause` with its `confidence` (0..1) is the diagnosis, "" where there is none; `since` (Unix time) is when the alarm
    went on and `lasts` the seconds since then, both None where none is on. `found_ratio` is the share of detections
    that the model still finds in frames changed like this, `right_ratio` the F1 of `labelled` samples at its lowest,
    None where unknown; `accuracy` is what can be told without labels. Why there is no cause, or no accuracy, stands
    in `why_no_cause` and `why_no_accuracy`. `features` are over their limits; `course`: how the drift came; `crept`:
    whether features moved slowly before; `golden`: the state of the golden check.
    """

    camera: str
    cause: str = ""
    confidence: float = 0.0
    since: float | None = None
    lasts: float | None = None
    labelled: int = 0
    why_no_cause: str = ""
    accuracy: Estimate | None = None
    why_no_accuracy: str = ""
    features: int = 0
    course: Course = UNKNOWN_COURSE
    crept: bool = False
    found_ratio: float | None = None
    right_ratio: float | None = None
    golden: str = ""

    @property
    def model_changed(self) -> bool:
        """Whether the golden check found that the model gives something else."""
        return self.golden == DIFFERS

    @property
    def gradual(self) -> bool:
        """Whether it came slowly."""
        return self.crept or self.course.change == GRADUAL


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """An action in `words`, the `command` that does or begins it, and the evidence `for_it` and `against`."""

    action: Action
    words: str
    command: str
    for_it: tuple[str, ...]
    against: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rule:
    action: Action
    applies: Callable[[Situation], bool]
    words: str
    command: str
    against: str


def _lasts(one: Situation, seconds: float) -> bool:
    return one.lasts is not None and one.lasts >= seconds


def _is_right(one: Situation) -> bool:
    return one.right_ratio is not None and one.right_ratio >= RIGHT_ENOUGH


RULES = (
    _Rule(
        action=Action.NOTHING,
        applies=lambda one: one.lasts is None,
        words="nothing: no drift alarm is on",
        command="vedette drift status",
        against="",
    ),
    _Rule(
        action=Action.CHECK_MODEL,
        applies=lambda one: one.model_changed or (one.cause == MODEL and one.confidence >= SURE),
        words="find out what changed in the model, its runtime or the driver, before anything else",
        command="vedette model golden",
        against="the golden check runs on fixed images: it does not see the camera",
    ),
    _Rule(
        action=Action.LOOK,
        applies=lambda one: one.confidence < SURE or one.cause == NO_CAUSE,
        words="look at a snapshot: lens, light, view; where it is fine as it is, accept it",
        command="vedette snapshot --camera {camera}",
        against="",
    ),
    _Rule(
        action=Action.WAIT,
        applies=lambda one: one.cause == "fog" and not _lasts(one, WEATHER),
        words="wait for the weather; the alert ends by itself",
        command="vedette drift explain --camera {camera}",
        against="a misted lens looks the same, and stays",
    ),
    _Rule(
        action=Action.POINT_BACK,
        applies=lambda one: one.cause in {"moved", SCENE} and not _lasts(one, STANDS),
        words="point the camera back",
        command="vedette snapshot --camera {camera}",
        against="where the new view is meant, a new reference is right: vedette reference record --camera {camera}",
    ),
    _Rule(
        action=Action.RECORD,
        applies=lambda one: one.cause in {"moved", SCENE},
        words="record a new reference: the view has stood for a week",
        command="vedette reference record --camera {camera} --for 24h",
        against="what a view was before is no longer compared with",
    ),
    _Rule(
        action=Action.RECORD,
        applies=lambda one: one.course.daily and one.cause in BY_THE_HOUR,
        words="record a new reference over a whole day: this light comes at the same hours each day",
        command="vedette reference record --camera {camera} --for 24h",
        against="a glare or a lamp that a shade would keep out is then taken for normal",
    ),
    _Rule(
        action=Action.MEND,
        applies=lambda one: one.cause in CAUSES,
        words="",
        command="vedette snapshot --camera {camera}",
        against="accepting it would take a fault for normal",
    ),
    _Rule(
        action=Action.ACCEPT,
        applies=_is_right,
        words="accept the new normal: the model is right on it",
        command="vedette reference accept --camera {camera}",
        against="labelled samples may be few of what is new",
    ),
    _Rule(
        action=Action.TRAIN_ON,
        applies=lambda one: one.cause == POPULATION and one.gradual,
        words="collect and label samples, and go on training with them (incremental)",
        command="vedette samples list",
        against="labels and a training run cost more than accepting what the model may still be right on",
    ),
    _Rule(
        action=Action.RETRAIN,
        applies=lambda _one: True,
        words="collect and label samples of the new, and retrain in full",
        command="vedette samples list",
        against="labels and a training run cost more than accepting what the model may still be right on",
    ),
)


def advise(one: Situation) -> Advice:
    """What to do about a situation."""
    rule = next(each for each in RULES if each.applies(one))
    words = rule.words or CAUSES[one.cause].advice
    against = [rule.against.format(camera=one.camera), *_against(one, rule.action)]
    return Advice(
        action=rule.action,
        words=words,
        command=rule.command.format(camera=one.camera),
        for_it=tuple(_for(one, rule.action)),
        against=tuple(filter(None, against)),
    )


def _for(one: Situation, action: Action) -> list[str]:
    """What is known, in words."""
    if one.lasts is None:
        return []
    known = [f"the alarm has been on for {_rounded(one.lasts)}", _cause(one)]
    if one.model_changed:
        known.append("the golden check differs")
    if one.golden == AGREES and action is not Action.CHECK_MODEL:
        known.append(_MODEL_AS_BEFORE)
    if one.features:
        known.append(f"{count(one.features, 'feature is', 'features are')} over the limit")
    if one.course.since is not None:
        known.append(f"it came {_came(one.course.change)} {_moment(one.course.since)}")
    if one.course.daily:
        known.append("it comes at these hours each day")
    if one.crept:
        known.append("features crept before")
    if one.found_ratio is not None and one.found_ratio < FOUND_ENOUGH:
        known.append(
            f"in frames changed like this the model finds {round(100 * one.found_ratio)} % of what it found"
        )
    if one.accuracy is not None and one.accuracy.told and one.accuracy.high < FOUND_ENOUGH:
        known.append(_accuracy(one.accuracy))
    if one.right_ratio is not None and not _is_right(one):
        known.append(
            f"F1 of labelled samples since then is {one.right_ratio:.2f} or more, no better is certain"
        )
    return known


def _cause(one: Situation) -> str:
    """The cause, or why there is none.

    >>> _cause(Situation(camera="front", why_no_cause="no frames are kept"))
    'the cause is unknown, because no frames are kept'
    """
    if one.cause in {"", UNKNOWN}:
        return "the cause is unknown" + (f", because {one.why_no_cause}" if one.why_no_cause else "")
    sure = f" ({round(100 * one.confidence)} % sure)" if one.confidence else ""
    return f"cause: {one.cause.replace('_', ' ')}{sure}"


def _accuracy(found: Estimate) -> str:
    """In steps of 5 %, so that advice is not published anew for each hundredth.

    >>> _accuracy(Estimate(ratio=0.53, low=0.41, high=0.68, trust=0.2))
    'about 55 % of what the model finds is estimated to be right still (40 to 70 %, little trust)'
    """
    ratio, low, high = (20 * getattr(found, name) for name in ("ratio", "low", "high"))
    trust = (
        "little trust"
        if found.trust < SOME_TRUST
        else "some trust"
        if found.trust < MUCH_TRUST
        else "good trust"
    )
    return (
        f"about {5 * round(ratio)} % of what the model finds is estimated to be right still "
        f"({5 * round(low)} to {5 * round(high)} %, {trust})"
    )


def _came(change: str) -> str:
    return "slowly, from" if change == GRADUAL else "at once, at"


def _moment(at: float) -> str:
    """To ten minutes, as a course knows it.

    >>> _moment(1790000000.0)
    '2026-09-21 14:10 UTC'
    """
    return datetime.fromtimestamp(at // 600 * 600, timezone.utc).strftime("%Y-%m-%d %H:%M UTC")


def _rounded(seconds: float) -> str:
    """Rounded down, in steps that grow, so that advice is not published anew every minute.

    >>> _rounded(200.0), _rounded(2690.0), _rounded(5 * 3600.0), _rounded(3 * DAY)
    ('less than 10 min', '40 min', '5 h', '3 days')
    """
    if seconds < 600:
        return "less than 10 min"
    if seconds < 2 * 3600:
        return f"{seconds // 600 * 10:.0f} min"
    return f"{seconds // 3600:.0f} h" if seconds < 2 * DAY else f"{seconds // DAY:.0f} days"


def _against(one: Situation, action: Action) -> list[str]:
    """What speaks for leaving things as they are."""
    if action in {Action.NOTHING, Action.ACCEPT}:
        return []
    still = []
    if one.golden == AGREES and action is Action.CHECK_MODEL:
        still.append(_MODEL_AS_BEFORE)
    if one.found_ratio is not None and one.found_ratio >= FOUND_ENOUGH:
        still.append(f"in frames changed like this the model still finds {round(100 * one.found_ratio)} %")
    if one.accuracy is None or not one.accuracy.told:
        still.append(f"the model's present accuracy is unknown without labels{_why_no_accuracy(one)}")
    elif one.accuracy.high >= FOUND_ENOUGH:
        still.append(_accuracy(one.accuracy))
    if not one.labelled:
        still.append("there is no labelled sample since then to measure the accuracy")
    if _is_right(one):
        still.append(f"F1 of labelled samples since then is {one.right_ratio:.2f} at least")
    return still


def _why_no_accuracy(one: Situation) -> str:
    """`, because ...`, where that is known."""
    if one.accuracy is None:
        return f", because {one.why_no_accuracy}" if one.why_no_accuracy else ""
    if one.cause not in CAUSES:
        return ", because no known cause of the picture explains the drift"
    return ", because it finds too few boxes here, or not what the cause would leave it"
