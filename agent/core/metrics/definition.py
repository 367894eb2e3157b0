"""What a metric is: one entry that says what rules, Prometheus, docs and the merging of windows need to know of it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from itertools import product
from typing import Literal

Unit = Literal[
    "seconds", "bytes", "ratio", "celsius", "watts", "hertz", "fps", "count", "state", "times", "total", ""
]

_SUFFIXES: Mapping[str, Unit] = {
    "_seconds": "seconds",
    "_bytes": "bytes",
    "_ratio": "ratio",
    "_celsius": "celsius",
    "_watts": "watts",
    "_hertz": "hertz",
    "_total": "total",
}


def unit_of(name: str) -> tuple[str, Unit]:
    """The suffix of a field's name that gives its unit, and the unit; ("", "") where it has none."""
    return next(((suffix, unit) for suffix, unit in _SUFFIXES.items() if name.endswith(suffix)), ("", ""))


class MetricKind(str, Enum):
    """The type of a metric in Prometheus."""

    GAUGE = "gauge"
    COUNTER = "counter"
    HISTOGRAM = "histogram"
    INFO = "info"


class ValidFor(str, Enum):
    """How long an exported number holds."""

    NOW = "now"  # observed every second: removed when it is no longer observed
    WINDOW = "window"  # of a camera's last window: replaced by the next one
    ADD = "add"  # a window's count, added up


class Merge(str, Enum):
    """How the values of several windows become one of a longer window; percentiles come from merged sketches."""

    SUM = "sum"
    LAST = "last"
    LARGEST = "largest"
    SMALLEST = "smallest"
    MEAN_OVER_TIME = "mean weighted by the seconds that each window covers"
    MEAN_OVER_FRAMES = "mean weighted by `frames_inferred`"
    MEAN_OVER_DETECTIONS = "mean weighted by `detections`"
    MEAN_OVER_SAMPLES = "mean weighted by `feature_samples`"


class Sent(str, Enum):
    """When a field goes into a message, where `[reports] profile` is not `full`."""

    ALWAYS = "in every message"
    NOT_ZERO = "where it is not zero or empty; in every complete message"
    CHANGED = "where it changed by more than it usually does; in every complete message"
    NEAR_LIMIT = "where it is three quarters of its limit or more; in every complete message"
    COMPLETE = "in every complete message"


NEAR_LIMIT_RATIO = 0.75
"""From which ratio to its limit on a score is sent in every message."""
NAMED_FEATURES = 3
"""Features whose ratio is in every summary at most: naming all of them would double its size."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelValue:
    """One value of a label: its words in an alert, and what Prometheus calls it where that differs."""

    words: str
    expected: str = ""
    exported: str | None = None


@dataclass(frozen=True, slots=True)
class Alerting:
    """A metric as rules know it.

    `words` completes "camera front: ..."; `cause` groups alerts: of one target and cause one is published.
    `expected` says what a state should be instead. `unit` is given where the name's suffix does not say it.
    """

    words: str
    cause: str
    unit: Unit = ""
    expected: str = ""


@dataclass(frozen=True, slots=True)
class Export:
    """A metric as Prometheus gets it: `vedette_<name>`, with `labels` after those of its entity.

    `kind` need not be given for a counter: its name ends in `_total`.
    """

    name: str
    help: str
    kind: MetricKind = MetricKind.GAUGE
    valid: ValidFor = ValidFor.NOW
    labels: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """A name that ends in `_total` is a counter's."""
        if self.name.endswith("_total"):
            object.__setattr__(self, "kind", MetricKind.COUNTER)


@dataclass(frozen=True, slots=True)
class Metric:
    """One number, as it is observed: `<entity>.<field>`, "" where the exporter makes it itself.

    `{label}` in the name stands for the label's values: a table of those that there are, or a pattern. Without
    `alerting` rules do not know it, without `export` Prometheus does not. `doc` says what it is where `export` does
    not say it, or not as the payload has it.
    """

    name: str
    alerting: Alerting | None = None
    export: Export | None = None
    merge: Merge = Merge.MEAN_OVER_TIME
    labels: Mapping[str, Mapping[str, LabelValue] | str] = field(default_factory=dict)
    sent: Sent = Sent.CHANGED
    doc: str = ""

    @property
    def listed(self) -> bool:
        """Whether every name that it stands for is known."""
        return not any(isinstance(values, str) for values in self.labels.values())

    def pattern(self) -> re.Pattern[str]:
        """Matches the whole name of an observation; the labels are its groups."""
        return re.compile(
            _replaced(self.name, {label: _group(label, of) for label, of in self.labels.items()})
        )

    def names(self) -> Iterator[tuple[str, Alerting]]:
        """Each name that a `listed` metric stands for, with what rules know of it."""
        if self.alerting is None:
            return
        tables = {label: of for label, of in self.labels.items() if not isinstance(of, str)}
        for chosen in product(*(of.items() for of in tables.values())):
            keys = dict(zip(tables, (key for key, _ in chosen), strict=True))
            words = dict(zip(tables, (value.words for _, value in chosen), strict=True))
            name = self.name.format_map(keys)
            yield (
                name,
                Alerting(
                    self.alerting.words.format_map(words),
                    self.alerting.cause,
                    self.alerting.unit or unit_of(name)[1],
                    next((value.expected for _, value in chosen if value.expected), self.alerting.expected),
                ),
            )

    def exported_label(self, label: str, value: str) -> str:
        """What Prometheus calls the value of a label."""
        of = self.labels[label]
        if isinstance(of, str) or of[value].exported is None:
            return value
        return of[value].exported or ""


def _group(label: str, values: Mapping[str, LabelValue] | str) -> str:
    return f"(?P<{label}>{values if isinstance(values, str) else '|'.join(map(re.escape, values))})"


def _replaced(name: str, groups: Mapping[str, str]) -> str:
    pieces = re.split(r"\{(\w+)\}", name)
    return "".join(groups[piece] if number % 2 else re.escape(piece) for number, piece in enumerate(pieces))
