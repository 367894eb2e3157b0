"""Verdicts: the numbers by which a window, with those before it, is compared with the reference. Values only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple


class Measured(NamedTuple):
    """A distance and its limit, NaN where the reference is not calibrated for it."""

    value: float
    limit: float


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureVerdict:
    """One feature against what is normal at this hour.

    `aspect` is what stands out most: "location", "spread", "noise", or "shape" (then KS decides). `score` is
    signed and in units of its usual size, `limit` what it may reach, `ratio` = |score| / limit, `minutes` how long
    ago the change that fits best began. `shift` is the change of the aspect since, in its unit (location: sigma).
    `distances` are over the last `distance_minutes`, by the statistic's name. `now` and `then` are the
    10th, 50th and 90th percentile over that time and at the hour compared with.
    """

    feature: str
    aspect: str
    score: float
    limit: float
    ratio: float
    minutes: float
    shift: float
    distances: Mapping[str, Measured]
    distance_minutes: float
    now: tuple[float, float, float]
    then: tuple[float, float, float]

    @property
    def over(self) -> bool:
        """Whether the feature is over its limit."""
        return self.ratio >= 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassVerdict:
    """The class mix against what is normal: Jensen-Shannon distance and PSI over `minutes`, with limits.

    `ratio` is the larger of the distance's over its limit and of the likelihood's, which sees small changes that last.
    """

    distance: float
    limit: float
    ratio: float
    psi: float
    psi_limit: float
    minutes: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PairVerdict:
    """The two features whose movements from window to window agree least with the reference.

    `correlation` of them over about `minutes`, `usual` the reference's, and how far from it over the limit, `ratio`.
    """

    first: str
    second: str
    correlation: float
    usual: float
    ratio: float
    minutes: float


@dataclass(frozen=True, slots=True, kw_only=True)
class OutlierCount:
    """`frames` judged, `outliers` among them, and the features (or "embedding") they stand out by, commonest first."""

    frames: int
    outliers: int
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftVerdict:
    """The verdict on one window of one camera.

    `judged` is False where the window cannot be judged; then `reason` says why, and the alarm stays as it was, with
    its last ratio. `reason` also says why a verdict is `provisional`. `ratio` is the largest of all ratios: at 1 the
    alarm goes on. It stays below 1 where what is over a limit is `familiar`: it came and went before, as
    large and for as long. `joint` is the score of all features together, with `joint_limit` and the age of the change
    in `joint_minutes`. `hour` is the hour of day (UTC) compared with. `alarm` stays on until the drift that raised it
    has been gone for a while; `alarm_since` is the window's end at which it went on. `outliers` is what single frames
    show where they alone keep the alarm on. `raised` is what limits are multiplied by while no alarm is on, since
    others came and went (patience.py). `pause_ends` is when the alarm is over if what comes and goes with the hours
    stays away until then (daily.py); None where it is there, or no alarm is on. `normal_until` is when the change that
    the alarm is on for may have begun; None while it is off. `calm_day` says that the alarm is over now, as nothing was
    found in a day that was judged anew (retrial.py, daily.py).
    """

    camera: str
    start: float
    end: float
    judged: bool
    reason: str
    provisional: bool
    ratio: float
    familiar: bool
    joint: float
    joint_limit: float
    joint_minutes: float
    hour: int
    features: tuple[FeatureVerdict, ...]
    classes: ClassVerdict | None
    alarm: bool
    alarm_since: float | None
    pair: PairVerdict | None = None
    outliers: OutlierCount | None = None
    raised: float = 1.0
    pause_ends: float | None = None
    normal_until: float | None = None
    calm_day: bool = False

    @classmethod
    def not_judged(
        cls,
        of: tuple[str, float, float],
        reason: str,
        *,
        provisional: bool,
        ratio: float,
        joint_limit: float,
        hour: int,
        alarm_since: float | None,
    ) -> DriftVerdict:
        """Of a window that is not judged, `of` a camera from one Unix time to another; `ratio` is the last one's."""
        on = alarm_since is not None
        return cls(
            camera=of[0], start=of[1], end=of[2],
            judged=False, reason=reason, provisional=provisional,
            ratio=ratio if on else 0.0, familiar=False,
            joint=0.0, joint_limit=joint_limit, joint_minutes=0.0,
            hour=hour, features=(), classes=None,
            alarm=on, alarm_since=alarm_since,
        )  # fmt: skip

    @property
    def joint_ratio(self) -> float:
        """The joint score over its limit."""
        return self.joint / self.joint_limit if self.joint_limit else 0.0

    def feature(self, name: str) -> FeatureVerdict:
        """The verdict on one feature; KeyError if there is none of that name."""
        for verdict in self.features:
            if verdict.feature == name:
                return verdict
        raise KeyError(name)

    def strongest(self, count: int = 5) -> tuple[FeatureVerdict, ...]:
        """The features that stand out most, strongest first."""
        return tuple(sorted(self.features, key=lambda verdict: -verdict.ratio)[:count])
