"""What others' tests say on the same streams: false alarms against delay (measure B).

    python -m benchmarks.drift.peers            # some minutes; `pip install river` adds its detectors

Statistics are computed as each project documents them, over windows of one minute and of one hour; the KS p-value is
checked against scipy in the run. Each is judged twice: by its own default, and by the threshold that it would
have needed to say nothing in the quiet days (which nobody knows beforehand: an oracle). River's detectors are the
library's own, fed frame by frame and minute by minute.
"""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

from benchmarks.drift.replay import Replay, looks_of
from benchmarks.drift.simulate import frames, quiet, quiet_past, references
from benchmarks.drift.streams import DAY, Change, Stream, StreamSpec

CHANGES = {
    "0.5 sigma / 1": Change(features=1, shift=0.5),
    "1 sigma / 1": Change(features=1, shift=1.0),
    "2 sigma / 1": Change(features=1, shift=2.0),
    "variance x2 / 1": Change(features=1, variance=2.0),
    "1 sigma / 20": Change(features=20, shift=1.0),
}
KEPT = 5000  # values of the reference that others are given: every n-th
PATIENCE = 12  # hours
Statistic = Callable[[NDArray, NDArray], NDArray]
"""Sorted chunks (C, n) of one feature and its sorted reference (m,) to the statistic of each chunk (C,)."""


def ks_surprise(chunks: NDArray, reference: NDArray) -> NDArray:
    """-log10 of the asymptotic p-value of the two-sample KS: what scipy, whylogs and alibi-detect hold against 0.05."""
    n, m = chunks.shape[1], reference.size
    upper = np.searchsorted(reference, chunks, side="right") / m
    lower = np.searchsorted(reference, chunks, side="left") / m
    steps = np.arange(n) / n
    distance = np.maximum(np.abs(steps + 1 / n - upper), np.abs(lower - steps)).max(axis=1)
    p = special.kolmogorov(distance * np.sqrt(n * m / (n + m)))
    return -np.log10(np.maximum(p, 1e-300))


def wasserstein(chunks: NDArray, reference: NDArray) -> NDArray:
    """Evidently's normed Wasserstein distance: W1 over the reference's standard deviation."""
    n = chunks.shape[1]
    moved = np.abs(chunks - np.quantile(reference, (np.arange(n) + 0.5) / n)).mean(axis=1)
    return moved / max(float(reference.std()), 1e-9)


def tenths(chunks: NDArray, reference: NDArray) -> tuple[NDArray, NDArray]:
    """Shares (C, 10) of chunks, and (10,) of the reference, in the reference's tenths."""
    edges = np.quantile(reference, np.linspace(0.1, 0.9, 9))

    def below(values: NDArray) -> NDArray:
        return (values[..., None] <= edges).mean(axis=-2)

    return tuple(np.diff(below(each), axis=-1, prepend=0.0, append=1.0) for each in (chunks, reference))  # type: ignore[return-value]


def psi(chunks: NDArray, reference: NDArray) -> NDArray:
    """PSI over the reference's tenths with 1e-4 in empty bins, as Evidently and most others do."""
    seen, there = (np.maximum(each, 1e-4) for each in tenths(chunks, reference))
    return ((seen - there) * np.log(seen / there)).sum(axis=-1)


def jensen_shannon(chunks: NDArray, reference: NDArray) -> NDArray:
    """Jensen-Shannon distance over the reference's tenths: NannyML's default."""
    seen, there = tenths(chunks, reference)
    middle = (seen + there) / 2
    halves = [special.rel_entr(side, middle).sum(axis=-1) for side in (seen, there)]
    return np.sqrt((halves[0] + halves[1]) / 2 / np.log(2))


@dataclass(frozen=True)
class Peer:
    """A test: a statistic of each feature, how features are put together, the default threshold."""

    name: str
    statistic: Statistic
    together: Callable[[NDArray], float]
    threshold: float
    by_chunks: bool = False  # the statistic in standard deviations of the reference's own chunks


def largest(found: NDArray) -> float:
    return float(found.max())


