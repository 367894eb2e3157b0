"""Verdicts: what a window, with those before it, says about drift; numbers, and the same in words. Values only."""

from __future__ import annotations

from dataclasses import dataclass

ASPECT_WORDS = {
    "location": ("it rose", "it fell"),
    "spread": ("it varies more", "it varies less"),
    "noise": ("it jumps more from frame to frame", "it is smoother from frame to frame"),
    "shape": ("its distribution changed", "its distribution changed"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureVerdict:
    """One feature against what is normal at this hour.

    `aspect` is what stands out most: "location", "spread", "noise", or "shape" (then KS decides). `score` is
    signed and in units of its usual size, `limit` what it may reach, `ratio` = |score| / limit, `minutes` how long
    ago the change that fits best began. `shift` is the change of the aspect since, in its unit (location: sigma).
    `ks` and `psi` are over the last `distance_minutes`, each with its own limit. `now` and `then` are the
    10th, 50th and 90th percentile over that time and at the hour compared with.
    """

    feature: str
    aspect: str
    score: float
    limit: float
    ratio: float
    minutes: float
    shift: float
    ks: float
    ks_limit: float
    psi: float
    psi_limit: float
    distance_minutes: float
    now: tuple[float, float, float]
    then: tuple[float, float, float]

    @property
    def over(self) -> bool:
        """Whether the feature is over its limit."""
        return self.ratio >= 1.0

    def words(self, hour: int | None = None) -> str:
        """The verdict in words, `hour` (UTC) being the hour of day that it was compared with, if there is one.

        `sharpness: it fell from 210 (p50) to 35, score 8.1, limit 5.4, over the last 16 min; KS 0.41, limit 0.12,
        PSI 0.90, limit 0.31, over the last 16 min; compared with 14-15 h UTC`
        """
        compared = "" if hour is None else f"; compared with {hour_words(hour)}"
        return (
            f"{self.feature}: {self._what()}, score {abs(self.score):.1f}, limit {self.limit:.1f}, "
            f"over the last {_span(self.minutes)}; KS {self.ks:.2f}, {_limit(self.ks_limit)}, PSI {self.psi:.2f}, "
            f"limit {self.psi_limit:.2f}, over the last {_span(self.distance_minutes)}{compared}"
        )

    def _what(self) -> str:
        """What happened, with the percentiles that show it."""
        rose, fell = ASPECT_WORDS[self.aspect]
        what = rose if self.score > 0 else fell
        if self.aspect == "location":
            return f"{what} from {self.then[1]:.3g} (p50) to {self.now[1]:.3g}"
        return f"{what}, p10/p50/p90 {_three(self.now)}, normally {_three(self.then)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassVerdict:
    """The class mix against what is normal: Jensen-Shannon distance and PSI over `minutes`, with limits."""

    distance: float
    limit: float
    ratio: float
    psi: float
    psi_limit: float
    minutes: float

    def words(self) -> str:
        """The class mix in words."""
        return (
            f"class mix: Jensen-Shannon {self.distance:.2f} ({_limit(self.limit)}), "
            f"PSI {self.psi:.2f} (limit {self.psi_limit:.2f}) over {_span(self.minutes)}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftVerdict:
    """The verdict on one window of one camera.

    `judged` is False where nothing can be said; then `reason` says why, and the alarm stands as it stood. `reason`
    also says why a verdict is `provisional`. `ratio` is the largest of all ratios: at 1 the alarm goes on. `joint` is
    the score of all features together, with `joint_limit` and the age of the change in `joint_minutes`. `hour` is
    the hour of day (UTC) compared with. `alarm` stays on until the drift that raised it has been gone for a
    while; `alarm_since` is the window's end at which it went on.
    """

    camera: str
    start: float
    end: float
    judged: bool
    reason: str
    provisional: bool
    ratio: float
    joint: float
    joint_limit: float
    joint_minutes: float
    hour: int
    features: tuple[FeatureVerdict, ...]
    classes: ClassVerdict | None
    alarm: bool
    alarm_since: float | None

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

    def words(self, count: int = 5) -> str:
        """The verdict for people, one thing a line."""
        if not self.judged:
            return f"not judged: {self.reason}"
        lines = [self._headline()]
        lines += [
            f"  {verdict.words(self.hour)}" for verdict in self.strongest(count) if verdict.ratio >= 0.5
        ]
        if self.classes is not None and self.classes.ratio >= 0.5:
            lines.append(f"  {self.classes.words()}")
        return "\n".join(lines)

    def _headline(self) -> str:
        state = "drift" if self.alarm else "no drift"
        note = f" (provisional: {self.reason})" if self.provisional else ""
        return (
            f"{state}: {self.ratio:.2f} times the limit, compared with {hour_words(self.hour)}; all features "
            f"together {self.joint:.1f} (limit {self.joint_limit:.1f}) over the last "
            f"{_span(self.joint_minutes)}{note}"
        )


def hour_words(hour: int) -> str:
    """`14-15 h UTC`."""
    return f"{hour:02d}-{(hour + 1) % 24:02d} h UTC"


def _three(values: tuple[float, float, float]) -> str:
    return "/".join(f"{value:.3g}" for value in values)


def _limit(distance: float) -> str:
    """The limit of a distance that goes from 0 to 1."""
    return f"limit {distance:.2f}" if distance < 1.0 else "too little reference for a limit"


def _span(minutes: float) -> str:
    if minutes < 1:
        return f"{60 * minutes:.0f} s"
    return f"{minutes:.0f} min" if minutes < 120 else f"{minutes / 60:.0f} h"