def half(found: NDArray) -> float:
    """What at least half the features reach: Evidently's dataset drift."""
    return float(np.sort(found)[found.size // 2])


PEERS = (
    Peer("KS p < 0.05 (scipy, whylogs, alibi-detect)", ks_surprise, largest, -np.log10(0.05)),
    Peer("KS p < 0.05 / 20 (Bonferroni)", ks_surprise, largest, -np.log10(0.05 / 20)),
    Peer("Wasserstein 0.1, any feature (Evidently)", wasserstein, largest, 0.1),
    Peer("Wasserstein 0.1, half the features (Evidently's dataset drift)", wasserstein, half, 0.1),
    Peer("PSI 0.1 (Evidently's option)", psi, largest, 0.1),
    Peer("PSI 0.2", psi, largest, 0.2),
    Peer("PSI 0.25", psi, largest, 0.25),
    Peer("Jensen-Shannon, mean ± 3 std of reference chunks (NannyML)", jensen_shannon, largest, 3.0, True),
)


def series(values: NDArray, size: int, reference: NDArray) -> dict[Statistic, NDArray]:
    """Each statistic of each chunk of `size` frames, (C, F)."""
    cut = np.sort(values[: len(values) // size * size].reshape(-1, size, values.shape[1]), axis=1)
    tests = {peer.statistic for peer in PEERS}
    return {
        test: np.stack(
            [test(np.ascontiguousarray(cut[..., f]), reference[:, f]) for f in range(cut.shape[2])], axis=1
        )
        for test in tests
    }


def judged(peer: Peer, found: dict[Statistic, NDArray], usual: dict[Statistic, NDArray]) -> NDArray:
    """The number that a peer compares with its threshold, chunk by chunk, (chunks,)."""
    table = found[peer.statistic]
    if peer.by_chunks:
        own = usual[peer.statistic]
        table = (table - own.mean(axis=0)) / np.maximum(own.std(axis=0), 1e-9)
    return np.array([peer.together(row) for row in table])


def alarm_hours(over: NDArray) -> int:
    """Hours in which there was an alarm, of flags by the minute: one that goes on for a day counts 24."""
    return np.unique(np.flatnonzero(over) // 60).size


def first(over: NDArray) -> float:
    """Chunks until the first alarm, infinite where there is none."""
    return float(over.argmax() + 1) if over.any() else np.inf


def changed(stream: Stream, repeat: int) -> Iterator[tuple[str, NDArray]]:
    for number, (name, change) in enumerate(CHANGES.items()):
        moved = Change(**{**change.__dict__, "first": repeat})
        yield name, stream.twin(1000 * repeat + number).run(3600.0 * PATIENCE, moved)


def print_row(name: str, alarms: float, delays: dict[str, list[float]]) -> None:
    cells = [
        f"{np.median(times):.0f}" if np.isfinite(np.median(times)) else f"> {60 * PATIENCE}"
        for times in delays.values()
    ]
    print(f"| {name} | {alarms:.0f} | " + " | ".join(cells) + " |", flush=True)


def print_peers(
    spec: StreamSpec, reference: NDArray, quiet: NDArray, trials: list[dict[str, NDArray]]
) -> None:
    known, days = kept(reference), len(quiet) / (DAY * spec.rate)
    for minutes in (1, 60):
        size = minutes * frames(spec)
        usual = series(reference[-round(DAY * spec.rate) :], size, known)
        calm = series(quiet, size, known)
        moved = [{name: series(values, size, known) for name, values in trial.items()} for trial in trials]
        for peer in PEERS:
            score = judged(peer, calm, usual)
            for label, threshold in (("", peer.threshold), (", oracle", float(score.max()))):
                alarms = alarm_hours(np.repeat(score > threshold, minutes)) * 30 / days
                delays = {
                    name: [minutes * first(judged(peer, trial[name], usual) > threshold) for trial in moved]
                    for name in CHANGES
                }
                print_row(f"{peer.name}, {minutes} min{label}", alarms, delays)


def print_ours(
    replay: Replay, spec: StreamSpec, stream: Stream, days: int, trials: list[dict[str, NDArray]]
) -> None:
    start, calm = stream.now, stream.twin(1)
    pieces = []
    for _ in range(days):
        starts = calm.now + 60.0 * np.arange(1440)
        pieces.append(replay.evidence(looks_of(calm.day(), frames(spec)), starts))
    alarms = len(quiet(replay, *pieces)[1])
    warm = stream.twin(2)
    warm.now = start - 6 * 3600.0
    looks = looks_of(warm.run(6 * 3600.0), frames(spec))
    past = quiet_past(replay, looks, start + 60.0 * np.arange(-360, 0))
    delays: dict[str, list[float]] = {name: [] for name in CHANGES}
    for trial in trials:
        for name, values in trial.items():
            looks = looks_of(values, frames(spec))
            seen = replay.evidence(looks, start + 60.0 * np.arange(len(looks.frames)))
            ratios, _ = replay.judge([seen], past)
            delays[name].append(first(ratios.top[:, 0] >= 1.0))
    print_row("**Vedette, budget 1 a month**", alarms * 30 / days, delays)


RIVER: dict[str, tuple[str, dict[str, Any]]] = {
    "ADWIN": ("ADWIN", {}),
    "ADWIN, delta 1e-6": ("ADWIN", {"delta": 1e-6}),
    "Page-Hinkley": ("PageHinkley", {}),
    "KSWIN": ("KSWIN", {}),
    "KSWIN, alpha 1e-6": ("KSWIN", {"alpha": 1e-6}),
}


def print_river(spec: StreamSpec, quiet: NDArray, trials: list[dict[str, NDArray]]) -> None:
    """River's detectors: one per feature, scaled to the quiet days' spread; KSWIN only on minutes (it is slow)."""
    drift = importlib.import_module("river.drift")
    middle, spread = quiet.mean(axis=0), quiet.std(axis=0)
    day = round(DAY * spec.rate)

    def feed(kind: str, options: dict[str, Any], values: NDArray) -> list[int]:
        detector = getattr(drift, kind)(**options)
        found = []
        for place, value in enumerate(values.tolist()):
            detector.update(value)
            if detector.drift_detected:
                found.append(place)
        return found

    for label, (kind, options) in RIVER.items():
        for minutes in (0, 1):
            if kind == "KSWIN" and not minutes:
                continue
            size = minutes * frames(spec) or 1
            unit = size / spec.rate / 60

            def scaled(values: NDArray, size: int = size) -> NDArray:
                means = values[: len(values) // size * size].reshape(-1, size, values.shape[1]).mean(axis=1)
                return (means - middle) / spread

            calm = scaled(quiet if minutes else quiet[:day])
            every = np.zeros(round(len(calm) * unit) + 1, dtype=np.bool_)
            for column in calm.T:
                every[(np.array(feed(kind, options, column), dtype=int) * unit).astype(int)] = True
            alarms = alarm_hours(every)
            days = len(calm) * unit / 1440
            delays: dict[str, list[float]] = {name: [] for name in CHANGES}
            for repeat, trial in enumerate(trials[:5]):
                for name, values in trial.items():
                    column = (repeat + 1) % spec.features
                    before = scaled(quiet[-day:])[:, column]
                    found = feed(kind, options, np.concatenate([before, scaled(values)[:, column]]))
                    late = [place - len(before) + 1 for place in found if place >= len(before)]
                    delays[name].append(late[0] * unit if late else np.inf)
            print_row(
                f"River {label}, {'minute means' if minutes else 'each frame'}", alarms * 30 / days, delays
            )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--days", type=int, default=7, help="quiet days")
    parser.add_argument("--reference", type=int, default=3, help="days of reference")
    parser.add_argument("--repeats", type=int, default=10, help="trials of each change")
    parser.add_argument("--daily", type=float, default=0.0, help="daily cycle, in sigma")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--river", action="store_true", help="River's detectors instead of the statistics")
    options = parser.parse_args()
    spec = StreamSpec(taus=(5.0, 20.0, 60.0), daily=options.daily)
    stream = Stream(spec, options.seed)
    replay = Replay(references(stream.twin(0), (options.reference,))[options.reference])
    reference = np.concatenate(list(_days(stream.twin(0), options.reference)))
    stream.now += options.reference * DAY
    quiet = np.concatenate(list(_days(stream.twin(1), options.days)))
    trials = [dict(changed(stream, repeat)) for repeat in range(1, options.repeats + 1)]
    known = kept(reference)
    ours = [10 ** -float(ks_surprise(np.sort(quiet[:120, f])[None], known[:, f])[0]) for f in range(3)]
    scipys = [float(stats.ks_2samp(quiet[:120, f], known[:, f], method="asymp").pvalue) for f in range(3)]
    print(
        "KS p-values of three features:",
        *(f"{p:.2g} (scipy {q:.2g})" for p, q in zip(ours, scipys, strict=True)),
    )
    print()
    print(f"| test | hours a month with a false alarm, of 720 | {' | '.join(CHANGES)} |")
    print("|---" * (len(CHANGES) + 2) + "|")
    print_ours(replay, spec, stream, options.days, trials)
    if options.river:
        print_river(spec, quiet, trials)
    else:
        print_peers(spec, reference, quiet, trials)


def kept(reference: NDArray) -> NDArray:
    """What others are given of the reference, sorted, (m, F)."""
    return np.sort(reference[:: max(1, len(reference) // KEPT)], axis=0)


def _days(stream: Stream, days: int) -> Iterator[NDArray]:
    for _ in range(days):
        yield stream.day()


if __name__ == "__main__":
    main()
